"""How consumers of a queue in memory wait; see PersistentQInterface."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from persistentq.checks import check_consumer, check_queue
from persistentq.doorbell import Doorbell, LocalDoorbell
from persistentq.job import JobStatus
from persistentq.memory_operators import MemoryOperators


class MemoryWaiting(MemoryOperators):
    """A doorbell that is told by the methods that store, and the next moment that comes by itself."""

    def listen(self, consumer: str | None = None, queues: Sequence[str] | None = None) -> Doorbell:
        if consumer is not None:
            check_consumer(consumer)
        bell = LocalDoorbell(queues and [check_queue(name) for name in queues])
        self._bells.add(bell)
        return bell

    def next_due(self, queues: Sequence[str] = ("default",)) -> timedelta | None:
        names = {check_queue(name) for name in queues}
        with self._lock:
            moments = [job.lease_until for job in self._jobs.values() if job.lease_until is not None]
            moments += [
                job.run_at
                for job in self._jobs.values()
                if job.status == JobStatus.SCHEDULED and job.queue in names
            ]
            return max(min(moments) - self._now(), timedelta(0)) if moments else None

    def close(self) -> None:
        self._bells.close()
