"""Facts about SQLite: which library, which pragmas, how a transaction begins, how a file is made."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError

from persistentq.clock import Deadline
from persistentq.errors import (
    DatabaseMissing,
    LockTimeout,
    QueueMoved,
    StorageError,
    StorageUnavailable,
)
from persistentq.forks import at_fork
from persistentq.sql.dialect import READONLY, DialectFacts, drop_connections, moved_to
from persistentq.sql.doorbell_sqlite import FileDoorbell, Sight
from persistentq.sql.prepared import Prepared
from persistentq.sql.sqlite_file import FileIdentity, make_private, named_file, refuse_network
from persistentq.sql.sqlite_turns import connection_class

if TYPE_CHECKING:
    from persistentq.insight import Check
    from persistentq.sql.sqlite_gates import SQLiteGates

Made = TypeVar("Made")

WAL_LIMIT = 64 * 1024 * 1024
CHECKPOINT_AT = 4 * 1024 * 1024


def is_safe(version: tuple[int, ...]) -> bool:
    """Return whether this SQLite has the fix for the WAL-reset bug (sqlite.org, release notes of 3.51.3)."""
    if version[:2] == (3, 50):
        return version >= (3, 50, 7)
    if version[:2] == (3, 44):
        return version >= (3, 44, 6)
    return version >= (3, 51, 3)


def choose_driver() -> ModuleType:
    """Return the DB-API module for SQLite: the standard library's, or pysqlite3 where only that one is safe."""
    if not is_safe(sqlite3.sqlite_version_info):
        with suppress(ImportError):
            bundled = import_module("pysqlite3.dbapi2")
            if is_safe(bundled.sqlite_version_info):
                return bundled
    return sqlite3


class SQLiteFacts(DialectFacts):
    """SQLite in WAL mode, at most one writer, every commit synced."""

    insert = staticmethod(insert)
    is_local = True
    # What a leaf of the tree holds beside its other rows: beyond that, a row continues on pages of its own.
    large_args = 2000
    has_skip_locked = False
    has_update_returning = True
    has_partial_indexes = True
    has_arrays = False
    # AUTOINCREMENT numbers from the largest id ever given, and nobody else writes meanwhile.
    last_id = select(func.last_insert_rowid())

    def make_engine(self, url: URL, lock_timeout: timedelta, *, create: bool) -> Engine:
        path = named_file(url)
        refuse_network(path)
        if create:
            make_private(path)
        elif not path.is_file():
            raise DatabaseMissing(str(path))
        driver, file, seconds = choose_driver(), FileIdentity(path), lock_timeout.total_seconds()
        # A foreign connection would checkpoint when it likes.
        self.joins_only_own = not is_safe(driver.sqlite_version_info)
        engine = create_engine(
            url.set(drivername="sqlite", database=str(path)),
            module=driver,
            connect_args={
                "timeout": seconds,
                "check_same_thread": False,
                "factory": connection_class(driver, file, seconds),
            },
        )

        @event.listens_for(engine, "do_connect")
        def look(*_: object) -> None:
            # SQLite would make a new file in the place of one that was deleted.
            file.check()

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: object) -> None:
            _prepare(connection, driver, Deadline(max(seconds, 1.0)), guarded=self.joins_only_own)

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            driven: Any = connection.connection.dbapi_connection
            read_only = connection.get_execution_options().get(READONLY, False)
            driven.begin(driven.execute, read_only=read_only)

        at_fork(file, after_in_child=FileIdentity.note_fork)
        # No child should inherit even an idle connection: SQLite in it would believe that it has its locks.
        at_fork(engine, before=Engine.dispose, after_in_child=drop_connections)
        return engine

    def location(self, url: URL) -> str:
        return str(named_file(url))

    def explain(self, location: str, error: BaseException) -> StorageError:
        text = str(error)
        if target := moved_to(text):
            return QueueMoved(location, target)
        # "locking protocol": the locks that guard the start of a read were taken every time it tried.
        if "locked" in text or "busy" in text or "locking protocol" in text:
            return LockTimeout(location)
        if "disk is full" in text:
            return StorageUnavailable(location, "cannot be written: the disk is full")
        if "unable to open" in text or "readonly" in text or "disk I/O" in text:
            return StorageUnavailable(location, f"cannot be used: {text}")
        return StorageError(location, f"failed: {text}")

    @contextmanager
    def schema_change(self, engine: Engine) -> Iterator[Connection]:
        with engine.connect() as connection:
            # SQLite alters a table by making it anew, and dropping the old one would delete, by cascade, what refers
            # to it. The setting cannot change within a transaction; a detached connection is never used again.
            connection.detach()
            connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
            with connection.begin():
                yield connection
                if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                    problem = "would lose its foreign keys by this upgrade, which is undone"
                    raise StorageError(str(engine.url.database), problem)

    def make_own(self, cursor: Any) -> bool:  # noqa: ARG002 - every connection has been prepared already
        return True

    def begin(self, cursor: Any, *, is_own: bool) -> None:  # noqa: ARG002 - there is no other kind
        cursor.connection.begin(cursor.execute)

    def run_single(self, cursor: Any, attempt: Callable[[], Made]) -> Made:
        made: Made = cursor.connection.run_single(cursor.execute, attempt)
        return made

    def commit(self, cursor: Any) -> None:
        cursor.execute("COMMIT")
        cursor.connection.file.check()

    def after_write(self, engine: Engine) -> None:
        if not self.joins_only_own:
            return
        # The write is committed: whatever prevents the checkpoint now, a later one will do it.
        with suppress(OSError, DBAPIError, StorageError):
            if os.stat(f"{engine.url.database}-wal").st_size >= CHECKPOINT_AT:  # noqa: PTH116 - stat by path only
                checkpoint_guarded(engine)

    def examine(self, engine: Engine, *, thorough: bool) -> list[Check]:
        # Whoever runs jobs need not load it.
        from persistentq.sql.sqlite_health import look_at

        is_bundled = choose_driver() is not sqlite3
        return list(look_at(engine, is_bundled=is_bundled, is_guarded=self.joins_only_own, thorough=thorough))

    def make_gates(self) -> SQLiteGates:
        # Few processes ever move a queue.
        from persistentq.sql.sqlite_gates import SQLiteGates

        return SQLiteGates()

    def make_doorbell(self, engine: Engine, queues: Collection[str] | None, sight: Sight) -> FileDoorbell:
        version = Prepared(text("PRAGMA data_version"), engine.dialect)
        return FileDoorbell(queues, Path(f"{engine.url.database}-wal"), sight, version)


def checkpoint_guarded(engine: Engine) -> None:
    """Checkpoint while holding the write lock, so that no writer can reset the WAL meanwhile.

    The WAL-reset bug needs a checkpoint in one connection and a reset by another; a writer is what resets.
    """
    with engine.begin(), closing(engine.raw_connection()) as second, closing(second.cursor()) as cursor:
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
        cursor.fetchall()


def _prepare(connection: Any, driver: ModuleType, deadline: Deadline, *, guarded: bool) -> None:
    # SQLAlchemy's "begin" event begins every transaction; the driver must not begin any of its own.
    connection.isolation_level = None
    connection.text_factory = _readable
    cursor = connection.cursor()
    try:
        _set_wal(cursor, driver, deadline)
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            "trusted_schema=OFF",
            "cell_size_check=ON",
            "mmap_size=0",
            f"journal_size_limit={WAL_LIMIT}",
            f"wal_autocheckpoint={0 if guarded else 1000}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _readable(stored: bytes) -> str:
    """Return a text of the database; bytes that are not UTF-8 stand there escaped, which is then no JSON either.

    The driver's own way is an error while rows are fetched, after the claim that answers them was committed.
    """
    return stored.decode("utf-8", "backslashreplace")


def _set_wal(cursor: Any, driver: ModuleType, deadline: Deadline) -> None:
    while True:
        # Whoever waits here for a restore has the old file open, and would make its log beside the new one.
        cursor.connection.file.check()
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            mode = cursor.fetchone()[0]
        except driver.OperationalError as error:
            # The change to WAL does not wait for the lock timeout, so processes that start at once collide here.
            if "locked" not in str(error) or deadline.passed:
                raise
            deadline.pause(0.01)
        else:
            if mode == "wal":
                return
            raise driver.OperationalError(f"the journal mode is {mode}, WAL cannot be set")
