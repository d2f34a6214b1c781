"""The demonstration's files: made by the producer, stamped by consumers, removed by an operator.

A job file begins with SIGNATURE, then random content; each consumer that processed it added one line.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from persistentq.errors import PersistentQError, shown

TASK = "file.stamp"
PREFIX, SUFFIX = "job-", ".txt"
SIGNATURE = b"# persistentq job file\n"
_STAMP = re.compile(rb"^\d{4}-\d\d-\d\dT[0-9:.]+Z \S+ attempt \d+$", re.MULTILINE)


class JobFileError(PersistentQError):
    """A job names a file that cannot be processed; trying again would not help."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path, self.problem = path, problem

    @property
    def summary(self) -> str:
        """Names the file and what is wrong with it."""
        return f"file {shown(self.path, 300)} {self.problem}"


def make_job_file(directory: Path) -> Path:
    """Make a new file with random content in `directory` (made if need be) and return its absolute path.

    Raises:
        OSError: the directory or the file cannot be written; nothing is left behind.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(SUFFIX, PREFIX, directory.resolve(strict=True))
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(SIGNATURE + "".join(f"{token_hex(32)}\n" for _ in range(4)).encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def stamp(root: Path, path: str, consumer: str, attempt: int, still_held: Callable[[], None]) -> str:
    """Append one line to the file: UTC time, consumer and attempt. Either the whole line or nothing is added.

    Args:
        root: The only directory whose files may be touched, at any depth.
        still_held: Called right before the write, while the file is locked against other consumers; it raises to
            prevent the write.

    Returns:
        The line, without its line end.

    Raises:
        JobFileError: the file is missing, not a regular file, or not within `root` when links are followed.
        OSError: it could not be written; the file is as it was.
    """
    with _opened(root, path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        still_held()
        line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ} {consumer} attempt {attempt}"
        end = os.fstat(descriptor).st_size
        unended = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
        _append(descriptor, b"\n" * unended + f"{line}\n".encode(), end)
        return line


def _append(descriptor: int, data: bytes, end: int) -> None:
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError("no space for a whole line")
        os.fsync(descriptor)
    except OSError:
        # A short write (a full disk) must not leave half a line.
        os.ftruncate(descriptor, end)
        raise


@contextmanager
def _opened(root: Path, path: str) -> Iterator[int]:
    """Open the file for appending, one path component after another, so that no link is followed on the way."""
    try:
        home = root.resolve(strict=True)
        inner = Path(path).resolve(strict=True).relative_to(home)
    except (FileNotFoundError, NotADirectoryError):
        raise JobFileError(path, "does not exist") from None
    except ValueError:
        # A NUL in the name raises ValueError too.
        raise JobFileError(path, f"is not inside {root}") from None
    except (OSError, RuntimeError) as error:
        raise JobFileError(path, f"cannot be reached: {error}") from error
    held = [os.open(home, os.O_RDONLY | os.O_DIRECTORY)]
    try:
        for part in inner.parts[:-1]:
            held.append(os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=held[-1]))
        held.append(_open_regular(held[-1], inner, path))
        yield held[-1]
    finally:
        for descriptor in held:
            os.close(descriptor)


def _open_regular(folder: int, inner: Path, path: str) -> int:
    if not inner.parts or stat.S_ISDIR(os.lstat(inner.name, dir_fd=folder).st_mode):
        raise JobFileError(path, "is a directory")
    # O_NONBLOCK: opening a FIFO must not hang the consumer.
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(inner.name, flags, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise JobFileError(path, "is not a regular file")
    return descriptor


def is_job_file(content: bytes) -> bool:
    """Return whether a file with this content was made by `make_job_file`."""
    return content.startswith(SIGNATURE)


def is_stamped(content: bytes) -> bool:
    """Return whether a consumer has added its line to this content."""
    return _STAMP.search(content) is not None
