"""What a queue tells of itself to whoever has to find out what is wrong: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from persistentq.job import Attempt, ConsumerInfo, Job, Outcome

LATELY_S = 600
"""How fast a queue moves is judged by what ended within so many seconds,"""

LATELY_JOBS = 1000
"""and by so many of the jobs of all queues that ended last."""

AHEAD = 100_000
"""The jobs before another are counted no further."""

BROKEN = (Outcome.FAILED, Outcome.LOST)
"""How an attempt ends that went wrong."""

TRACEBACK_END = 2000
"""So many characters of a traceback, the last, are read to find out where an error was raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """One job and all that decides when it runs, as they were at one moment.

    Attributes:
        now: The database's clock.
        last: The job's latest attempt, the running one included; None for one never taken.
        is_paused: Its queue hands out nothing now.
        paused_until: When that ends by itself; None for never, and for a queue that is not paused.
        consumers: Every consumer that is not forgotten yet.
        ahead: So many ready jobs leave its queue before it, those for other consumers aside; 0 unless it is pending.
        is_capped: There are more than `ahead`.
        pace: So many jobs of its queue ended each second lately; 0.0 if none did.
        rival: The unfinished job that holds the unique key of this finished one; None if none does.
    """

    now: datetime
    job: Job
    last: Attempt | None
    is_paused: bool
    paused_until: datetime | None
    consumers: tuple[ConsumerInfo, ...]
    ahead: int
    is_capped: bool
    pace: float
    rival: int | None


class Expired(NamedTuple):
    """A processing job whose lease has run out."""

    job_id: int
    consumer: str
    lease_until: datetime


class Waiting(NamedTuple):
    """A queue in which something could run: since when its oldest job waits, and whether the queue is paused."""

    queue: str
    since: datetime
    is_paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What may need a person, as it was at one moment.

    Attributes:
        now: The database's clock.
        expired: The oldest first, 1,000 at most; the next claim takes them back.
        waiting: By name; the queues with a job that is ready, or whose time has come.
        consumers: Every consumer that is not forgotten yet.
    """

    now: datetime
    expired: tuple[Expired, ...]
    waiting: tuple[Waiting, ...]
    consumers: tuple[ConsumerInfo, ...]


class Mishap(NamedTuple):
    """One attempt that failed or was lost.

    Attributes:
        traceback: The end of it, where the failing line is; None if there is none.
    """

    job_id: int
    task: str
    queue: str
    at: datetime
    outcome: Outcome
    error_type: str | None
    error: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True)
class Mishaps:
    """The attempts that failed or were lost within a span; `is_capped` if only the latest of them were read."""

    now: datetime
    items: tuple[Mishap, ...]
    is_capped: bool = False


class Ending(NamedTuple):
    """A job that ended, or an attempt that failed; it stands for `weight` such.

    Attributes:
        outcome: DONE for a job that is done, FAILED or LOST for an attempt; None for what counts as neither.
        ready_at: When the attempt could begin; None where that is not known.
        started_at: When it did; None for a job that never ran.
    """

    queue: str
    task: str
    outcome: Outcome | None
    ready_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    weight: float = 1.0


class Arrival(NamedTuple):
    """A job that was enqueued; it stands for `weight` such."""

    queue: str
    task: str
    at: datetime
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened within a span of time up to now, or a sample of it.

    Attributes:
        start: When the span began.
        now: The database's clock.
        arrivals: What was enqueued, of the jobs that are still stored.
        endings: What ended.
        running: What is being processed; these have no end.
        scanned: How many rows were read.
        is_sample: Not all were, so that numbers are estimates.
    """

    start: datetime
    now: datetime
    arrivals: tuple[Arrival, ...]
    endings: tuple[Ending, ...]
    running: tuple[Ending, ...]
    scanned: int
    is_sample: bool


class Grade(StrEnum):
    """How a check ended; `fail` means that jobs may be lost or stand still."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(NamedTuple):
    """One thing that was looked at.

    Attributes:
        name: What, in a word or two, always the same.
        found: How it is, in one line.
        remedy: What to do about it; empty if nothing need be done.
    """

    name: str
    grade: Grade
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """What the database says of its own health; `now` is its clock."""

    now: datetime
    checks: tuple[Check, ...]


def pace(endings: list[datetime], of_queue: int, now: datetime) -> float:
    """Return how many jobs of a queue ended each second, given when the last of all queues did, the latest first."""
    if not endings or not of_queue:
        return 0.0
    return of_queue / max((now - endings[-1]).total_seconds(), 1.0)
