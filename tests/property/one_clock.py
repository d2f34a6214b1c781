"""One clock for the model and for its database: it stands until the test moves it, however fast the machine is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import create_engine, event, make_url, text

from persistentq import PersistentQSQLAlchemy
from persistentq.sql.models import EPOCH, MICROSECOND

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)
"""The least step: SQLite's own clock knows no shorter one."""

SERVER_CLOCK = (
    # A sequence is no part of any transaction: every session sees at once how late it is.
    "CREATE SEQUENCE test_clock",
    "CREATE FUNCTION public.statement_timestamp() RETURNS timestamptz STABLE LANGUAGE plpgsql AS "
    "'BEGIN RETURN to_timestamp(pg_sequence_last_value(''test_clock''::regclass) / 1e6); END'",
    # From the next connection on it stands before the server's own.
    "ALTER DATABASE {} SET search_path = public, pg_catalog",
    "SET synchronous_commit = off",
)


class OneClock:
    """What the model's time and the database's come from.

    Args:
        url: A database of the test's own, on which nobody is connected yet.
    """

    def __init__(self, url: str) -> None:
        self._moment = BEGINNING
        self._server = None
        if make_url(url).get_backend_name() == "postgresql":
            self._engine = create_engine(url, isolation_level="AUTOCOMMIT")
            self._server = self._engine.connect()
            for statement in SERVER_CLOCK:
                self._server.exec_driver_sql(statement.format(self._engine.url.database))
        self.put(BEGINNING)

    def now(self) -> datetime:
        return self._moment

    def put(self, moment: datetime) -> None:
        self._moment = moment
        if self._server is not None:
            self._server.execute(text("SELECT setval('test_clock', :now)"), {"now": self._micros()})

    def _micros(self) -> int:
        return (self._moment - EPOCH) // MICROSECOND

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._engine.dispose()

    def drive(self, queue: PersistentQSQLAlchemy) -> None:
        """Let a queue go by this clock; on PostgreSQL the database does so by itself."""
        if queue.engine.dialect.name != "sqlite":
            return
        queue._facts.now_us = self._micros  # type: ignore[method-assign]
        event.listen(queue.engine, "connect", self._prepare)
        queue.engine.dispose()

    def _prepare(self, connection: Any, _record: object) -> None:
        connection.create_function("julianday", 1, self._julian_day)

    def _julian_day(self, _what: str) -> float:
        return 2440587.5 + self._micros() / 86_400_000_000
