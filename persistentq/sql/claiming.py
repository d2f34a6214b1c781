"""How jobs are claimed, and what must come back first; the rest of the store builds on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import URL, Connection, select
from sqlalchemy.exc import SQLAlchemyError

from persistentq.checks import check_consumer, check_limit, check_queue, check_span
from persistentq.errors import LeaseLost, QueueMoved
from persistentq.job import LONGEST_LEASE, Job
from persistentq.settlement import Settlement
from persistentq.sql import statements
from persistentq.sql.dialect import Progress
from persistentq.sql.hot import Cursor, HotPath, joined
from persistentq.sql.models import MICROSECOND, JobRow
from persistentq.sql.operators import Operators
from persistentq.sql.prepared import BATCH, Statements
from persistentq.sql.rows import ARGS, UNDECODABLE, claimed_jobs
from persistentq.sql.settling import WITHOUT_PAYLOAD, expire, settle
from persistentq.sql.transactions import Defaults

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Made = TypeVar("Made")


Rows = tuple[str, list[Any]]
"""A queue, and the rows that were claimed from it."""


class Claim(NamedTuple):
    """What is claimed; `lease_us` in microseconds."""

    consumer: str
    queues: tuple[str, ...]
    limit: int
    lease_us: int

    def values(self, queue: str) -> dict[str, Any]:
        """Return what a claim from this queue binds."""
        return {"of_queue": queue, "by_consumer": self.consumer, "lease_us": self.lease_us}


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
        reads: bool = False,
    ) -> Made:
        """Do `work` in one transaction of our own, or within the caller's, which the caller commits.

        Args:
            single: The work is one statement.
            reads: It writes nothing.
        """
        if session is not None:
            connection = self._joined(session)
            try:
                return work(joined(connection, self._facts))
            except SQLAlchemyError as error:
                # All else is the caller's own business, who knows SQLAlchemy's errors.
                if isinstance(told := self._told(error, Progress()), QueueMoved):
                    raise told from error
                raise
        progress = Progress()
        try:
            return self._hot.run(work, progress, single=single, reads=reads)
        except (SQLAlchemyError, self._driver_error) as error:
            raise self._told(error, progress) from error

    def dequeue(
        self,
        consumer: str,
        queues: Sequence[str] = ("default",),
        limit: int = 1,
        lease: timedelta | None = None,
    ) -> list[Job]:
        claim = self._claim_of(consumer, queues, limit, lease)
        calmly = partial(self._claim_rows, claim, calm=True)
        return self._claimed(claim, self._run(calmly, single=len(claim.queues) == 1))

    def _claim_of(self, consumer: str, queues: Sequence[str], limit: int, lease: timedelta | None) -> Claim:
        names = tuple(check_queue(name) for name in dict.fromkeys(queues))
        return Claim(check_consumer(consumer), names, check_limit(limit), self._lease_us(lease))

    def _claimed(self, claim: Claim, found: list[Rows]) -> list[Job]:
        """Return the jobs of a calm claim; if it had none, look whether there are any, or will be."""
        if any(rows for _, rows in found):
            if self._is_apart(found):
                found = self._run(partial(self._whole, found), single=True)
            return self._startable(claim, found)
        is_ready = self._sql.beckoning
        for name in claim.queues:
            values = claim.values(name)
            if self._run(lambda cursor, values=values: cursor.rows(is_ready, values), single=True):  # type: ignore[misc]
                return self._claim(claim)
        return []

    def _claim(self, claim: Claim) -> list[Job]:
        """Take back what is overdue, make ready what is due, and claim."""
        found = self._run(partial(self._make_ready_and_claim, claim))
        if found is None:
            with self._orm() as session:
                self._reap(session, BATCH)
            found = self._run(partial(self._make_ready_and_claim, claim, reaped=True)) or []
        return self._startable(claim, found)

    def _make_ready_and_claim(
        self, claim: Claim, cursor: Cursor, *, reaped: bool = False
    ) -> list[Rows] | None:
        """Return what was claimed; None, and nothing is done, if jobs must be taken back before."""
        if not reaped and cursor.rows(self._sql.expired, {}):
            return None
        cursor.count(self._sql.due, {})
        return self._whole(self._claim_rows(claim, cursor, calm=False), cursor)

    def _claim_rows(self, claim: Claim, cursor: Cursor, *, calm: bool) -> list[Rows]:
        """Claim from each queue in turn as long as there is room; `calm` as for the statement."""
        found: list[Rows] = []
        room = claim.limit
        for name in claim.queues:
            if room > 0:
                rows = cursor.rows(self._sql.claim(room, calm=calm), claim.values(name))
                found.append((name, rows))
                room -= len(rows)
        return found

    def _reap(self, session: Session, limit: int) -> int:
        """Take back jobs whose lease ran out; return how many."""
        overdue = session.scalars(statements.expired(limit), {"now_us": self._facts.now_us()}).all()
        now = self._clock(session)
        for row in session.scalars(select(JobRow).options(*WITHOUT_PAYLOAD).where(JobRow.id.in_(overdue))):
            expire(session, row, now)
        return len(overdue)

    def _startable(self, claim: Claim, found: list[Rows]) -> list[Job]:
        """Return the jobs that a task can run with, after ending those whose stored arguments are not JSON."""
        jobs: list[Job] = []
        broken: list[Job] = []
        for name, rows in found:
            readable, unreadable = claimed_jobs(rows, name, claim.consumer)
            jobs += readable
            broken += unreadable
        if broken:
            with self._orm() as session:
                now = self._clock(session)
                for job in broken:
                    # Whoever was held up since the claim may have lost it.
                    with suppress(LeaseLost):
                        settle(session, Settlement.fail(job, UNDECODABLE, retry=False), now)
        return jobs

    def _lease_us(self, lease: timedelta | None) -> int:
        span = check_span("lease", lease or self._defaults.lease, timedelta(milliseconds=1), LONGEST_LEASE)
        return span // MICROSECOND

    def _is_apart(self, found: list[Rows]) -> bool:
        # Also where large arguments are not kept apart: the jobs may have come from a database where they are.
        return not all(row[ARGS] for _, rows in found for row in rows)

    def _whole(self, found: list[Rows], cursor: Cursor) -> list[Rows]:
        """Return the claimed rows with the arguments that have a row of their own.

        Not through the claim itself: SQLite copies what RETURNING answers several times over.
        """
        if not self._is_apart(found):
            return found
        return [
            (name, [row if row[ARGS] else self._with_payload(cursor, row) for row in rows])
            for name, rows in found
        ]

    def _with_payload(self, cursor: Cursor, row: Any) -> Any:
        found = cursor.rows(self._sql.payload, {"job_id": row[0]})
        return (*row[:ARGS], found[0][0] if found else "", *row[ARGS + 1 :])
