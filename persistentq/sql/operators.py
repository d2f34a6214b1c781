"""The operator's part of the store: each act is one guarded transaction on the ORM row."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select

from persistentq.checks import check_consumer, check_id, check_limit, check_queue
from persistentq.errors import UniqueKeyTaken
from persistentq.failure import describe
from persistentq.job import UNFINISHED, Job, JobStatus, Outcome, check_statuses, statuses_before
from persistentq.sql.models import JobRow
from persistentq.sql.readers import Readers
from persistentq.sql.rows import to_job
from persistentq.sql.settling import finish, give_back, note, operable_row, read_clock, wait


class Operators(Readers):
    """What an operator may do to jobs; see PersistentQInterface."""

    def resubmit(self, job_id: int) -> Job:
        with self._orm() as session:
            row = operable_row(session, job_id, "resubmit")
            if row.unique_key is not None:
                holder = select(JobRow.id).where(
                    JobRow.unique_key == row.unique_key, JobRow.status.in_(UNFINISHED)
                )
                if session.scalars(holder).first() is not None:
                    raise UniqueKeyTaken(row.id, row.unique_key)
            row.max_attempts, row.finished_at = row.attempt + row.budget, None
            wait(row, JobStatus.PENDING, run_at=read_clock(session))
            return to_job(row)

    def cancel(self, job_id: int) -> Job:
        with self._orm() as session:
            row = operable_row(session, job_id, "cancel")
            if row.status == JobStatus.PROCESSING:
                row.cancel_requested = 1
            else:
                finish(row, JobStatus.CANCELLED, read_clock(session))
            return to_job(row)

    def mark_failed(self, job_id: int, reason: str) -> Job:
        failure = describe(reason)
        with self._orm() as session:
            row, now = operable_row(session, job_id, "mark-failed"), read_clock(session)
            if row.status == JobStatus.PROCESSING:
                note(session, row, Outcome.TAKEN, now, failure)
            finish(row, JobStatus.FAILED, now, failure.message)
            return to_job(row)

    def assign_job(self, job_id: int, consumer: str | None) -> Job:
        name = None if consumer is None else check_consumer(consumer)
        with self._orm() as session:
            row = operable_row(session, job_id, "assign")
            if row.status == JobStatus.PROCESSING:
                now = read_clock(session)
                note(session, row, Outcome.TAKEN, now)
                give_back(row, JobStatus.PENDING, now)
            if row.status != JobStatus.CANCELLED:
                row.reserved_for = name
            return to_job(row)

    def delete_job(self, job_id: int) -> None:
        with self._orm() as session:
            session.delete(operable_row(session, job_id, "delete"))

    def delete_jobs(
        self,
        *,
        status: JobStatus | str | Iterable[JobStatus | str] | None = None,
        queue: str | None = None,
        up_to: int | None = None,
        limit: int = 1000,
    ) -> int:
        wanted = set(check_statuses(status) or JobStatus) & statuses_before("delete")
        chosen = select(JobRow.id).where(JobRow.status.in_(sorted(wanted))).limit(check_limit(limit))
        if queue is not None:
            chosen = chosen.where(JobRow.queue == check_queue(queue))
        if up_to is not None:
            chosen = chosen.where(JobRow.id <= check_id(up_to))
        with self._write() as connection:
            # The status is checked again in the DELETE: a job may have been taken meanwhile (PostgreSQL).
            gone = delete(JobRow).where(JobRow.id.in_(chosen), JobRow.status.in_(sorted(wanted)))
            return connection.execute(gone).rowcount
