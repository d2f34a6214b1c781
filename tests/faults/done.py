"""What was done in a run, and when it kept everybody from working."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Done:
    """What was done, by name and place, and what nobody expected.

    Attributes:
        kills: SIGKILLs by place; "anywhere" is wherever the worker happened to be.
        acts: Everything else.
        surprises: Workers that ended by themselves, or did not end.
        largest_log: Of SQLite's log, in bytes.
        blocked: When nobody could write, because a process was frozen that held the write lock, and the like: from and
            to, in microseconds since 1970.
    """

    kills: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)
    largest_log: int = 0
    blocked: list[tuple[int, int]] = field(default_factory=list)

    def block(self, since: int) -> None:
        """Note that nobody could write from then until now."""
        self.blocked.append((since, time.time_ns() // 1000))

    def blocked_time(self) -> float:
        """Return for how many seconds nobody could write, in all."""
        if not self.blocked:
            return 0.0
        first, last = min(since for since, _ in self.blocked), max(until for _, until in self.blocked)
        return (last - first - self.free_time(first, last)) / 1e6

    def free_time(self, since: int, until: int) -> int:
        """Return for how many microseconds of this span somebody could write."""
        free, begin = 0, since
        for blocked, over in sorted(self.blocked):
            free += max(0, min(blocked, until) - begin)
            begin = max(begin, min(over, until))
        return free + max(0, until - begin)
