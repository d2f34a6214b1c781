"""The table of jobs and those of the other views, only as many rows as there are lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

from prompt_toolkit.utils import get_cwidth

from persistentq.job import Job, JobStatus
from persistentq.operations import safe

from .cells import Click, Line, fit, pad
from .moves import select_job, select_row, step_row, step_rows
from .snapshot import Row, Styled
from .state import State
from .views import VIEWS, Head
from .wording import distance_text, latest_change, span_text, status_text

SIGNS = 3
"""Cells before the first column: the cursor, the mark, a space."""

NUMBERS = frozenset({"id", "tries", "created", "ran", "priority", "when"})
WIDEST = 40
"""Of all columns of the jobs: those whose cells stand on the right, and no column is wider."""

NARROWEST_COLUMN = 6
ROOM_FOR_QUEUE = 55
"""From so many cells on for what has no fixed width, the queue is shown too."""

Item = TypeVar("Item", Job, Row)


class Column(NamedTuple, Generic[Item]):
    """One column: how wide it is, and what stands in it."""

    title: str
    width: int
    cell: Callable[[Item], str | Styled]
    is_number: bool = False


def job_lines(state: State, now: datetime, width: int, height: int, click: Click) -> list[Line]:
    """Return the head and those jobs of the page that fit, the selected one among them."""
    columns = (_all_columns if state.has_all_columns else _job_columns)(state.jobs, now, width)
    start, end = _window(state.row, len(state.jobs), height - 1)
    lines = [_head(columns, width)]
    for row in range(start, end):
        job = state.jobs[row]
        line = _row(
            columns,
            job,
            width,
            is_selected=job.id == state.job_id,
            is_marked=state.is_all or job.id in state.marks,
        )
        lines.append([(style, text, click(select_job(job.id), step_row)) for style, text, *_ in line])
    return lines


def row_lines(state: State, width: int, height: int, click: Click) -> list[Line]:
    """Return the head and those rows of another view that fit, the selected one among them."""
    rows = state.rows
    columns = _fitted(rows, VIEWS[state.view].heads, width)
    start, end = _window(state.row_number, len(rows), height - 1)
    lines = [_head(columns, width)]
    for number in range(start, end):
        row = rows[number]
        line = _row(columns, row, width, is_selected=number == state.row_number)
        lines.append([(style, text, click(select_row(row.key), step_rows)) for style, text, *_ in line])
    return lines


def _fitted(rows: tuple[Row, ...], heads: tuple[Head, ...], width: int) -> list[Column[Row]]:
    """Return the columns as wide as what stands in them; if that is too much, the widest give way."""
    room = width - SIGNS - len(heads)
    widths = [
        _widest([row.cells[place][1] for row in rows], at_least=get_cwidth(head.title))
        for place, head in enumerate(heads)
    ]
    while sum(widths) > room and max(widths) > NARROWEST_COLUMN:
        widths[widths.index(max(widths))] -= 1
    if not heads[-1].is_number:
        widths[-1] += max(0, room - sum(widths))
    return [
        Column(head.title, widths[place], lambda row, place=place: row.cells[place], head.is_number)  # type: ignore[misc]
        for place, head in enumerate(heads)
    ]


def _window(row: int, count: int, height: int) -> tuple[int, int]:
    """Return which of `count` rows to show in `height` lines so that `row` is seen."""
    start = min(max(0, row - height + 1), max(0, count - height))
    return start, min(count, start + height)


def _head(columns: list[Column[Item]], width: int) -> Line:
    text = " ".join(fit(column.title, column.width, is_number=column.is_number) for column in columns)
    return pad([("class:head", fit(" " * SIGNS + text, width))], width)


def _row(
    columns: list[Column[Item]], row: Item, width: int, *, is_selected: bool, is_marked: bool = False
) -> Line:
    signs = f"{'>' if is_selected else ' '}{'*' if is_marked else ' '} "
    chosen = "class:selected" if is_selected else ""
    line: Line = [(chosen, signs)]
    for column in columns:
        cell = column.cell(row)
        style, text = ("", cell) if isinstance(cell, str) else cell
        line.append((f"{style} {chosen}", fit(text, column.width, is_number=column.is_number) + " "))
    return pad(line, width, chosen)


def _job_columns(jobs: tuple[Job, ...], now: datetime, width: int) -> list[Column[Job]]:
    digits = _widest([str(job.id) for job in jobs], at_least=2)
    tries = _widest([_tries(job) for job in jobs], at_least=5)
    rest = width - SIGNS - (digits + 1) - 13 - (tries + 1) - 9
    task = min(_widest([safe(job.task) for job in jobs], at_least=12), rest * 2 // 5)
    holder = min(_widest([_holder(job) for job in jobs], at_least=11), rest // 3)
    queue = min(_widest([safe(job.queue) for job in jobs], at_least=7), rest // 5)
    columns: list[Column[Job]] = [
        Column("id", digits, lambda job: str(job.id), is_number=True),
        Column("status", 12, lambda job: status_text(job.status)),
        Column("task", task, lambda job: safe(job.task)),
        Column("queue", queue, lambda job: safe(job.queue)),
        Column("tries", tries, _tries, is_number=True),
        Column("when", 8, lambda job: distance_text(latest_change(job), now), is_number=True),
        Column("consumer", holder, _holder),
        Column("error", rest - task - holder - 3, lambda job: _remark(job, width)),
    ]
    if rest < ROOM_FOR_QUEUE:
        return [column for column in columns if column.title != "queue"]
    return [*columns[:-1], columns[-1]._replace(width=columns[-1].width - queue - 1)]


def _all_columns(jobs: tuple[Job, ...], now: datetime, width: int) -> list[Column[Job]]:
    """Return every column that has room, the first ones before the others, each as wide as what stands in it."""
    cells: Mapping[str, Callable[[Job], str | Styled]] = {
        "id": lambda job: str(job.id),
        "status": lambda job: status_text(job.status),
        "task": lambda job: safe(job.task),
        "queue": lambda job: safe(job.queue),
        "tries": _tries,
        "consumer": _holder,
        "created": lambda job: distance_text(job.created_at, now),
        "ran": lambda job: _ran(job, now),
        "tags": lambda job: safe(" ".join(job.tags)),
        "priority": lambda job: str(job.priority),
        "when": lambda job: distance_text(latest_change(job), now),
        "error": lambda job: _remark(job, width),
    }
    columns: list[Column[Job]] = []
    room = width - SIGNS
    for title, cell in cells.items():
        texts = [text if isinstance(text := cell(job), str) else text[1] for job in jobs]
        natural = min(_widest(texts, at_least=len(title)), WIDEST)
        column = Column(
            title, max(len(title), room - 1) if title == "error" else natural, cell, title in NUMBERS
        )
        if column.width < room:
            columns.append(column)
            room -= column.width + 1
    return columns


def _ran(job: Job, now: datetime) -> str:
    """Return how long the latest attempt took, or takes by now."""
    end = now if job.status is JobStatus.PROCESSING else job.finished_at
    return span_text(max(end - job.started_at, timedelta(0))) if job.started_at and end else ""


def _widest(texts: list[str], *, at_least: int) -> int:
    return max([at_least, *map(get_cwidth, texts)])


def _tries(job: Job) -> str:
    return f"{job.attempt}/{job.max_attempts}"


def _remark(job: Job, width: int) -> str:
    return "asked to cancel" if job.cancel_requested else safe(job.error, width)


def _holder(job: Job) -> str:
    return safe(job.consumer) if job.reserved_for is None else safe(f"→ {job.reserved_for}")
