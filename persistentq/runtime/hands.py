"""What a consumer has in hand: the runs it holds, which of them to stop, and when to look again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from persistentq.job import Job
from persistentq.runtime.executor import Run


class Hands:
    """The runs that this process holds, from the claim until its word on them was heard."""

    def __init__(self) -> None:
        self._runs: dict[tuple[int, int], Run] = {}
        self._timed: dict[tuple[int, int], Run] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def take(self, run: Run) -> None:
        """Hold a run from now on."""
        self._runs[run.key] = run
        if run.task.timeout is not None:
            self._timed[run.key] = run

    def let_go(self, job: Job) -> None:
        """Hold a job no more; one that was not held is ignored."""
        key = (job.id, job.attempt)
        self._runs.pop(key, None)
        self._timed.pop(key, None)

    def held(self) -> list[Job]:
        """Return the jobs whose leases to keep."""
        return [run.job for run in self if not run.is_lost]

    def find(self, jobs: Iterable[Job]) -> list[Run]:
        """Return the runs of these jobs that are held."""
        return [run for job in jobs if (run := self._runs.get((job.id, job.attempt))) is not None]

    def of_ids(self, ids: frozenset[int]) -> list[Run]:
        """Return the runs of the jobs with these ids that are held."""
        return [run for run in self if run.job.id in ids] if ids else []

    def ages(self) -> list[float]:
        """Return for how many seconds each run has run whose code has begun."""
        now = time.monotonic()
        return [now - run.began for run in self if run.began is not None]

    def overdue(self) -> list[Run]:
        """Return the runs that have run for longer than they may."""
        return [run for run in self._timed.values() if _remaining(run) <= 0 and not run.is_stopped]

    def until_overdue(self) -> float:
        """Return the seconds until a run may have run for too long; infinite if none has a limit."""
        waiting = (_remaining(run) for run in self._timed.values() if not run.is_stopped)
        return max(0.0, min(waiting, default=float("inf")))


def _remaining(run: Run) -> float:
    limit = run.task.timeout.total_seconds() if run.task.timeout is not None else float("inf")
    return limit - run.seconds
