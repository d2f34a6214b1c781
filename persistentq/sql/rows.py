"""From rows to the library's plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, make_dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from persistentq.backoff import Backoff
from persistentq.job import Attempt, Job, JobStatus, Outcome
from persistentq.payload import decode_args, decode_result
from persistentq.sql.models import EPOCH, MICROSECOND, AttemptRow, JobRow

JOB_COLUMNS = dict(JobRow.__table__.columns.items()) | {"args": JobRow.whole_args.label("args")}
"""A job's row, with the arguments wherever they are."""

STATUSES = {status.value: status for status in JobStatus}
_Draft = make_dataclass("_Draft", [field.name for field in fields(Job)], slots=True)
UNDECODABLE = "the stored arguments are not a JSON object"


def to_job(row: JobRow) -> Job:
    """Return the job in `row`; arguments that are not JSON show as {}."""
    return Job(
        id=row.id,
        task=row.task,
        args=decode_args(row.whole_args) or {},
        queue=row.queue,
        priority=row.priority,
        status=JobStatus(row.status),
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        created_at=row.created_at,
        run_at=row.run_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        lease_until=row.lease_until,
        consumer=row.consumer,
        reserved_for=row.reserved_for,
        unique_key=row.unique_key,
        tags=_tags(row.tags),
        metadata=decode_args(row.extra) or {},
        backoff=_backoff(row.backoff_base_us, row.backoff_cap_us),
        result=decode_result(row.result),
        error=row.error,
        cancel_requested=bool(row.cancel_requested),
    )


_KNOWN = {
    "queue", "status", "reserved_for", "budget", "consumer", "cancel_requested", "finished_at", "result",
}  # fmt: skip
CLAIMED = [column for name, column in JobRow.__table__.columns.items() if name not in _KNOWN]
"""What a claim answers; the rest of the job is known, and a payload kept apart is asked for afterwards."""

ARGS = [column.name for column in CLAIMED].index("args")


def claimed_jobs(rows: list[Any], queue: str, consumer: str) -> tuple[list[Job], list[Job]]:
    """Return the jobs that a claim answered, in the order in which they leave, and those without readable arguments."""
    rows.sort(key=_leaving_order)
    jobs = [_claimed_job(row, queue, consumer) for row in rows]
    doubtful = [job for job, row in zip(jobs, rows, strict=True) if not job.args and row[ARGS] != "{}"]
    if not doubtful:
        return jobs, []
    stored = {row[0]: row[ARGS] for row in rows}
    broken = {job.id for job in doubtful if decode_args(stored[job.id]) is None}
    return [job for job in jobs if job.id not in broken], [job for job in jobs if job.id in broken]


def _leaving_order(row: Any) -> tuple[int, int, int]:
    return -row[1], row[2], row[0]


def _claimed_job(row: Sequence[Any], queue: str, consumer: str) -> Job:
    (
        job_id, priority, run_at, attempt, max_attempts, lease_until, created_at, started_at, task, unique_key,
        base_us, cap_us, tags, error, args, metadata,
    ) = row  # fmt: skip
    return quick_job(
        job_id,
        task,
        decode_args(args) or {},
        queue,
        priority,
        JobStatus.PROCESSING,
        attempt,
        max_attempts,
        moment(created_at),
        moment(run_at),
        moment(started_at),
        None,
        moment(lease_until),
        consumer,
        None,
        unique_key,
        _tags(tags) if tags else (),
        (decode_args(metadata) or {}) if metadata else {},
        _backoff(base_us, cap_us),
        None,
        error,
        False,
        False,
    )


@lru_cache(maxsize=256)
def moment(micros: int) -> datetime:
    """Return the time that is stored as so many microseconds."""
    return EPOCH + timedelta(microseconds=micros)


def from_driver(row: Sequence[Any]) -> Job:
    """Return the job in a row with JOB_COLUMNS as the driver gives it; arguments that are not JSON show as {}."""
    (
        job_id, queue, status, priority, run_at, reserved_for, attempt, max_attempts, _, consumer, lease_until,
        cancel_requested, created_at, started_at, finished_at, task, unique_key, base_us, cap_us, tags, error, args,
        metadata, result,
    ) = row  # fmt: skip
    return quick_job(
        job_id,
        task,
        decode_args(args) or {},
        queue,
        priority,
        STATUSES[status],
        attempt,
        max_attempts,
        moment(created_at),
        moment(run_at),
        None if started_at is None else moment(started_at),
        None if finished_at is None else moment(finished_at),
        None if lease_until is None else moment(lease_until),
        consumer,
        reserved_for,
        unique_key,
        _tags(tags) if tags else (),
        (decode_args(metadata) or {}) if metadata else {},
        _backoff(base_us, cap_us),
        decode_result(result),
        error,
        bool(cancel_requested),
        False,
    )


def enqueued_job(values: Mapping[str, Any], job_id: int, created_at: int) -> Job:
    """Return the job that was just stored from these values; id and time are what the database answered."""
    find = values.get
    tags, extra = find("tags"), find("extra")
    at = values["at"]
    run_at = created_at + values["delay_us"] if at is None else at
    created = moment(created_at)
    return quick_job(
        job_id,
        values["task"],
        values["own_args"],
        values["queue"],
        values["priority"],
        JobStatus.SCHEDULED if run_at > created_at else JobStatus.PENDING,
        0,
        values["attempts"],
        created,
        created if run_at == created_at else moment(run_at),
        None,
        None,
        None,
        None,
        None,
        find("unique_key"),
        _tags(tags) if tags else (),
        decode_args(extra) if extra else {},
        _backoff(find("backoff_base_us"), find("backoff_cap_us")),
        None,
        None,
        False,
        False,
    )


def changed(job: Job, row: JobRow) -> Job:
    """Return the job as it is after its holder let go of it; its payload is as it was."""
    return replace(
        job,
        status=JobStatus(row.status),
        max_attempts=row.max_attempts,
        run_at=row.run_at,
        finished_at=row.finished_at,
        lease_until=row.lease_until,
        reserved_for=row.reserved_for,
        cancel_requested=bool(row.cancel_requested),
        error=row.error,
        priority=row.priority,
    )


def renewed(job: Job, lease_until: int, cancel_requested: int) -> Job:
    """Return the held job as it is after its lease was renewed; all else of it stays while it is held."""
    return replace(job, lease_until=moment(lease_until), cancel_requested=bool(cancel_requested))


def quick_job(*values: Any) -> Job:
    """Return a Job with these values for its fields in order, in a tenth of the time of its constructor.

    A frozen dataclass sets each field through a method, thousands of times in a claim of a hundred jobs. A draft with
    the same slots is filled plainly and then becomes a Job, frozen like any other.
    """
    job: Any = _Draft(*values)
    job.__class__ = Job
    finished: Job = job
    return finished


def _tags(stored: str) -> tuple[str, ...]:
    return tuple(filter(None, stored.split(",")))


def _backoff(base_us: int | None, cap_us: int | None) -> Backoff | None:
    if base_us is None or cap_us is None:
        return None
    return Backoff(base_us * MICROSECOND, cap_us * MICROSECOND)


def to_attempt(row: AttemptRow) -> Attempt:
    """Return the attempt in `row`."""
    return Attempt(
        attempt=row.attempt,
        consumer=row.consumer,
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=Outcome(row.outcome),
        error_type=row.error_type,
        error=row.error,
        traceback=row.traceback,
    )


def current_attempt(job: Job) -> list[Attempt]:
    """Return the attempt that only the job itself tells of: the running one, or the one that completed it."""
    if job.status not in (JobStatus.PROCESSING, JobStatus.DONE) or job.started_at is None:
        return []
    outcome = Outcome.DONE if job.status == JobStatus.DONE else None
    return [
        Attempt(
            attempt=job.attempt,
            consumer=job.consumer or "",
            started_at=job.started_at,
            ended_at=job.finished_at,
            outcome=outcome,
        )
    ]
