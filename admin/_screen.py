"""What a terminal shows: tables, colours and text that came from jobs, by way of Rich (loaded only when needed)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from persistentq import JobStatus
from persistentq.operations import GLYPHS, safe
from persistentq.query.fields import write

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

STYLES = {
    JobStatus.SCHEDULED: "blue",
    JobStatus.PENDING: "cyan",
    JobStatus.PROCESSING: "yellow",
    JobStatus.DONE: "green",
    JobStatus.FAILED: "bold red",
    JobStatus.CANCELLED: "magenta",
}
STATE_STYLES = {"alive": "green", "silent": "bold red", "stopped": "dim"}
ALERT_STYLES = ("bold red", "yellow", "")
"""By urgency."""

MINUTE, HOUR, DAY = 60, 3_600, 86_400

# More would never fit into a line, and measuring a mebibyte of it takes its time.
_LONGEST_CELL = 300


def console() -> Console:
    """Return a console that prints what it is given: no markup, no emoji names, no highlighting."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


def print_rich(*parts: RenderableType) -> None:
    """Print tables and texts one below the other."""
    # Printed by Rich itself, a closed pipe would end the process with 1.
    screen = console()
    with screen.capture() as captured:
        for part in parts:
            screen.print(part)
    sys.stdout.write(captured.get())


@contextmanager
def progress_bar(total: int, word: str) -> Iterator[Callable[[int], None]]:
    """Draw on standard error how many of `total` are seen to, and give what is told the number.

    Args:
        word: What is done to them, before the number.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    count = TextColumn("{task.description}{task.completed:,.0f} of {task.total:,.0f}", markup=False)
    # Standard output may be what is exported: Rich must not take it for its own.
    with Progress(
        count,
        BarColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
        redirect_stderr=False,
    ) as drawn:
        bar = drawn.add_task(word, total=total)
        yield lambda seen: drawn.update(bar, completed=seen)


def new_table(*names: str, right: Sequence[str] = (), fixed: Sequence[str] = ()) -> Table:
    """Return an empty table without lines.

    Args:
        right: Columns of numbers.
        fixed: Columns that keep their width while the others give way to a narrow terminal.
    """
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name.upper(), justify="right" if name in right else "left", no_wrap=name in fixed)
    return table


def fitting_table(
    columns: Mapping[str, Sequence[Text]], least: Sequence[str], *, left: Collection[str]
) -> Table:
    """Return a table of those columns for which the terminal has room; a status heads its own in its colour.

    Args:
        least: Those that may be left out, what matters least first.
        left: Those that are texts; the others are numbers.
    """
    from rich.text import Text

    shown, room = dict(columns), console().width
    for name in least:
        widths = [max(len(name), *(one.cell_len for one in cells)) for name, cells in shown.items()]
        if sum(widths) + 2 * len(widths) <= room:
            break
        del shown[name]
    table = new_table()
    styles = {status.upper(): style for status, style in STYLES.items()}
    for name in shown:
        side: Literal["left", "right"] = "left" if name in left else "right"
        table.add_column(Text(name, styles.get(name, "")), justify=side, no_wrap=True)
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    return table


def cell(value: object, style: str = "") -> Text:
    """Return a value in one line that ends where its column ends."""
    from rich.text import Text

    return Text(safe(value, _LONGEST_CELL), style, no_wrap=True, overflow="ellipsis")


def span_text(span: timedelta) -> str:
    """Return a span as people read it: to the millisecond below a minute, else in its two largest units."""
    seconds = max(span.total_seconds(), 0)
    if seconds < MINUTE:
        return f"{seconds:.3f}s"
    grain = next(size for unit, size in ((DAY, HOUR), (HOUR, MINUTE), (0, 1)) if seconds >= unit)
    return write(timedelta(seconds=seconds // grain * grain))


def status_text(status: JobStatus) -> Text:
    """Return the status as glyph and word, in its colour."""
    return cell(f"{GLYPHS[status]} {status}", STYLES[status])
