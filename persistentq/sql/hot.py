"""The hot statements on one raw connection: compiled once, without a pool's checkout or a Session in between.

A database of one writer at a time has no use for more than one writing connection per process, and elsewhere one
is enough to be fast. A transaction of a single statement is that statement alone: it begins and commits by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from persistentq.errors import LockTimeout
from persistentq.forks import at_fork
from persistentq.sql.dialect import DialectFacts, Fault, Progress
from persistentq.sql.prepared import Prepared

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.pool import PoolProxiedConnection

Made = TypeVar("Made")

# Connections that a forked child must neither use nor close: closing would disturb the parent's locks.
_INHERITED: list[PoolProxiedConnection] = []


class Cursor:
    """Runs prepared statements in an open transaction: our own, or one that the caller will commit.

    Args:
        execute: Runs SQL with bound values and returns what the rows can be fetched from.
        execute_many: The same for a list of them, of which only the number of changed rows is of interest.
        now_us: The transaction's time, where the database's clock is ours; else None.
    """

    def __init__(
        self, execute: Callable[[str, Any], Any], execute_many: Callable[[str, Any], Any], now_us: int | None
    ) -> None:
        self._execute, self._execute_many, self.now_us = execute, execute_many, now_us

    def rows(self, statement: Prepared, values: dict[str, Any]) -> list[Any]:
        """Run a statement that returns rows, and return all of them: an open cursor would pin the database."""
        found: list[Any] = self._run(statement, values).fetchall()
        return found

    def count(self, statement: Prepared, values: dict[str, Any]) -> int:
        """Run a statement that returns no rows, and return how many it changed."""
        number: int = self._run(statement, values).rowcount
        return number

    def add(self, statement: Prepared, values: dict[str, Any]) -> tuple[int, int] | None:
        """Insert a row and return its id and the database's time; None if a conflict prevented it."""
        result = self._run(statement, values)
        if self.now_us is not None:
            return (result.lastrowid, self.now_us) if result.rowcount == 1 else None
        found: list[tuple[int, int]] = result.fetchall()
        return found[0] if found else None

    def count_all(self, statement: Prepared, many: Sequence[dict[str, Any]]) -> int:
        """Run a statement that returns no rows once for each of `many`; return how many rows it changed in all."""
        number: int = self._execute_many(
            statement.sql, [statement.bind(one, self.now_us) for one in many]
        ).rowcount
        return number

    def _run(self, statement: Prepared, values: dict[str, Any]) -> Any:
        return self._execute(statement.sql, statement.bind(values, self.now_us))


def _many(driver: Any) -> Callable[[str, Any], Any]:
    def execute_many(sql: str, values: Any) -> Any:
        driver.executemany(sql, values)
        return driver

    return execute_many


class HotPath:
    """One writing connection of this process, used by one thread at a time.

    Args:
        patience: How many seconds a thread waits for the others.
    """

    def __init__(self, engine: Engine, facts: DialectFacts, patience: float) -> None:
        self._engine, self._facts, self._patience = engine, facts, patience
        self._lock = Lock()
        self._connection: PoolProxiedConnection | None = None
        self._cursors: tuple[Any, Cursor] | None = None
        self._is_own = False
        at_fork(self, before=HotPath.rest, after_in_child=HotPath.begin_anew)

    def run(
        self, work: Callable[[Cursor], Made], progress: Progress, *, single: bool = False, reads: bool = False
    ) -> Made:
        """Do `work` in one transaction and return what it returned; the driver's errors come out as they are.

        Args:
            single: The work is one statement, which may then be made again, and commits by itself where it can.
            reads: It writes nothing, so that no upkeep is due.

        Raises:
            LockTimeout: other threads were at work for longer than the lock timeout; nothing was done.
        """
        if not self._lock.acquire(timeout=self._patience):
            raise LockTimeout(self._facts.location(self._engine.url))
        try:
            driver, cursor = self._ready()
            try:
                if single and self._is_own:
                    progress.is_committing = True
                    made = self._facts.run_single(driver, partial(self._attempt, work, cursor))
                else:
                    self._facts.begin(driver, is_own=self._is_own)
                    made = self._attempt(work, cursor)
                    progress.is_committing = True
                    self._facts.commit(driver)
            except BaseException as error:
                self._give_up(error)
                raise
        finally:
            self._lock.release()
        if not reads:
            self._facts.after_write(self._engine)
        return made

    def _attempt(self, work: Callable[[Cursor], Made], cursor: Cursor) -> Made:
        cursor.now_us = self._facts.now_us()
        return work(cursor)

    def close(self) -> None:
        """Let go of the connection. May be repeated."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._cursors = None

    def rest(self) -> None:
        """Let go of the connection before a fork if nobody is at work on it and it must not be inherited."""
        if self._facts.is_local and self._lock.acquire(blocking=False):
            try:
                self._throw_away()
            finally:
                self._lock.release()

    def begin_anew(self) -> None:
        """Leave an inherited connection alone, in a process that was just forked; its threads are gone, too."""
        if self._connection is not None:
            _INHERITED.append(self._connection)
        self._connection = self._cursors = None
        self._lock = Lock()

    def _ready(self) -> tuple[Any, Cursor]:
        """Return the driver's cursor of our connection, and ours around it, made anew after a fork or a failure."""
        if self._cursors is not None and self._facts.is_closed(self._cursors[0]):
            self._throw_away()
        if self._connection is None or self._cursors is None:
            self._connection = self._engine.raw_connection()
            # It is never given back to the pool: what is set on it for good must meet nobody else.
            self._connection.detach()
            driver = self._connection.cursor()
            self._is_own = self._facts.make_own(driver)
            self._cursors = driver, Cursor(driver.execute, _many(driver), None)
        return self._cursors

    def _give_up(self, error: BaseException) -> None:
        """End a transaction that failed; a connection on which even that fails is thrown away."""
        connection = self._connection
        if connection is None:
            return
        try:
            connection.rollback()
            is_good = self._facts.fault(error) is Fault.LASTING
        except Exception:
            is_good = False
        if not is_good:
            self._throw_away()

    def _throw_away(self) -> None:
        connection, self._connection, self._cursors = self._connection, None, None
        with suppress(Exception):
            if connection is not None and (driven := connection.dbapi_connection) is not None:
                driven.close()


def joined(connection: Connection, facts: DialectFacts) -> Cursor:
    """Return a cursor on the caller's connection; the caller ends its transaction."""
    return Cursor(connection.exec_driver_sql, connection.exec_driver_sql, facts.now_us())
