"""A backup: one SQLite file, whole and looked through before it gets its name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from secrets import token_hex

from sqlalchemy import URL
from sqlalchemy.orm import Session

from persistentq.copies_interface import Backup, OnStage, Stage, say_nothing
from persistentq.errors import CopyRefused, QueueIncomplete, QueueMoved, StorageError, StorageUnavailable
from persistentq.journal import ActNote
from persistentq.sql.copying import (
    check_copy,
    copy_numbers,
    copy_tables,
    count_rows,
    last_numbers,
)
from persistentq.sql.journal import open_entry
from persistentq.sql.schema import Standing
from persistentq.sql.side import Side
from persistentq.sql.sqlite import SQLiteFacts
from persistentq.sql.sqlite_file import make_private
from persistentq.sql.transactions import Defaults

FILE_DEFAULTS = Defaults(1, timedelta(seconds=1))
"""Nothing is ever enqueued in or taken from a file that is only copied."""

FILE_PATIENCE = timedelta(seconds=5)
BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite may keep beside a database."""


def open_file(path: Path, *, create: bool = False) -> Side:
    """Return a file that nobody else knows of."""
    return Side(URL.create("sqlite", database=str(path)), FILE_DEFAULTS, FILE_PATIENCE, create=create)


def back_up(
    source: Side,
    path: Path,
    on_stage: OnStage = say_nothing,
    *,
    said: ActNote | None = None,
    force: bool = False,
) -> Backup:
    """Copy the queue to `path`; see CopiesInterface.back_up."""
    target = path.absolute()
    if source.is_file and target.resolve() == Path(source.location).resolve():
        raise CopyRefused(f"{target} is the queue itself", "name another file")
    if not force and target.exists():
        raise CopyRefused(f"{target} exists already", "name another file, or replace it with --force")
    if not target.parent.is_dir():
        raise CopyRefused(f"there is no folder {target.parent}", "make it, or name another file")
    refuse_what_is_elsewhere(source)
    with new_file(target.with_name(f"{target.name}.{token_hex(4)}.part")) as part:
        given = _fill(source, part, on_stage)
        rows = look_through(part, given)
        put(part, target, force=force)
    on_stage(Stage.PLACED, 0, 0)
    made = Backup(target, target.stat().st_size, rows)
    if said is not None:
        with source.writing() as connection, Session(connection) as session:
            details = {"path": str(target), "bytes": made.size}
            open_entry(session, said, "backup", details, source.now(connection))
    return made


def refuse_what_is_elsewhere(source: Side) -> None:
    """Make sure that this is the queue, and not one that has moved, nor an unfinished copy."""
    with source.reading() as connection:
        source.check_version(connection)
        found = source.mark(connection)
    if found.standing is Standing.MOVED:
        raise QueueMoved(source.location, found.other)
    if found.standing is Standing.INCOMPLETE:
        raise QueueIncomplete(source.location, found.other)


def _fill(source: Side, part: Path, on_stage: OnStage) -> Mapping[str, int]:
    """Copy everything to the new file; return the ids that had been given before."""
    on_stage(Stage.COPYING, 0, 0)
    if source.is_file:
        with source.reading() as connection:
            given = last_numbers(connection, source.gates)
        vacuum_into(source, part)
        return given
    with open_file(part, create=True) as copy, source.reading() as connection:
        with copy.making():
            pass
        total = sum(count_rows(connection).values())
        read = copy_tables(connection, copy.write, lambda done: on_stage(Stage.COPYING, done, total))
        given = last_numbers(connection, source.gates)
        with copy.writing() as written:
            copy_numbers(given, written, copy.gates)
        with copy.reading() as written:
            check_copy(written, str(part), read, lambda done: on_stage(Stage.CHECKING, done, total))
    return given


def vacuum_into(source: Side, part: Path) -> None:
    """Copy a SQLite database, as it is now, to an empty file, while everybody may go on writing."""
    driver = source.engine.dialect.loaded_dbapi
    try:
        with closing(source.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute("VACUUM INTO ?", (str(part),))
    except driver.Error as error:
        raise SQLiteFacts().explain(str(part), error) from error


def look_through(part: Path, given: Mapping[str, int]) -> Mapping[str, int]:
    """Make sure that a copy is whole, let it be a queue that stands alone, and return its rows by table.

    Args:
        given: The ids that were given before it was made.

    Raises:
        StorageError: it is not whole.
    """
    with open_file(part) as copy:
        with copy.writing() as connection:
            copy.check_version(connection)
            copy.gates.allow_claims(connection)
            copy.set_mark(connection, None, None, None)
        with copy.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
            if found != ["ok"] or connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise StorageError(str(part), f"is not whole: {'; '.join(found)[:300]}")
            numbers = last_numbers(connection, copy.gates)
            if any(numbers[name] < last for name, last in given.items()):
                raise StorageError(str(part), "lacks jobs that were there before")
            return count_rows(connection)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Make an empty file of its owner's alone; what has not got another name by the end is deleted."""
    make_private(path)
    try:
        yield path
    except OSError as error:
        raise StorageUnavailable(str(path), f"cannot be written: {error.strerror}") from error
    finally:
        for end in ("", *BESIDE):
            Path(f"{path}{end}").unlink(missing_ok=True)


def put(part: Path, path: Path, *, force: bool) -> None:
    """Give a finished file its name, in one step that survives a power cut.

    Raises:
        CopyRefused: the name is taken, and `force` is false.
    """
    sync(part)
    if force:
        part.replace(path)
    else:
        try:
            # Unlike a rename, a link never replaces anything.
            path.hardlink_to(part)
        except FileExistsError:
            raise CopyRefused(
                f"{path} exists already", "name another file, or replace it with --force"
            ) from None
        part.unlink()
    sync(path.parent)


def sync(path: Path) -> None:
    """Let a file that no connection has open, or a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
