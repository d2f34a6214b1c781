"""Which jobs are meant: filters, cursors, and the rules of retention and pauses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from persistentq.checks import (
    check_consumer,
    check_int,
    check_queue,
    check_span,
    check_tag,
    check_task,
    check_text,
    check_time,
)
from persistentq.errors import InvalidArgument
from persistentq.job import FINISHED, LONGEST_DELAY, Job, JobStatus

StatusFilter: TypeAlias = JobStatus | str | Iterable[JobStatus | str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are meant: those that match every value given.

    Attributes:
        status: Any of these; empty for all.
        queue: In this queue.
        task: Of this task.
        consumer: Who holds it, held it last, or has it reserved.
        tag: One of its tags is this.
        error: Its latest error contains this text, in upper or lower case.
        min_attempts: It was claimed at least so often.
        created_from: Enqueued at this time or later.
        created_before: Enqueued before this time.

    Raises:
        InvalidArgument: a value could never match.
    """

    status: tuple[JobStatus, ...] = ()
    queue: str | None = None
    task: str | None = None
    consumer: str | None = None
    tag: str | None = None
    error: str | None = None
    min_attempts: int | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None

    def __post_init__(self) -> None:
        for value, check in (
            (self.queue, check_queue),
            (self.task, check_task),
            (self.consumer, check_consumer),
            (self.tag, check_tag),
            (self.error, lambda text: check_text("error", text, 200)),
            (self.min_attempts, lambda number: check_int("min_attempts", number, 0, 2**31 - 1)),
            (self.created_from, lambda moment: check_time("created_from", moment)),
            (self.created_before, lambda moment: check_time("created_before", moment)),
        ):
            if value is not None:
                check(value)

    def matches(self, job: Job) -> bool:
        """Return whether `job` is one of those meant."""
        return (
            (not self.status or job.status in self.status)
            and (self.queue is None or job.queue == self.queue)
            and (self.task is None or job.task == self.task)
            and (self.consumer is None or self.consumer in (job.consumer, job.reserved_for))
            and (self.tag is None or self.tag in job.tags)
            and (self.error is None or self.error.lower() in (job.error or "").lower())
            and (self.min_attempts is None or job.attempt >= self.min_attempts)
            and (self.created_from is None or job.created_at >= self.created_from)
            and (self.created_before is None or job.created_at < self.created_before)
        )


def read_cursor(after: str | None) -> int | None:
    """Return the id that a page cursor stands for, or None.

    Raises:
        InvalidArgument: `after` did not come from a Page.
    """
    if after is None:
        return None
    if not (after.isascii() and after.isdigit() and len(after) < 20):
        raise InvalidArgument("after", after, "is not a cursor that list_jobs returned")
    return int(after)


def check_statuses(status: StatusFilter) -> tuple[JobStatus, ...]:
    """Return the statuses named by `status`, in the order of JobStatus; empty for None."""
    if status is None:
        return ()
    names = {status} if isinstance(status, str) else set(status)
    for name in names:
        if name not in set(JobStatus):
            raise InvalidArgument("status", name, f"is not one of {', '.join(JobStatus)}")
    return tuple(known for known in JobStatus if known in names)


def check_pause(lasting: timedelta | None) -> timedelta | None:
    """Return how long a pause lasts if it is more than zero and at most ten years, or None."""
    if lasting is None:
        return None
    return check_span("lasting", lasting, timedelta(microseconds=1), timedelta(days=3_650))


def check_retention(status: JobStatus | str, older_than: timedelta | None, keep: int | None) -> JobStatus:
    """Return the finished status that a retention rule is for.

    Raises:
        InvalidArgument: it is not a finished one, or no rule is given, or a rule is out of bounds.
    """
    statuses = check_statuses(status)
    if len(statuses) != 1 or statuses[0] not in FINISHED:
        raise InvalidArgument("status", status, "is not done, failed or cancelled")
    if older_than is None and keep is None:
        raise InvalidArgument("older_than", None, "and keep are both missing; give one of them")
    if older_than is not None:
        check_span("older_than", older_than, timedelta(0), LONGEST_DELAY)
    if keep is not None:
        check_int("keep", keep, 0, 2**31 - 1)
    return statuses[0]
