"""How writers of one SQLite file wait for each other: fairly, and no longer than the lock timeout.

SQLite's own waiting sleeps longer the longer a writer has waited, up to 100 ms, so whoever came last is served
first and some wait for seconds. Here it is the other way round: who has waited longest looks most often. There is no
queue to stand in and no lock beside the database's own, so whoever dies holds nobody up, and programs that know
nothing of this are waited for in the same way. `python -m benchmarks.writers` shows the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from persistentq.clock import Deadline
from persistentq.errors import LockTimeout
from persistentq.sql.sqlite_file import FileIdentity

Made = TypeVar("Made")

FIRST_PAUSE = 0.005
HALVED_AFTER = 0.002


def pause_after(waited: float) -> float:
    """Return for how many seconds to sleep before the next look, after having waited for so many.

    It falls from 5 ms to 0.1 ms in the first 100 ms. Whoever waits for longer than that waits for somebody who holds
    the lock for long, and then a thousandth of the wait is often enough.
    """
    return max(waited / 1000, FIRST_PAUSE / (1 + waited / HALVED_AFTER))


class TurnTaking:
    """What a connection of the queue has beyond the driver's; see `connection_class`.

    Attributes:
        driver: The DB-API module.
        file: The database.
        lock_timeout: Seconds.
    """

    driver: ModuleType
    file: FileIdentity
    lock_timeout: float
    _has_patience = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.file.connections.add(self)
        super().__init__(*args, **kwargs)

    def close(self) -> None:
        """Close it; then a process that is forked does not inherit it."""
        super().close()  # type: ignore[misc]
        self.file.connections.discard(self)

    def begin(self, execute: Callable[[str], object], *, read_only: bool = False) -> None:
        """Begin a transaction: one that may write has the write lock from here on, a read-only one waits for nobody.

        Args:
            execute: Runs a statement on this connection.

        Raises:
            LockTimeout: another transaction held the write lock for longer than the lock timeout.
            DatabaseReplaced: the path names another file by now.
        """
        self.file.check()
        if self._has_patience != read_only:
            self._let_sqlite_wait(execute, wanted=read_only)
        if read_only:
            execute("BEGIN")
        else:
            # A deferred transaction that reads and then writes fails at once when another wrote meanwhile.
            self._in_turn(lambda: execute("BEGIN IMMEDIATE"))

    def run_single(self, execute: Callable[[str], object], attempt: Callable[[], Made]) -> Made:
        """Return what `attempt` returns: one statement outside of a transaction, which is a transaction by itself.

        SQLite takes the write lock before it reads for such a statement, as BEGIN IMMEDIATE does.

        Raises:
            LockTimeout, DatabaseReplaced: as for `begin` and `commit`.
        """
        if self._has_patience:
            self._let_sqlite_wait(execute, wanted=False)
        made = self._in_turn(attempt)
        self.file.check()
        return made

    def commit(self) -> None:
        """Commit, and acknowledge only what is in the file that the path names.

        Raises:
            DatabaseReplaced: it was replaced during the transaction.
        """
        super().commit()  # type: ignore[misc]
        self.file.check()

    def _in_turn(self, attempt: Callable[[], Made]) -> Made:
        deadline: Deadline | None = None
        while deadline is None or not deadline.passed:
            if deadline is not None:
                deadline.pause(pause_after(self.lock_timeout - deadline.remaining))
            try:
                return attempt()
            except self.driver.OperationalError as error:
                if "locked" not in str(error):
                    raise
            deadline = deadline or Deadline(self.lock_timeout)
        raise LockTimeout(str(self.file.path))

    def _let_sqlite_wait(self, execute: Callable[[str], object], *, wanted: bool) -> None:
        # This is about the beginning only: a writer looks again by itself, while a reader may have to wait within
        # SQLite until another connection has recovered the WAL. Later in a transaction nothing waits.
        execute(f"PRAGMA busy_timeout={int(self.lock_timeout * 1000) if wanted else 0}")
        self._has_patience = wanted


def connection_class(driver: ModuleType, file: FileIdentity, lock_timeout: float) -> type[Any]:
    """Return the class of the connections to `file`: the driver's, which also takes turns."""
    attributes = {"driver": driver, "file": file, "lock_timeout": lock_timeout}
    return type("QueueConnection", (TurnTaking, driver.Connection), attributes)
