"""Whether a program that is started again and again keeps ending soon after its start; then each start waits longer.

Whoever starts it, such as Supervisor, knows two answers to that: at once for ever, or never again. It is remembered in
a small file of the user's own, as the database may be what is wrong. A start is counted when it begins, so that one
that ends without a word, killed or crashed, is known to the next.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from persistentq.clock import Deadline
from persistentq.errors import PersistentQError
from persistentq.life import begin_life, end_life, lasts
from persistentq.text import safe

LASTING_S = 60.0
"""A start that has lasted so long was a good one."""

LONGEST_PAUSE_S = 60.0
STALE_S = 600.0
"""What is older was not followed by a start, so nobody starts it again and again."""

LONGEST_ERROR = 300


class Restarts:
    """Counts the starts of one program that ended soon; a context around all that the program does.

    If the block raises, or `note` was called, the start is one of those; if it ends well, they are forgotten.

    Args:
        name: What the starts of one program in one directory have in common; None for one that nobody starts again.
    """

    def __init__(self, name: str | None) -> None:
        self._file = None if name is None else _folder() / _digest(name)
        self._ends, self._error = self._read()
        self._life = ""
        self._lasting = Deadline(LASTING_S)
        self._is_noted = self._is_forgotten = False

    @property
    def pause(self) -> float:
        """Seconds for which this start is to wait: 0 after a single one that ended soon, at most 60."""
        return 0.0 if self._ends < 2 else min(LONGEST_PAUSE_S, 2.0**self._ends)

    def trouble(self) -> str | None:
        """Say in one line that it keeps ending soon; None once this start has lasted, or if there is nothing to say."""
        if self._lasting.passed and not self._is_forgotten:
            self._forget()
        if self._ends < 2:
            return None
        return f"ended {self._ends} times in a row soon after its start; the last time: {self._error or 'no word'}"

    def note(self, error: BaseException | str) -> None:
        """Remember with what error this start ends."""
        self._is_noted = True
        if not self._lasting.passed:
            self._write(self._ends + 1, told(error) or "")

    def __enter__(self) -> Self:
        """Count this start as one that ends soon, until it is known better."""
        self._lasting, self._life = Deadline(LASTING_S), begin_life()
        self._write(self._ends + 1, "")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and told(error) is not None:
            self.note(error)
        elif not self._is_noted:
            self._forget()
        end_life(self._life)

    def _read(self) -> tuple[int, str]:
        if self._file is not None:
            with suppress(OSError, ValueError, TypeError, KeyError):
                if time.time() - self._file.stat().st_mtime < STALE_S:
                    kept = json.loads(self._file.read_text(encoding="utf-8"))
                    ends = int(kept["ends"]) - lasts(str(kept["life"]), timedelta.max)
                    return min(ends, 1000), str(kept["error"])
        return 0, ""

    def _write(self, ends: int, error: str) -> None:
        if self._file is None:
            return
        with suppress(OSError):
            fresh = self._file.with_suffix(f".{os.getpid()}")
            kept = {"ends": ends, "error": error, "life": self._life}
            fresh.write_text(json.dumps(kept), encoding="utf-8")
            fresh.replace(self._file)

    def _forget(self) -> None:
        # Once: another start of the same name, which is refused because this one lives, is counted there too.
        self._ends, self._error, self._is_forgotten = 0, "", True
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)


def told(error: BaseException | str) -> str | None:
    """Return an error in one line of at most 300 characters; None for one that ends the program in good order."""
    if isinstance(error, SystemExit) and not error.code:
        return None
    if isinstance(error, PersistentQError):
        return safe(error.summary, LONGEST_ERROR)
    return safe(error if isinstance(error, str) else f"{type(error).__name__}: {error}", LONGEST_ERROR)


def _digest(name: str) -> str:
    return hashlib.sha256(f"{Path.cwd()}\0{name}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _folder() -> Path:
    """Return a folder that is this user's alone; one that cannot be had is a name under which nothing can be kept."""
    folder = Path(tempfile.gettempdir()) / f"persistentq-{os.geteuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
            return folder
    return Path(os.devnull) / "nothing"
