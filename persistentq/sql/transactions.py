"""One way to begin, end and translate every transaction of the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import URL, Connection, Engine, make_url, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from persistentq.errors import (
    ConfigurationError,
    InvalidArgument,
    QueueMoving,
    StorageError,
    StorageUnavailable,
)
from persistentq.sql.dialect import READONLY, DialectFacts, Fault, Progress
from persistentq.sql.hints import Hints
from persistentq.sql.models import EPOCH, MICROSECOND, SchemaRow, database_now
from persistentq.sql.schema import Standing, ensure_schema
from persistentq.sql.sqlite import SQLiteFacts


class Defaults(NamedTuple):
    """What a call gets that does not say: attempts per job, and the lease."""

    max_attempts: int
    lease: timedelta


def facts_for(url: URL) -> DialectFacts:
    """Return the facts about the database that `url` names.

    Raises:
        ConfigurationError: this library has none for it.
    """
    match url.get_backend_name():
        case "sqlite":
            return SQLiteFacts()
        case "postgresql":
            # The dialect comes with every driver's part; who uses SQLite need not load it.
            from persistentq.sql.postgresql import PostgreSQLFacts

            return PostgreSQLFacts()
    problem = "is not a database this library knows (sqlite, postgresql)"
    raise ConfigurationError("QUEUE_DB_URL", url.drivername, "the settings", problem)


class Transactions:
    """An engine, the facts about its database, and the transactions on it."""

    def __init__(
        self,
        url: str | URL,
        defaults: Defaults,
        lock_timeout: timedelta,
        *,
        create: bool,
        upgrade: bool = False,
    ) -> None:
        target = make_url(url)
        self._facts, self._defaults, self._lock_timeout = facts_for(target), defaults, lock_timeout
        self._location = self._facts.location(target)
        self._engine = self._facts.make_engine(target, lock_timeout, create=create)
        self._hints = Hints(self._facts.make_notifier(self._engine))
        self._reader = self._engine.execution_options(**{READONLY: True})
        self._writer = self._engine.execution_options(**{READONLY: False})
        self._driver_error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        try:
            with self._translated():
                self.found_schema = self._ensure_schema(create=create, upgrade=upgrade)
        except BaseException:
            self._engine.dispose()
            raise

    def _ensure_schema(self, *, create: bool, upgrade: bool) -> str | None:
        return ensure_schema(self._engine, self._facts, self._location, create=create, upgrade=upgrade)

    @property
    def location(self) -> str:
        """See PersistentQInterface."""
        return self._location

    @property
    def address(self) -> str:
        """See PersistentQInterface."""
        return self._engine.url.render_as_string(hide_password=False)

    @property
    def engine(self) -> Engine:
        """The engine, for an application that wants its own sessions on the queue's database."""
        return self._engine

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that commits at the end."""
        with self._translated() as progress:
            with self._writer.begin() as connection:
                yield connection
                progress.is_committing = True
            self._facts.after_write(self._engine)

    @contextmanager
    def _orm(self, *, read_only: bool = False) -> Iterator[Session]:
        """Yield a Session in a transaction that commits at the end; a read-only one waits for no writer."""
        engine = self._reader if read_only else self._writer
        with self._translated() as progress:
            with Session(engine, autoflush=False, expire_on_commit=False) as session, session.begin():
                yield session
                session.flush()
                progress.is_committing = not read_only
            if not read_only:
                self._facts.after_write(self._engine)

    def _clock(self, session: Session | Connection) -> datetime:
        """Return the database's present time."""
        known = self._facts.now_us()
        return (
            EPOCH + (session.scalars(select(database_now())).one() if known is None else known) * MICROSECOND
        )

    def _joined(self, session: Session | Connection) -> Connection:
        given: object = session
        if not isinstance(given, Session | Connection):
            problem = "is not a Session or Connection; an AsyncSession gives one through run_sync()"
            raise InvalidArgument("session", given, problem)
        # Before anything connects: two SQLite libraries in one process drop each other's locks.
        bind = session.get_bind() if isinstance(session, Session) else session
        ours, theirs = self._engine.dialect.loaded_dbapi, bind.dialect.loaded_dbapi
        if bind.dialect.is_async and self._facts.is_local:
            # It has a library and rules of its own, wherever the library is ours by chance.
            problem = "is asynchronous; for SQLite use one of the queue's `engine` in asyncio.to_thread"
            raise InvalidArgument("session", session, problem)
        # What makes a driver asynchronous is another module with the driver's own errors.
        if ours.Error is not theirs.Error:
            problem = "is not on the queue's database driver; make it from the queue's `engine`"
            raise InvalidArgument("session", session, problem)
        if self._facts.joins_only_own and bind.engine.pool is not self._engine.pool:
            problem = (
                "is not one of the queue's `engine`, without whose rules this SQLite may corrupt the file"
            )
            raise InvalidArgument("session", session, problem)
        return session.connection() if isinstance(session, Session) else session

    @contextmanager
    def _translated(self) -> Iterator[Progress]:
        progress = Progress()
        try:
            yield progress
        except (SQLAlchemyError, self._driver_error) as error:
            raise self._told(error, progress) from error

    def _told(self, error: BaseException, progress: Progress) -> StorageError:
        """Return our error for one of SQLAlchemy's or of the driver's."""
        if isinstance(error, PoolTimeout):
            return StorageUnavailable(self._location, "has no connection free: too many threads use it")
        if isinstance(error, SQLAlchemyError) and not isinstance(error, DBAPIError):
            return StorageError(self._location, f"failed: {error}")
        cause = (isinstance(error, DBAPIError) and error.orig) or error
        if progress.is_committing and self._facts.fault(cause) is Fault.LOST:
            unknown = StorageUnavailable(
                self._location, "did not answer to COMMIT, so the change may have been made"
            )
            unknown.is_unknown = True
            return unknown
        return self._facts.explain(self._location, cause)

    def _moving(self) -> QueueMoving | None:
        """Return the error for a call that had to wait too long, if it waited for a queue that is being moved."""
        moving = select(SchemaRow.other).where(SchemaRow.standing == Standing.MOVING)
        with suppress(SQLAlchemyError, StorageError), self._reader.connect() as connection:
            if target := connection.execute(moving).scalar_one_or_none():
                return QueueMoving(self._location, target)
        return None

    def _may_pass(self, error: StorageError) -> bool:
        """Return whether the same call may succeed if it is made again at once."""
        cause = getattr(error.__cause__, "orig", None) or error.__cause__
        return cause is not None and self._facts.fault(cause) is not Fault.LASTING
