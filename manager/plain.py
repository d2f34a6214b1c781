"""The plain mode: the same views and commands, a line at a time, for screen readers, plain terminals and pipes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from persistentq import Settings, clock
from persistentq.errors import PersistentQError
from persistentq.operations import safe

from . import dialogs, moves, news
from .around import Around
from .asking import Do, Look, Question, Quit
from .cells import Line
from .commands import COMMANDS, read_command
from .detail import detail_lines, log_lines
from .glyphs import in_ascii
from .header import caption
from .layout import words_instead
from .popup import question_lines
from .refresh import Hands, read
from .snapshot import Place
from .state import Move, State
from .table import job_lines, row_lines

if TYPE_CHECKING:
    from prompt_toolkit.mouse_events import MouseEvent

COLUMNS, LINES = 100, 40
YES = {"y", "yes"}
STAY = frozenset({"mark", "freeze"})
"""The commands after which the view is not told again."""


class Plain:
    """The manager in lines.

    Args:
        settings: Where the database is.
        source: Where commands come from; the answers to questions too.
        target: Where everything is told.
        readonly: Whether every change is refused, whatever the settings say.
        is_ascii: Whether nothing but ASCII may be told.
    """

    def __init__(
        self,
        settings: Settings,
        source: TextIO,
        target: TextIO,
        *,
        readonly: bool = False,
        is_ascii: bool = False,
    ) -> None:
        self._source, self._target, self._shown = source, target, in_ascii if is_ascii else str
        self._hands = Hands(settings, self._make, readonly=readonly)
        self._around = Around(settings.env_file)
        location = str(settings.db_file) if settings.db_url is None else "QUEUE_DB_URL"
        readonly = readonly or settings.is_readonly
        self._state = State(
            location=location, is_readonly=readonly, columns=COLUMNS, lines=LINES, details=False
        )
        self._has_failed = False

    def run(self) -> int:
        """Take commands until `quit` or the end of the input; return 1 if one of them failed, else 0."""
        self._say("a command, /QUERY, or `help`; an empty line tells the view again, `quit` leaves")
        self._show()
        while (line := self._ask("> ")) is not None:
            if not self._obey(line.strip()):
                break
        return int(self._has_failed)

    def _obey(self, line: str) -> bool:
        """Do what a line says; return whether to go on."""
        if line == "help":
            self._say(*(f"{name} {one.usage}".rstrip() + f": {one.does}" for name, one in COMMANDS.items()))
            return True
        try:
            self._make(self._read(line))
        except PersistentQError as error:
            self._fail(error)
            return True
        if isinstance(self._state.order, Quit):
            return False
        is_deed = self._state.order is not None or self._state.dialog is not None
        self._settle()
        self._tell_message()
        if not is_deed and line.partition(" ")[0] not in STAY:
            self._show()
        return True

    def _read(self, line: str) -> Move:
        if line.startswith("/"):
            return moves.show_query(moves.readable(line[1:]))
        return read_command(line) if line else lambda state: state

    def _make(self, move: Move) -> None:
        self._state = move(replace(self._state, message=None, order=None))

    def _settle(self) -> None:
        """Ask what is to be asked, and do what is confirmed."""
        if isinstance(self._state.order, Look):
            self._make(self._hands.looked(self._state.order))
        question = self._state.dialog
        if not isinstance(question, Question):
            return
        self._write(question_lines(self._state, question, COLUMNS))
        command = question.deed.typed()
        self._say(*([f"= {command}"] if command else []))
        wanted = f"type {question.fitting} to go on: " if question.wants_number else "do it? [y/N] "
        answer = (self._ask(wanted) or "").strip()
        is_yes = answer == str(question.fitting) if question.wants_number else answer.lower() in YES
        if not is_yes:
            self._make(dialogs.dismiss)
            self._say("nothing was changed")
            return
        reason = (self._ask("why? (empty for no reason) ") or "").strip()
        self._make(lambda state: replace(state, dialog=question._replace(reason=reason)))
        self._make(dialogs.confirm)
        if isinstance(order := self._state.order, Do):
            self._make(self._hands.done(order))

    # --- telling

    def _show(self) -> None:
        try:
            with self._hands.operating() as operator:
                self._make(news.was_read(read(operator, self._state.request, self._around)))
        except PersistentQError as error:
            self._fail(error)
            return
        state, now = self._state, clock.now()
        self._say(f"read {now:%H:%M:%S} UTC from {safe(state.snapshot and state.snapshot.location)}")
        self._write([caption(state)])
        if words := words_instead(state):
            self._say(*words)
        elif state.view is Place.JOBS and state.details:
            self._write(detail_lines(state, now, COLUMNS))
        elif state.view is Place.JOBS:
            self._write(job_lines(state, now, COLUMNS, LINES, _no_click))
        else:
            self._write(row_lines(state, COLUMNS, len(state.rows) + 1, _no_click))
        if state.shows_log:
            self._write(log_lines(state, COLUMNS))

    def _tell_message(self) -> None:
        if self._state.message is not None:
            self._has_failed = self._has_failed or self._state.message.is_error
            self._say(("error: " if self._state.message.is_error else "") + self._state.message.text)

    def _fail(self, error: PersistentQError) -> None:
        self._has_failed = True
        self._say(f"error: {error.summary}", *([f"hint: {error.hint}"] if error.hint else []))

    def _say(self, *lines: str) -> None:
        self._target.writelines(f"{self._shown(line)}\n" for line in lines)
        self._target.flush()

    def _write(self, lines: Iterable[Line]) -> None:
        self._say(*("".join(piece[1] for piece in line).rstrip() for line in lines))

    def _ask(self, question: str) -> str | None:
        """Return the next line; None at the end of the input."""
        if self._source.isatty():
            self._target.write(question)
            self._target.flush()
        return self._source.readline() or None


def _no_click(*_: object) -> Callable[[MouseEvent], object]:
    return lambda _: NotImplemented
