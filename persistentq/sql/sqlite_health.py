"""Whether a SQLite database is well: the library, how it is opened, its file, what pins its log, the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from stat import S_IMODE
from typing import TYPE_CHECKING, Any

from persistentq.clock import Deadline
from persistentq.insight import Check, Grade
from persistentq.sql.sqlite import CHECKPOINT_AT, WAL_LIMIT
from persistentq.sql.sqlite_file import NETWORK_FILE_SYSTEMS, file_system_type

if TYPE_CHECKING:
    from sqlalchemy import Engine

LITTLE_ROOM, NO_ROOM = 1024 * 1024 * 1024, 64 * 1024 * 1024
INTEGRITY_S = 5.0
READING_S = 0.2
"""Who is seen reading at each of several looks within this time is a reader that does not end."""

_LOCKS = Path("/proc/locks")
_READ_MARKS = range(123, 128)
"""The bytes of the -shm file whose locks are those of readers (sqlite.org/walformat.html)."""


def look_at(engine: Engine, *, is_bundled: bool, is_guarded: bool, thorough: bool) -> Iterator[Check]:
    """Yield one check after the other."""
    path = Path(str(engine.url.database))
    yield check_library(engine.dialect.loaded_dbapi.sqlite_version, is_bundled, is_guarded)
    with engine.connect() as connection:
        asked = ("journal_mode", "synchronous")
        mode, level = (connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in asked)
    yield check_sync(str(mode), int(level))
    yield check_place(path)
    yield check_modes(path)
    yield check_log(path)
    yield check_room(path)
    if thorough:
        yield check_pages(engine)


def check_library(version: str, is_bundled: bool, is_guarded: bool) -> Check:
    """Say which SQLite is in use, and which of the three ways keeps the WAL-reset bug away."""
    if is_guarded:
        found = (
            f"SQLite {version}, which has the WAL-reset bug: kept away by checkpoints under the write lock"
        )
        return Check("library", Grade.WARN, found, "install pysqlite3, which brings a SQLite without it")
    origin = "brought by pysqlite3" if is_bundled else "the standard library's"
    return Check("library", Grade.OK, f"SQLite {version}, {origin}, without the WAL-reset bug")


def check_sync(mode: str, level: int) -> Check:
    """Say whether a commit is on the disk when it is acknowledged."""
    word = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}.get(level, str(level))
    found = f"journal mode {mode}, synchronous {word}"
    if mode == "wal" and level >= 2:
        return Check("durability", Grade.OK, found)
    remedy = "let nobody else set pragmas on the queue's engine: jobs that were acknowledged may be lost"
    return Check("durability", Grade.FAIL, found, remedy)


def check_place(path: Path, read_type: Callable[[Path], int | None] = file_system_type) -> Check:
    """Say whether every process that sees the file shares its locks."""
    magic = read_type(path)
    if (kind := NETWORK_FILE_SYSTEMS.get(magic or 0)) is not None:
        remedy = "put it on a local disk, or let QUEUE_DB_URL name a PostgreSQL database"
        return Check("file system", Grade.FAIL, f"{path} is on a network file system ({kind})", remedy)
    found = f"{path} is on a local file system"
    if magic is None:
        return Check("file system", Grade.OK, f"{path}; of which kind its file system is cannot be told here")
    return Check("file system", Grade.OK, found)


def check_modes(path: Path) -> Check:
    """Say whether the file and those beside it are their owner's alone."""
    wrong, names = [], []
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with suppress(FileNotFoundError):
            found = os.stat(file)  # noqa: PTH116 - by path only: no descriptor of a database may be closed
            names.append(str(file))
            if S_IMODE(found.st_mode) & 0o077:
                wrong.append(f"{file.name} has mode {S_IMODE(found.st_mode):04o}")
            if found.st_uid != os.geteuid():
                wrong.append(f"{file.name} belongs to user {found.st_uid}, this is user {os.geteuid()}")
    if not wrong:
        return Check("file modes", Grade.OK, "the database's files are their owner's alone")
    remedy = f"run everything as one user, and: chmod 600 {' '.join(names)}"
    return Check("file modes", Grade.WARN, "; ".join(wrong), remedy)


def check_log(path: Path) -> Check:
    """Say how large the log of what was written is, and who reads without end, which keeps it growing."""
    size = 0
    with suppress(FileNotFoundError):
        size = os.stat(f"{path}-wal").st_size  # noqa: PTH116 - as above
    found = f"the WAL has {mebibytes(size)}"
    if size <= CHECKPOINT_AT:
        return Check("WAL", Grade.OK, found)
    if readers := lasting_readers(Path(f"{path}-shm")):
        who = ", ".join(f"{pid} ({_command(pid)})" for pid in sorted(readers))
        found += f"; it cannot shrink while process {who} reads"
        return Check("WAL", Grade.WARN, found, "end that process, or let it end its read transaction")
    if size <= WAL_LIMIT:
        return Check("WAL", Grade.OK, f"{found}; nobody is seen to read for long")
    remedy = "look for a process that holds a read transaction; the WAL shrinks when it ends"
    return Check("WAL", Grade.WARN, found, remedy)


def lasting_readers(file: Path) -> set[int]:
    """Return the processes, other than this one, that are in a read transaction all the while this looks.

    Since when they are cannot be known. Where the system does not tell who holds which lock, nobody is returned.
    """
    deadline = Deadline(READING_S)
    readers = _readers(file)
    while readers and not deadline.passed:
        deadline.pause(READING_S / 10)
        readers &= _readers(file)
    return readers


def _readers(file: Path) -> set[int]:
    try:
        inode, lines = os.stat(file).st_ino, _LOCKS.read_text().splitlines()  # noqa: PTH116 - as above
    except OSError:
        return set()
    found = set()
    for line in lines:
        # 7: POSIX  ADVISORY  READ 4711 08:01:131142 124 124
        words = line.split()
        is_ours = words[5].rpartition(":")[2] == str(inode) and int(words[6]) in _READ_MARKS
        if words[1] == "POSIX" and words[3] == "READ" and is_ours:
            found.add(int(words[4]))
    # A process of another container has no number here.
    return found - {os.getpid(), 0, -1}


def _command(pid: int) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        return " ".join(words).strip()[:80]
    return "unknown"


def check_room(path: Path) -> Check:
    """Say how much more the disk can hold."""
    disk = os.statvfs(path.parent)
    free = disk.f_bavail * disk.f_frsize
    found = f"{mebibytes(free)} free on the disk that holds {path.name}"
    grade = Grade.FAIL if free < NO_ROOM else Grade.WARN if free < LITTLE_ROOM else Grade.OK
    if grade is Grade.OK:
        return Check("disk", grade, found)
    remedy = "free some space, or delete finished jobs: delete-db-jobs --status done"
    return Check("disk", grade, found, remedy)


def check_pages(engine: Engine) -> Check:
    """Look for damage, for INTEGRITY_S at most."""
    deadline, driver = Deadline(INTEGRITY_S), engine.dialect.loaded_dbapi
    with closing(engine.raw_connection()) as pooled, closing(pooled.cursor()) as cursor:
        connection: Any = pooled.dbapi_connection
        connection.set_progress_handler(lambda: deadline.passed, 10_000)
        try:
            rows = [str(row[0]) for row in cursor.execute("PRAGMA quick_check(3)").fetchall()]
        except driver.DatabaseError as error:
            if deadline.passed:
                found = f"no damage found within {INTEGRITY_S:g} s, in which not all could be looked at"
                return Check("integrity", Grade.OK, found)
            rows = [str(error)]
        finally:
            connection.set_progress_handler(None, 0)
    if rows == ["ok"]:
        return Check("integrity", Grade.OK, "quick_check found no damage")
    found = " ".join("; ".join(rows).split())[:300]
    return Check("integrity", Grade.FAIL, found, "stop everything, keep a copy of the file, restore a backup")


def mebibytes(size: int) -> str:
    """Return a number of bytes as people read it."""
    return f"{size / 1024 / 1024:,.1f} MiB" if size < 10 * LITTLE_ROOM else f"{size / LITTLE_ROOM:,.0f} GiB"
