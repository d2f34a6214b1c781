"""monitor-activity: the queue as it changes, a screen on a terminal and a line per interval elsewhere."""

from __future__ import annotations

import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import repeat
from typing import Annotated, Generic, Literal, NoReturn, TypeVar

import typer

from persistentq import StorageUnavailable
from persistentq.clock import Deadline
from persistentq.operations import Operator
from persistentq.operations.rates import rates

from ._activity import Reading, activity_line, activity_record, activity_screen, read_activity
from ._insight import surroundings
from ._operator import operating
from ._render import to_json
from ._screen import cell, console
from ._terminal import say

Interval = Annotated[
    float, typer.Option("--interval", "-i", metavar="SECONDS", min=0.2, max=3600, help="Between two looks.")
]
Count = Annotated[
    int | None,
    typer.Option("--count", "-n", metavar="N", min=1, help="End after so many looks.", show_default=False),
]
MonitorOutput = Annotated[
    Literal["text", "jsonl"] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FORMAT",
        help="text or jsonl: one line for each look. Without it: a screen on a terminal, else text.",
        show_default=False,
    ),
]
Look = Reading | StorageUnavailable
Value = TypeVar("Value")

ALERTS_EVERY_S, SPEED_EVERY_S = 10.0, 2.0
"""What reads more than all the rest is read no more often than this."""

ALERTS_OF, SPEED_OF = timedelta(hours=1), timedelta(minutes=1)
"""How far back they look; the speed over one interval, if that is longer."""


def monitor_activity(interval: Interval = 5, count: Count = None, output: MonitorOutput = None) -> int:
    """Watch the queue until Ctrl-C. On a terminal a screen, elsewhere a line for each look.

    Counts, how fast it moves, how long jobs wait and run, who works, and what needs attention.
    """
    with operating() as operator, _sigterm_ends():
        looks = _looks(operator, interval, count)
        if output is None and sys.stdout.isatty() and not console().is_dumb_terminal:
            last = _draw(looks, whole_screen=count is None)
        else:
            last = _print(looks, activity_line if output != "jsonl" else _json_line)
    return 0 if isinstance(last, Reading) else StorageUnavailable.exit_code


class Seldom(Generic[Value]):
    """A value that is read anew when it is asked for after so many seconds."""

    def __init__(self, read: Callable[[], Value], seconds: float) -> None:
        self._read, self._seconds = read, seconds
        self._due = Deadline(0)

    @property
    def value(self) -> Value:
        """The value as it was lately."""
        if self._due.passed:
            self._value, self._due = self._read(), Deadline(self._seconds)
        return self._value


def _looks(operator: Operator, interval: float, count: int | None) -> Iterator[Look]:
    due, around, span = time.monotonic(), surroundings(None), timedelta(seconds=interval)
    alerts = Seldom(lambda: operator.attention(around, window=ALERTS_OF), ALERTS_EVERY_S)
    speed = Seldom(lambda: rates(operator.queue, max(SPEED_OF, span), 1), SPEED_EVERY_S)
    for _ in repeat(None) if count is None else range(count):
        idle(due - time.monotonic())
        # Times of a fixed rhythm, so that no span goes unseen; after a long wait for the database a new one begins.
        due = max(due + interval, time.monotonic())
        try:
            look: Look = read_activity(operator.queue, span, speed.value, alerts.value)
        except StorageUnavailable as error:
            look = error
        yield look


def idle(seconds: float) -> None:
    """Sleep; a signal ends it at once, and so does a reader who closes our output."""
    if seconds <= 0:
        return
    if sys.stdout.isatty():
        time.sleep(seconds)
        return
    reader = select.poll()
    # No event is asked for: an error or a hang-up is reported all the same.
    reader.register(sys.stdout, 0)
    if reader.poll(seconds * 1000):
        raise BrokenPipeError


def _print(looks: Iterable[Look], form: Callable[[Reading], str]) -> Look | None:
    look = None
    for look in looks:
        if isinstance(look, Reading):
            print(form(look), flush=True)
        else:
            say(f"error: {look.summary}")
    return look


def _json_line(reading: Reading) -> str:
    return to_json(activity_record(reading))


def _draw(looks: Iterable[Look], *, whole_screen: bool) -> Look | None:
    from rich.console import Group
    from rich.live import Live

    look, shown = None, Group()
    with Live(console=console(), screen=whole_screen, auto_refresh=False) as live:
        for look in looks:
            if isinstance(look, Reading):
                shown = Group(activity_screen(look))
                live.update(shown, refresh=True)
            else:
                live.update(Group(cell(look.summary, "bold red"), shown), refresh=True)
    return look


@contextmanager
def _sigterm_ends() -> Iterator[None]:
    def end(*_: object) -> NoReturn:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
