"""What is deleted when its time is over: consumers long gone, and finished jobs that retention does not want."""

from __future__ import annotations

from sqlalchemy import BigInteger, ColumnElement, Delete, bindparam, delete, or_, select, type_coerce

from persistentq.job import JobStatus
from persistentq.sql.models import HELD, ConsumerRow, JobRow, database_now, is_among


def forget_consumers(silent_us: int) -> Delete:
    """Drop the consumers that hold nothing and have been silent for so long."""
    busy = select(JobRow.id).where(HELD, JobRow.consumer == ConsumerRow.id).exists()
    silent = type_coerce(ConsumerRow.heartbeat_at, BigInteger) < database_now() - bindparam(
        None, silent_us, BigInteger
    )
    return delete(ConsumerRow).where(silent, ~busy)


def surplus(status: JobStatus, older_us: int | None, keep: int | None, limit: int) -> Delete:
    """Delete the finished jobs that retention no longer wants, those that finished first first."""
    ended = select(JobRow.id).where(JobRow.status == status, JobRow.finished_at.is_not(None))
    kept = ended.order_by(JobRow.finished_at.desc(), JobRow.id.desc()).limit(keep).subquery()
    unwanted: list[ColumnElement[bool]] = []
    if older_us is not None:
        unwanted.append(
            type_coerce(JobRow.finished_at, BigInteger)
            < database_now() - bindparam(None, older_us, BigInteger)
        )
    if keep is not None:
        unwanted.append(JobRow.id.not_in(select(kept.c.id)))
    first = ended.where(or_(*unwanted)).order_by(JobRow.finished_at, JobRow.id).limit(limit)
    return delete(JobRow).where(is_among(JobRow.id, first.scalar_subquery()), JobRow.status == status)
