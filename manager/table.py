"""The table of jobs and the table of consumers, only as many rows as there are lines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from prompt_toolkit.utils import get_cwidth

from persistentq.job import ConsumerInfo, Job
from persistentq.operations import ago, safe

from .cells import Click, Line, fit, pad
from .moves import select_job, step_row
from .state import State
from .wording import Styled, distance_text, latest_change, life_text, status_text

SIGNS = 3
"""Cells before the first column: the cursor, the mark, a space."""

ROOM_FOR_QUEUE = 55
"""From so many cells on for what has no fixed width, the queue is shown too."""

Row = TypeVar("Row", Job, ConsumerInfo)


class Column(NamedTuple, Generic[Row]):
    """One column: how wide it is, and what stands in it."""

    title: str
    width: int
    cell: Callable[[Row], str | Styled]
    is_number: bool = False


def job_lines(state: State, now: datetime, width: int, height: int, click: Click) -> list[Line]:
    """Return the head and those jobs of the page that fit, the selected one among them."""
    columns = _job_columns(state.jobs, now, width)
    start, end = _window(state.row, len(state.jobs), height - 1)
    lines = [_head(columns, width)]
    for row in range(start, end):
        job = state.jobs[row]
        line = _row(columns, job, width, is_selected=job.id == state.job_id, is_marked=job.id in state.marks)
        lines.append([(style, text, click(select_job(job.id), step_row)) for style, text, *_ in line])
    return lines


def consumer_lines(state: State, width: int, height: int) -> list[Line]:
    """Return the head and those consumers that fit, the selected one among them."""
    columns = _consumer_columns(state, width)
    start, end = _window(state.consumer_row, len(state.consumers), height - 1)
    return [
        _head(columns, width),
        *(
            _row(columns, state.consumers[row], width, is_selected=row == state.consumer_row)
            for row in range(start, end)
        ),
    ]


def _window(row: int, count: int, height: int) -> tuple[int, int]:
    """Return which of `count` rows to show in `height` lines so that `row` is seen."""
    start = min(max(0, row - height + 1), max(0, count - height))
    return start, min(count, start + height)


def _head(columns: list[Column[Row]], width: int) -> Line:
    text = " ".join(fit(column.title, column.width, is_number=column.is_number) for column in columns)
    return pad([("class:head", fit(" " * SIGNS + text, width))], width)


def _row(
    columns: list[Column[Row]], row: Row, width: int, *, is_selected: bool, is_marked: bool = False
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


def _widest(texts: list[str], *, at_least: int) -> int:
    return max([at_least, *map(get_cwidth, texts)])


def _tries(job: Job) -> str:
    return f"{job.attempt}/{job.max_attempts}"


def _remark(job: Job, width: int) -> str:
    return "asked to cancel" if job.cancel_requested else safe(job.error, width)


def _holder(job: Job) -> str:
    return safe(job.consumer) if job.reserved_for is None else safe(f"→ {job.reserved_for}")


def _consumer_columns(state: State, width: int) -> list[Column[ConsumerInfo]]:
    held = state.snapshot.held if state.snapshot else {}
    rest = width - SIGNS - 10 - 10 - 5
    name = min(_widest([safe(one.id) for one in state.consumers], at_least=11), rest // 3)
    queues = min(_widest([_queues(one) for one in state.consumers], at_least=7), rest // 4)
    process = min(_widest([_process(one) for one in state.consumers], at_least=12), rest // 4)
    return [
        Column("consumer", name, lambda one: safe(one.id)),
        Column("life", 9, life_text),
        Column("reported", 9, lambda one: f"{ago(one.silent_for)} ago", is_number=True),
        Column("queues", queues, _queues),
        Column("host:process", process, _process),
        Column("held", 4, lambda one: str(one.held), is_number=True),
        Column(
            "jobs", rest - name - queues - process - 4, lambda one: " ".join(map(str, held.get(one.id, ())))
        ),
    ]


def _queues(consumer: ConsumerInfo) -> str:
    return safe(" ".join(consumer.queues))


def _process(consumer: ConsumerInfo) -> str:
    return safe(f"{consumer.host}:{consumer.pid}")
