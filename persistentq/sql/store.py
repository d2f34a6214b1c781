"""PersistentQSQLAlchemy: producers' and consumers' part of the store; readers and operators are its bases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy.orm import Session

from persistentq.acts import IMPORT, check_import, check_next, imported
from persistentq.checks import check_consumer, check_limit, check_report, check_trouble
from persistentq.errors import ConsumerAlive, LeaseLost, LockTimeout
from persistentq.job import FORGET_AFTER, Job, NewJob
from persistentq.journal import ActBatch, ActNote, check_verb
from persistentq.life import lasts
from persistentq.payload import encode_result
from persistentq.settlement import Settlement, Turn, Verb
from persistentq.sql import statements, upkeep
from persistentq.sql.acts import Acts, keep_house
from persistentq.sql.adding import Adding, row_values
from persistentq.sql.claiming import Claim, Rows
from persistentq.sql.group_commit import Shared
from persistentq.sql.hot import Cursor, joined
from persistentq.sql.journal import Done, open_entry, tell_batch
from persistentq.sql.logs import Logs
from persistentq.sql.models import MICROSECOND, ConsumerRow
from persistentq.sql.prepared import Prepared, as_arrays
from persistentq.sql.repeating import repeating
from persistentq.sql.rows import changed, renewed
from persistentq.sql.schedules import Schedules
from persistentq.sql.settling import settle
from persistentq.sql.transactions import Defaults
from persistentq.sql.waiting import Waiting

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

    from persistentq.failure import Failure

Made = TypeVar("Made")


class _Said(NamedTuple):
    """What a consumer says and asks in a turn, but for the settlements that the ORM makes."""

    consumer: str
    done: Sequence[Settlement]
    held: Sequence[Job]
    lease_us: int
    watch: bool
    claim: Claim | None


@repeating
class PersistentQSQLAlchemy(Waiting, Schedules, Logs, Acts):
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
        self._hints.close()
        self._hot.close()
        self._engine.dispose()

    # --- producers

    def enqueue_many(
        self, jobs: Iterable[NewJob], *, session: Session | Connection | None = None
    ) -> list[Job]:
        values = [row_values(new, self._defaults.max_attempts, self._facts) for new in jobs]
        if not values:
            return []
        queues = {one["queue"] for one in values}
        if session is not None:
            added = self._run(partial(self._adding.add, values), session)
            self._hints.give_later(queues, session)
        else:
            added = self._add_shared(values)
            self._hints.give(queues)
        return added

    def _add_all(self, batch: list[list[dict[str, Any]]]) -> list[list[Job]]:
        """Store the jobs of several calls in one transaction; return those of each call."""
        every = list(chain.from_iterable(batch))
        jobs = iter(self._run(partial(self._adding.add, every), single=self._adding.is_single(every)))
        return [list(islice(jobs, len(values))) for values in batch]

    def import_jobs(
        self,
        jobs: Sequence[NewJob],
        *,
        note: ActNote | int,
        details: Mapping[str, Any],
        verb: str = IMPORT,
        batch: int = 1,
    ) -> ActBatch:
        check_import(jobs, batch, details)
        values = [row_values(new, self._defaults.max_attempts, self._facts) for new in jobs]

        def do(session: Session) -> tuple[ActBatch, set[str]]:
            now = self._clock(session)
            entry = open_entry(session, note, check_verb(verb), details, now)
            check_next(batch, entry.batches)
            added = self._adding.add(values, joined(session.connection(), self._facts))
            return tell_batch(session, entry, Done(*imported(added)), now), {one["queue"] for one in values}

        return self._in_one(do)

    # --- consumers

    def complete(self, job: Job, result: Any = None, *, session: Session | Connection | None = None) -> None:
        values = {**_identity(job), "outcome": encode_result(result)}
        if self._run(lambda cursor: cursor.count(self._sql.complete, values), session, single=True):
            return
        if not self._run(lambda cursor: cursor.rows(self._sql.completed, values), session, single=True):
            raise LeaseLost(job.id, job.consumer or "", job.attempt)

    def complete_many(self, jobs: Iterable[Job]) -> list[Job]:
        given = [Settlement(job, Verb.COMPLETE) for job in jobs]
        if not given:
            return []
        # Alone, a statement with arrays is a transaction by itself.
        if self._facts.has_arrays and self._run(partial(self._complete_all, given), single=True) == len(
            given
        ):
            return []
        return self._run(partial(self._complete_each, given))

    def _complete_all(self, given: Sequence[Settlement], cursor: Cursor) -> int:
        """Complete those jobs that are held; return how many."""
        if (listed := self._sql.complete_listed) is not None:
            plain = [
                (word.job.id, word.job.consumer, word.job.attempt) for word in given if word.result is None
            ]
            if plain:
                number = cursor.count(listed, {"held": json.dumps(plain)})
                rest = [word for word in given if word.result is not None]
                return number + (self._complete_all(rest, cursor) if rest else 0)
        values = [{**_identity(word.job), "outcome": word.result} for word in given]
        if (every := self._sql.complete_all) is not None:
            return cursor.count(every, as_arrays(values, statements.SETTLED_TYPES))
        return cursor.count_all(self._sql.complete, values)

    def _complete_each(self, given: Sequence[Settlement], cursor: Cursor) -> list[Job]:
        """Complete those jobs that are held; return the others."""
        if self._complete_all(given, cursor) == len(given):
            return []
        # Some were refused or given twice or completed before. None of those can be held at that attempt again.
        done = [bool(cursor.rows(self._sql.completed, _identity(word.job))) for word in given]
        return [word.job for word, is_done in zip(given, done, strict=True) if not is_done]

    def fail(
        self,
        job: Job,
        error: BaseException | Failure | str,
        *,
        retry: bool = True,
        delay: timedelta | None = None,
    ) -> Job:
        return self._settle(Settlement.fail(job, error, retry=retry, delay=delay))

    def snooze(self, job: Job, delay: timedelta) -> Job:
        return self._settle(Settlement.snooze(job, delay))

    def _settle(self, word: Settlement) -> Job:
        with self._orm() as session:
            return changed(word.job, settle(session, word, self._clock(session)))

    def release(self, jobs: Iterable[Job]) -> list[Job]:
        words = [Settlement.release(job) for job in jobs]
        with self._orm() as session:
            refused = self._settle_each(session, words)
        self._hint_released(words)
        return refused

    def _hint_released(self, words: Iterable[Settlement]) -> None:
        self._hints.give({word.job.queue for word in words if word.verb is Verb.RELEASE})

    def _settle_each(self, session: Session, given: Sequence[Settlement]) -> list[Job]:
        """Do what is said of these jobs, where they are held; return the others."""
        refused, now = [], self._clock(session)
        heard: set[tuple[int, int]] = set()
        for word in given:
            attempt = word.job.id, word.job.attempt
            try:
                if attempt in heard:
                    raise LeaseLost(word.job.id, word.job.consumer or "", word.job.attempt)
                settle(session, word, now)
            except LeaseLost:
                refused.append(word.job)
            heard.add(attempt)
        return refused

    def turn(  # noqa: PLR0913 - as in the contract
        self,
        consumer: str,
        *,
        settled: Sequence[Settlement] = (),
        held: Sequence[Job] = (),
        watch: bool = False,
        queues: Sequence[str] = ("default",),
        limit: int = 0,
        lease: timedelta | None = None,
    ) -> Turn:
        if limit and not (settled or held or watch):
            return Turn(claimed=self.dequeue(consumer, queues, limit, lease))
        done = [word for word in settled if word.verb is Verb.COMPLETE]
        others = [word for word in settled if word.verb is not Verb.COMPLETE]
        claim = self._claim_of(consumer, queues, limit, lease) if limit else None
        said = _Said(check_consumer(consumer), done, held, self._lease_us(lease), watch, claim)
        if not others:
            turn, found = self._run(partial(self._take_turn, said))
        else:
            with self._orm() as session:
                refused = self._settle_each(session, others)
                session.flush()
                turn, found = self._take_turn(said, joined(session.connection(), self._facts))
            self._hint_released(others)
            turn = replace(turn, refused=refused + turn.refused)
        return turn if claim is None else replace(turn, claimed=self._claimed(claim, found))

    def _take_turn(self, said: _Said, cursor: Cursor) -> tuple[Turn, list[Rows]]:
        refused = self._complete_each(said.done, cursor) if said.done else []
        kept = {job_id for job_id, *_ in self._renew(said.held, said.lease_us, cursor)} if said.held else ()
        lost = [job for job in said.held if job.id not in kept]
        values = {"by_consumer": said.consumer}
        watched = cursor.rows(self._sql.cancelling, values) if said.watch else []
        found = [] if said.claim is None else self._claim_rows(said.claim, cursor, calm=True)
        return Turn(refused, lost, frozenset(job_id for (job_id,) in watched)), found

    def extend(self, jobs: Iterable[Job], lease: timedelta | None = None) -> list[Job]:
        given, span = list(jobs), self._lease_us(lease)
        if not given:
            return []
        rows = self._run(partial(self._renew, given, span), single=self._facts.has_arrays)
        held = {job_id: rest for job_id, *rest in rows}
        return [renewed(job, *held[job.id]) for job in given if job.id in held]

    def _renew(self, given: Sequence[Job], span: int, cursor: Cursor) -> list[Any]:
        """Renew the leases of those jobs that are held; return a row for each of them."""
        values = [{**_identity(job), "lease_us": span} for job in given]
        if (every := self._sql.extend_all) is not None:
            return cursor.rows(every, as_arrays(values, values[0]))
        return [row for one in values for row in cursor.rows(self._sql.extend, one)]

    @contextmanager
    def completing(self, job: Job, result: Any = None) -> Iterator[Session]:
        encode_result(result)
        with Session(self._writer) as session, session.begin():
            yield session
            self.complete(job, result, session=session)
        self._facts.after_write(self._engine)

    def guard(self, job: Job, *, session: Session | Connection) -> None:
        if not self._run(lambda cursor: cursor.count(self._sql.guard, _identity(job)), session):
            raise LeaseLost(job.id, job.consumer or "", job.attempt)

    def heartbeat(  # noqa: PLR0913 - as in the contract
        self,
        consumer: str,
        *,
        host: str,
        pid: int,
        queues: Sequence[str],
        life: str = "",
        trouble: str | None = None,
        tasks: Sequence[str] | None = None,
    ) -> None:
        check_report(consumer, host, pid, queues, life, trouble, tasks)
        with self._orm() as session:
            now = self._clock(session)
            mine = {"id": consumer, "host": host, "pid": pid, "life": life, "stopped_at": None}
            row = self._consumer_row(session, mine | {"queues": "", "started_at": now, "heartbeat_at": now})
            if any(getattr(row, name) != value for name, value in mine.items()):
                if row.stopped_at is None and lasts(row.life, now - row.heartbeat_at):
                    raise ConsumerAlive(consumer, row.host, row.pid, row.started_at)
                row.host, row.pid, row.life, row.started_at, row.stopped_at = host, pid, life, now, None
            row.queues, row.heartbeat_at, row.trouble = ",".join(queues), now, trouble
            row.tasks = None if tasks is None else " ".join(sorted(set(tasks)))

    def _consumer_row(self, session: Session, fresh: dict[str, Any]) -> ConsumerRow:
        """Return the locked row of a consumer, made of `fresh` if there was none."""
        while (row := session.get(ConsumerRow, fresh["id"], with_for_update=True)) is None:
            # Another may make it at the same moment, and then its row is the one.
            session.execute(self._facts.insert(ConsumerRow).values(fresh).on_conflict_do_nothing())
        return row

    def retire(self, consumer: str, *, life: str | None = None, trouble: str | None = None) -> None:
        check_consumer(consumer)
        check_trouble(trouble)
        with self._orm() as session:
            row = session.get(ConsumerRow, consumer, with_for_update=True)
            if row is not None and life in {None, row.life}:
                row.stopped_at, row.trouble = self._clock(session), trouble

    def cleanup(self, limit: int = 1000) -> int:
        due = Prepared(statements.due(check_limit(limit)), self._engine.dialect)
        with self._orm() as session:
            session.execute(upkeep.forget_consumers(FORGET_AFTER // MICROSECOND))
            keep_house(session, self._clock(session), limit)
            taken_back = self._reap(session, limit)
        return taken_back + self._run(lambda cursor: cursor.count(due, {}))


def _identity(job: Job) -> dict[str, Any]:
    """Return what proves that a job is held: id, consumer, attempt."""
    return {"held_id": job.id, "held_by": job.consumer, "held_at": job.attempt}
