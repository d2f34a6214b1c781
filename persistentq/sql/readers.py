"""The reading part of the store: short read-only transactions, everything fetched at once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Label, bindparam, func, or_, select, type_coerce

from persistentq.checks import check_consumer, check_id, check_int, check_limit, check_queue, check_task
from persistentq.errors import JobNotFound
from persistentq.interface import PersistentQInterface
from persistentq.job import (
    ActivityBucket,
    Attempt,
    ConsumerInfo,
    Job,
    JobStatus,
    Outcome,
    Page,
    check_statuses,
    read_cursor,
)
from persistentq.sql.models import EPOCH, MICROSECOND, READY_ORDER, AttemptRow, ConsumerRow, Int64, JobRow
from persistentq.sql.rows import current_attempt, to_attempt, to_job
from persistentq.sql.settling import read_clock
from persistentq.sql.transactions import Transactions

ORDER = {status.value: number for number, status in enumerate(JobStatus)}


class Readers(Transactions, PersistentQInterface):
    """What may be asked of the queue; see PersistentQInterface."""

    def get_job(self, job_id: int) -> Job:
        with self._orm(read_only=True) as session:
            row = session.get(JobRow, check_id(job_id))
            if row is None:
                raise JobNotFound(job_id)
            return to_job(row)

    def get_attempts(self, job_id: int) -> list[Attempt]:
        with self._orm(read_only=True) as session:
            row = session.get(JobRow, check_id(job_id))
            if row is None:
                raise JobNotFound(job_id)
            ended = select(AttemptRow).where(AttemptRow.job_id == job_id).order_by(AttemptRow.attempt)
            return [to_attempt(one) for one in session.scalars(ended)] + current_attempt(to_job(row))

    def list_jobs(
        self,
        *,
        status: JobStatus | str | Iterable[JobStatus | str] | None = None,
        queue: str | None = None,
        task: str | None = None,
        consumer: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        check_limit(limit)
        conditions: list[ColumnElement[bool]] = []
        if wanted := check_statuses(status):
            conditions.append(JobRow.status.in_(wanted))
        if queue is not None:
            conditions.append(JobRow.queue == check_queue(queue))
        if task is not None:
            conditions.append(JobRow.task == check_task(task))
        if consumer is not None:
            name = check_consumer(consumer)
            conditions.append(or_(JobRow.consumer == name, JobRow.reserved_for == name))
        if (below := read_cursor(after)) is not None:
            conditions.append(JobRow.id < below)
        statement = select(JobRow).where(*conditions).order_by(JobRow.id.desc()).limit(limit + 1)
        with self._orm(read_only=True) as session:
            rows = session.scalars(statement).all()
        page = tuple(to_job(row) for row in rows[:limit])
        return Page(page, str(page[-1].id) if len(rows) > limit else None)

    def get_pending_jobs(self, queue: str = "default", limit: int = 100) -> list[Job]:
        ready = select(JobRow).where(JobRow.status == JobStatus.PENDING, JobRow.queue == check_queue(queue))
        with self._orm(read_only=True) as session:
            rows = session.scalars(ready.order_by(*READY_ORDER).limit(check_limit(limit))).all()
        return [to_job(row) for row in rows]

    def count_jobs(self) -> dict[str, dict[JobStatus, int]]:
        grouped = select(JobRow.queue, JobRow.status, func.count()).group_by(JobRow.queue, JobRow.status)
        with self._orm(read_only=True) as session:
            rows = session.execute(grouped).all()
        counts: dict[str, dict[JobStatus, int]] = {}
        for queue, status, number in sorted(rows, key=lambda row: (row[0], ORDER[row[1]])):
            counts.setdefault(queue, {})[JobStatus(status)] = number
        return counts

    def list_consumers(self) -> list[ConsumerInfo]:
        busy = select(JobRow.consumer, func.count()).where(JobRow.status == JobStatus.PROCESSING)
        with self._orm(read_only=True) as session:
            now = read_clock(session)
            held = dict(session.execute(busy.group_by(JobRow.consumer)).all())
            rows = session.scalars(select(ConsumerRow).order_by(ConsumerRow.id)).all()
        return [
            ConsumerInfo(
                id=row.id,
                host=row.host,
                pid=row.pid,
                queues=tuple(row.queues.split(",")),
                started_at=row.started_at,
                heartbeat_at=row.heartbeat_at,
                silent_for=now - row.heartbeat_at,
                held=held.get(row.id, 0),
                stopped_at=row.stopped_at,
            )
            for row in rows
        ]

    def activity(self, window: timedelta, buckets: int) -> list[ActivityBucket]:
        check_int("buckets", buckets, 1, 1000)
        with self._orm(read_only=True) as session:
            start, step = read_clock(session) - window, window / buckets
            ended = _bucket(JobRow.finished_at, start, step)
            done = select(ended, func.count()).where(
                JobRow.finished_at >= start, JobRow.status == JobStatus.DONE
            )
            done_by = dict(session.execute(done.group_by("bucket")).all())
            broke = _bucket(AttemptRow.ended_at, start, step)
            failed = select(broke, func.count()).where(
                AttemptRow.ended_at >= start, AttemptRow.outcome.in_([Outcome.FAILED, Outcome.LOST])
            )
            failed_by = dict(session.execute(failed.group_by("bucket")).all())
        return [
            ActivityBucket(start + n * step, done_by.get(n, 0), failed_by.get(n, 0)) for n in range(buckets)
        ]


def _bucket(moment: Any, start: datetime, step: timedelta) -> Label[int]:
    """Return the number of the span into which a stored time falls, by whole-number division in SQL."""
    since = type_coerce(moment, Int64) - bindparam(None, (start - EPOCH) // MICROSECOND, Int64)
    return (since // bindparam(None, max(1, step // MICROSECOND), Int64)).label("bucket")
