"""The places of a consumer: as many tasks run at once, and what was claimed beyond them waits its turn."""

from __future__ import annotations

import time
from collections import deque
from threading import Lock

from persistentq.runtime.executor import Run
from persistentq.tasks import Executor as Place


class Places:
    """So many places, and the runs that wait for one; safe to use from any thread.

    Args:
        number: How many runs may have a place at once.
    """

    def __init__(self, number: int) -> None:
        self._lock, self._free = Lock(), number
        self._waiting: deque[Run] = deque()
        self._since: deque[float] = deque()

    @property
    def waiting(self) -> int:
        """How many runs wait for a place."""
        return len(self._waiting)

    @property
    def has_free(self) -> bool:
        """Whether there is a place for which nobody waits."""
        return self._free > len(self._waiting)

    def waited(self) -> float:
        """Return for how many seconds the first in line has waited; 0.0 if none does."""
        with self._lock:
            return time.monotonic() - self._since[0] if self._since else 0.0

    def line_up(self, runs: list[Run]) -> None:
        """Let these wait, in this order, behind those that do."""
        with self._lock:
            self._waiting.extend(runs)
            self._since.extend([time.monotonic()] * len(runs))

    def seat(self) -> list[Run]:
        """Give the free places to those who wait longest; return them, for they must begin now."""
        with self._lock:
            seated = [self._take() for _ in range(min(self._free, len(self._waiting)))]
            self._free -= len(seated)
            return seated

    def leave(self) -> None:
        """Free a place."""
        with self._lock:
            self._free += 1

    def pass_on(self, kind: Place) -> Run | None:
        """Give the place of a run that ended to the next in line, if it runs where this one ran; else free it."""
        with self._lock:
            if self._waiting and self._waiting[0].task.executor is kind:
                return self._take()
            self._free += 1
            return None

    def _take(self) -> Run:
        self._since.popleft()
        return self._waiting.popleft()

    def withdraw(self) -> list[Run]:
        """Take back every run that waits; empty if none does."""
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
            self._since.clear()
            return waiting
