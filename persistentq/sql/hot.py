"""The hot statements on one raw connection: compiled once, without a pool's checkout or a Session in between.

A database of one writer at a time has no use for more than one writing connection per process, and elsewhere one
is enough to be fast. Threads that enqueue at the same moment share a transaction, and with it one sync of the disk.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from persistentq.sql.dialect import DialectFacts

if TYPE_CHECKING:
    from sqlalchemy import Connection, Dialect, Engine, Executable
    from sqlalchemy.pool import PoolProxiedConnection

Given = TypeVar("Given")
Made = TypeVar("Made")

# Connections that a forked child must neither use nor close: closing would disturb the parent's locks.
_INHERITED: list[PoolProxiedConnection] = []


class Prepared:
    """A statement of the ORM models, compiled once for one dialect; its rows are the driver's own."""

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self.sql: str = str(compiled)
        self._constants: dict[str, Any] = {**compiled.params, "now_us": None}
        # Two names more, so that what is picked is a tuple for any number of names.
        names = compiled.positiontup
        self._pick = None if names is None else itemgetter("now_us", "now_us", *names)

    def bind(self, values: Mapping[str, Any], now_us: int | None = None) -> Any:
        """Return what the driver wants for these values, with the statement's own constants and the time."""
        known = self._constants.copy()
        known.update(values)
        known["now_us"] = now_us
        return known if self._pick is None else self._pick(known)[2:]


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

    def rows(self, statement: Prepared, values: Mapping[str, Any]) -> list[Any]:
        """Run a statement that returns rows, and return all of them: an open cursor would pin the database."""
        found: list[Any] = self._run(statement, values).fetchall()
        return found

    def count(self, statement: Prepared, values: Mapping[str, Any]) -> int:
        """Run a statement that returns no rows, and return how many it changed."""
        number: int = self._run(statement, values).rowcount
        return number

    def add(self, statement: Prepared, values: Mapping[str, Any]) -> tuple[int, int] | None:
        """Insert a row and return its id and the database's time; None if a conflict prevented it."""
        result = self._run(statement, values)
        if self.now_us is not None:
            return (result.lastrowid, self.now_us) if result.rowcount == 1 else None
        found: list[tuple[int, int]] = result.fetchall()
        return found[0] if found else None

    def count_all(self, statement: Prepared, many: Sequence[Mapping[str, Any]]) -> int:
        """Run a statement that returns no rows once for each of `many`; return how many rows it changed in all."""
        number: int = self._execute_many(
            statement.sql, [statement.bind(one, self.now_us) for one in many]
        ).rowcount
        return number

    def _run(self, statement: Prepared, values: Mapping[str, Any]) -> Any:
        return self._execute(statement.sql, statement.bind(values, self.now_us))


def _many(driver: Any) -> Callable[[str, Any], Any]:
    def execute_many(sql: str, values: Any) -> Any:
        driver.executemany(sql, values)
        return driver

    return execute_many


class HotPath:
    """One writing connection of this process, used by one thread at a time."""

    def __init__(self, engine: Engine, facts: DialectFacts) -> None:
        self._engine, self._facts = engine, facts
        self._lock = Lock()
        self._connection: PoolProxiedConnection | None = None
        self._cursors: tuple[Any, Cursor] | None = None
        self._pid = os.getpid()

    def run(self, work: Callable[[Cursor], Made]) -> Made:
        """Do `work` in one transaction and return what it returned; the driver's errors come out as they are."""
        with self._lock:
            driver, cursor = self._ready()
            try:
                self._facts.begin(driver)
                cursor.now_us = self._facts.now_us()
                made = work(cursor)
                self._facts.commit(driver)
            except BaseException:
                self._give_up()
                raise
        self._facts.after_write(self._engine)
        return made

    def close(self) -> None:
        """Give the connection back to the pool. May be repeated."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = self._cursors = None

    def _ready(self) -> tuple[Any, Cursor]:
        """Return the driver's cursor of our connection, and ours around it, made anew after a fork or a failure."""
        if self._pid != os.getpid():
            if self._connection is not None:
                _INHERITED.append(self._connection)
            self._connection, self._cursors, self._pid = None, None, os.getpid()
        if self._connection is None or self._cursors is None:
            self._connection = self._engine.raw_connection()
            driver = self._connection.cursor()
            self._cursors = driver, Cursor(driver.execute, _many(driver), None)
        return self._cursors

    def _give_up(self) -> None:
        """End a transaction that failed; a connection on which even that fails is thrown away."""
        connection = self._connection
        if connection is None:
            return
        try:
            connection.rollback()
        except Exception:
            self._connection = self._cursors = None
            with suppress(Exception):
                connection.invalidate()


def joined(connection: Connection, facts: DialectFacts) -> Cursor:
    """Return a cursor on the caller's connection; the caller ends its transaction."""
    return Cursor(connection.exec_driver_sql, connection.exec_driver_sql, facts.now_us())


class _Waiting(Generic[Given, Made]):
    """What one thread has given, and what came of it."""

    __slots__ = ("error", "given", "is_done", "made")

    def __init__(self, given: Given) -> None:
        self.given, self.is_done = given, False
        self.made: Made | None = None
        self.error: Exception | None = None


class Shared(Generic[Given, Made]):
    """Lets threads that come at the same moment share one transaction; one that comes alone waits for nobody.

    Args:
        do: Does the work of all of them in one transaction and returns one result each, in order.
    """

    def __init__(self, do: Callable[[list[Given]], list[Made]]) -> None:
        self._do = do
        self._turn = Lock()
        self._waiting: deque[_Waiting[Given, Made]] = deque()

    def __call__(self, given: Given) -> Made:
        """Return what came of `given`; an error of the shared transaction is raised in each thread."""
        mine: _Waiting[Given, Made] = _Waiting(given)
        self._waiting.append(mine)
        with self._turn:
            if not mine.is_done:
                self._serve()
        if mine.error is not None:
            raise mine.error
        return mine.made  # type: ignore[return-value]

    def _serve(self) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            for one, made in zip(batch, self._do([one.given for one in batch]), strict=True):
                one.made = made
        except Exception as error:
            for one in batch:
                one.error = error
        except BaseException:
            # An interrupt of this thread is not the others'; whether their work was committed is unknown.
            for one in batch:
                one.error = RuntimeError("the thread that did the shared work was interrupted")
            raise
        finally:
            for one in batch:
                one.is_done = True
