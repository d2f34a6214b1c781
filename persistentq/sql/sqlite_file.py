"""Facts about the file of a SQLite database: where it may be, that it is private, that it is still the same.

Nothing here opens an existing database: closing that descriptor would drop the locks that this process holds on it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from persistentq.errors import ConfigurationError, DatabaseReplaced, StorageError, StorageUnavailable

if TYPE_CHECKING:
    from sqlalchemy import URL

NETWORK_FILE_SYSTEMS = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x01021997: "9p",
    0x65735546: "FUSE",
    0x00C36400: "Ceph",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x564C: "NCP",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
    0x19830326: "BeeGFS",
    0xBACBACBC: "VMware shared folders",
    0x786F4256: "VirtualBox shared folders",
}
"""`f_type` of statfs(2) where locks or shared memory do not reach every process that sees the file."""


def named_file(url: URL) -> Path:
    """Return the absolute path of the database that `url` names.

    Raises:
        ConfigurationError: it is none that processes can share.
    """
    name = url.database
    if not name or name == ":memory:" or name.startswith("file:"):
        raise ConfigurationError(
            "QUEUE_DB_URL", str(url), "the settings", "is not a database file, so processes cannot share it"
        )
    return Path(name).absolute()


def file_system_type(path: Path) -> int | None:
    """Return the magic number of the file system that holds `path`; None where that is not known."""
    if sys.platform != "linux":
        return None
    import ctypes

    found = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None).statfs(os.fsencode(path), found) != 0:
        return None
    return ctypes.c_long.from_buffer(found).value & 0xFFFFFFFF


def refuse_network(path: Path, read_type: Callable[[Path], int | None] = file_system_type) -> None:
    """Make sure that the database is, or will be, on a file system of this machine.

    Raises:
        ConfigurationError: it is not.
    """
    magic = read_type(path if path.exists() else path.parent)
    if (kind := NETWORK_FILE_SYSTEMS.get(magic or 0)) is not None:
        problem = (
            f"is on a network file system ({kind}), where SQLite would lose jobs; "
            "put it on a local disk, or let QUEUE_DB_URL name a PostgreSQL database"
        )
        raise ConfigurationError("QUEUE_DB_FILE", str(path), "the settings", problem)


def make_private(path: Path) -> bool:
    """Make an empty file that only its owner may read, and return True; return False if there is one already.

    SQLite gives the files beside a database its mode.

    Raises:
        StorageUnavailable: it cannot be made.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    except OSError as error:
        raise StorageUnavailable(str(path), f"cannot be created: {error.strerror}") from error
    return True


_LENT: set[tuple[int, int]] = set()
"""The files to which this process inherited connections that its parent had open when it forked."""


class FileIdentity:
    """The file that a path named when the queue was opened.

    Attributes:
        connections: This process's open connections to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections: WeakSet[Any] = WeakSet()
        self._known = self._found()

    def check(self) -> None:
        """Make sure that the path still names that file, and that this process may use it.

        Raises:
            DatabaseReplaced: what is written now would be lost with the old file.
            StorageError: this process was forked while connections to the file were open.
        """
        if self._known is None or self._found() != self._known:
            raise DatabaseReplaced(str(self.path))
        if self._known in _LENT:
            problem = (
                "was in use when this process was forked, which SQLite does not allow; spawn the process"
            )
            raise StorageError(str(self.path), problem)

    def note_fork(self) -> None:
        """Let the file be refused in this process, which was just forked, if it inherited an open connection to it.

        SQLite keeps in memory which locks a process has. A child inherits that memory, but not the locks: whatever it
        opens later has none, and as soon as its parent has gone others overwrite what it reads and writes.
        """
        if self.connections and self._known is not None:
            _LENT.add(self._known)

    def _found(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)  # noqa: PTH116 - pathlib takes twice as long, and this is in every transaction
        except OSError:
            return None
        return found.st_dev, found.st_ino
