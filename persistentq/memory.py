"""PersistentQMemory: the contract in plain Python, the model that every database is tested against."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from persistentq.acts import IMPORT, check_import, check_next, imported
from persistentq.backoff import DEFAULT
from persistentq.checks import (
    check_consumer,
    check_limit,
    check_queue,
    check_report,
    check_span,
    check_trouble,
)
from persistentq.errors import ConsumerAlive, InvalidArgument, LeaseLost
from persistentq.failure import Failure, worker_died
from persistentq.job import (
    FORGET_AFTER,
    LONGEST_LEASE,
    ConsumerInfo,
    Job,
    JobStatus,
    NewJob,
    Outcome,
)
from persistentq.journal import ActBatch, ActNote, check_verb
from persistentq.life import lasts
from persistentq.memory_acts import MemoryActs
from persistentq.memory_log import MemoryLog
from persistentq.memory_schedules import MemorySchedules
from persistentq.memory_waiting import MemoryWaiting
from persistentq.payload import decode_args, decode_result, encode_args
from persistentq.settlement import Settlement, Turn, Verb
from persistentq.telemetry.tracing import with_trace

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session


class PersistentQMemory(MemoryWaiting, MemorySchedules, MemoryLog, MemoryActs):
    """A queue that lives and dies with its process; for tests, and as the meaning of the contract.

    Args:
        max_attempts: For jobs that do not say.
        lease: For `dequeue` and `extend` calls that do not say.
        now: Where the time comes from; a test may move it.
    """

    # --- producers

    def enqueue_many(
        self, jobs: Iterable[NewJob], *, session: Session | Connection | None = None
    ) -> list[Job]:
        self._refuse(session)
        with self._lock:
            ready = [(new, _copied(new.args), _copied(with_trace(new.metadata), "metadata")) for new in jobs]
            return [self._add(new, args, metadata) for new, args, metadata in ready]

    def _refuse(self, session: object) -> None:
        if session is not None:
            raise InvalidArgument("session", session, "cannot be joined: this queue is not in a database")

    def _add(self, new: NewJob, args: dict[str, Any], metadata: dict[str, Any]) -> Job:
        if new.unique_key is not None and (holder := self._holder(new.unique_key)):
            return replace(holder, duplicate=True)
        now = self._now()
        run_at = new.run_at.astimezone(UTC) if new.run_at else now + (new.delay or timedelta(0))
        self._last_id += 1
        job = Job(
            id=self._last_id,
            task=new.task,
            args=args,
            queue=new.queue,
            priority=new.priority,
            status=JobStatus.SCHEDULED if run_at > now else JobStatus.PENDING,
            attempt=0,
            max_attempts=new.max_attempts or self._max_attempts,
            created_at=now,
            run_at=run_at,
            unique_key=new.unique_key,
            tags=tuple(new.tags),
            metadata=metadata,
            backoff=new.backoff,
        )
        self._budgets[job.id] = job.max_attempts
        return self._put(job)

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
        with self._lock:
            check_next(batch, 0 if isinstance(note, ActNote) else self.get_entry(note).batches)
            added = self.enqueue_many(jobs)
            entry = self._open_entry(note, check_verb(verb), details, self._now())
            return self._tell_batch(entry, *imported(added))

    # --- consumers

    def dequeue(
        self,
        consumer: str,
        queues: Sequence[str] = ("default",),
        limit: int = 1,
        lease: timedelta | None = None,
    ) -> list[Job]:
        check_consumer(consumer), check_limit(limit)
        names = [check_queue(name) for name in dict.fromkeys(queues)]
        span = self._span(lease)
        with self._lock:
            self._take_back(limit=1000)
            taken: list[Job] = []
            for name in names:
                ready = [] if self._is_paused(name) else self._ready(name, consumer)[: limit - len(taken)]
                taken += [self._claim(job, consumer, span) for job in ready]
            return taken

    def _span(self, lease: timedelta | None) -> timedelta:
        return check_span("lease", lease or self._lease, timedelta(milliseconds=1), LONGEST_LEASE)

    def _claim(self, job: Job, consumer: str, span: timedelta) -> Job:
        now = self._now()
        return self._put(
            job,
            status=JobStatus.PROCESSING,
            attempt=job.attempt + 1,
            consumer=consumer,
            reserved_for=None,
            started_at=now,
            lease_until=now + span,
        )

    def complete(self, job: Job, result: Any = None, *, session: Session | Connection | None = None) -> None:
        self._refuse(session)
        self._settle(Settlement.complete(job, result))

    def complete_many(self, jobs: Iterable[Job]) -> list[Job]:
        return self._refused([Settlement(job, Verb.COMPLETE) for job in jobs])

    def completing(self, job: Job, result: Any = None) -> AbstractContextManager[Session]:  # noqa: ARG002
        problem = "cannot be had: this queue is not in a database"
        raise InvalidArgument("session", f"of job {job.id}", problem)

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

    def release(self, jobs: Iterable[Job]) -> list[Job]:
        return self._refused([Settlement.release(job) for job in jobs])

    def _settle(self, word: Settlement) -> Job:
        with self._lock:
            if word.verb is Verb.COMPLETE:
                return self._complete(word)
            held, pause = self._held(word.job), word.delay or timedelta(0)
            match word.verb:
                case Verb.FAIL:
                    return self._fail(held, word)
                case Verb.SNOOZE:
                    self._note(held, Outcome.SNOOZED)
                    return self._give_back(held, JobStatus.SCHEDULED, run_at=self._now() + pause)
                case Verb.RELEASE:
                    self._note(held, Outcome.RELEASED)
                    return self._give_back(held, JobStatus.PENDING)
                case Verb.CANCEL:
                    self._note(held, Outcome.CANCELLED, word.failure)
                    return self._finish(
                        held, JobStatus.CANCELLED, error=word.failure and word.failure.message
                    )

    def _complete(self, word: Settlement) -> Job:
        current = self._jobs.get(word.job.id)
        if current and _same_attempt(current, word.job) and current.status == JobStatus.DONE:
            return current
        result = decode_result(word.result)
        return self._finish(self._held(word.job), JobStatus.DONE, result=result, error=None)

    def _fail(self, held: Job, word: Settlement) -> Job:
        message = word.failure and word.failure.message
        self._note(held, Outcome.FAILED, word.failure)
        if held.cancel_requested:
            return self._finish(held, JobStatus.CANCELLED, error=message)
        if not word.retry or held.attempt >= held.max_attempts:
            return self._finish(held, JobStatus.FAILED, error=message)
        pause = word.delay
        if pause is None:
            pause = (held.backoff or DEFAULT).delay(held.attempt, random.random())
        return self._wait(held, JobStatus.SCHEDULED, run_at=self._now() + pause, error=message)

    def extend(self, jobs: Iterable[Job], lease: timedelta | None = None) -> list[Job]:
        span = self._span(lease)
        with self._lock:
            now = self._now()
            held = [self._jobs[job.id] for job in jobs if self._is_held(job)]
            return [self._put(job, lease_until=now + span) for job in held]

    def _is_held(self, job: Job) -> bool:
        current = self._jobs.get(job.id)
        return current is not None and current.status == JobStatus.PROCESSING and _same_attempt(current, job)

    def _held(self, job: Job) -> Job:
        if not self._is_held(job):
            raise LeaseLost(job.id, job.consumer or "", job.attempt)
        return self._jobs[job.id]

    def _refused(self, words: Iterable[Settlement]) -> list[Job]:
        refused = []
        with self._lock:
            for word in words:
                try:
                    self._settle(word)
                except LeaseLost:
                    refused.append(word.job)
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
        check_consumer(consumer)
        with self._lock:
            refused = self._refused(settled)
            kept = {(job.id, job.attempt) for job in self.extend(held, lease)}
            asked = {
                job.id for job in self._jobs.values() if job.cancel_requested and job.consumer == consumer
            }
            return Turn(
                refused,
                [job for job in held if (job.id, job.attempt) not in kept],
                frozenset(asked if watch else ()),
                self.dequeue(consumer, queues, limit, lease) if limit else [],
            )

    def guard(self, job: Job, *, session: Session | Connection) -> None:
        self._refuse(session)
        self._held(job)

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
        with self._lock:
            now, known = self._now(), self._consumers.get(consumer)
            if known is not None and known.stopped_at is not None:
                known = None
            same = known is not None and (known.host, known.pid, known.life) == (host, pid, life)
            if known is not None and not same and lasts(known.life, now - known.heartbeat_at):
                raise ConsumerAlive(consumer, known.host, known.pid, known.started_at)
            self._consumers[consumer] = ConsumerInfo(
                id=consumer,
                host=host,
                pid=pid,
                queues=tuple(queues),
                started_at=known.started_at if known and same else now,
                heartbeat_at=now,
                silent_for=timedelta(0),
                held=0,
                life=life,
                trouble=trouble,
                tasks=None if tasks is None else tuple(sorted(set(tasks))),
            )

    def retire(self, consumer: str, *, life: str | None = None, trouble: str | None = None) -> None:
        check_consumer(consumer)
        check_trouble(trouble)
        with self._lock:
            known = self._consumers.get(consumer)
            if known is not None and life in {None, known.life}:
                self._consumers[consumer] = replace(known, stopped_at=self._now(), trouble=trouble)

    def cleanup(self, limit: int = 1000) -> int:
        with self._lock:
            changed = self._take_back(check_limit(limit))
            self._keep_house(self._now())
            cutoff = self._now() - FORGET_AFTER
            gone = [
                known.id for known in self.list_consumers() if not known.held and known.heartbeat_at < cutoff
            ]
            for name in gone:
                del self._consumers[name]
            return changed

    def _take_back(self, limit: int) -> int:
        now = self._now()
        jobs = list(self._jobs.values())
        due = [job for job in jobs if job.status == JobStatus.SCHEDULED and job.run_at <= now]
        for job in sorted(due, key=lambda job: (job.run_at, job.id))[:limit]:
            self._put(job, status=JobStatus.PENDING)
        expired = [job for job in jobs if job.lease_until is not None and job.lease_until <= now][:limit]
        for job in expired:
            self._expire(job)
        return len(due[:limit]) + len(expired)

    def _expire(self, job: Job) -> None:
        failure = worker_died(job.consumer or "", job.attempt)
        self._note(job, Outcome.LOST, failure)
        if job.cancel_requested:
            self._finish(job, JobStatus.CANCELLED, error=failure.message)
        elif job.attempt >= job.max_attempts:
            self._finish(job, JobStatus.FAILED, error=failure.message)
        else:
            self._wait(job, JobStatus.PENDING, error=failure.message)


def _copied(value: Mapping[str, Any], name: str = "args") -> dict[str, Any]:
    return decode_args(encode_args(value, name)) or {}


def _same_attempt(current: Job, job: Job) -> bool:
    return (current.consumer, current.attempt) == (job.consumer, job.attempt)
