"""How a job changes in PersistentQMemory, and the operators' part of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from persistentq.checks import MAX_ID, check_id, check_limit, check_queue
from persistentq.failure import Failure
from persistentq.job import (
    UNFINISHED,
    Job,
    JobStatus,
    Outcome,
    QueueInfo,
    require_before,
    statuses_before,
)
from persistentq.journal import ActNote, pause_details
from persistentq.memory_insight import MemoryInsight
from persistentq.memory_journal import MemoryJournal
from persistentq.memory_readers import running_attempt
from persistentq.selection import StatusFilter, check_pause, check_retention, check_statuses


class MemoryOperators(MemoryInsight, MemoryJournal):
    """What an operator may do to a queue in memory; see PersistentQInterface."""

    def _put(self, job: Job, **changes: Any) -> Job:
        self._jobs[job.id] = job = replace(job, **changes)
        if "cancel_requested" in changes or job.status in UNFINISHED - {JobStatus.PROCESSING}:
            self._bells.hint([job.queue])
        return job

    def _give_back(self, held: Job, status: JobStatus, **changes: Any) -> Job:
        if held.cancel_requested:
            return self._finish(held, JobStatus.CANCELLED)
        return self._wait(held, status, max_attempts=held.max_attempts + 1, **changes)

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

    def _operable(self, job_id: int, verb: str) -> Job:
        job = self.get_job(job_id)
        require_before(verb, job.id, job.status)
        return job

    def delete_job(self, job_id: int) -> None:
        with self._lock:
            self._drop(self._operable(job_id, "delete"))

    def _drop(self, job: Job) -> None:
        del self._jobs[job.id], self._budgets[job.id]
        self._history.pop(job.id, None)
        self._logs.pop(job.id, None)

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

    def pause_queue(
        self, queue: str, *, lasting: timedelta | None = None, note: ActNote | None = None
    ) -> QueueInfo:
        name, span = check_queue(queue), check_pause(lasting)
        with self._lock:
            if note is not None:
                self._open_entry(note, "pause", pause_details(name, span), self._now())
            self._pauses[name] = None if span is None else self._now() + span
            return self._queue_info(name, self.count_jobs().get(name, {}))

    def resume_queue(self, queue: str, *, note: ActNote | None = None) -> QueueInfo:
        check_queue(queue)
        with self._lock:
            if note is not None:
                self._open_entry(note, "resume", {"queue": queue}, self._now())
            self._pauses.pop(check_queue(queue), None)
            self._bells.hint([queue])
            return self._queue_info(queue, self.count_jobs().get(queue, {}))
