"""A watch on one file by Linux's inotify: says that it was written to, without any work while it is not."""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress
from pathlib import Path

MODIFIED, ATTRIBUTES, MOVED, DELETED = 0x2, 0x4, 0x800, 0x400
EVENT = struct.Struct("iIII")
"""Watch, what happened, cookie, length of the name that follows; an event of a watched file has no name."""


class FileWatch:
    """Tells when a file is written to; the file may be deleted and made anew, and is never opened.

    Attributes:
        descriptor: Can be read when something happened.
        watched: A number for the file that is watched, another one for each; -1 while there is none.

    Raises:
        OSError: there is no inotify here, or no instance left.
    """

    def __init__(self, path: Path) -> None:
        self._path = os.fsencode(path)
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            self.descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except AttributeError as error:
            raise OSError("this system has no inotify") from error
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "there is no inotify instance left")
        self.watched = -1

    def _arm(self) -> None:
        """Watch the file that the path names now, and no other."""
        wanted = MODIFIED | ATTRIBUTES | MOVED | DELETED
        known, self.watched = self.watched, self._libc.inotify_add_watch(self.descriptor, self._path, wanted)
        if known >= 0 and known != self.watched:
            self._libc.inotify_rm_watch(self.descriptor, known)

    def read(self) -> bool:
        """Forget what has happened up to now, and return whether anything has; watch the file if it is not yet."""
        has_happened = False
        if self.watched < 0:
            self._arm()
        with suppress(BlockingIOError):
            while found := os.read(self.descriptor, EVENT.size * 256):
                has_happened = True
                # Deleted, moved, a link less, or events lost: the path may name another file now.
                if any(what != MODIFIED for _, what, _, _ in EVENT.iter_unpack(found)):
                    self._arm()
        return has_happened

    def close(self) -> None:
        """Let go of the watch."""
        os.close(self.descriptor)
