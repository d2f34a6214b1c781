"""PersistentQSQLAlchemy: producers' and consumers' part of the store; readers and operators are its bases."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from persistentq.backoff import DEFAULT
from persistentq.checks import check_consumer, check_int, check_limit, check_queue, check_span, check_text
from persistentq.errors import LeaseLost, LockTimeout
from persistentq.failure import describe
from persistentq.job import FORGET_AFTER, LONGEST_DELAY, Job, JobStatus, NewJob, Outcome
from persistentq.payload import encode_result
from persistentq.sql import statements
from persistentq.sql.adding import Adding, row_values
from persistentq.sql.claiming import Claiming
from persistentq.sql.group_commit import Shared
from persistentq.sql.hot import Cursor
from persistentq.sql.models import MICROSECOND, ConsumerRow
from persistentq.sql.prepared import Prepared, as_arrays
from persistentq.sql.repeating import repeating
from persistentq.sql.rows import changed, renewed
from persistentq.sql.settling import finish, give_back, held_row, note, wait
from persistentq.sql.transactions import Defaults

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection
    from sqlalchemy.orm import Session

Made = TypeVar("Made")


@repeating
class PersistentQSQLAlchemy(Claiming):
    """A queue in a database, through the SQLAlchemy ORM. Safe to use from many threads and processes.

    Args:
        url: Where the database is; for SQLite a file.
        create: Whether to make the database and its tables if there are none.
        max_attempts: For jobs that do not say.
        lease: For `dequeue` and `extend` calls that do not say.
        lock_timeout: How long a call waits for other writers.

    Raises:
        DatabaseMissing, SchemaMismatch, StorageUnavailable, ConfigurationError: see `open_queue`.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        create: bool = True,
        max_attempts: int = 3,
        lease: timedelta = timedelta(seconds=60),
        lock_timeout: timedelta = timedelta(seconds=10),
    ) -> None:
        super().__init__(url, Defaults(max_attempts, lease), lock_timeout, create=create)
        self._adding = Adding(self._facts, self._sql)
        patience = lock_timeout.total_seconds()
        self._add_shared = Shared(self._add_all, patience, lambda: LockTimeout(self._location))

    def close(self) -> None:
        self._hot.close()
        self._engine.dispose()

    # --- producers

    def enqueue_many(
        self, jobs: Iterable[NewJob], *, session: Session | Connection | None = None
    ) -> list[Job]:
        attempts, large = self._defaults.max_attempts, self._facts.large_args
        values = [row_values(new, attempts, large) for new in jobs]
        if not values:
            return []
        if session is not None:
            return self._run(partial(self._adding.add, values), session)
        return self._add_shared(values)

    def _add_all(self, batch: list[list[dict[str, Any]]]) -> list[list[Job]]:
        """Store the jobs of several calls in one transaction; return those of each call."""
        every = list(chain.from_iterable(batch))
        jobs = iter(self._run(partial(self._adding.add, every), single=self._adding.is_single(every)))
        return [list(islice(jobs, len(values))) for values in batch]

    # --- consumers

    def complete(self, job: Job, result: Any = None, *, session: Session | Connection | None = None) -> None:
        values = {**_identity(job), "outcome": encode_result(result)}
        if self._run(lambda cursor: cursor.count(self._sql.complete, values), session, single=True):
            return
        if not self._run(lambda cursor: cursor.rows(self._sql.completed, values), session, single=True):
            raise LeaseLost(job.id, job.consumer or "", job.attempt)

    def complete_many(self, jobs: Iterable[Job]) -> list[Job]:
        given = list(jobs)
        if not given:
            return []
        values = [{**_identity(job), "outcome": None} for job in given]
        if (every := self._sql.complete_all) is not None:
            number = self._run(
                lambda cursor: cursor.count(every, as_arrays(values, statements.HELD_TYPES)), single=True
            )
        else:
            number = self._run(lambda cursor: cursor.count_all(self._sql.complete, values))
        if number == len(given):
            return []
        # Some were refused or given twice or completed before. None of those can be held at that attempt again.
        done = self._run(lambda cursor: [bool(cursor.rows(self._sql.completed, one)) for one in values])
        return [job for job, is_done in zip(given, done, strict=True) if not is_done]

    def fail(
        self,
        job: Job,
        error: BaseException | str,
        *,
        retry: bool = True,
        delay: timedelta | None = None,
    ) -> Job:
        failure = describe(error)
        rule = job.backoff or DEFAULT
        pause = rule.delay(job.attempt, random.random()) if delay is None else _delay(delay)
        with self._orm() as session:
            row, now = held_row(session, job), self._clock(session)
            note(session, row, Outcome.FAILED, now, failure)
            if row.cancel_requested:
                finish(row, JobStatus.CANCELLED, now, failure.message)
            elif not retry or row.attempt >= row.max_attempts:
                finish(row, JobStatus.FAILED, now, failure.message)
            else:
                wait(row, JobStatus.SCHEDULED, run_at=now + pause, error=failure.message)
            return changed(job, row)

    def snooze(self, job: Job, delay: timedelta) -> Job:
        pause = _delay(delay)
        with self._orm() as session:
            row, now = held_row(session, job), self._clock(session)
            note(session, row, Outcome.SNOOZED, now)
            give_back(row, JobStatus.SCHEDULED, now, run_at=now + pause)
            return changed(job, row)

    def release(self, jobs: Iterable[Job]) -> list[Job]:
        refused = []
        with self._orm() as session:
            now = self._clock(session)
            for job in jobs:
                try:
                    row = held_row(session, job)
                except LeaseLost:
                    refused.append(job)
                else:
                    note(session, row, Outcome.RELEASED, now)
                    give_back(row, JobStatus.PENDING, now)
        return refused

    def extend(self, jobs: Iterable[Job], lease: timedelta | None = None) -> list[Job]:
        given, span = list(jobs), self._lease_us(lease)
        if not given:
            return []
        values = [{**_identity(job), "lease_us": span} for job in given]

        def renew(cursor: Cursor) -> list[Any]:
            if (every := self._sql.extend_all) is not None:
                return cursor.rows(every, as_arrays(values, values[0]))
            return [row for one in values for row in cursor.rows(self._sql.extend, one)]

        held = {job_id: rest for job_id, *rest in self._run(renew, single=self._facts.has_arrays)}
        return [renewed(job, *held[job.id]) for job in given if job.id in held]

    def guard(self, job: Job, *, session: Session | Connection) -> None:
        if not self._run(lambda cursor: cursor.count(self._sql.guard, _identity(job)), session):
            raise LeaseLost(job.id, job.consumer or "", job.attempt)

    def heartbeat(self, consumer: str, *, host: str, pid: int, queues: Sequence[str]) -> None:
        check_consumer(consumer)
        check_text("host", host, 255)
        check_int("pid", pid, 0, 2**31 - 1)
        names = ",".join(check_queue(name) for name in queues)
        with self._orm() as session:
            now = self._clock(session)
            row = session.get(ConsumerRow, consumer, with_for_update=True)
            if row is None:
                row = ConsumerRow(id=consumer, host=host, pid=pid, started_at=now)
                session.add(row)
            elif (row.host, row.pid, row.stopped_at) != (host, pid, None):
                row.host, row.pid, row.started_at, row.stopped_at = host, pid, now, None
            row.queues, row.heartbeat_at = names, now

    def retire(self, consumer: str) -> None:
        with self._orm() as session:
            if (row := session.get(ConsumerRow, check_consumer(consumer), with_for_update=True)) is not None:
                row.stopped_at = self._clock(session)

    def cleanup(self, limit: int = 1000) -> int:
        due = Prepared(statements.due(check_limit(limit)), self._engine.dialect)
        with self._orm() as session:
            session.execute(statements.forget_consumers(FORGET_AFTER // MICROSECOND))
            taken_back = self._reap(session, limit)
        return taken_back + self._run(lambda cursor: cursor.count(due, {}))


def _identity(job: Job) -> dict[str, Any]:
    """Return what proves that a job is held: id, consumer, attempt."""
    return {"held_id": job.id, "held_by": job.consumer, "held_at": job.attempt}


def _delay(delay: timedelta) -> timedelta:
    return check_span("delay", delay, timedelta(0), LONGEST_DELAY)
