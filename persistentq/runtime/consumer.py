"""Consumer: claims jobs, runs their tasks, settles them, and keeps their leases while they run."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from persistentq.checks import check_consumer, check_int, check_queue
from persistentq.clock import Bell, Deadline
from persistentq.errors import LeaseLost, PayloadError, StorageUnavailable
from persistentq.interface import PersistentQInterface
from persistentq.job import Job
from persistentq.job_log import Progress
from persistentq.runtime.workers import Ended, Workers
from persistentq.tasks import TASKS, JobContext, NoRetry, Tasks
from persistentq.text import safe

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

LOG = logging.getLogger("persistentq.consumer")
POLL_S = 0.25
HEARTBEAT_S = 5.0
DRAIN_S = 20.0


def make_consumer_id() -> str:
    """Return an id that no other process has: host, process id and chance."""
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:64] or "host"
    return f"{host}-{os.getpid()}-{token_hex(4)}"


class _Holder:
    def __init__(self, queue: PersistentQInterface, job: Job, lease: timedelta) -> None:
        self.queue, self._job, self._lease = queue, job, lease

    def extend(self) -> bool:
        return bool(self.queue.extend([self._job], self._lease))

    def record(self, lines: Sequence[str], progress: Progress | None) -> None:
        for line in [*lines, *([f"{progress.fraction:.0%} {progress.note}"] if progress else [])]:
            LOG.info("job %d %s: %s", self._job.id, self._job.task, safe(line))

    def completing(self, result: Any) -> AbstractContextManager[Session]:
        return self.queue.completing(self._job, result)


class Consumer:
    """Takes jobs from the queue and runs their tasks in threads, until it is told to stop.

    The thread that calls `run` does all the talking to the database. In each *turn* it settles what ended, renews
    the leases of what runs, and claims what there is room for.

    Args:
        queue: Where the jobs come from.
        queues: The names to serve, in this order of preference.
        concurrency: How many tasks run at once, 1 to 1000.
        consumer_id: None for one made of host, process and chance.
        tasks: What the jobs may run; None for everything registered with `@task`.
        lease: How long a job stays ours when we fall silent; renewed three times in this span.
        drain: How long a stop waits for running tasks before their jobs are given back.
    """

    def __init__(  # noqa: PLR0913 - each has a default; they are the consumer's settings
        self,
        queue: PersistentQInterface,
        queues: Sequence[str] = ("default",),
        concurrency: int = 1,
        consumer_id: str | None = None,
        *,
        tasks: Tasks | None = None,
        lease: timedelta = timedelta(seconds=60),
        drain: timedelta = timedelta(seconds=DRAIN_S),
    ) -> None:
        self._queue = queue
        self._queues = tuple(check_queue(name) for name in queues)
        self._concurrency = check_int("concurrency", concurrency, 1, 1000)
        self.id = check_consumer(consumer_id or make_consumer_id())
        self._tasks, self._lease, self._drain = tasks or TASKS, lease, drain
        self._bell = Bell()
        self._stops = 0
        self._held: dict[tuple[int, int], Job] = {}
        self._lost: set[tuple[int, int]] = set()
        self._ended: list[Ended] = []
        self._renewal = Deadline(0)
        self._heartbeat = Deadline(0)

    def stop(self) -> None:
        """Take no more jobs and let `run` return when the running ones ended; a second call gives them back at once.

        May be called from any thread and from signal handlers.
        """
        self._stops += 1
        self._bell.ring()

    @property
    def is_still_running(self) -> bool:
        """Whether tasks run here; after `run`, those that did not end in time, whose jobs were given back."""
        return bool(self._held)

    def run(self, burst: bool = False) -> None:
        """Work until `stop` is called; with `burst`, until no job is ready and none runs here.

        A database that is locked, full or out of reach is waited for. Call it once per Consumer.

        Raises:
            StorageError: the database failed in a way that waiting does not mend.
        """
        workers = Workers(self._tasks, self._concurrency, self._note_end)
        LOG.info("%s started; queues %s, %d at once", self.id, ",".join(self._queues), self._concurrency)
        while not self._stops:
            claimed = self._try_turn(workers)
            if burst and claimed == 0 and not self._held:
                break
            if not (claimed and len(self._held) < self._concurrency):
                self._bell.wait(POLL_S)
        self._finish()
        LOG.info("%s stopped", self.id)

    def _try_turn(self, workers: Workers) -> int | None:
        """Do one turn; return how many jobs were claimed, None if the database could not be used."""
        try:
            self._report()
            self._settle()
            self._renew()
            return self._claim(workers)
        except StorageUnavailable as error:
            LOG.warning("%s waits: %s", self.id, safe(error))
            return None

    def _report(self) -> None:
        if self._heartbeat.passed:
            self._queue.heartbeat(self.id, host=socket.gethostname(), pid=os.getpid(), queues=self._queues)
            self._heartbeat = Deadline(HEARTBEAT_S)

    def _claim(self, workers: Workers) -> int:
        room = self._concurrency - len(self._held)
        if room <= 0:
            return 0
        jobs = self._queue.dequeue(self.id, self._queues, room, self._lease)
        for job in jobs:
            self._held[job.id, job.attempt] = job
            workers.start(JobContext(job, _Holder(self._queue, job, self._lease)))
        return len(jobs)

    def _note_end(self, ended: Ended) -> None:
        self._ended.append(ended)
        self._bell.ring()

    def _settle(self) -> None:
        while self._ended:
            ended = self._ended[0]
            try:
                self._settle_one(ended)
            except LeaseLost as error:
                LOG.warning("%s", safe(error))
            # Only now: if the database could not be used, the outcome waits for the next turn.
            self._ended.pop(0)
            key = (ended.job.id, ended.job.attempt)
            self._held.pop(key, None)
            self._lost.discard(key)

    def _settle_one(self, ended: Ended) -> None:
        job, error = ended.job, ended.error
        if error is None:
            try:
                self._queue.complete(job, ended.result)
                LOG.info("job %d %s attempt %d done in %.3f s", job.id, job.task, job.attempt, ended.seconds)
                return
            except PayloadError as refused:
                error = NoRetry(f"the task's result cannot be stored: {refused.summary}")
        if isinstance(error, LeaseLost) and error.job_id == job.id:
            raise error
        now = self._queue.fail(job, error, retry=not isinstance(error, NoRetry))
        LOG.warning(
            "job %d %s attempt %d failed, now %s: %s",
            job.id,
            job.task,
            job.attempt,
            now.status,
            safe(now.error),
        )

    def _renew(self) -> None:
        running = [job for key, job in self._held.items() if key not in self._lost]
        if not self._renewal.passed or not running:
            return
        kept = {(job.id, job.attempt) for job in self._queue.extend(running, self._lease)}
        for job in running:
            if (job.id, job.attempt) not in kept:
                # Its thread cannot be stopped, so it keeps its place here; its outcome will be refused.
                self._lost.add((job.id, job.attempt))
                LOG.warning(
                    "job %d attempt %d was lost to another consumer or an operator", job.id, job.attempt
                )
        self._renewal = Deadline(self._lease.total_seconds() / 3)

    def _finish(self) -> None:
        """Wait for what runs, then give back what still does, and say goodbye."""
        limit = Deadline(self._drain.total_seconds())
        while self._held and not limit.passed and self._stops < 2:
            try:
                self._settle()
                self._renew()
            except StorageUnavailable as error:
                LOG.warning("%s waits: %s", self.id, safe(error))
            if self._held:
                self._bell.wait(min(POLL_S, limit.remaining))
        try:
            self._settle()
            if self._held:
                LOG.warning("%s gives back %d jobs that are still running", self.id, len(self._held))
                self._queue.release(self._held.values())
            self._queue.retire(self.id)
        except StorageUnavailable as error:
            LOG.warning("%s leaves its jobs to their leases: %s", self.id, safe(error))
