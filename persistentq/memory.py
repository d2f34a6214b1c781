"""PersistentQMemory: the contract in plain Python, the model that every database is tested against."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from persistentq.backoff import DEFAULT
from persistentq.checks import MAX_ID, check_consumer, check_id, check_limit, check_queue, check_span
from persistentq.errors import InvalidArgument, LeaseLost, UniqueKeyTaken
from persistentq.failure import Failure, describe, worker_died
from persistentq.job import (
    FORGET_AFTER,
    LONGEST_LEASE,
    UNFINISHED,
    ConsumerInfo,
    Job,
    JobStatus,
    NewJob,
    Outcome,
    QueueInfo,
    require_before,
    statuses_before,
)
from persistentq.memory_readers import MemoryReaders, running_attempt
from persistentq.payload import decode_args, decode_result, encode_args, encode_result
from persistentq.selection import StatusFilter, check_pause, check_retention, check_statuses

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session


class PersistentQMemory(MemoryReaders):
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
            ready = [(new, _copied(new.args), _copied(new.metadata, "metadata")) for new in jobs]
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

    def _holder(self, unique_key: str) -> Job | None:
        held = (job for job in self._jobs.values() if job.status in UNFINISHED)
        return next((job for job in held if job.unique_key == unique_key), None)

    def _put(self, job: Job, **changes: Any) -> Job:
        self._jobs[job.id] = job = replace(job, **changes)
        return job

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
        stored = decode_result(encode_result(result))
        with self._lock:
            current = self._jobs.get(job.id)
            if current and _same_attempt(current, job) and current.status == JobStatus.DONE:
                return
            self._finish(self._held(job), JobStatus.DONE, result=stored, error=None)

    def complete_many(self, jobs: Iterable[Job]) -> list[Job]:
        return self._refused(jobs, self.complete)

    def fail(
        self,
        job: Job,
        error: BaseException | str,
        *,
        retry: bool = True,
        delay: timedelta | None = None,
    ) -> Job:
        failure = describe(error)
        with self._lock:
            held = self._held(job)
            self._note(held, Outcome.FAILED, failure)
            if held.cancel_requested:
                return self._finish(held, JobStatus.CANCELLED, error=failure.message)
            if not retry or held.attempt >= held.max_attempts:
                return self._finish(held, JobStatus.FAILED, error=failure.message)
            wait = (held.backoff or DEFAULT).delay(held.attempt, random.random()) if delay is None else delay
            return self._wait(held, JobStatus.SCHEDULED, run_at=self._now() + wait, error=failure.message)

    def snooze(self, job: Job, delay: timedelta) -> Job:
        with self._lock:
            held = self._held(job)
            self._note(held, Outcome.SNOOZED)
            return self._give_back(held, JobStatus.SCHEDULED, run_at=self._now() + delay)

    def release(self, jobs: Iterable[Job]) -> list[Job]:
        return self._refused(jobs, self._release)

    def _release(self, job: Job) -> None:
        held = self._held(job)
        self._note(held, Outcome.RELEASED)
        self._give_back(held, JobStatus.PENDING)

    def _give_back(self, held: Job, status: JobStatus, **changes: Any) -> Job:
        if held.cancel_requested:
            return self._finish(held, JobStatus.CANCELLED)
        return self._wait(held, status, max_attempts=held.max_attempts + 1, **changes)

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

    def _refused(self, jobs: Iterable[Job], settle: Callable[[Job], None]) -> list[Job]:
        refused = []
        with self._lock:
            for job in jobs:
                try:
                    settle(job)
                except LeaseLost:
                    refused.append(job)
        return refused

    def _note(self, held: Job, outcome: Outcome, failure: Failure | None = None) -> None:
        kind, message, trace = failure or (None, None, None)
        ended = replace(
            running_attempt(held),
            ended_at=self._now(),
            outcome=outcome,
            error_type=kind,
            error=message,
            traceback=trace,
        )
        self._history.setdefault(held.id, []).append(ended)

    def _finish(self, job: Job, status: JobStatus, **changes: Any) -> Job:
        cleared = {"lease_until": None, "reserved_for": None, "cancel_requested": False}
        return self._put(job, status=status, finished_at=self._now(), **cleared, **changes)

    def _wait(self, job: Job, status: JobStatus, **changes: Any) -> Job:
        return self._put(job, status=status, lease_until=None, **changes)

    def guard(self, job: Job, *, session: Session | Connection) -> None:
        self._refuse(session)
        self._held(job)

    def heartbeat(self, consumer: str, *, host: str, pid: int, queues: Sequence[str]) -> None:
        check_consumer(consumer)
        with self._lock:
            now, known = self._now(), self._consumers.get(consumer)
            same = known is not None and (known.host, known.pid, known.stopped_at) == (host, pid, None)
            self._consumers[consumer] = ConsumerInfo(
                id=consumer,
                host=host,
                pid=pid,
                queues=tuple(queues),
                started_at=known.started_at if known and same else now,
                heartbeat_at=now,
                silent_for=timedelta(0),
                held=0,
            )

    def retire(self, consumer: str) -> None:
        with self._lock:
            if known := self._consumers.get(check_consumer(consumer)):
                self._consumers[consumer] = replace(known, stopped_at=self._now())

    def cleanup(self, limit: int = 1000) -> int:
        with self._lock:
            changed = self._take_back(check_limit(limit))
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

    # --- operators

    def resubmit(self, job_id: int) -> Job:
        with self._lock:
            job = self._operable(job_id, "resubmit")
            if job.unique_key is not None and self._holder(job.unique_key):
                raise UniqueKeyTaken(job.id, job.unique_key)
            budget = job.attempt + self._budgets[job.id]
            return self._wait(
                job, JobStatus.PENDING, run_at=self._now(), finished_at=None, max_attempts=budget
            )

    def cancel(self, job_id: int) -> Job:
        with self._lock:
            job = self._operable(job_id, "cancel")
            if job.status == JobStatus.PROCESSING:
                return self._put(job, cancel_requested=True)
            return self._finish(job, JobStatus.CANCELLED)

    def mark_failed(self, job_id: int, reason: str) -> Job:
        failure = describe(reason)
        with self._lock:
            job = self._operable(job_id, "mark-failed")
            if job.status == JobStatus.PROCESSING:
                self._note(job, Outcome.TAKEN, failure)
            return self._finish(job, JobStatus.FAILED, error=failure.message)

    def assign_job(self, job_id: int, consumer: str | None) -> Job:
        name = None if consumer is None else check_consumer(consumer)
        with self._lock:
            job = self._operable(job_id, "assign")
            if job.status != JobStatus.PROCESSING:
                return self._put(job, reserved_for=name)
            self._note(job, Outcome.TAKEN)
            taken = self._give_back(job, JobStatus.PENDING)
            return taken if taken.status == JobStatus.CANCELLED else self._put(taken, reserved_for=name)

    def delete_job(self, job_id: int) -> None:
        with self._lock:
            self._drop(self._operable(job_id, "delete"))

    def _drop(self, job: Job) -> None:
        del self._jobs[job.id], self._budgets[job.id]
        self._history.pop(job.id, None)

    def delete_jobs(
        self,
        *,
        status: StatusFilter = None,
        queue: str | None = None,
        up_to: int | None = None,
        limit: int = 1000,
    ) -> int:
        check_limit(limit)
        highest = MAX_ID if up_to is None else check_id(up_to)
        wanted = check_statuses(status) or tuple(JobStatus)
        with self._lock:
            chosen = [
                job
                for job in self._jobs.values()
                if job.status in wanted
                and job.status in statuses_before("delete")
                and (queue is None or job.queue == queue)
                and job.id <= highest
            ][:limit]
            for job in chosen:
                self._drop(job)
            return len(chosen)

    def prune_jobs(
        self,
        status: JobStatus | str,
        *,
        older_than: timedelta | None = None,
        keep: int | None = None,
        limit: int = 1000,
    ) -> int:
        wanted = check_retention(status, older_than, keep)
        check_limit(limit)
        with self._lock:
            last_first = sorted(
                (job for job in self._jobs.values() if job.status == wanted and job.finished_at),
                key=lambda job: (job.finished_at, job.id),
                reverse=True,
            )
            surplus = last_first[keep:] if keep is not None else []
            cutoff = None if older_than is None else self._now() - older_than
            old = [job for job in last_first if cutoff and job.finished_at and job.finished_at < cutoff]
            chosen = sorted(
                {job.id: job for job in surplus + old}.values(), key=lambda job: (job.finished_at, job.id)
            )
            for job in chosen[:limit]:
                self._drop(job)
            return len(chosen[:limit])

    def pause_queue(self, queue: str, *, lasting: timedelta | None = None) -> QueueInfo:
        name, span = check_queue(queue), check_pause(lasting)
        with self._lock:
            self._pauses[name] = None if span is None else self._now() + span
            return self._queue_info(name, self.count_jobs().get(name, {}))

    def resume_queue(self, queue: str) -> QueueInfo:
        with self._lock:
            self._pauses.pop(check_queue(queue), None)
            return self._queue_info(queue, self.count_jobs().get(queue, {}))

    def _operable(self, job_id: int, verb: str) -> Job:
        job = self.get_job(job_id)
        require_before(verb, job.id, job.status)
        return job


def _copied(value: Mapping[str, Any], name: str = "args") -> dict[str, Any]:
    return decode_args(encode_args(value, name)) or {}


def _same_attempt(current: Job, job: Job) -> bool:
    return (current.consumer, current.attempt) == (job.consumer, job.attempt)
