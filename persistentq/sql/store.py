"""PersistentQSQLAlchemy: producers' and consumers' part of the store; readers and operators are its bases."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import URL, Connection, select
from sqlalchemy.orm import Session

from persistentq.backoff import DEFAULT
from persistentq.checks import check_consumer, check_int, check_limit, check_queue, check_span, check_text
from persistentq.errors import LeaseLost
from persistentq.failure import describe
from persistentq.job import FORGET_AFTER, LONGEST_DELAY, LONGEST_LEASE, Job, JobStatus, NewJob, Outcome
from persistentq.payload import encode_args, encode_result
from persistentq.sql import statements
from persistentq.sql.models import EPOCH, MICROSECOND, ConsumerRow, JobRow
from persistentq.sql.operators import Operators
from persistentq.sql.rows import UNDECODABLE, is_decodable, to_job
from persistentq.sql.settling import expire, finish, give_back, held_row, identities, note, read_clock, wait
from persistentq.sql.transactions import Defaults

CHUNK = 500
"""Jobs per statement: each is three bound values, and SQLite's oldest limit is 999 terms in one list."""


class PersistentQSQLAlchemy(Operators):
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
        self._insert = statements.insert_job(self._facts)

    @property
    def location(self) -> str:
        return self._location

    def close(self) -> None:
        self._engine.dispose()

    # --- producers

    def enqueue_many(
        self, jobs: Iterable[NewJob], *, session: Session | Connection | None = None
    ) -> list[Job]:
        values = [self._values(new) for new in jobs]
        if not values:
            return []
        with self._write(session) as connection:
            return [self._add(connection, one) for one in values]

    def _values(self, new: NewJob) -> dict[str, Any]:
        return {
            "task": new.task,
            "args": encode_args(new.args),
            "queue": new.queue,
            "priority": new.priority,
            "attempts": new.max_attempts or self._defaults.max_attempts,
            "unique_key": new.unique_key,
            "tags": f",{','.join(new.tags)}," if new.tags else "",
            "extra": encode_args(new.metadata, "metadata") if new.metadata else None,
            "backoff_base_us": new.backoff and new.backoff.base // MICROSECOND,
            "backoff_cap_us": new.backoff and new.backoff.cap // MICROSECOND,
            "at": None if new.run_at is None else (new.run_at - EPOCH) // MICROSECOND,
            "delay_us": (new.delay or timedelta(0)) // MICROSECOND,
        }

    def _add(self, connection: Connection, values: dict[str, Any]) -> Job:
        while True:
            if row := connection.execute(self._insert, values).one_or_none():
                return to_job(row)
            # The holder may finish between the two statements (PostgreSQL); then the key is free again.
            holder = statements.unfinished_with(values["unique_key"])
            if row := connection.execute(holder).one_or_none():
                return to_job(row, duplicate=True)

    # --- consumers

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
        taken: list[Job] = []
        with self._write() as connection:
            _take_back(connection, limit=1000)
            for name in names:
                if len(taken) < limit:
                    claim = statements.claim(name, consumer, limit - len(taken), span)
                    taken += _startable(connection, connection.execute(claim).all())
        return taken

    def _lease_us(self, lease: timedelta | None) -> int:
        span = check_span("lease", lease or self._defaults.lease, timedelta(milliseconds=1), LONGEST_LEASE)
        return span // MICROSECOND

    def complete(self, job: Job, result: Any = None, *, session: Session | Connection | None = None) -> None:
        held, stored = identities([job]), encode_result(result)
        with self._write(session) as connection:
            if connection.execute(statements.complete(held, stored)).one_or_none():
                return
            if connection.execute(statements.completed(held)).one_or_none():
                return
        raise LeaseLost(job.id, job.consumer or "", job.attempt)

    def complete_many(self, jobs: Iterable[Job]) -> list[Job]:
        given = list(jobs)
        settled: set[int] = set()
        with self._write() as connection:
            for start in range(0, len(given), CHUNK):
                held = identities(given[start : start + CHUNK])
                settled.update(connection.execute(statements.complete(held)).scalars().all())
                if not settled.issuperset(job_id for job_id, _, _ in held):
                    settled.update(connection.execute(statements.completed(held)).scalars().all())
        return [job for job in given if job.id not in settled]

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
            row, now = held_row(session, job), read_clock(session)
            note(session, row, Outcome.FAILED, now, failure)
            if row.cancel_requested:
                finish(row, JobStatus.CANCELLED, now, failure.message)
            elif not retry or row.attempt >= row.max_attempts:
                finish(row, JobStatus.FAILED, now, failure.message)
            else:
                wait(row, JobStatus.SCHEDULED, run_at=now + pause, error=failure.message)
            return to_job(row)

    def snooze(self, job: Job, delay: timedelta) -> Job:
        pause = _delay(delay)
        with self._orm() as session:
            row, now = held_row(session, job), read_clock(session)
            note(session, row, Outcome.SNOOZED, now)
            give_back(row, JobStatus.SCHEDULED, now, run_at=now + pause)
            return to_job(row)

    def release(self, jobs: Iterable[Job]) -> list[Job]:
        refused = []
        with self._orm() as session:
            now = read_clock(session)
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
        renewed: dict[int, Job] = {}
        with self._write() as connection:
            for start in range(0, len(given), CHUNK):
                held = identities(given[start : start + CHUNK])
                renewed.update(
                    (row.id, to_job(row)) for row in connection.execute(statements.extend(held, span))
                )
        return [renewed[job.id] for job in given if job.id in renewed]

    def guard(self, job: Job, *, session: Session | Connection) -> None:
        with self._write(session) as connection:
            if connection.execute(statements.guard(identities([job]))).one_or_none() is None:
                raise LeaseLost(job.id, job.consumer or "", job.attempt)

    def heartbeat(self, consumer: str, *, host: str, pid: int, queues: Sequence[str]) -> None:
        check_consumer(consumer)
        check_text("host", host, 255)
        check_int("pid", pid, 0, 2**31 - 1)
        names = ",".join(check_queue(name) for name in queues)
        with self._orm() as session:
            now = read_clock(session)
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
                row.stopped_at = read_clock(session)

    def cleanup(self, limit: int = 1000) -> int:
        with self._write() as connection:
            connection.execute(statements.forget_consumers(FORGET_AFTER // MICROSECOND))
            return _take_back(connection, check_limit(limit))


def _take_back(connection: Connection, limit: int) -> int:
    """Take back expired leases and make due jobs ready; return how many jobs that were."""
    overdue = connection.execute(statements.expired(limit)).scalars().all()
    if overdue:
        with Session(connection, autoflush=False) as session:
            now = read_clock(session)
            for row in session.scalars(select(JobRow).where(JobRow.id.in_(overdue))):
                expire(session, row, now)
            session.flush()
    return len(overdue) + connection.execute(statements.due(limit)).rowcount


def _startable(connection: Connection, rows: Sequence[Any]) -> list[Job]:
    """Return the claimed jobs in the order of G5, after ending those whose arguments nothing could run with."""
    ordered = sorted(rows, key=lambda row: (-row.priority, row.run_at, row.id))
    broken = [to_job(row) for row in ordered if not is_decodable(row)]
    if broken:
        with Session(connection, autoflush=False) as session:
            now, failure = read_clock(session), describe(UNDECODABLE)
            for job in broken:
                row = held_row(session, job)
                note(session, row, Outcome.FAILED, now, failure)
                finish(row, JobStatus.FAILED, now, failure.message)
            session.flush()
    return [to_job(row) for row in ordered if is_decodable(row)]


def _delay(delay: timedelta) -> timedelta:
    return check_span("delay", delay, timedelta(0), LONGEST_DELAY)
