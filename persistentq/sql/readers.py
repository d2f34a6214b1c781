"""The reading part of the store: short read-only transactions, everything fetched at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Label, bindparam, func, select, type_coerce

from persistentq.acts import check_batch
from persistentq.checks import check_id, check_int, check_limit, check_queue
from persistentq.errors import JobNotFound
from persistentq.interface import PersistentQInterface
from persistentq.job import (
    ActivityBucket,
    Attempt,
    ConsumerInfo,
    Count,
    Job,
    JobStatus,
    Outcome,
    Page,
    QueueInfo,
)
from persistentq.query import Query
from persistentq.selection import read_cursor
from persistentq.sql.finding import Search
from persistentq.sql.models import (
    EPOCH,
    LISTED,
    MICROSECOND,
    READY,
    READY_ORDER,
    AttemptRow,
    ConsumerRow,
    Int64,
    JobRow,
    PauseRow,
)
from persistentq.sql.rows import current_attempt, to_attempt, to_job
from persistentq.sql.transactions import Transactions

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

OLDEST = [
    select(JobRow.queue, func.min(JobRow.run_at)).where(READY, of).group_by(JobRow.queue)
    for of in (JobRow.reserved_for.is_(None), JobRow.reserved_for.is_not(None))
]
"""Since when the oldest ready job of each queue is ready."""

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

    def find_jobs(
        self, where: Query, *, among: Sequence[int] | None = None, limit: int = 100, after: str | None = None
    ) -> Page:
        check_limit(limit)
        below, ids = read_cursor(after), None if among is None else check_batch(among)
        with self._orm(read_only=True) as session:
            return Search(session, where, self._clock(session), below, ids).page(limit)

    def count_matching(self, where: Query, *, up_to: int = 10_000) -> Count:
        check_int("up_to", up_to, 1, 1_000_000)
        with self._orm(read_only=True) as session:
            return Search(session, where, self._clock(session)).count(up_to)

    def get_pending_jobs(self, queue: str = "default", limit: int = 100) -> list[Job]:
        ready = select(JobRow).where(JobRow.status == JobStatus.PENDING, JobRow.queue == check_queue(queue))
        with self._orm(read_only=True) as session:
            rows = session.scalars(ready.order_by(*READY_ORDER).limit(check_limit(limit))).all()
        return [to_job(row) for row in rows]

    def count_jobs(self) -> dict[str, dict[JobStatus, int]]:
        grouped = (
            select(JobRow.queue, JobRow.status, func.count())
            .where(LISTED)
            .group_by(JobRow.queue, JobRow.status)
        )
        with self._orm(read_only=True) as session:
            rows = session.execute(grouped).all()
        counts: dict[str, dict[JobStatus, int]] = {}
        for queue, status, number in sorted(rows, key=lambda row: (row[0], ORDER[row[1]])):
            counts.setdefault(queue, {})[JobStatus(status)] = number
        return counts

    def list_queues(self) -> list[QueueInfo]:
        counts = self.count_jobs()
        with self._orm(read_only=True) as session:
            pauses = {row.queue: row for row in session.scalars(select(PauseRow))}
            # A reserved job may be the oldest; each select is answered from an index of its own.
            ready = [row for oldest in OLDEST for row in session.execute(oldest)]
            now = self._clock(session)
        since: dict[str, datetime] = {}
        for name, run_at in ready:
            since[name] = min(run_at, since.get(name, run_at))
        return [
            _queue_info(name, counts.get(name, {}), pauses.get(name), since.get(name), now)
            for name in sorted({*counts, *pauses})
        ]

    def _info_of(self, queue: str) -> QueueInfo:
        """Return what is known of a queue, be there anything in it or not."""
        known = {info.name: info for info in self.list_queues()}
        return known.get(queue) or QueueInfo(name=queue, counts={}, is_paused=False)

    def list_consumers(self) -> list[ConsumerInfo]:
        with self._orm(read_only=True) as session:
            return self._consumers(session, self._clock(session))

    def _consumers(self, session: Session, now: datetime) -> list[ConsumerInfo]:
        busy = select(JobRow.consumer, func.count()).where(JobRow.status == JobStatus.PROCESSING)
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
                life=row.life,
                trouble=row.trouble,
                tasks=None if row.tasks is None else tuple(row.tasks.split()),
            )
            for row in rows
        ]

    def activity(self, window: timedelta, buckets: int) -> list[ActivityBucket]:
        check_int("buckets", buckets, 1, 1000)
        with self._orm(read_only=True) as session:
            start, step = self._clock(session) - window, window / buckets
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


def _queue_info(
    name: str, counts: Mapping[JobStatus, int], pause: PauseRow | None, ready: datetime | None, now: datetime
) -> QueueInfo:
    """Return what is known of a queue; a pause whose time has passed is none."""
    until = pause.paused_until if pause is not None else None
    is_paused = pause is not None and (until is None or until > now)
    return QueueInfo(
        name=name,
        counts=counts,
        is_paused=is_paused,
        paused_until=until if is_paused else None,
        oldest_pending=None if ready is None else now - ready,
    )


def _bucket(moment: Any, start: datetime, step: timedelta) -> Label[int]:
    """Return the number of the span into which a stored time falls, by whole-number division in SQL."""
    since = type_coerce(moment, Int64) - bindparam(None, (start - EPOCH) // MICROSECOND, Int64)
    return (since // bindparam(None, max(1, step // MICROSECOND), Int64)).label("bucket")
