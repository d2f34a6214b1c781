"""The commands of the palette and of the plain mode: words, and the deed or the move that they mean."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from persistentq.acts import Act
from persistentq.errors import InvalidArgument
from persistentq.job import NewJob
from persistentq.operations.times import read_span, read_when

from . import dialogs, moves
from .deeds import Deed
from .schedules import FIELDS, NAMED, Texts, flag, new_schedule, read_texts
from .sorting import Sort
from .state import Move, State
from .views import VIEWS


class Command(NamedTuple):
    """One command.

    Attributes:
        usage: What stands behind its name.
        does: For the help.
        read: Makes a move of the words behind its name; raises InvalidArgument.
    """

    usage: str
    does: str
    read: Callable[[Sequence[str]], Move]


def read_command(line: str) -> Move:
    """Return what a typed line means.

    Raises:
        InvalidArgument: there is no such command, or its words cannot be read.
    """
    try:
        name, *words = shlex.split(line)
    except ValueError as error:
        raise InvalidArgument("command", line, f"cannot be read: {error}") from error
    command = COMMANDS.get(name)
    if command is None:
        close = get_close_matches(name, COMMANDS, 1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise InvalidArgument("command", name, f"is none{meant}")
    try:
        return command.read(words)
    except (IndexError, ValueError) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise InvalidArgument("command", line, f"is typed as: {name} {command.usage}".rstrip()) from error


def _on_jobs(make: Callable[[Sequence[str]], Act]) -> Callable[[Sequence[str]], Move]:
    """Return what reads an act on the marked jobs, or the selected one."""
    return lambda words: dialogs.ask_act(make(words))


def _verb(verb: str) -> Callable[[Sequence[str]], Move]:
    def read(words: Sequence[str]) -> Move:
        _none(words)
        return dialogs.ask_verb(verb)

    return read


def _none(words: Sequence[str]) -> None:
    if words:
        raise ValueError(words)


def _named(verb: str) -> Callable[[Sequence[str]], Move]:
    def read(words: Sequence[str]) -> Move:
        (name,) = words
        return dialogs.ask(Deed(verb, name=name))

    return read


def _numbered(verb: str) -> Callable[[Sequence[str]], Move]:
    def read(words: Sequence[str]) -> Move:
        (number,) = words
        return dialogs.ask(Deed(verb, number=int(number)))

    return read


def _assign(words: Sequence[str]) -> Act:
    (consumer,) = words
    return Act("assign", consumer=None if consumer == "--anyone" else consumer)


def _reschedule(words: Sequence[str]) -> Act:
    (when,) = words
    return Act("reschedule", run_at=None if when == "now" else read_when("time", when))


def _priority(words: Sequence[str]) -> Act:
    (number,) = words
    return Act("set-priority", priority=int(number))


def _edit(words: Sequence[str]) -> Act:
    values: dict[str, Any] = {}
    without: list[str] = []
    for word in words:
        name, equals, text = word.partition("=")
        if equals:
            values[name] = _json(text)
        else:
            without.append(word.removeprefix("-"))
    return Act("edit-arguments", arguments=values, without=tuple(without))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise InvalidArgument("value", text, f"is not JSON; as a text it is {json.dumps(text)}") from None


def _pause(words: Sequence[str]) -> Move:
    name, *rest = words
    lasting = None
    if rest:
        (text,) = rest
        lasting = read_span("span", text)
    return dialogs.ask(Deed("pause", name=name, lasting=lasting))


def _enqueue(words: Sequence[str]) -> Move:
    task, *rest = words
    given: dict[str, Any] = {"args": {}}
    for word in rest:
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(word)
        match name:
            case "--queue":
                given["queue"] = text
            case "--priority":
                given["priority"] = int(text)
            case "--tag":
                given["tags"] = (*given.get("tags", ()), text)
            case "--at":
                given["run_at"] = read_when("time", text)
            case _:
                given["args"][name] = _json(text)
    return dialogs.ask(Deed("enqueue", new=NewJob(task, **given)))


def _add_schedule(words: Sequence[str]) -> Move:
    name, expression, task, *rest = words
    texts = (*zip(NAMED, (expression, task), strict=True), *_texts(rest))
    new_schedule(name, texts)
    return dialogs.ask(Deed("add-schedule", name=name, texts=texts))


def _edit_schedule(words: Sequence[str]) -> Move:
    name, *rest = words
    texts = _texts(rest)
    if not texts:
        raise ValueError(rest)
    read_texts(texts)
    return dialogs.ask(Deed("edit-schedule", name=name, texts=texts))


def _texts(words: Sequence[str]) -> Texts:
    names = {flag(name): name for name in FIELDS}
    options = (word.partition("=") for word in words)
    try:
        return tuple((names[option], text) for option, _, text in options)
    except KeyError as error:
        raise ValueError(words) from error


_ALL_OPTIONS = " ".join(f"[{flag(name)}=…]" for name in FIELDS)
_OPTIONS = " ".join(f"[{flag(name)}=…]" for name in FIELDS if name not in NAMED)


def _query(words: Sequence[str]) -> Move:
    return moves.show_query(moves.readable(" ".join(words)))


def _export(words: Sequence[str]) -> Move:
    name, *rest = words
    if rest not in ([], ["--reveal"]):
        raise ValueError(rest)
    is_revealing = bool(rest)
    return lambda state: dialogs.ask(Deed("export", name=name, where=state.query, is_revealing=is_revealing))(
        state
    )


def _reveal(words: Sequence[str]) -> Move:
    _none(words)

    def ask_about(state: Any) -> Any:
        if state.job_id is None:
            return state.says("no job is selected", is_error=True)
        return dialogs.ask(Deed("reveal", number=state.job_id))(state)

    return ask_about


def _log(words: Sequence[str]) -> Move:
    (consumer,) = words
    return moves.show_log(consumer)


def _sort(words: Sequence[str]) -> Move:
    name = " ".join(words)

    def sort(state: State) -> State:
        titles = [head.title for head in VIEWS[state.view].heads]
        if not titles:
            return state.says("jobs are read newest first, a page at a time", is_error=True)
        if name and name.removeprefix("-") not in titles:
            return state.says(f"the columns here are: {', '.join(titles)}", is_error=True)
        chosen = Sort(titles.index(name.removeprefix("-")), name.startswith("-")) if name else None
        return moves.sort_rows(chosen)(state)

    return sort


def _mark(words: Sequence[str]) -> Move:
    if words == ["all"]:
        return moves.mark_all
    if words == ["none"]:
        return moves.unmark_all
    return moves.mark_ids(frozenset(map(int, words)))


def _plainly(move: Move) -> Callable[[Sequence[str]], Move]:
    def read(words: Sequence[str]) -> Move:
        _none(words)
        return move

    return read


COMMANDS: Mapping[str, Command] = {
    **{view.name: Command("", view.does, _plainly(moves.go_to(place))) for place, view in VIEWS.items()},
    "query": Command("QUERY", "show only the jobs that this means", _query),
    "job": Command("ID", "show one job", lambda words: moves.show_job(int(*words))),
    "sort": Command("[[-]COLUMN]", "sort the rows of the view; with - the other way round", _sort),
    "mark": Command("all|none|ID …", "mark jobs", _mark),
    "resubmit": Command("", "the marked jobs, else the selected one", _verb("resubmit")),
    "cancel": Command("", "the same", _verb("cancel")),
    "mark-failed": Command("", "the same", _verb("mark-failed")),
    "delete": Command("", "the same", _verb("delete")),
    "assign": Command("CONSUMER|--anyone", "reserve them for one consumer", _on_jobs(_assign)),
    "reschedule": Command("now|SPAN|TIME", "let them become ready then", _on_jobs(_reschedule)),
    "set-priority": Command("N", "higher leaves earlier", _on_jobs(_priority)),
    "edit-arguments": Command("NAME=JSON … -NAME …", "set arguments, and drop some", _on_jobs(_edit)),
    "reveal": Command("", "show the selected job with its secrets", _reveal),
    "undo": Command("ENTRY", "take back what an entry of the journal did", _numbered("undo")),
    "pause": Command("QUEUE [SPAN]", "hand out no more of its jobs", _pause),
    "resume": Command("QUEUE", "hand them out again", _named("resume")),
    "pause-schedule": Command("SCHEDULE", "let it enqueue nothing", _named("pause-schedule")),
    "resume-schedule": Command("SCHEDULE", "let it tick again", _named("resume-schedule")),
    "run-schedule": Command("SCHEDULE", "enqueue its job now", _named("run-schedule")),
    "add-schedule": Command(f"SCHEDULE EXPRESSION TASK {_OPTIONS}", "store a new one", _add_schedule),
    "edit-schedule": Command(
        f"SCHEDULE {_ALL_OPTIONS}", "change it; what is not named stays", _edit_schedule
    ),
    "remove-schedule": Command("SCHEDULE", "remove it for ever; its jobs stay", _named("remove-schedule")),
    "scale": Command("N", "so many consumers", _numbered("scale")),
    "stop-consumer": Command("PROGRAM", "such as consumer:consumer_00", _named("stop-consumer")),
    "start-consumer": Command("PROGRAM", "the same", _named("start-consumer")),
    "restart-consumer": Command("PROGRAM", "the same", _named("restart-consumer")),
    "log": Command("CONSUMER", "the last lines of its log", _log),
    "enqueue": Command("TASK [NAME=JSON …] [--queue=NAME] …", "one job", _enqueue),
    "import": Command("FILE", "enqueue the jobs of a file", _named("import")),
    "export": Command("FILE [--reveal]", "write the jobs that are shown", _export),
    "columns": Command("", "more columns of the jobs, or the usual ones", _plainly(moves.toggle_columns)),
    "freeze": Command("", "read nothing, or go on", _plainly(moves.toggle_freeze)),
    "help": Command("", "the keys", _plainly(moves.toggle_help)),
    "quit": Command("", "leave", _plainly(moves.quit_manager)),
}
"""By name, as the palette and the plain mode take them."""
