"""A log that somebody goes on writing: its last lines, and then those that are added."""

from __future__ import annotations

import os
from contextlib import suppress
from io import FileIO
from pathlib import Path

from persistentq.errors import SupervisionError

MOST_BYTES = 1_048_576
"""So much is read at a time."""


def open_log(log: Path) -> FileIO:
    """Open a log to be read.

    Raises:
        SupervisionError: it cannot be read here.
    """
    try:
        return log.open("rb", buffering=0)
    except OSError as error:
        raise SupervisionError(f"{log} cannot be read ({error.strerror})", "") from error


def go_near_end(file: FileIO, size: int) -> bool:
    """Go to where the last `size` bytes of a file begin, or to its beginning; return whether something is before."""
    start = max(0, file.seek(0, os.SEEK_END) - size)
    file.seek(start)
    return start > 0


class Following:
    """The lines of a log, as they are finished; it may be rotated or emptied meanwhile.

    Args:
        log: The file.
        size: So many bytes of what stands in it already are told, at most.

    Raises:
        SupervisionError: it cannot be read here.
    """

    def __init__(self, log: Path, size: int) -> None:
        if not log.is_file():
            raise SupervisionError(f"{log} is no file here", "see stdout_logfile")
        self._log, self._file = log, open_log(log)
        is_cut = go_near_end(self._file, size)
        told = self._file.read(size)
        # The first line may have lost its beginning.
        self._rest = told.partition(b"\n")[2] if is_cut else told

    def read(self) -> list[str]:
        """Return the lines that were finished since the last time, oldest first."""
        added = self._file.read(MOST_BYTES)
        if not added and self._is_another():
            added = self._file.read(MOST_BYTES)
        *lines, self._rest = (self._rest + added).split(b"\n")
        return [line.decode(errors="replace").removesuffix("\r") for line in lines]

    def close(self) -> None:
        """Read no more."""
        self._file.close()

    def _is_another(self) -> bool:
        """Begin at the start if the file was emptied, or another one has its name by now; return whether that is so."""
        with suppress(FileNotFoundError):
            found, ours = self._log.stat(), os.fstat(self._file.fileno())
            if (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino):
                self._file.close()
                self._file = open_log(self._log)
                return True
            if found.st_size < self._file.tell():
                self._file.seek(0)
                self._rest = b""
                return True
        return False
