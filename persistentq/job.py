"""The plain data of the queue, and its state machine as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from persistentq.backoff import Backoff
from persistentq.checks import (
    check_int,
    check_queue,
    check_span,
    check_tag,
    check_task,
    check_text,
    check_time,
)
from persistentq.errors import InvalidArgument, InvalidTransition


class JobStatus(StrEnum):
    """Where a job stands.

    Attributes:
        SCHEDULED: It waits for its time, be it for the first run or for another try.
        PENDING: It is ready to be taken.
        PROCESSING: A consumer holds it under a lease.
        DONE: It was completed.
        FAILED: Its attempts are spent, or it was given up: a person must look.
        CANCELLED: An operator called it off.
    """

    SCHEDULED = "scheduled"
    PENDING = "pending"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """How one attempt ended.

    Attributes:
        DONE: The job was completed.
        FAILED: The consumer reported an error.
        LOST: Its lease ran out: the consumer died or fell silent.
        RELEASED: The consumer gave the job back unfinished, as it does when it stops.
        SNOOZED: The consumer gave the job back for later.
        TAKEN: An operator took the job from its consumer.
        CANCELLED: The consumer called the job off, as its task or an operator wanted.
    """

    DONE = "done"
    FAILED = "failed"
    LOST = "lost"
    RELEASED = "released"
    SNOOZED = "snoozed"
    TAKEN = "taken"
    CANCELLED = "cancelled"


class Transition(NamedTuple):
    """One arrow of the state machine: `verb` leads from any of `before` to one of `after`."""

    verb: str
    before: frozenset[JobStatus]
    after: frozenset[JobStatus]


def _arrow(verb: str, before: str, after: str) -> Transition:
    return Transition(
        verb, frozenset(map(JobStatus, before.split())), frozenset(map(JobStatus, after.split()))
    )


TRANSITIONS: tuple[Transition, ...] = (
    _arrow("due", "scheduled", "pending"),
    _arrow("dequeue", "pending", "processing"),
    _arrow("complete", "processing", "done"),
    _arrow("fail", "processing", "scheduled failed cancelled"),
    _arrow("expire", "processing", "pending failed cancelled"),
    _arrow("snooze", "processing", "scheduled cancelled"),
    _arrow("release", "processing", "pending cancelled"),
    _arrow("assign", "scheduled pending processing", "scheduled pending cancelled"),
    _arrow("cancel", "scheduled pending processing", "cancelled processing"),
    _arrow("mark-failed", "scheduled pending processing", "failed"),
    _arrow("resubmit", "failed cancelled", "pending"),
    _arrow("delete", "scheduled pending done failed cancelled", ""),
)
"""Every way a job may change, as (verb, statuses before, statuses after).

"cancel" leaves a processing job processing, with the request noted; "delete" leads nowhere.
"""

UNFINISHED = frozenset({JobStatus.SCHEDULED, JobStatus.PENDING, JobStatus.PROCESSING})
FINISHED = frozenset(JobStatus) - UNFINISHED

LONGEST_LEASE = timedelta(days=7)
LONGEST_DELAY = timedelta(days=36_500)
FORGET_AFTER = timedelta(days=1)
"""A consumer that holds nothing and has not reported for this long is dropped from the list at cleanup."""

MAX_TAGS = 20

SILENT_AFTER = timedelta(seconds=30)
"""A consumer that has not reported for this long is taken for dead by front ends, and its id is free for another; its
jobs are its own as long as their leases last."""


def require_before(verb: str, job_id: int, status: JobStatus) -> None:
    """Raise InvalidTransition unless `verb` works on a job in this status."""
    if status not in statuses_before(verb):
        allowed = " or ".join(known for known in JobStatus if known in statuses_before(verb))
        raise InvalidTransition(job_id, status, verb, allowed)


def statuses_before(verb: str) -> frozenset[JobStatus]:
    """Return the statuses from which `verb` works.

    Raises:
        KeyError: there is no such verb.
    """
    for transition in TRANSITIONS:
        if transition.verb == verb:
            return transition.before
    raise KeyError(verb)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as it was when it was read; it does not follow later changes.

    Attributes:
        id: 1 to 2**63 - 1, unique for ever.
        task: The name of the work to do.
        args: What the work is done with: JSON values by name.
        queue: The queue it waits in.
        priority: Higher leaves earlier.
        status: Where it stands.
        attempt: How many times it was claimed; with `consumer` it proves who holds the job.
        max_attempts: At this attempt a failure is final. Attempts that were given back raise it by one.
        created_at: When it was enqueued (aware UTC, as all times here; the database's clock).
        run_at: When it became or becomes ready.
        started_at: When its latest attempt began.
        finished_at: When it became done, failed or cancelled.
        lease_until: Until when a processing job is its consumer's.
        consumer: Who holds it, or who held it last.
        reserved_for: The only consumer that may take it next, if an operator assigned it.
        unique_key: No second unfinished job may have the same.
        tags: Words to find it by, in the order given.
        metadata: JSON values that its task does not get.
        backoff: How long it waits after failures, if it was enqueued with a rule of its own.
        result: What the handler returned (JSON), for a job that is done.
        error: The latest error in one line.
        cancel_requested: An operator wants a processing job to stop.
        duplicate: This is the job that already held the unique key; nothing was enqueued.
    """

    id: int
    task: str
    args: Mapping[str, Any]
    queue: str
    priority: int
    status: JobStatus
    attempt: int
    max_attempts: int
    created_at: datetime
    run_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    lease_until: datetime | None = None
    consumer: str | None = None
    reserved_for: str | None = None
    unique_key: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    backoff: Backoff | None = None
    result: Any = None
    error: str | None = None
    cancel_requested: bool = False
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue. Bad values are refused here, before anything is written.

    Attributes:
        task: 1 to 200 printable characters without spaces.
        args: JSON values by name, at most 1 MiB and 64 levels deep (checked at enqueue).
        queue: 1 to 64 of A-Z a-z 0-9 _ . -
        priority: -1,000,000 to 1,000,000; higher leaves earlier.
        run_at: Not before this (aware datetime); not together with `delay`.
        delay: Not before this long from now, by the database's clock; zero or more.
        max_attempts: 1 to 10,000; None for the queue's default.
        unique_key: 1 to 255 characters; while an unfinished job has it, enqueue returns that job instead.
        tags: Up to 20 words of 1 to 64 of A-Z a-z 0-9 _ . : -
        metadata: JSON values by name, bounded like `args`; kept with the job and not given to its task.
        backoff: How long it waits after failures; None for the default rule.

    Raises:
        InvalidArgument: a value is outside these bounds.
    """

    task: str
    args: Mapping[str, Any] = field(default_factory=dict)
    queue: str = "default"
    priority: int = 0
    run_at: datetime | None = None
    delay: timedelta | None = None
    max_attempts: int | None = None
    unique_key: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    backoff: Backoff | None = None

    def __post_init__(self) -> None:
        check_task(self.task)
        check_queue(self.queue)
        check_int("priority", self.priority, -1_000_000, 1_000_000)
        if self.max_attempts is not None:
            check_int("max_attempts", self.max_attempts, 1, 10_000)
        if self.run_at is not None and self.delay is not None:
            raise InvalidArgument("delay", self.delay, "cannot be given together with run_at")
        if self.run_at is not None:
            check_time("run_at", self.run_at)
        if self.delay is not None:
            check_span("delay", self.delay, timedelta(0), LONGEST_DELAY)
        if self.unique_key is not None:
            check_text("unique_key", self.unique_key, 255)
        check_int("number of tags", len(self.tags), 0, MAX_TAGS)
        for tag in self.tags:
            check_tag(tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of a job.

    Attributes:
        attempt: Its number, as the job had it then.
        consumer: Who held the job.
        started_at: When it was claimed.
        ended_at: When the attempt ended; None while it runs.
        outcome: How it ended; None while it runs.
        error_type: The name of the error's class, if it ended with one.
        error: The error in one line, capped.
        traceback: Where it was raised, capped.
    """

    attempt: int
    consumer: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerInfo:
    """One consumer as it last reported itself.

    Attributes:
        silent_for: Since its last heartbeat, by the database's clock.
        held: How many jobs it is processing now.
        stopped_at: When it said goodbye; None while it runs, and for one that was killed.
        life: What no other start of a consumer has; empty if it did not say.
        trouble: What is wrong with it, in one line, such as that it ends again and again; None if nothing is known.
        tasks: The names of the tasks that it can run, in order; None if it did not say.
    """

    id: str
    host: str
    pid: int
    queues: tuple[str, ...]
    started_at: datetime
    heartbeat_at: datetime
    silent_for: timedelta
    held: int
    stopped_at: datetime | None = None
    life: str = ""
    trouble: str | None = None
    tasks: tuple[str, ...] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it reported lately and has not said goodbye."""
        return self.stopped_at is None and self.silent_for <= SILENT_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueInfo:
    """One queue: how many jobs it has in each status, how long they wait, and its pause.

    Attributes:
        counts: Statuses without jobs are absent.
        is_paused: No job of it is handed out now.
        paused_until: When the pause ends by itself; None for never, and for a queue that is not paused.
        oldest_pending: For how long the job has been ready that has been so the longest, by the database's clock; None
            if none is pending.
    """

    name: str
    counts: Mapping[JobStatus, int]
    is_paused: bool
    paused_until: datetime | None = None
    oldest_pending: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, which it iterates over, and where those after them begin.

    Attributes:
        items: The jobs, in the order asked for; empty if there are none.
        next: The cursor for the jobs after these, to be given as `after`; None at the end.
        scanned: How many jobs were looked at one by one, as no index finds those that were asked for; None if one does.
            It is bounded, so a page may be short, or empty, although there is a `next`.
    """

    items: tuple[Job, ...]
    next: str | None = None
    scanned: int | None = None

    def __iter__(self) -> Iterator[Job]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Count:
    """How many jobs a query means.

    Attributes:
        number: So many were counted.
        is_capped: There may be more: the count has a bound, and so has what is looked at job by job.
        scanned: As in Page.
    """

    number: int
    is_capped: bool = False
    scanned: int | None = None


@dataclass(frozen=True, slots=True)
class ActivityBucket:
    """What ended within one span of time.

    Attributes:
        start: When the span begins; it lasts until the next one's start.
        done: Jobs that became done.
        failed: Attempts that failed or were lost.
    """

    start: datetime
    done: int
    failed: int
