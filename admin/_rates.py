"""stats by queue, task or time: how fast jobs come, begin and end, and how long they wait and run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from persistentq.operations.rates import RateBucket, Rates, Throughput

from ._records import Record, timestamp
from ._screen import cell, new_table, span_text

if TYPE_CHECKING:
    from rich.table import Table

By = Annotated[
    Literal["status", "queue", "task", "time"],
    typer.Option("--by", metavar="WHAT", help="status, or within --window: queue, task or time."),
]
Lately = Annotated[
    str | None,
    typer.Option("--window", "-w", metavar="SPAN", help="With another --by: how far back; else 1h."),
]
BUCKETS = 12
COUNTS = ("enqueued", "started", "done", "failed")


def rate_records(found: Rates, by: str) -> list[Record]:
    """Return what happened, by queue, task or time."""
    if by == "time":
        return [_bucket_record(bucket) for bucket in found.buckets]
    named = found.queues if by == "queue" else found.tasks
    return [{by: name, **numbers(one)} for name, one in named.items()]


def _bucket_record(bucket: RateBucket) -> Record:
    return {"start": timestamp(bucket.start), **{name: getattr(bucket, name) for name in COUNTS}}


def numbers(one: Throughput) -> Record:
    """Return how much happened, and how long jobs waited and ran."""
    times = {
        f"{name}_{share}_seconds": _seconds(getattr(spread, share))
        for name, spread in (("wait", one.wait), ("run", one.run))
        for share in ("p50", "p95")
    }
    return {**{name: getattr(one, name) for name in COUNTS}, **times}


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds(), 6)


def rates_table(records: Sequence[Record]) -> Table:
    """Return the records as a terminal shows them."""
    names = list(records[0])
    headings = [name.removesuffix("_seconds").replace("_", " ") for name in names]
    table = new_table(*headings, right=headings[1:], fixed=headings[1:])
    for record in records:
        first, *rest = (record[name] for name in names)
        table.add_row(cell(first), *map(_number, rest))
    return table


def _number(value: float | None) -> str:
    if value is None:
        return "·"
    return f"{value:,}" if isinstance(value, int) else span_text(timedelta(seconds=value))
