"""The full-screen terminal manager: wires state, keys, screen and background together."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from prompt_toolkit.application import Application
from prompt_toolkit.filters import Condition
from prompt_toolkit.layout import (
    ConditionalContainer,
    Float,
    FloatContainer,
    FormattedTextControl,
    Layout,
    Window,
)
from prompt_toolkit.mouse_events import MouseEvent, MouseEventType

from persistentq import Settings, clock, load_settings
from persistentq.command_line import Refused, make_app, run_app

from .asking import Copy, Do, Look, Quit, Suspend
from .cells import Line
from .glyphs import in_ascii, is_ascii_only
from .keys import make_key_bindings
from .layout import clamp_scroll, screen
from .moves import resize
from .plain import Plain
from .popup import popup_lines, popup_width
from .refresh import Hands, Reader
from .state import Move, State
from .style import make_style
from .wording import command

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

REDRAW_SECONDS = 1.0
"""How often the ages are redrawn while nothing new is read; each reading is drawn at once."""

ESCAPE_SECONDS = 0.1
"""How long to wait for the rest of an arrow key's sequence before Escape is taken for itself."""

WHEEL = {MouseEventType.SCROLL_DOWN: 1, MouseEventType.SCROLL_UP: -1}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Theme = Literal["dark", "light", "high-contrast", "mono"]

app = make_app()


class Manager:
    """The running manager: holds the state, and is the only one to change it.

    Args:
        settings: Where the database is.
        has_mouse: Whether clicks select; without, the terminal's own selection of text works.
        readonly: Whether every change is refused, whatever the settings say.
        theme: One of THEMES.
        is_ascii: Whether the terminal shows nothing but ASCII.
        source: The keyboard; None for standard input.
        target: The terminal; None for standard output.
    """

    def __init__(  # noqa: PLR0913 - one for each option, all by name
        self,
        settings: Settings,
        *,
        has_mouse: bool = True,
        readonly: bool = False,
        theme: str = "dark",
        is_ascii: bool = False,
        source: Input | None = None,
        target: Output | None = None,
    ) -> None:
        self._settings, self._shown = settings, in_ascii if is_ascii else str
        # A URL is not shown before the queue says how, for its password.
        location = str(settings.db_file) if settings.db_url is None else "QUEUE_DB_URL"
        self.state = State(location=location, is_readonly=readonly or settings.is_readonly)
        self._hands = Hands(settings, self._tell_and_read, readonly=readonly)
        self._reader = Reader(settings, self.state.request, self._tell)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.app: Application[int] = Application(
            layout=Layout(self._container()),
            key_bindings=make_key_bindings(lambda: self.state, self.press),
            style=make_style(theme),
            full_screen=True,
            mouse_support=has_mouse,
            refresh_interval=REDRAW_SECONDS,
            before_render=lambda _: self._measure(),
            input=source,
            output=target,
        )
        self.app.ttimeoutlen = ESCAPE_SECONDS

    def run(self) -> int:
        """Show the manager until the operator leaves; return the exit code."""
        try:
            # Not prompt_toolkit's own handlers: the one waits for Enter after an error, the other knows only SIGINT.
            return self.app.run(pre_run=self._begin, set_exception_handler=False, handle_sigint=False)
        except EOFError:
            return 128 + signal.SIGHUP
        finally:
            self._reader.stop()

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._fail)
        # Only the main thread may handle signals; where it is not the manager's, it has them for itself.
        with suppress(ValueError, RuntimeError):
            for number in SIGNALS:
                self._loop.add_signal_handler(number, self._leave, 128 + number)
        self._reader.start()

    def _leave(self, code: int) -> None:
        if not self.app.is_done:
            self.app.exit(result=code)

    def _fail(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End with the error that some callback raised, so that the terminal is restored before it is printed."""
        if not self.app.is_done:
            self.app.exit(exception=context.get("exception") or RuntimeError(context["message"]))

    # --- state

    def press(self, move: Move) -> None:
        """Make a move of the operator's; it takes the last message away."""
        self._make(lambda state: move(replace(state, message=None)))

    def _tell(self, move: Move) -> None:
        """Make a move of a background thread's."""
        with suppress(RuntimeError):  # The loop is closed: the manager was left meanwhile.
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._make, move)

    def _make(self, move: Move) -> None:
        before = self.state
        state = clamp_scroll(move(before), clock.now())
        order, self.state = state.order, replace(state, order=None)
        self._reader.ask(self.state.request)
        match order:
            case Quit():
                self._leave(0)
            case Suspend():
                self.app.suspend_to_background()
            case Do():
                self._hands.carry_out(order)
            case Look():
                self._hands.look(order)
            case Copy(text):
                self._copy(text)
        if not _looks_the_same(before, state):
            self.app.invalidate()

    def _copy(self, text: str) -> None:
        """Put a text on the terminal's own clipboard, which works from a remote host too (OSC 52)."""
        coded = base64.b64encode(text.encode()).decode("ascii")
        self.app.output.write_raw(f"\x1b]52;c;{coded}\x07")
        self.app.output.flush()

    def _tell_and_read(self, move: Move) -> None:
        self._tell(move)
        self._reader.hurry()

    def _measure(self) -> None:
        size = self.app.output.get_size()
        if (size.columns, size.rows) != (self.state.columns, self.state.lines):
            self._make(resize(size.columns, size.rows))

    # --- screen

    def _container(self) -> FloatContainer:
        popup = Window(_control(self._popup, self._shown))
        has_dialog = Condition(lambda: self.state.dialog is not None and not self.state.is_too_small)
        return FloatContainer(
            Window(_control(self._screen, self._shown)),
            [
                Float(
                    ConditionalContainer(popup, has_dialog),
                    width=lambda: popup_width(self.state) + 2,
                    height=lambda: len(self._popup()),
                )
            ],
        )

    def _screen(self) -> list[Line]:
        return screen(self.state, clock.now(), self._click)

    def _popup(self) -> list[Line]:
        return popup_lines(self.state, partial(self._click, in_dialog=True))

    def _click(
        self, move: Move | None, wheel: Callable[[int], Move] | None, *, in_dialog: bool = False
    ) -> Callable[[MouseEvent], object]:
        def handle(event: MouseEvent) -> object:
            chosen = move if event.event_type is MouseEventType.MOUSE_UP else None
            if wheel and event.event_type in WHEEL:
                chosen = wheel(WHEEL[event.event_type])
            if chosen is None or (self.state.dialog is not None and not in_dialog):
                return NotImplemented
            self.press(chosen)
            return None

        return handle


def _looks_the_same(before: State, after: State) -> bool:
    """Whether nothing but the age of the data differs, which is redrawn in its own time."""
    old, new = before.snapshot, after.snapshot
    if old is None or new is None or not new.shows_the_same(old):
        return False
    return replace(before, snapshot=None) == replace(after, snapshot=None)


def _control(lines: Callable[[], list[Line]], shown: Callable[[str], str]) -> FormattedTextControl:
    def text() -> StyleAndTextTuples:
        joined: StyleAndTextTuples = []
        for line in lines():
            joined += [(style, shown(text), *more) for style, text, *more in line]  # type: ignore[misc]
            joined.append(("", "\n"))
        return joined[:-1]

    return FormattedTextControl(text, show_cursor=False)


@app.command()
def show(
    *,
    no_mouse: Annotated[bool, typer.Option("--no-mouse", help="Leave the mouse to the terminal.")] = False,
    readonly: Annotated[bool, typer.Option("--readonly", help="Refuse every change.")] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="A line at a time, for screen readers and pipes.")
    ] = False,
    theme: Annotated[Theme, typer.Option("--theme", help="The colours.")] = "dark",
) -> int:
    """Show the queue on the full screen, live: jobs, details, consumers; change jobs by keys that ask first.

    In it, ? shows every key and q leaves.
    """
    if plain:
        return Plain(
            load_settings(),
            sys.stdin,
            sys.stdout,
            readonly=readonly,
            is_ascii=is_ascii_only(sys.stdout.encoding),
        ).run()
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        instead = f"{command('admin', 'list-jobs')} prints the jobs anywhere, and --plain takes commands by the line"
        raise Refused("the manager needs a terminal that it can draw on", instead)
    is_ascii = is_ascii_only(sys.stdout.encoding)
    return Manager(
        load_settings(), has_mouse=not no_mouse, readonly=readonly, theme=theme, is_ascii=is_ascii
    ).run()


def main(argv: Sequence[str] | None = None) -> int:
    """Show the manager on this terminal and return the exit code."""
    return run_app(app, command("manager"), argv)


if __name__ == "__main__":
    raise SystemExit(main())
