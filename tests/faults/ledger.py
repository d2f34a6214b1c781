"""What producers and consumers say that they did, outside of the queue's database: one file for each process.

A line is written with one call to a file that is only appended to, so it outlives the process however that ends. It is
not synced: here processes are killed, and the machine goes on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

SUFFIX = ".ledger"


class Entry(NamedTuple):
    """One line: when, in microseconds since 1970, which process, what, and with which facts."""

    at: int
    pid: int
    what: str
    facts: tuple[Any, ...]


class Ledger:
    """The present process's file."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(folder / f"{os.getpid()}-{time.time_ns()}{SUFFIX}", flags, 0o600)

    def note(self, what: str, *facts: Any) -> None:
        """Write a line. May be called from any thread."""
        line = json.dumps([time.time_ns() // 1000, os.getpid(), what, *facts])
        os.write(self._file, f"{line}\n".encode())


class Reader:
    """All that was written so far, and what is new since the last look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self.entries: list[Entry] = []

    def look(self) -> list[Entry]:
        """Return the entries that came since the last look, each process's in its order."""
        fresh = [entry for path in sorted(self._folder.glob(f"*{SUFFIX}")) for entry in self._rest(path)]
        self.entries += fresh
        return fresh

    def _rest(self, path: Path) -> Iterator[Entry]:
        begin = self._read.get(path, 0)
        if path.stat().st_size == begin:
            return
        with path.open("rb") as file:
            file.seek(begin)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read[path] = begin + len(whole)
        for line in whole.splitlines():
            at, pid, what, *facts = json.loads(line)
            yield Entry(at, pid, what, tuple(facts))


def of_kind(entries: Iterable[Entry], what: str) -> list[Entry]:
    """Return those that say this."""
    return [entry for entry in entries if entry.what == what]
