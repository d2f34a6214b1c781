"""What the pages show, read from the queue as plain rows; nothing here knows Streamlit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import pandas as pd

from ops_text import as_json, span, status_word
from persistentq.job import ActivityBucket, Attempt, ConsumerInfo, Job, JobStatus
from persistentq.operations import Operator, ago, safe

PAGE = 100
LATEST_FAILURES = 5
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
    """What the jobs table is limited to; the empty value of each means no limit."""

    status: tuple[str, ...] = ()
    queue: str = ""
    task: str = ""
    consumer: str = ""

    def __bool__(self) -> bool:
        return bool(self.status or self.queue or self.task or self.consumer)

    def __str__(self) -> str:
        words = {"status": " or ".join(self.status), "queue": self.queue, "task": self.task}
        words["consumer"] = self.consumer
        return ", ".join(f"{name} {value}" for name, value in words.items() if value)


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
        total: How many jobs match on all pages; None where that would take a search.
    """

    targets: tuple[Target, ...]
    frame: pd.DataFrame
    next: str | None
    total: int | None


class JobView(NamedTuple):
    """One job and all its attempts, oldest first."""

    job: Job
    attempts: list[Attempt]


class Names(NamedTuple):
    """What may be chosen from: the queues that hold jobs, and the consumers, living ones first."""

    queues: list[str]
    consumers: list[str]


def read_names(operator: Operator) -> Names:
    """Ask for the names that filters and pickers offer."""
    consumers = sorted(operator.queue.list_consumers(), key=lambda one: (not one.is_alive, one.id))
    return Names(sorted(operator.queue.count_jobs()), [one.id for one in consumers])


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
        InvalidArgument: a filter or the cursor has a value that no job can have.
    """
    page = operator.list_jobs(
        status=filters.status or None,
        queue=filters.queue or None,
        task=filters.task or None,
        consumer=filters.consumer or None,
        limit=PAGE,
        after=after,
    )
    targets = tuple(Target(job.id, job.status, job.task) for job in page)
    return JobPage(targets, job_rows(page), page.next, _total(operator, filters))


def read_job(operator: Operator, job_id: int) -> JobView:
    """Ask for one job.

    Raises:
        JobNotFound: there is none.
    """
    return JobView(operator.get_job(job_id), operator.get_attempts(job_id))


def _total(operator: Operator, filters: Filters) -> int | None:
    if filters.task or filters.consumer:
        return None
    counts = operator.queue.count_jobs()
    chosen = {filters.queue: counts.get(filters.queue, {})} if filters.queue else counts
    by_status = count_statuses(chosen)
    return sum(
        number for status, number in by_status.items() if not filters.status or status in filters.status
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
            one.outcome.value if one.outcome else "running",
            safe(one.consumer, 80),
            one.started_at,
            span(one.ended_at - one.started_at) if one.ended_at else None,
            safe(": ".join(filter(None, (one.error_type, one.error))), 300) or None,
        )
        for one in reversed(attempts)
    ]
    return pd.DataFrame(rows, columns=["attempt", "outcome", "consumer", "started", "took", "error"])


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
