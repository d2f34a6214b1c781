"""How jobs are claimed, and what must come back first; the rest of the store builds on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Connection, select
from sqlalchemy.exc import SQLAlchemyError

from persistentq.checks import check_consumer, check_limit, check_queue, check_span
from persistentq.failure import describe
from persistentq.job import LONGEST_LEASE, Job, JobStatus, Outcome
from persistentq.sql import statements
from persistentq.sql.dialect import Progress
from persistentq.sql.hot import Cursor, HotPath, joined
from persistentq.sql.models import MICROSECOND, JobRow
from persistentq.sql.operators import Operators
from persistentq.sql.prepared import BATCH, Statements
from persistentq.sql.rows import ARGS, UNDECODABLE, claimed_jobs
from persistentq.sql.settling import WITHOUT_PAYLOAD, expire, finish, held_row, note
from persistentq.sql.transactions import Defaults

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Made = TypeVar("Made")


class Claiming(Operators):
    """The store's hot path, and claims on it."""

    def __init__(self, url: str | URL, defaults: Defaults, lock_timeout: timedelta, *, create: bool) -> None:
        super().__init__(url, defaults, lock_timeout, create=create)
        self._hot = HotPath(self._engine, self._facts, lock_timeout.total_seconds())
        self._sql = Statements(self._facts, self._engine.dialect)

    def _run(
        self,
        work: Callable[[Cursor], Made],
        session: Session | Connection | None = None,
        *,
        single: bool = False,
    ) -> Made:
        """Do `work` in one transaction of our own, or within the caller's, which the caller commits.

        Args:
            single: The work is one statement.
        """
        if session is not None:
            return work(joined(self._joined(session), self._facts))
        progress = Progress()
        try:
            return self._hot.run(work, progress, single=single)
        except (SQLAlchemyError, self._driver_error) as error:
            raise self._told(error, progress) from error

    def dequeue(
        self,
        consumer: str,
        queues: Sequence[str] = ("default",),
        limit: int = 1,
        lease: timedelta | None = None,
    ) -> list[Job]:
        check_consumer(consumer)
        check_limit(limit)
        names, span = [check_queue(name) for name in dict.fromkeys(queues)], self._lease_us(lease)

        if len(names) == 1:
            values = {"of_queue": names[0], "by_consumer": consumer, "lease_us": span}
            calm = self._sql.claim(limit, calm=True)
            if rows := self._run(lambda cursor: cursor.rows(calm, values), single=True):
                if self._is_apart(rows):
                    rows = self._run(lambda cursor: self._whole(cursor, rows), single=True)
                return self._startable(*claimed_jobs(rows, names[0], consumer))
            if not self._run(lambda cursor: cursor.rows(self._sql.beckoning, values), single=True):
                return []
        return self._claim(names, consumer, limit, span)

    def _claim(self, names: list[str], consumer: str, limit: int, span: int) -> list[Job]:
        """Take back what is overdue, make ready what is due, and claim."""

        def claim(cursor: Cursor, *, reap: bool) -> tuple[list[Job], list[Job]] | None:
            if reap and cursor.rows(self._sql.expired, {}):
                return None
            cursor.count(self._sql.due, {})
            jobs: list[Job] = []
            broken: list[Job] = []
            for name in names:
                if (room := limit - len(jobs) - len(broken)) > 0:
                    values = {"of_queue": name, "by_consumer": consumer, "lease_us": span}
                    rows = self._whole(cursor, cursor.rows(self._sql.claim(room), values))
                    found, unreadable = claimed_jobs(rows, name, consumer)
                    jobs += found
                    broken += unreadable
            return jobs, broken

        claimed = self._run(partial(claim, reap=True))
        if claimed is None:
            with self._orm() as session:
                self._reap(session, BATCH)
            claimed = self._run(partial(claim, reap=False)) or ([], [])
        return self._startable(*claimed)

    def _reap(self, session: Session, limit: int) -> int:
        """Take back jobs whose lease ran out; return how many."""
        overdue = session.scalars(statements.expired(limit), {"now_us": self._facts.now_us()}).all()
        now = self._clock(session)
        for row in session.scalars(select(JobRow).options(*WITHOUT_PAYLOAD).where(JobRow.id.in_(overdue))):
            expire(session, row, now)
        return len(overdue)

    def _startable(self, jobs: list[Job], broken: list[Job]) -> list[Job]:
        """Return the jobs that a task can run with, after ending those whose stored arguments are not JSON."""
        if broken:
            with self._orm() as session:
                now, failure = self._clock(session), describe(UNDECODABLE)
                for job in broken:
                    row = held_row(session, job)
                    note(session, row, Outcome.FAILED, now, failure)
                    finish(row, JobStatus.FAILED, now, failure.message)
        return jobs

    def _lease_us(self, lease: timedelta | None) -> int:
        span = check_span("lease", lease or self._defaults.lease, timedelta(milliseconds=1), LONGEST_LEASE)
        return span // MICROSECOND

    def _is_apart(self, rows: list[Any]) -> bool:
        return self._facts.large_args is not None and not all(row[ARGS] for row in rows)

    def _whole(self, cursor: Cursor, rows: list[Any]) -> list[Any]:
        """Return the claimed rows with the arguments that have a row of their own.

        Not through the claim itself: SQLite copies what RETURNING answers several times over.
        """
        if not self._is_apart(rows):
            return rows
        return [row if row[ARGS] else self._with_payload(cursor, row) for row in rows]

    def _with_payload(self, cursor: Cursor, row: Any) -> Any:
        found = cursor.rows(self._sql.payload, {"job_id": row[0]})
        return (*row[:ARGS], found[0][0] if found else "", *row[ARGS + 1 :])
