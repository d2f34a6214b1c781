"""One of the two databases of a copy, whatever it holds and wherever its queue stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from sqlalchemy import URL, Connection, func, select, update

from persistentq.errors import CopyRefused, DatabaseMissing, LockTimeout, SchemaMismatch
from persistentq.life import lasts
from persistentq.sql.copying import TABLES, write_batch
from persistentq.sql.models import HELD, JobRow, SchemaRow
from persistentq.sql.schema import VERSION, Standing, bring_up, version_of
from persistentq.sql.transactions import Defaults, Transactions

if TYPE_CHECKING:
    from types import TracebackType

    from sqlalchemy import Row, Table


SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
"""Execution options of a server's transaction that sees one state."""


class Mark(NamedTuple):
    """Where a queue stands, as its database says.

    Attributes:
        standing: None for one that is simply live.
        other: The other database, fit to be shown; empty if there is none.
        mover: The life of the process that moves it, or has moved it, the same in both databases.
        is_underway: Whether that process is still at work, as far as can be seen.
    """

    standing: Standing | None
    other: str
    mover: str | None
    is_underway: bool


class Side(Transactions):
    """A database, its transactions and its gates; a context manager."""

    def __init__(
        self, url: str | URL, defaults: Defaults, lock_timeout: timedelta, *, create: bool = False
    ) -> None:
        super().__init__(url, defaults, lock_timeout, create=create)
        self.gates = self._facts.make_gates()
        self.is_file = self._facts.is_local

    def _ensure_schema(self, *, create: bool, upgrade: bool) -> str | None:  # noqa: ARG002 - it may be anything
        with self._reader.connect() as connection:
            return version_of(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every connection. May be repeated."""
        self._hints.close()
        self._engine.dispose()

    # --- transactions

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state for as long as it takes, and writes nothing."""
        engine = self._reader if self.is_file else self._engine.execution_options(**SNAPSHOT)
        with self._translated(), engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that commits at the end."""
        with self._write() as connection:
            yield connection

    def write(self, table: Table, rows: Sequence[Row[Any]]) -> None:
        """Store rows of this table in a transaction of their own."""
        with self.writing() as connection:
            write_batch(connection, table, rows)

    @contextmanager
    def holding(self) -> Iterator[Connection]:
        """Yield one in a transaction during which nobody else writes, however long it takes."""
        with self._translated() as progress:
            with self._engine.begin() as connection:
                self.gates.hold(connection, TABLES)
                yield connection
                progress.is_committing = True
            self._facts.after_write(self._engine)

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Yield a connection to a file which no other process has open, nor can use before this ends.

        The file then has no log beside it, so that another may get its name.

        Raises:
            CopyRefused: others have it open.
        """
        with self._translated(), self._engine.connect() as connection:
            connection.detach()
            self._leave_wal(connection)
            connection.begin()
            if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "delete":
                self._refuse_open()
            # It ends by the closing of the connection: there is nothing to commit, and by then another has the name.
            yield connection

    def _leave_wal(self, connection: Connection) -> None:
        # Only the last connection can: every other holds a lock for as long as it is open.
        with closing(connection.connection.cursor()) as cursor:
            try:
                cursor.execute("PRAGMA journal_mode=DELETE")
                (mode,) = cursor.fetchone() or ("",)
            except self._driver_error as error:
                if not isinstance(self._facts.explain(self._location, error), LockTimeout):
                    raise
                mode = "wal"
        if mode != "delete":
            self._refuse_open()

    def _refuse_open(self) -> None:
        problem = f"other processes have {self._location} open"
        raise CopyRefused(problem, "stop every producer, consumer and front end first")

    @contextmanager
    def making(self) -> Iterator[Connection]:
        """Yield one in a transaction of its own in which the tables are there, made if need be, and nobody writes."""
        with self._translated(), self._facts.schema_change(self._engine) as connection:
            bring_up(connection, self._location)
            self.gates.hold(connection, TABLES)
            yield connection

    # --- where the queue stands

    def check_version(self, connection: Connection) -> None:
        """Make sure that the tables are there, and of this code's version.

        Raises:
            DatabaseMissing, SchemaMismatch: they are not.
        """
        found = version_of(connection)
        if found is None:
            raise DatabaseMissing(self._location)
        if found != VERSION:
            raise SchemaMismatch(self._location, found, VERSION)

    def mark(self, connection: Connection) -> Mark:
        """Return where the queue stands."""
        standing, other, mover, seen_at = connection.execute(
            select(SchemaRow.standing, SchemaRow.other, SchemaRow.mover, SchemaRow.seen_at)
        ).one()
        is_open = standing in {Standing.MOVING, Standing.INCOMPLETE}
        silent = self.now(connection) - seen_at if seen_at else timedelta.max
        return Mark(
            None if standing is None else Standing(standing),
            other or "",
            mover,
            is_open and lasts(mover or "", silent),
        )

    def set_mark(
        self, connection: Connection, standing: Standing | None, other: str | None, mover: str | None
    ) -> None:
        """Say where the queue stands from this transaction's commit on."""
        values = {
            "standing": standing,
            "other": other,
            "mover": mover,
            "seen_at": self.now(connection),
        }
        connection.execute(update(SchemaRow).values(values))

    def give_sign(self) -> None:
        """Say that the mover is still at work."""
        with self.writing() as connection:
            connection.execute(update(SchemaRow).values(seen_at=self.now(connection)))

    def now(self, connection: Connection) -> datetime:
        """Return the database's present time."""
        return self._clock(connection)

    def count_held(self, connection: Connection) -> int:
        """Return how many jobs run, by leases that last."""
        lasting = (
            select(func.count()).select_from(JobRow).where(HELD, JobRow.lease_until > self.now(connection))
        )
        return connection.execute(lasting).scalar_one()
