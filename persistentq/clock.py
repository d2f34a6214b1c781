"""The one clock: the wall, the monotonic, and waiting with a deadline.

The database's clock decides leases and due times; this one serves what happens within a process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment as an aware UTC datetime."""
    return datetime.now(UTC)


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
