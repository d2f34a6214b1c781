"""Facts about PostgreSQL: the driver, the isolation level, how an error is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.dialects.postgresql import insert

from persistentq.errors import StorageError, StorageUnavailable
from persistentq.sql.dialect import DialectFacts

SCHEMA_LOCK = 0x7065727369737471  # "persistq": an advisory lock of our own
UNAVAILABLE = ("08", "53", "57", "55P03")


class PostgreSQLFacts(DialectFacts):
    """PostgreSQL through psycopg 3, READ COMMITTED, no state kept on a session."""

    insert = staticmethod(insert)

    def make_engine(
        self,
        url: URL,
        lock_timeout: timedelta,
        *,
        create: bool,  # noqa: ARG002 - a database on a server is made by its administrator
    ) -> Engine:
        milliseconds = max(1, int(lock_timeout.total_seconds() * 1000))
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            connect_args={"options": f"-c lock_timeout={milliseconds}", "prepare_threshold": None},
        )

    def location(self, url: URL) -> str:
        return url.render_as_string(hide_password=True)

    def lock_schema(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCHEMA_LOCK})

    def explain(self, location: str, error: BaseException) -> StorageError:
        code = getattr(error, "sqlstate", None) or "08"
        if code.startswith(UNAVAILABLE):
            return StorageUnavailable(location, f"is not available: {error}")
        return StorageError(location, f"failed: {error}")

    def begin(self, cursor: Any) -> None:
        """Nothing to do: psycopg begins a transaction with its first statement."""

    def commit(self, cursor: Any) -> None:
        cursor.connection.commit()

    def after_write(self, engine: Engine) -> None:
        """Nothing to do: autovacuum and the checkpointer are the server's."""
