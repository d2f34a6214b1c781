"""From rows to the library's plain data."""

from __future__ import annotations

from typing import Any

from persistentq.backoff import Backoff
from persistentq.job import Attempt, Job, JobStatus, Outcome
from persistentq.payload import decode_args, decode_result
from persistentq.sql.models import MICROSECOND, AttemptRow, JobRow

JOB_COLUMNS = JobRow.__table__.columns
UNDECODABLE = "the stored arguments are not a JSON object"


def to_job(row: Any, *, duplicate: bool = False) -> Job:
    """Return the job in `row`, a JobRow or a result row with JOB_COLUMNS; arguments that are not JSON show as {}."""
    return Job(
        id=row.id,
        task=row.task,
        args=decode_args(row.args) or {},
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
        tags=tuple(filter(None, row.tags.split(","))),
        metadata=decode_args(_metadata(row)) or {},
        backoff=_backoff(row),
        result=decode_result(row.result),
        error=row.error,
        cancel_requested=bool(row.cancel_requested),
        duplicate=duplicate,
    )


def _metadata(row: Any) -> str | None:
    text: str | None = row.extra if isinstance(row, JobRow) else row.metadata
    return text


def _backoff(row: Any) -> Backoff | None:
    if row.backoff_base_us is None or row.backoff_cap_us is None:
        return None
    return Backoff(row.backoff_base_us * MICROSECOND, row.backoff_cap_us * MICROSECOND)


def is_decodable(row: Any) -> bool:
    """Return whether the row's arguments can be handed to a task."""
    return decode_args(row.args) is not None


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
