"""One look at the whole queue, and how it reads as a line, as a record and as a screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from persistentq import ActivityBucket, ConsumerInfo, Job, JobStatus, PersistentQInterface, clock
from persistentq.operations import ago
from persistentq.operations.attention import Alert
from persistentq.operations.rates import Rates, Spread

from ._consumers import consumers_table
from ._rates import COUNTS, numbers
from ._records import Record, timestamp
from ._screen import ALERT_STYLES, cell, new_table, span_text, status_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

INTERVALS_SHOWN = 60
ALERTS_SHOWN = 5
_BARS = "·▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The queue as it was at one moment.

    Attributes:
        history: What ended in each of the last intervals, the latest last.
        heads: The first job in line of each queue that has one.
        speed: How fast it moved lately. This and the next are not read for each reading.
        alerts: What needs a person, the most urgent first.
    """

    at: datetime
    location: str
    interval: timedelta
    counts: Counter[JobStatus]
    history: Sequence[ActivityBucket]
    consumers: Sequence[ConsumerInfo]
    heads: Sequence[Job]
    speed: Rates
    alerts: Sequence[Alert]

    @property
    def waiting(self) -> timedelta | None:
        """How long the longest-waiting of the heads has been ready; None if nothing waits."""
        return max((max(self.at - job.run_at, timedelta(0)) for job in self.heads), default=None)

    @property
    def alive(self) -> int:
        """How many consumers are alive."""
        return sum(consumer.is_alive for consumer in self.consumers)


def read_activity(
    store: PersistentQInterface, interval: timedelta, speed: Rates, alerts: Sequence[Alert]
) -> Reading:
    """Look at the queue now."""
    by_queue = store.count_jobs()
    ready = [queue for queue, counts in by_queue.items() if counts.get(JobStatus.PENDING)]
    return Reading(
        location=store.location,
        interval=interval,
        counts=sum(map(Counter, by_queue.values()), Counter[JobStatus]()),
        history=store.activity(interval * INTERVALS_SHOWN, INTERVALS_SHOWN),
        consumers=store.list_consumers(),
        heads=[job for queue in ready for job in store.get_pending_jobs(queue, limit=1)],
        speed=speed,
        alerts=alerts,
        at=clock.now(),
    )


def activity_record(reading: Reading) -> Record:
    """Return the reading as plain values; `interval_done` and `interval_failed` are of the last interval."""
    return {
        "at": timestamp(reading.at),
        **{str(status): reading.counts[status] for status in JobStatus},
        "interval_seconds": reading.interval.total_seconds(),
        "interval_done": reading.history[-1].done,
        "interval_failed": reading.history[-1].failed,
        "waiting_seconds": None if reading.waiting is None else round(reading.waiting.total_seconds(), 3),
        "consumers": len(reading.consumers),
        "consumers_alive": reading.alive,
        "consumers_in_trouble": sum(consumer.trouble is not None for consumer in reading.consumers),
        **_speed_record(reading.speed),
        "attention": len(reading.alerts),
    }


def _speed_record(speed: Rates) -> Record:
    seconds = (speed.end - speed.start).total_seconds()
    record = numbers(speed.total)
    return {f"{name}_per_second": round(record.pop(name) / seconds, 3) for name in COUNTS} | record


def activity_line(reading: Reading) -> str:
    """Return the reading as one line of `name=value` words behind the time."""
    record = activity_record(reading)
    moment = record.pop("at")
    return f"{moment} " + " ".join(
        f"{name}={'-' if value is None else value}" for name, value in record.items()
    )


def activity_screen(reading: Reading) -> RenderableType:
    """Return the reading as a screen."""
    from rich.console import Group

    # The living first: a low screen cuts the end of the list off.
    consumers = sorted(reading.consumers, key=lambda consumer: not consumer.is_alive)
    waiting = (
        "nothing waits" if reading.waiting is None else f"first in line has waited {ago(reading.waiting)}"
    )
    parts: list[RenderableType] = [_title(reading), "", _counts(reading), "", _rates(reading), waiting]
    parts += [_speed(reading.speed), *_alerts(reading.alerts), "", consumers_table(consumers)]
    return Group(*parts)


def _title(reading: Reading) -> Table:
    from rich.table import Table

    every = f"{reading.interval.total_seconds():g}s"
    title = Table.grid(expand=True, padding=(0, 2))
    title.add_column(ratio=1)
    title.add_column(justify="right", no_wrap=True)
    title.add_row(cell(reading.location, "bold"), f"{reading.at:%H:%M:%S}Z, every {every}, Ctrl-C ends")
    return title


def _counts(reading: Reading) -> Table:
    table = new_table()
    for status in JobStatus:
        table.add_column(status_text(status), justify="right", no_wrap=True)
    table.add_row(*(f"{reading.counts[status]:,}" for status in JobStatus))
    return table


def _rates(reading: Reading) -> Table:
    from rich.table import Table

    every = f"{reading.interval.total_seconds():g}s"
    done, failed = [one.done for one in reading.history], [one.failed for one in reading.history]
    rates = Table.grid(padding=(0, 2))
    for name, ended, style in (("done", done, "green"), ("failed", failed, "red")):
        rates.add_row(f"{name} in {every}", f"{ended[-1]:,}", bars(ended, style))
    rates.columns[1].justify = "right"
    return rates


def _speed(speed: Rates) -> Text:
    seconds = (speed.end - speed.start).total_seconds()
    moved = ", ".join(f"{name} {getattr(speed.total, name) / seconds:,.1f}" for name in COUNTS)
    about = "about " if speed.is_sample else ""
    times = f"wait {_spread(speed.total.wait)}, run {_spread(speed.total.run)}"
    return cell(f"each second of the last {ago(speed.end - speed.start)}: {about}{moved}; {times}")


def _spread(spread: Spread) -> str:
    shares = (spread.p50, spread.p95)
    return "/".join("·" if span is None else span_text(span) for span in shares)


def _alerts(alerts: Sequence[Alert]) -> Iterator[Text]:
    if not alerts:
        return
    yield cell("")
    for alert in alerts[:ALERTS_SHOWN]:
        yield cell(f"{alert.urgency.name.lower()}  {alert.kind}: {alert.text}", ALERT_STYLES[alert.urgency])
    if (left := len(alerts) - ALERTS_SHOWN) > 0:
        yield cell(f"and {left} more: `attention` lists them")


def bars(heights: Sequence[int], style: str) -> Text:
    """Return one character per number, as high as the number is in proportion to the highest."""
    highest = max(heights, default=0) or 1
    # Rounded up: what is not zero can be seen.
    return cell("".join(_BARS[-(-number * 8 // highest)] for number in heights), style)
