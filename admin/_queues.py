"""queues, pause and resume: how each queue stands, and whether its jobs are handed out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from persistentq import JobStatus, QueueInfo, clock, open_queue
from persistentq.operations import ago
from persistentq.operations.queues import QueueView, last_pause
from persistentq.operations.queues import queues as look_at
from persistentq.operations.times import read_span

from ._completers import queue_names
from ._operator import operating
from ._options import Headers, Output, Report, ReportFormat
from ._records import Record, timestamp
from ._render import SCHEMA, Listing, print_json, print_listing
from ._screen import cell, fitting_table
from ._selection import Why
from ._terminal import hint

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

QueueArgument = Annotated[
    str,
    typer.Argument(metavar="QUEUE", help="The queue's name.", autocompletion=queue_names, show_default=False),
]
LEAST = ("CANCELLED", "SCHEDULED", "DONE", "PROCESSING", "CONSUMERS")
"""What is left out on a narrow terminal, the first one first."""

For = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="SPAN",
        help="The pause ends by itself after this, such as 90s or 1h30m.",
        show_default=False,
    ),
]


def queues(output: Output = None, *, no_headers: Headers = False) -> None:
    """List the queues. Each with its jobs by status, its pause, who serves it, and how long it takes to empty it."""
    with open_queue(create=False) as store:
        found, location = look_at(store), store.location
    if not found:
        hint(f"there is no job in {location} yet; a producer makes some")
    listing = Listing(records=[*map(queue_record, found)], table=lambda: _table(found))
    print_listing(listing, output, headers=not no_headers)


def queue_record(view: QueueView) -> Record:
    """Return one queue."""
    info = view.info
    return {
        "queue": info.name,
        **{str(status): info.counts.get(status, 0) for status in JobStatus},
        "is_paused": info.is_paused,
        "paused_until": timestamp(info.paused_until),
        "oldest_pending_seconds": _seconds(info.oldest_pending),
        "consumers": [one.id for one in view.consumers],
        "done_per_second": round(view.pace, 3),
        "drains_in_seconds": _seconds(view.drains_in),
    }


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds(), 3)


def _table(found: Sequence[QueueView]) -> Table:
    columns: dict[str, list[Text]] = {"QUEUE": [cell(view.info.name) for view in found]}
    for status in JobStatus:
        numbers = [view.info.counts.get(status, 0) for view in found]
        columns[status.upper()] = [cell(f"{number:,}" if number else "·") for number in numbers]
    columns |= {
        "OLDEST": [cell("·" if (age := view.info.oldest_pending) is None else ago(age)) for view in found],
        "CONSUMERS": [cell(len(view.consumers)) if view.consumers else cell("none", "red") for view in found],
        "DRAINS IN": [cell("never" if (left := view.drains_in) is None else ago(left)) for view in found],
        "PAUSED": [cell(_pause(view.info), "yellow") for view in found],
    }
    return fitting_table(columns, LEAST, left=("QUEUE", "PAUSED"))


def _pause(info: QueueInfo) -> str:
    if not info.is_paused:
        return ""
    if info.paused_until is None:
        return "until it is resumed"
    return f"until {info.paused_until:%Y-%m-%d %H:%M:%S}Z"


def pause(queue: QueueArgument, *, lasting: For = None, reason: Why = "", output: Report = "text") -> None:
    """Hand out no more jobs of a queue. Those that are processing go on, and new ones may be enqueued."""
    span = None if lasting is None else read_span("--for", lasting)
    with operating() as operator:
        info = operator.pause_queue(queue, lasting=span, reason=reason)
    if not info.counts and output == "text":
        hint(f"there is no job in queue {queue}; `queues` lists those that have some")
    _tell(info, f"is paused {_pause(info)}", output)


def resume(queue: QueueArgument, *, reason: Why = "", output: Report = "text") -> None:
    """Hand out the jobs of a paused queue again."""
    with operating() as operator:
        was_paused = any(one.name == queue and one.is_paused for one in operator.queue.list_queues())
        info = operator.resume_queue(queue, reason=reason)
        known = last_pause(operator, queue) if was_paused and output == "text" else None
    if known is not None:
        why = f": {known.reason}" if known.reason else ", and did not say why"
        hint(f"{known.actor} paused it {ago(clock.now() - known.at)} ago{why}")
    _tell(info, "is resumed" if was_paused else "was not paused", output)


def _tell(info: QueueInfo, standing: str, output: ReportFormat) -> None:
    if output == "json":
        record: dict[str, Any] = {"queue": info.name, "is_paused": info.is_paused}
        print_json({"schema": SCHEMA, **record, "paused_until": timestamp(info.paused_until)})
    else:
        ready = info.counts.get(JobStatus.PENDING, 0)
        sys.stdout.write(f"queue {info.name} {standing}; {ready:,} of its jobs are ready\n")
