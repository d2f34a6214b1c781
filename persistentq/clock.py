"""The one clock: the wall, the monotonic, and waiting with a deadline.

The database's clock decides leases and due times; this one serves what happens within a process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue


def now() -> datetime:
    """Return the present moment as an aware UTC datetime."""
    return datetime.now(UTC)


def spent() -> timedelta:
    """Return for how long this thread has kept a core busy so far; its waiting does not count."""
    return timedelta(seconds=time.thread_time())


class Deadline:
    """A moment on the monotonic clock, `seconds` from its making; never moved by clock changes."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left, 0.0 once passed."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the moment has come."""
        return self.remaining == 0.0

    def pause(self, seconds: float) -> None:
        """Sleep for `seconds`, but never past the deadline."""
        time.sleep(min(seconds, self.remaining))

    def wait_for(self, condition: Callable[[], bool], every: float = 0.05) -> bool:
        """Check `condition` every so many seconds until it holds or the deadline passes; return whether it held."""
        while not (held := condition()) and not self.passed:
            self.pause(every)
        return held


class Bell:
    """Wakes one waiting thread; may be rung from other threads and from signal handlers.

    A `threading.Event` would not do: its lock is not reentrant, so a signal handler that interrupts the waiter in
    the wrong instruction would wait for itself. `SimpleQueue.put` is reentrant.
    """

    def __init__(self) -> None:
        self._rung: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """Wake the waiter, now or as soon as it waits."""
        self._rung.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait until rung or for `seconds`; return whether it was rung. Several rings count as one."""
        try:
            self._rung.get(timeout=max(0.0, seconds))
        except Empty:
            return False
        with suppress(Empty):
            while True:
                self._rung.get_nowait()
        return True
