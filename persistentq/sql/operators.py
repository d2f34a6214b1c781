"""The operator's part of the store: each act is one guarded transaction on the ORM row."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select

from persistentq.checks import check_id, check_limit, check_queue
from persistentq.job import JobStatus, QueueInfo, statuses_before
from persistentq.journal import ActNote, pause_details
from persistentq.selection import StatusFilter, check_pause, check_retention, check_statuses
from persistentq.sql import upkeep
from persistentq.sql.insight import Insight
from persistentq.sql.journal import open_entry
from persistentq.sql.models import LISTED, MICROSECOND, JobRow, PauseRow
from persistentq.sql.settling import operable_row


class Operators(Insight):
    """What an operator may do to jobs; see PersistentQInterface."""

    def delete_job(self, job_id: int) -> None:
        with self._orm() as session:
            session.delete(operable_row(session, job_id, "delete"))

    def delete_jobs(
        self,
        *,
        status: StatusFilter = None,
        queue: str | None = None,
        up_to: int | None = None,
        limit: int = 1000,
    ) -> int:
        wanted = set(check_statuses(status) or JobStatus) & statuses_before("delete")
        chosen = select(JobRow.id).where(LISTED, JobRow.status.in_(sorted(wanted))).limit(check_limit(limit))
        if queue is not None:
            chosen = chosen.where(JobRow.queue == check_queue(queue))
        if up_to is not None:
            chosen = chosen.where(JobRow.id <= check_id(up_to))
        with self._write() as connection:
            # The status is checked again in the DELETE: a job may have been taken meanwhile (PostgreSQL).
            gone = delete(JobRow).where(JobRow.id.in_(chosen), JobRow.status.in_(sorted(wanted)))
            return connection.execute(gone).rowcount

    def prune_jobs(
        self,
        status: JobStatus | str,
        *,
        older_than: timedelta | None = None,
        keep: int | None = None,
        limit: int = 1000,
    ) -> int:
        wanted = check_retention(status, older_than, keep)
        older_us = None if older_than is None else older_than // MICROSECOND
        with self._write() as connection:
            return connection.execute(upkeep.surplus(wanted, older_us, keep, check_limit(limit))).rowcount

    def pause_queue(
        self, queue: str, *, lasting: timedelta | None = None, note: ActNote | None = None
    ) -> QueueInfo:
        name, span = check_queue(queue), check_pause(lasting)
        with self._orm() as session:
            now = self._clock(session)
            until = None if span is None else now + span
            # Another may pause it for the first time at the same moment.
            put = self._facts.insert(PauseRow).values(queue=name, paused_at=now, paused_until=until)
            session.execute(
                put.on_conflict_do_update(index_elements=[PauseRow.queue], set_={"paused_until": until})
            )
            if note is not None:
                open_entry(session, note, "pause", pause_details(name, span), now)
        return self._info_of(name)

    def resume_queue(self, queue: str, *, note: ActNote | None = None) -> QueueInfo:
        name = check_queue(queue)
        with self._orm() as session:
            session.execute(delete(PauseRow).where(PauseRow.queue == name))
            if note is not None:
                open_entry(session, note, "resume", {"queue": name}, self._clock(session))
        self._hints.give((name,))
        return self._info_of(name)
