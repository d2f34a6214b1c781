"""Which jobs are meant: filters, cursors, and the rules of retention and pauses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

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
from persistentq.job import FINISHED, LONGEST_DELAY, JobStatus
from persistentq.query import EVERY_JOB, All, Comparison, Either, Query, Term, parse

StatusFilter: TypeAlias = JobStatus | str | Iterable[JobStatus | str] | None


def selected(  # noqa: PLR0913 - one filter each, all by name
    *,
    status: StatusFilter = None,
    queue: str | None = None,
    task: str | None = None,
    consumer: str | None = None,
    tag: str | None = None,
    error: str | None = None,
    min_attempts: int | None = None,
    created_from: datetime | None = None,
    created_before: datetime | None = None,
    where: Query | str = EVERY_JOB,
) -> Query:
    """Return the query that means the jobs which match every value given.

    Raises:
        InvalidArgument: a value could never match.
        InvalidQuery: `where` is a text that cannot be read.
    """
    parts: list[Query] = []
    statuses = [Term("status", Comparison.IS, known.value) for known in check_statuses(status)]
    if statuses:
        parts.append(statuses[0] if len(statuses) == 1 else Either(tuple(statuses)))
    given: tuple[tuple[str, Comparison, Any, Callable[[Any], Any]], ...] = (
        ("queue", Comparison.IS, queue, check_queue),
        ("task", Comparison.IS, task, check_task),
        ("consumer", Comparison.IS, consumer, check_consumer),
        ("tag", Comparison.IS, tag, check_tag),
        ("error", Comparison.IS, error, lambda text: check_text("error", text, 200)),
        ("attempts", Comparison.AT_LEAST, min_attempts, lambda n: check_int("min_attempts", n, 0, 2**31 - 1)),
        ("created", Comparison.AT_LEAST, created_from, lambda moment: check_time("created_from", moment)),
        ("created", Comparison.LESS, created_before, lambda moment: check_time("created_before", moment)),
    )
    parts += [Term(name, how, check(value)) for name, how, value, check in given if value is not None]
    asked = parse(where) if isinstance(where, str) else where
    parts += asked.parts if isinstance(asked, All) else (asked,)
    return parts[0] if len(parts) == 1 else All(tuple(parts))


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
