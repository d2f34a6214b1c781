"""The part of PersistentQMemory by which people find out what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from persistentq.checks import check_id, check_int, check_span
from persistentq.insight import (
    AHEAD,
    BROKEN,
    LATELY_JOBS,
    LATELY_S,
    TRACEBACK_END,
    Arrival,
    Circumstances,
    Ending,
    Examination,
    Expired,
    History,
    Mishap,
    Mishaps,
    Overview,
    Waiting,
    pace,
)
from persistentq.insight_interface import LONGEST_WINDOW
from persistentq.job import FINISHED, UNFINISHED, Attempt, Job, JobStatus, Outcome
from persistentq.memory_readers import MemoryReaders


class MemoryInsight(MemoryReaders):
    """Looks at a queue in memory; see PersistentQInterface."""

    def explain_job(self, job_id: int) -> Circumstances:
        with self._lock:
            job = self.get_job(check_id(job_id))
            attempts = self.get_attempts(job_id)
            is_paused = self._is_paused(job.queue)
            ahead = self._count_ahead(job)
            return Circumstances(
                now=self._now(),
                job=job,
                last=attempts[-1] if attempts else None,
                is_paused=is_paused,
                paused_until=self._pauses[job.queue] if is_paused else None,
                consumers=tuple(self.list_consumers()),
                ahead=min(ahead, AHEAD),
                is_capped=ahead > AHEAD,
                pace=self._pace(job.queue),
                rival=self._rival(job),
            )

    def _count_ahead(self, job: Job) -> int:
        if job.status != JobStatus.PENDING:
            return 0
        leaving = [one.id for one in self._ready(job.queue) if one.reserved_for in (None, job.reserved_for)]
        return leaving.index(job.id)

    def _pace(self, queue: str) -> float:
        now = self._now()
        since = now - timedelta(seconds=LATELY_S)
        ended = [
            job for job in self._jobs.values() if job.finished_at is not None and job.finished_at >= since
        ]
        ended = sorted(ended, key=_end, reverse=True)[:LATELY_JOBS]
        return pace([_end(job) for job in ended], sum(job.queue == queue for job in ended), now)

    def _rival(self, job: Job) -> int | None:
        if job.unique_key is None or job.status not in FINISHED:
            return None
        holder = self._holder(job.unique_key)
        return None if holder is None else holder.id

    def overview(self) -> Overview:
        with self._lock:
            now = self._now()
            expired = sorted(
                (
                    Expired(job.id, job.consumer or "", job.lease_until)
                    for job in self._jobs.values()
                    if job.lease_until is not None and job.lease_until <= now
                ),
                key=lambda one: (one.lease_until, one.job_id),
            )
            since: dict[str, datetime] = {}
            for job in self._jobs.values():
                if job.status in UNFINISHED - {JobStatus.PROCESSING} and job.run_at <= now:
                    since[job.queue] = min(job.run_at, since.get(job.queue, job.run_at))
            return Overview(
                now=now,
                expired=tuple(expired[:1000]),
                waiting=tuple(
                    Waiting(name, moment, self._is_paused(name)) for name, moment in sorted(since.items())
                ),
                consumers=tuple(self.list_consumers()),
            )

    def list_mishaps(self, window: timedelta, *, limit: int = 5000) -> Mishaps:
        check_span("window", window, timedelta(microseconds=1), LONGEST_WINDOW)
        check_int("limit", limit, 1, 20_000)
        with self._lock:
            now = self._now()
            found = [
                Mishap(
                    job.id,
                    job.task,
                    job.queue,
                    ended_at,
                    outcome,
                    attempt.error_type,
                    attempt.error,
                    attempt.traceback and attempt.traceback[-TRACEBACK_END:],
                )
                for job, attempt, ended_at, outcome in self._broken(now - window)
            ]
        found.sort(key=lambda one: (one.at, one.job_id), reverse=True)
        return Mishaps(now, tuple(found[:limit]), len(found) > limit)

    def _broken(self, start: datetime) -> Iterator[tuple[Job, Attempt, datetime, Outcome]]:
        for job in self._jobs.values():
            for one in self._history.get(job.id, []):
                if one.ended_at is not None and one.ended_at >= start and one.outcome in BROKEN:
                    yield job, one, one.ended_at, one.outcome

    def look_back(self, window: timedelta, buckets: int) -> History:
        check_span("window", window, timedelta(microseconds=1), LONGEST_WINDOW)
        check_int("buckets", buckets, 1, 500)
        with self._lock:
            now, jobs = self._now(), list(self._jobs.values())
            start = now - window
            ended = [*self._ended_jobs(start), *self._ended_attempts(start)]
        arrivals = [Arrival(job.queue, job.task, job.created_at) for job in jobs if job.created_at >= start]
        running = [
            Ending(job.queue, job.task, None, job.run_at, job.started_at, None)
            for job in jobs
            if job.status == JobStatus.PROCESSING
        ]
        return History(
            start=start,
            now=now,
            arrivals=tuple(arrivals),
            endings=tuple(ended),
            running=tuple(running),
            scanned=len(arrivals) + len(ended) + len(running),
            is_sample=False,
        )

    def _ended_jobs(self, start: datetime) -> Iterator[Ending]:
        for job in self._jobs.values():
            if job.status == JobStatus.DONE and job.finished_at is not None and job.finished_at >= start:
                times = (job.run_at, job.started_at, job.finished_at)
                yield Ending(job.queue, job.task, Outcome.DONE, *times)

    def _ended_attempts(self, start: datetime) -> Iterator[Ending]:
        for job in self._jobs.values():
            for one in self._history.get(job.id, []):
                if one.ended_at is not None and one.ended_at >= start:
                    outcome = one.outcome if one.outcome in BROKEN else None
                    yield Ending(job.queue, job.task, outcome, None, one.started_at, one.ended_at)

    def examine(self, *, thorough: bool = False) -> Examination:  # noqa: ARG002 - there is no file
        return Examination(self._now(), ())


def _end(job: Job) -> datetime:
    return job.finished_at or job.created_at
