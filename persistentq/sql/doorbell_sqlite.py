"""The doorbell of a SQLite file: hears that the WAL is written to, then looks until the commit can be seen."""

from __future__ import annotations

import math
import select
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from persistentq.clock import Deadline
from persistentq.doorbell import LocalDoorbell
from persistentq.errors import StorageError
from persistentq.telemetry.events import DOORBELL_FALLBACK, tell

if TYPE_CHECKING:
    from persistentq.sql.inotify import FileWatch
    from persistentq.sql.prepared import Prepared

PAUSES_S = (0.0, *(0.0001,) * 6, *(0.00015 * 1.5**n for n in range(16)))
"""Between the looks that follow a write to the WAL. Its commit can be seen only when the disk has synced it, mostly a
few hundred microseconds later; the last look is two tenths of a second later."""

POLLED_S = 0.02
"""Between looks where nobody tells of writes."""

LOOK_COSTS_S, MOST_DEBT_S = 0.005, 0.3
"""However much others write: sixty looks at once, and two hundred a second in the long run."""

POLL_COUNTS_S = 0.001
"""A poll counts in milliseconds."""


class Sight(Protocol):
    """What can be seen of the database without taking a lock."""

    def peek(self, statement: Prepared, values: dict[str, Any]) -> list[Any]:
        """Return the rows of a statement that only reads."""

    def is_wanted(self) -> bool:
        """Return whether there is something to do for the listener."""


class LookPlan:
    """When to look next.

    Attributes:
        is_limited: There were too many looks in vain, so that the next one must wait, whatever is written.
    """

    def __init__(self) -> None:
        self.is_limited = False
        self._pauses: Iterator[float] = iter(())
        self._debt = Deadline(0)
        self._next = Deadline(0)

    @property
    def pause(self) -> float:
        """Seconds until the next look; infinitely many if none is planned."""
        return self._next.remaining

    def expect(self) -> None:
        """Plan the looks after a write."""
        self._pauses = iter(PAUSES_S)
        self._plan(math.inf)

    def looked(self, idle: float, *, in_vain: bool) -> None:
        """Plan the look after this one.

        Args:
            idle: Seconds until the next look when the last one after a write is made.
            in_vain: Whether nothing was found. Who never finds anything looks less often.
        """
        self._debt = Deadline(self._debt.remaining + LOOK_COSTS_S if in_vain else 0)
        self._plan(idle)

    def _plan(self, idle: float) -> None:
        pause, least = next(self._pauses, idle), self._debt.remaining - MOST_DEBT_S
        self.is_limited = least > pause
        self._next = Deadline(max(pause, least))


class FileDoorbell(LocalDoorbell):
    """Wakes also for what other processes, and other connections of this one, have stored in a SQLite file.

    Args:
        queues: As for `LocalDoorbell`.
        wal: The path of the write-ahead log.
        sight: How to look.
        version: Asks for a number that is another one whenever another connection has committed.
    """

    def __init__(self, queues: Collection[str] | None, wal: Path, sight: Sight, version: Prepared) -> None:
        self._wal, self._sight, self._version = wal, sight, version
        self._known: int | None = None
        super().__init__(queues)

    def _open(self) -> None:
        super()._open()
        self._plan = LookPlan()
        self._watch: FileWatch | None = None
        self._has_looked = False

    def _start_watching(self) -> None:
        from persistentq.sql.inotify import FileWatch

        self._both = select.poll()
        self._both.register(self._reader, select.POLLIN)
        try:
            self._watch = FileWatch(self._wal)
        except OSError as error:
            how = f"it is looked at every {POLLED_S * 1000:.0f} ms: {error}"
            tell(DOORBELL_FALLBACK, location=str(self._wal), error=how)
        else:
            self._both.register(self._watch.descriptor, select.POLLIN)

    def _sleep(self, seconds: float) -> None:
        if not self._has_looked:
            # Not before: a forked child that never waits needs none of it.
            self._start_watching()
            self._has_looked = True
        elif (pause := self._plan.pause) < POLL_COUNTS_S:
            Deadline(pause).pause(seconds)
            self._wait_for(self._poll, 0)
        elif self._wait_for(self._poll if self._plan.is_limited else self._both, min(seconds, pause)):
            self._plan.expect()
        if self._plan.pause == 0 or (seconds == 0 and self._plan.pause < math.inf):
            self._look()

    def _look(self) -> None:
        # First the watch, then the look: what comes in between is told.
        is_told = self._watch is not None and self._hear(self._watch)
        is_found = False
        # What is wrong with the database is for those to say who need it.
        with suppress(StorageError):
            before, self._known = self._known, self._sight.peek(self._version, {})[0][0]
            if self._known != before:
                self._has_changed = True
                is_found = self._sight.is_wanted()
        if is_found:
            self._is_wanted = True
        self._plan.looked(math.inf if is_told else POLLED_S, in_vain=not is_found)

    def _hear(self, watch: FileWatch) -> bool:
        """Plan looks if there was a write; return whether the next one will be told."""
        known = watch.watched
        if watch.read():
            self._plan.expect()
        if watch.watched != known:
            # With its last connection the WAL went, and a new connection counts anew.
            self._known = None
        return watch.watched >= 0

    def _shut(self) -> None:
        if self._watch is not None:
            self._watch.close()
        super()._shut()
