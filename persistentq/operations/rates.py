"""How fast a queue moves: what came, began, ended and failed in each span, how long jobs waited and ran."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from persistentq.insight import Arrival, Ending, History
from persistentq.interface import PersistentQInterface
from persistentq.job import Outcome

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Spread:
    """How a time was spread over the jobs: half took at most `p50`, 95 of 100 at most `p95`; None if there was none."""

    p50: timedelta | None = None
    p95: timedelta | None = None


@dataclass(slots=True)
class RateBucket:
    """What happened within one span, which lasts until the next one's start.

    Attributes:
        enqueued: Jobs, of those that are still stored.
        started: Attempts.
        done: Jobs.
        failed: Attempts that failed or were lost.
        wait: As in Throughput, of the attempts that began in it.
        run: As in Throughput, of the jobs that were done in it.
    """

    start: datetime
    enqueued: int = 0
    started: int = 0
    done: int = 0
    failed: int = 0
    wait: Spread = Spread()
    run: Spread = Spread()


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """What one queue or task, or all of them, did within the window.

    Attributes:
        wait: From when a job was ready until its latest attempt began, of jobs that are done or running.
        run: How long that attempt took, of jobs that are done.
    """

    enqueued: int
    started: int
    done: int
    failed: int
    wait: Spread
    run: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What happened within a window.

    Attributes:
        buckets: Equal spans, the oldest first.
        total: Of all that was asked for.
        queues: By queue.
        tasks: By task.
        scanned: How many rows were read.
        is_sample: Not all were, so that every number is an estimate.
    """

    start: datetime
    end: datetime
    buckets: list[RateBucket]
    total: Throughput
    queues: dict[str, Throughput]
    tasks: dict[str, Throughput]
    scanned: int
    is_sample: bool


def rates(
    source: PersistentQInterface,
    window: timedelta = HOUR,
    buckets: int = 60,
    *,
    queue: str | None = None,
    task: str | None = None,
) -> Rates:
    """Return what happened within the last `window`, in `buckets` equal spans.

    What it costs is bounded: beyond some ten thousand rows of a kind it reads a sample, and says so.

    Args:
        window: Up to 366 days.
        buckets: 1 to 500.
        queue: Only of this queue.
        task: Only of this task.
    """
    found = source.look_back(window, buckets)

    def wanted(one: Arrival | Ending) -> bool:
        return queue in (None, one.queue) and task in (None, one.task)

    arrivals = [one for one in found.arrivals if wanted(one)]
    endings = [one for one in (*found.endings, *found.running) if wanted(one)]
    return Rates(
        start=found.start,
        end=found.now,
        buckets=_buckets(found, arrivals, endings, buckets),
        total=_Tally.of(found, arrivals, endings, lambda _: "").get("") or _Tally().result(),
        queues=_Tally.of(found, arrivals, endings, lambda one: one.queue),
        tasks=_Tally.of(found, arrivals, endings, lambda one: one.task),
        scanned=found.scanned,
        is_sample=found.is_sample,
    )


def _buckets(
    found: History, arrivals: Iterable[Arrival], endings: Iterable[Ending], number: int
) -> list[RateBucket]:
    step = (found.now - found.start) / number
    starts = [found.start + n * step for n in range(number)]
    counts = {name: [0.0] * number for name in ("enqueued", "started", "done", "failed")}
    waits: list[list[tuple[timedelta, float]]] = [[] for _ in starts]
    runs: list[list[tuple[timedelta, float]]] = [[] for _ in starts]

    def count(name: str, at: datetime | None, weight: float) -> None:
        if at is not None and at >= found.start:
            counts[name][bisect_right(starts, at) - 1] += weight

    for arrival in arrivals:
        count("enqueued", arrival.at, arrival.weight)
    for one in endings:
        count("started", one.started_at, one.weight)
        if one.outcome is not None:
            count("done" if one.outcome is Outcome.DONE else "failed", one.ended_at, one.weight)
        if (waited := _waited(one)) is not None and one.started_at and one.started_at >= found.start:
            waits[bisect_right(starts, one.started_at) - 1].append((waited, one.weight))
        if (ran := _ran(one)) is not None and one.ended_at and one.ended_at >= found.start:
            runs[bisect_right(starts, one.ended_at) - 1].append((ran, one.weight))
    return [
        RateBucket(
            start,
            **{name: round(of[n]) for name, of in counts.items()},
            wait=_spread(waits[n]),
            run=_spread(runs[n]),
        )
        for n, start in enumerate(starts)
    ]


@dataclass(slots=True)
class _Tally:
    """Numbers that grow."""

    enqueued: float = 0.0
    started: float = 0.0
    done: float = 0.0
    failed: float = 0.0
    waits: list[tuple[timedelta, float]] = field(default_factory=list)
    runs: list[tuple[timedelta, float]] = field(default_factory=list)

    @staticmethod
    def of(
        found: History,
        arrivals: Iterable[Arrival],
        endings: Iterable[Ending],
        name: Callable[[Arrival | Ending], str],
    ) -> dict[str, Throughput]:
        """Return what each name stands for, by name."""
        tallies: dict[str, _Tally] = {}
        for arrival in arrivals:
            tallies.setdefault(name(arrival), _Tally()).enqueued += arrival.weight
        for one in endings:
            tallies.setdefault(name(one), _Tally()).add(one, found.start)
        return {key: tallies[key].result() for key in sorted(tallies)}

    def add(self, one: Ending, start: datetime) -> None:
        """Count what ended or runs."""
        if one.started_at is not None and one.started_at >= start:
            self.started += one.weight
        if one.outcome is Outcome.DONE:
            self.done += one.weight
        elif one.outcome is not None:
            self.failed += one.weight
        if (waited := _waited(one)) is not None:
            self.waits.append((waited, one.weight))
        if (ran := _ran(one)) is not None:
            self.runs.append((ran, one.weight))

    def result(self) -> Throughput:
        """Return the numbers as they are."""
        return Throughput(
            enqueued=round(self.enqueued),
            started=round(self.started),
            done=round(self.done),
            failed=round(self.failed),
            wait=_spread(self.waits),
            run=_spread(self.runs),
        )


def _waited(one: Ending) -> timedelta | None:
    """Return for how long its attempt was ready before it began; None where that is not known."""
    if one.started_at is None or one.ready_at is None or one.ready_at > one.started_at:
        return None
    return one.started_at - one.ready_at


def _ran(one: Ending) -> timedelta | None:
    """Return how long the attempt took that did the job; None for any other."""
    if one.outcome is not Outcome.DONE or one.started_at is None or one.ended_at is None:
        return None
    return one.ended_at - one.started_at


def _spread(spans: list[tuple[timedelta, float]]) -> Spread:
    spans = sorted(spans)
    whole = sum(weight for _, weight in spans)

    def at(share: float) -> timedelta | None:
        passed = 0.0
        for span, weight in spans:
            passed += weight
            if passed >= share * whole - 1e-9:
                return span
        return None

    return Spread(at(0.5), at(0.95))
