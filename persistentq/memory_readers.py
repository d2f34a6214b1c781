"""What PersistentQMemory holds, and the reading part of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from threading import RLock

from persistentq import clock
from persistentq.acts import check_batch
from persistentq.checks import check_id, check_int, check_limit, check_queue
from persistentq.doorbell import Doorbells
from persistentq.errors import JobNotFound
from persistentq.interface import PersistentQInterface
from persistentq.job import (
    UNFINISHED,
    ActivityBucket,
    Attempt,
    ConsumerInfo,
    Count,
    Job,
    JobStatus,
    Outcome,
    Page,
    QueueInfo,
)
from persistentq.job_log import JobLog
from persistentq.query import Query, matches
from persistentq.schedule import ScheduleInfo
from persistentq.selection import read_cursor


class MemoryReaders(PersistentQInterface):
    """What may be asked of a queue in memory; see PersistentQInterface."""

    def __init__(
        self,
        max_attempts: int = 3,
        lease: timedelta = timedelta(seconds=60),
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._max_attempts, self._lease, self._now = max_attempts, lease, now
        self._lock = RLock()
        self._jobs: dict[int, Job] = {}
        self._budgets: dict[int, int] = {}
        self._history: dict[int, list[Attempt]] = {}
        self._consumers: dict[str, ConsumerInfo] = {}
        self._pauses: dict[str, datetime | None] = {}
        self._schedules: dict[str, ScheduleInfo] = {}
        self._look_at: dict[str, datetime] = {}
        self._logs: dict[int, JobLog] = {}
        self._bells = Doorbells()
        self._last_id = 0

    def _holder(self, unique_key: str) -> Job | None:
        held = (job for job in self._jobs.values() if job.status in UNFINISHED)
        return next((job for job in held if job.unique_key == unique_key), None)

    def _ready(self, queue: str, consumer: str | None = None) -> list[Job]:
        ready = [job for job in self._jobs.values() if job.status == JobStatus.PENDING and job.queue == queue]
        if consumer is not None:
            ready = [job for job in ready if job.reserved_for in (None, consumer)]
        return sorted(ready, key=lambda job: (-job.priority, job.run_at, job.id))

    # --- readers

    def get_job(self, job_id: int) -> Job:
        with self._lock:
            try:
                return self._jobs[check_id(job_id)]
            except KeyError:
                raise JobNotFound(job_id) from None

    def get_attempts(self, job_id: int) -> list[Attempt]:
        with self._lock:
            job = self.get_job(job_id)
            ended = list(self._history.get(job_id, []))
            if job.status == JobStatus.PROCESSING:
                ended.append(running_attempt(job))
            elif job.status == JobStatus.DONE:
                ended.append(replace(running_attempt(job), ended_at=job.finished_at, outcome=Outcome.DONE))
            return ended

    def find_jobs(
        self, where: Query, *, among: Sequence[int] | None = None, limit: int = 100, after: str | None = None
    ) -> Page:
        check_limit(limit)
        below, ids = read_cursor(after), None if among is None else check_batch(among)
        found = [
            job
            for job in self._matching(where)
            if (below is None or job.id < below) and (ids is None or job.id in ids)
        ]
        page = tuple(found[:limit])
        return Page(page, str(page[-1].id) if len(found) > limit else None)

    def count_matching(self, where: Query, *, up_to: int = 10_000) -> Count:
        check_int("up_to", up_to, 1, 1_000_000)
        number = len(self._matching(where))
        return Count(min(number, up_to), number > up_to)

    def _matching(self, where: Query) -> list[Job]:
        """Return the jobs that a query means, newest first."""
        with self._lock:
            now = self._now()
            return sorted(
                (job for job in self._jobs.values() if matches(where, job, now)), key=lambda job: -job.id
            )

    def get_pending_jobs(self, queue: str = "default", limit: int = 100) -> list[Job]:
        with self._lock:
            return self._ready(check_queue(queue))[: check_limit(limit)]

    def count_jobs(self) -> dict[str, dict[JobStatus, int]]:
        with self._lock:
            pairs = Counter((job.queue, job.status) for job in self._jobs.values())
        counts: dict[str, dict[JobStatus, int]] = {}
        for (queue, status), number in sorted(pairs.items()):
            counts.setdefault(queue, {})[status] = number
        return counts

    def list_queues(self) -> list[QueueInfo]:
        with self._lock:
            counts = self.count_jobs()
            return [self._queue_info(name, counts.get(name, {})) for name in sorted({*counts, *self._pauses})]

    def _queue_info(self, name: str, counts: Mapping[JobStatus, int]) -> QueueInfo:
        is_paused = self._is_paused(name)
        until = self._pauses[name] if is_paused else None
        ready_since = [
            job.run_at for job in self._jobs.values() if job.queue == name and job.status == JobStatus.PENDING
        ]
        return QueueInfo(
            name=name,
            counts=counts,
            is_paused=is_paused,
            paused_until=until,
            oldest_pending=self._now() - min(ready_since) if ready_since else None,
        )

    def _is_paused(self, name: str) -> bool:
        if name not in self._pauses:
            return False
        until = self._pauses[name]
        return until is None or until > self._now()

    def list_consumers(self) -> list[ConsumerInfo]:
        with self._lock:
            now = self._now()
            held = Counter(job.consumer for job in self._jobs.values() if job.status == JobStatus.PROCESSING)
            known = [self._consumers[name] for name in sorted(self._consumers)]
            return [replace(one, silent_for=now - one.heartbeat_at, held=held[one.id]) for one in known]

    def activity(self, window: timedelta, buckets: int) -> list[ActivityBucket]:
        check_int("buckets", buckets, 1, 1000)
        with self._lock:
            start, step = self._now() - window, window / buckets
            done, failed = Counter[int](), Counter[int]()
            for job in self._jobs.values():
                if job.status == JobStatus.DONE and job.finished_at is not None and job.finished_at >= start:
                    done[(job.finished_at - start) // step] += 1
                for ended in self._history.get(job.id, []):
                    if (
                        ended.ended_at
                        and ended.ended_at >= start
                        and ended.outcome in (Outcome.FAILED, Outcome.LOST)
                    ):
                        failed[(ended.ended_at - start) // step] += 1
        return [ActivityBucket(start + n * step, done[n], failed[n]) for n in range(buckets)]

    @property
    def location(self) -> str:
        return "memory"

    @property
    def address(self) -> None:
        return None


def running_attempt(job: Job) -> Attempt:
    """Return the attempt that a processing or done job is or was in, as it began."""
    started_at = job.started_at or job.created_at
    return Attempt(attempt=job.attempt, consumer=job.consumer or "", started_at=started_at)
