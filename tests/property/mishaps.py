"""A connection that is dropped in the middle of the queue's own transaction, as the death of its process drops it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event, select, text

from persistentq import PersistentQSQLAlchemy
from persistentq.clock import Deadline
from persistentq.sql.models import JobRow
from persistentq.sql.prepared import Prepared
from persistentq.sql.rows import JOB_COLUMNS
from tests.property.one_clock import OneClock

Made = TypeVar("Made")

PATIENCE = timedelta(seconds=60)
"""Nobody waits for a lock here: whoever has to is a failure, and a slow machine is none."""


class When(Enum):
    """When the connection is dropped, as seen from the transaction."""

    BEFORE_COMMIT = "all of it is undone"
    AFTER_COMMIT = "all of it stays, and the caller never hears"


class Fragile(PersistentQSQLAlchemy):
    """A queue whose connection can be made to drop at the commit of one of its next transactions.

    Attributes:
        drops: How many were dropped.
        every_job: Reads all jobs.
        witness: Its connections see what is committed, and no drop befalls them.
    """

    def __init__(self, url: str, clock: OneClock | None = None) -> None:
        super().__init__(url, lock_timeout=PATIENCE)
        self.drops = 0
        self.every_job = Prepared(select(*JOB_COLUMNS.values()).order_by(JobRow.id), self.engine.dialect)
        self._armed: tuple[When, int] | None = None
        # Their own, so that what is slow is not done again for each drop.
        self._commit, self._run_single = self._facts.commit, self._facts.run_single
        self._facts.commit = self._fragile_commit  # type: ignore[method-assign]
        self._facts.run_single = self._fragile_single  # type: ignore[method-assign]
        event.listen(self.engine, "commit", self._before_sqlalchemy_commits)
        self._is_server = self.engine.dialect.name == "postgresql"
        self.witness = create_engine(url, isolation_level="AUTOCOMMIT") if self._is_server else self._reader
        if clock is not None:
            clock.drive(self)

    def arm(self, when: When, transaction: int = 1) -> None:
        """Drop the connection at the end of that transaction from now on, counted from 1."""
        self._armed = when, transaction

    def disarm(self) -> None:
        self._armed = None

    def die(self) -> None:
        """Let go of every connection, as the death of the process does; from here on this stands for another one."""
        super().close()

    def close(self) -> None:
        super().close()
        self.witness.dispose()

    def drop(self, driver: Any) -> None:
        """End a connection of the driver; whatever its transaction did is undone when this returns."""
        if not self._is_server:
            driver.close()
            return
        # Closing our end would not do: the server would undo the work at some later moment.
        with self.witness.connect() as connection:
            pid = {"pid": driver.info.backend_pid}
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), pid)
            lives = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
            gone = Deadline(PATIENCE.total_seconds()).wait_for(
                lambda: not connection.scalar(lives, pid), every=0.001
            )
            assert gone

    def _drops_now(self) -> When | None:
        if self._armed is None:
            return None
        when, left = self._armed
        self._armed = (when, left - 1) if left > 1 else None
        if left > 1:
            return None
        self.drops += 1
        return when

    def _fragile_commit(self, cursor: Any) -> None:
        self._around(cursor.connection, lambda: self._commit(cursor))

    def _fragile_single(self, cursor: Any, attempt: Callable[[], Made]) -> Made:
        return self._around(cursor.connection, lambda: self._run_single(cursor, attempt))

    def _before_sqlalchemy_commits(self, connection: Connection) -> None:
        when = self._drops_now()
        driver: Any = connection.connection.dbapi_connection
        if when is When.BEFORE_COMMIT:
            self.drop(driver)
        elif when is When.AFTER_COMMIT:
            driver.commit()
            self.drop(driver)
            connection.invalidate()
            raise self._dropped()

    def _around(self, driver: Any, commit: Callable[[], Made]) -> Made:
        when = self._drops_now()
        if when is When.BEFORE_COMMIT:
            self.drop(driver)
        made = commit()
        if when is When.AFTER_COMMIT:
            self.drop(driver)
            raise self._dropped()
        return made

    def _dropped(self) -> Exception:
        error: Exception = self.engine.dialect.loaded_dbapi.OperationalError("the connection was dropped")
        return error
