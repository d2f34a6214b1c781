"""What the pages show, read from the queue as plain rows; nothing here knows Streamlit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import pandas as pd

from ops_text import as_json, span, status_word
from persistentq.insight import BROKEN
from persistentq.job import ActivityBucket, Attempt, ConsumerInfo, Count, Job, JobStatus, Outcome
from persistentq.job_log import JobLog
from persistentq.operations import Operator, ago, safe
from persistentq.operations.emptiness import Removal, removals
from persistentq.operations.why import Fact
from persistentq.query import EVERY_JOB, All, Comparison, Either, Query, Term, parse
from persistentq.query.fields import FIELDS

PAGE = 100
COUNTED = 10_000
LATEST_FAILURES = 5
MOST_BARS = 20
USUAL_WINDOW = "15 min"


class Window(NamedTuple):
    """How far back the charts look, and in how many spans."""

    span: timedelta
    buckets: int

    @property
    def bucket(self) -> timedelta:
        """How long one span is."""
        return self.span / self.buckets


WINDOWS: Mapping[str, Window] = {
    "1 min": Window(timedelta(minutes=1), 60),
    "15 min": Window(timedelta(minutes=15), 60),
    "1 h": Window(timedelta(hours=1), 60),
    "6 h": Window(timedelta(hours=6), 72),
    "24 h": Window(timedelta(hours=24), 96),
    "7 d": Window(timedelta(days=7), 84),
}


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of the queue at one moment."""

    counts: Mapping[JobStatus, int]
    consumers: tuple[ConsumerInfo, ...]
    activity: tuple[ActivityBucket, ...]
    failures: pd.DataFrame

    @property
    def is_empty(self) -> bool:
        """Whether there is no job at all."""
        return not any(self.counts.values())

    @property
    def nobody_works(self) -> bool:
        """Whether jobs are ready and no consumer is alive to take them."""
        return self.counts[JobStatus.PENDING] > 0 and not any(one.is_alive for one in self.consumers)


@dataclass(frozen=True, slots=True)
class Filters:
    """What the jobs table is limited to; the empty value of each means no limit.

    Attributes:
        status: Any of these.
        text: A query, in the query language.
    """

    status: tuple[str, ...] = ()
    text: str = ""

    @property
    def query(self) -> Query:
        """Both as one query.

        Raises:
            InvalidQuery: the text cannot be read.
            InvalidArgument: no status has this name.
        """
        asked = parse(self.text) if self.text else EVERY_JOB
        parts = asked.parts if isinstance(asked, All) else (asked,)
        known = tuple(Term("status", Comparison.IS, FIELDS["status"].read(one)) for one in self.status)
        if len(known) > 1:
            return All((Either(known), *parts))
        return All((*known, *parts))


def statuses_of(query: Query) -> frozenset[JobStatus]:
    """Return the statuses that jobs of a query may have, as far as its terms tell without a look at the jobs."""
    match query:
        case Term("status", _, value):
            return frozenset({JobStatus(str(value))})
        case All(parts):
            return frozenset(JobStatus).intersection(*map(statuses_of, parts))
        case Either(parts):
            return frozenset[JobStatus]().union(*map(statuses_of, parts))
    return frozenset(JobStatus)


class Target(NamedTuple):
    """A job that somebody chose, as it was on the page."""

    id: int
    status: JobStatus
    task: str


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of the jobs table.

    Attributes:
        targets: One per row of `frame`.
        total: How many jobs match on all pages, as far as they were counted.
        scanned: How many were looked at one by one, as no index knows them; None if one does.
    """

    targets: tuple[Target, ...]
    frame: pd.DataFrame = field(compare=False)
    next: str | None
    total: Count
    scanned: int | None


class News(NamedTuple):
    """What has happened since a page of jobs was asked for.

    Attributes:
        newer: How many jobs match that came later; none of them for a page that is not the first.
        gone: How many of its own match no more.
    """

    newer: Count
    gone: int


NO_NEWS = News(Count(0), 0)


class JobView(NamedTuple):
    """One job, all its attempts, oldest first, what its tasks have told, and why it is not running."""

    job: Job
    attempts: list[Attempt]
    log: JobLog
    why: list[Fact]


class Names(NamedTuple):
    """What may be chosen from: the queues that hold jobs, the consumers, living ones first, and the tasks they know."""

    queues: list[str]
    consumers: list[str]
    tasks: list[str]


def read_names(operator: Operator) -> Names:
    """Ask for the names that filters and pickers offer."""
    consumers = sorted(operator.queue.list_consumers(), key=lambda one: (not one.is_alive, one.id))
    tasks = {task for one in consumers for task in one.tasks or ()}
    return Names(sorted(operator.queue.count_jobs()), [one.id for one in consumers], sorted(tasks))


def read_overview(operator: Operator, window: Window) -> Overview:
    """Ask for everything on the first page."""
    return Overview(
        counts=count_statuses(operator.queue.count_jobs()),
        consumers=tuple(operator.queue.list_consumers()),
        activity=tuple(operator.queue.activity(window.span, window.buckets)),
        failures=failure_rows(operator.list_jobs(status=JobStatus.FAILED, limit=LATEST_FAILURES)),
    )


def read_page(operator: Operator, filters: Filters, after: str | None) -> JobPage:
    """Ask for one page of jobs, newest first.

    Raises:
        InvalidQuery, InvalidArgument: the filters or the cursor cannot be read.
    """
    where = filters.query
    page = operator.list_jobs(where=where, limit=PAGE, after=after)
    total = operator.queue.count_matching(where, up_to=COUNTED)
    return JobPage(_targets(page), job_rows(page), page.next, total, page.scanned)


def _targets(jobs: Iterable[Job]) -> tuple[Target, ...]:
    return tuple(Target(job.id, job.status, job.task) for job in jobs)


def read_again(operator: Operator, filters: Filters, page: JobPage) -> JobPage:
    """Ask how the jobs of a page are now, whether they still match or not; those that were deleted are left out."""
    ids = [target.id for target in page.targets]
    found = operator.queue.find_jobs(EVERY_JOB, among=ids, limit=len(ids))
    total = operator.queue.count_matching(filters.query, up_to=COUNTED)
    jobs = operator.redaction.jobs(found)
    return replace(page, targets=_targets(jobs), frame=job_rows(jobs), total=total)


def read_news(operator: Operator, filters: Filters, after: str | None, page: JobPage) -> News:
    """Ask what has happened since a page with jobs on it was asked for."""
    where, ids = filters.query, [target.id for target in page.targets]
    gone = len(ids) - len(operator.queue.find_ids(where, among=ids).items)
    if after is not None:
        return NO_NEWS._replace(gone=gone)
    parts = where.parts if isinstance(where, All) else (where,)
    newer = All((Term("id", Comparison.MORE, ids[0]), *parts))
    return News(operator.queue.count_matching(newer, up_to=COUNTED), gone)


def read_removals(operator: Operator, filters: Filters) -> list[Removal]:
    """Ask which term of a query that means no job hides how many."""
    return removals(operator.queue, filters.query)


def read_job(operator: Operator, job_id: int) -> JobView:
    """Ask for one job.

    Raises:
        JobNotFound: there is none.
    """
    return JobView(
        operator.get_job(job_id),
        operator.get_attempts(job_id),
        operator.get_log(job_id),
        operator.why(job_id),
    )


def count_statuses(counts: Mapping[str, Mapping[JobStatus, int]]) -> dict[JobStatus, int]:
    """Return the number of jobs in each status over all queues; every status is there."""
    total: Counter[JobStatus] = Counter()
    for by_status in counts.values():
        total.update(by_status)
    return {status: total[status] for status in JobStatus}


def job_rows(jobs: Iterable[Job]) -> pd.DataFrame:
    """Return one row per job, fit for `st.dataframe`."""
    names = ["id", "status", "task", "queue", "attempt", "consumer", "created", "took", "error", "args"]
    return pd.DataFrame([_job_row(job) for job in jobs], columns=names)


def _job_row(job: Job) -> tuple[object, ...]:
    return (
        job.id,
        status_word(job.status),
        safe(job.task, 80),
        job.queue,
        f"{job.attempt} of {job.max_attempts}",
        safe(_whose(job), 80),
        job.created_at,
        span(job.finished_at - job.started_at) if job.finished_at and job.started_at else None,
        safe(job.error, 300) or None,
        safe(as_json(job.args, indent=None), 300),
    )


def _whose(job: Job) -> str | None:
    return f"for {job.reserved_for}" if job.reserved_for else job.consumer


def failure_rows(jobs: Iterable[Job]) -> pd.DataFrame:
    """Return one row per failed job; `job` is the address of its page."""
    rows = [(f"job?job={job.id}", job.finished_at, safe(job.task, 80), safe(job.error, 300)) for job in jobs]
    return pd.DataFrame(rows, columns=["job", "failed at", "task", "error"])


def attempt_rows(attempts: Sequence[Attempt]) -> pd.DataFrame:
    """Return one row per attempt, the latest first."""
    rows = [
        (
            one.attempt,
            _outcome(one),
            safe(one.consumer, 80),
            one.started_at,
            span(one.ended_at - one.started_at) if one.ended_at else None,
            safe(": ".join(filter(None, (one.error_type, one.error))), 300) or None,
        )
        for one in reversed(attempts)
    ]
    return pd.DataFrame(rows, columns=["attempt", "outcome", "consumer", "started", "took", "error"])


def timeline_rows(attempts: Sequence[Attempt], now: datetime) -> pd.DataFrame:
    """Return one row per attempt, the first one first, for a chart; `kind` is what its colour says."""
    rows = [
        (
            f"{one.attempt} {_outcome(one)}",
            _outcome(one),
            _kind(one),
            one.started_at,
            one.ended_at or now,
            span((one.ended_at or now) - one.started_at),
        )
        for one in attempts[-MOST_BARS:]
    ]
    return pd.DataFrame(rows, columns=["attempt", "outcome", "kind", "start", "end", "took"])


def _kind(one: Attempt) -> str:
    return _outcome(one) if one.outcome in {None, *BROKEN, Outcome.DONE} else "given back"


def _outcome(one: Attempt) -> str:
    return one.outcome.value if one.outcome else "running"


def consumer_rows(consumers: Iterable[ConsumerInfo]) -> pd.DataFrame:
    """Return one row per consumer."""
    rows = [
        (
            safe(one.id),
            consumer_state(one),
            f"{ago(one.silent_for)} ago",
            one.held,
            ", ".join(map(safe, one.queues)),
            f"{safe(one.host)}, pid {one.pid}",
            one.started_at,
        )
        for one in consumers
    ]
    names = ["consumer", "state", "heartbeat", "holds", "queues", "process", "started"]
    return pd.DataFrame(rows, columns=names)


def consumer_state(consumer: ConsumerInfo) -> str:
    """Return glyph and word."""
    if consumer.stopped_at is not None:
        return "■ stopped"
    return "● alive" if consumer.is_alive else "○ silent"


def activity_rows(buckets: Sequence[ActivityBucket], length: timedelta) -> pd.DataFrame:
    """Return one row per span of time, each `length` long; `label` says which one."""
    rows = [
        (
            bucket.start,
            bucket.start + length,
            bucket.done,
            bucket.failed,
            f"{bucket.start:%b %d %H:%M:%S} to {bucket.start + length:%H:%M:%S}",
        )
        for bucket in buckets
    ]
    return pd.DataFrame(rows, columns=["start", "end", "done", "failed", "label"])
