"""What is read for the screen, as plain data: which view, which rows, and what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple

from persistentq.job import Attempt, ConsumerInfo, Count, Job, JobStatus, Page
from persistentq.job_log import JobLog
from persistentq.operations.emptiness import Removal
from persistentq.operations.why import Fact
from persistentq.schedule import Schedule

Styled = tuple[str, str]
"""A style and a text."""


INTERVALS = tuple(timedelta(seconds=seconds) for seconds in (0.25, 0.5, 1, 2, 5, 15, 30))
"""How often may be read."""

Counts = Mapping[str, Mapping[JobStatus, int]]
"""How many jobs of each queue are in each status."""


class Place(Enum):
    """Where the keys are heard; each key of the binding table works in some of them."""

    JOBS = auto()
    ATTENTION = auto()
    FAILURES = auto()
    QUEUES = auto()
    CONSUMERS = auto()
    SCHEDULES = auto()
    ACTIVITY = auto()
    JOURNAL = auto()
    HEALTH = auto()
    HELP = auto()
    BUTTONS = auto()
    FIELD = auto()
    PICK = auto()
    PROMPT = auto()
    TOO_SMALL = auto()


class Row(NamedTuple):
    """One row of a view other than the jobs.

    Attributes:
        key: What the cursor stays on.
        cells: What stands in the columns.
        about: What is told of it in full, a line each.
        where: The query for the jobs that it is about; None if it is about none.
        is_paused: Whether what it is about is paused, or stopped.
        program: The supervised process of a consumer; empty if there is none.
        schedule: The schedule that it is about, as it may be seen.
    """

    key: str
    cells: tuple[Styled, ...]
    about: tuple[Styled, ...] = ()
    where: str | None = None
    is_paused: bool = False
    program: str = ""
    schedule: Schedule | None = None


class Listing(NamedTuple):
    """Which page of which jobs: those that a query means, every job if it is empty."""

    query: str
    after: str | None


class Request(NamedTuple):
    """What the reader shall read: a view; of the jobs a page, one in full, and which of the marked ones are gone.

    Attributes:
        every: How often it is read, or less often where that takes long; None for once.
        log_of: The consumer whose log is read, as its row is called; empty for none.
    """

    place: Place
    listing: Listing
    limit: int
    job_id: int | None
    marks: frozenset[int]
    is_detailed: bool = False
    is_frozen: bool = False
    log_of: str = ""
    every: timedelta | None = INTERVALS[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was read in one go.

    Attributes:
        next_in: Until the next one is to be expected.
        counts: How many jobs of each queue are in each status.
        counted_at: When these were counted, which is done less often where there are many.
        matching: How many jobs the query of the listing means; None for an empty one.
        removals: Of a query without a hit: how many jobs there would be without each of its terms.
        selected: The job that the request named, or the page's first if it named none; None if there is none.
        attempts: Those of `selected`, oldest first; this and the next two only if the request wants details.
        log: What its tasks have told.
        facts: Why it does not run.
        rows: Those of another view than the jobs.
        output: The last lines of the log that the request named, or why there are none.
        gone: Marked jobs that do not exist any more.
    """

    request: Request
    location: str
    read_at: datetime
    next_in: timedelta
    counted_at: datetime
    counts: Counts = field(default_factory=dict)
    page: Page = field(default_factory=lambda: Page(()))
    matching: Count | None = None
    removals: tuple[Removal, ...] = ()
    selected: Job | None = None
    attempts: tuple[Attempt, ...] = ()
    log: JobLog = field(default_factory=JobLog)
    facts: tuple[Fact, ...] = ()
    consumers: tuple[ConsumerInfo, ...] = ()
    rows: tuple[Row, ...] = ()
    output: tuple[str, ...] = ()
    gone: frozenset[int] = frozenset()

    @property
    def totals(self) -> Mapping[JobStatus, int]:
        """How many jobs are in each status."""
        total: Counter[JobStatus] = Counter()
        for by_status in self.counts.values():
            total.update(by_status)
        return total

    def shows_the_same(self, other: Snapshot) -> bool:
        """Whether nothing but ages differs from another one."""
        if [one.is_alive for one in self.consumers] != [one.is_alive for one in other.consumers]:
            return False
        same_age = replace(self, read_at=other.read_at, next_in=other.next_in, consumers=other.consumers)
        return same_age == other
