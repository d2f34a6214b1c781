"""The drivers, with the engine rules that the queue keeps as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.queues import connect

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine


class SQLiteDriver:
    """A connection of the driver that the queue uses, with the queue's pragmas."""

    mark = "?"

    def __init__(self, engine: Engine, synchronous: str) -> None:
        self._connection = engine.raw_connection()
        self._cursor: Any = self._connection.cursor()
        self._cursor.execute(f"PRAGMA synchronous={synchronous}")
        self._many: Any = self._connection.cursor()

    def begin(self) -> None:
        """Take the write lock."""
        self._cursor.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit."""
        self._cursor.execute("COMMIT")

    def execute(self, sql: str, values: Any = ()) -> Any:
        """Run one statement and return what its rows can be fetched from."""
        return self._cursor.execute(sql, values)

    def executemany(self, sql: str, values: Any) -> None:
        """Run one statement for many rows."""
        self._many.executemany(sql, values)


class PostgreSQLDriver:
    """A psycopg connection in autocommit, as a hand-written loop would use it."""

    mark = "%s"

    def __init__(self, url: URL) -> None:
        self._connection = connect(url)
        self._cursor = self._connection.cursor()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def begin(self) -> None:
        """Nothing to do: each statement commits."""

    def commit(self) -> None:
        """Nothing to do: each statement commits."""

    def execute(self, sql: str, values: Any = ()) -> Any:
        """Run one statement and return what its rows can be fetched from."""
        return self._cursor.execute(sql, values)

    def executemany(self, sql: str, values: Any) -> None:
        """Run one statement for many rows, in one transaction."""
        with self._connection.transaction():
            self._cursor.executemany(sql, values)
