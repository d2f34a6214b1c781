"""`python -m benchmarks.crew_member`: one process of a crew; see `crew`.

It says `ready` when all is open, begins when it reads a line, and is gone, whatever it does, when its standard input
ends: so none is left behind.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread

from benchmarks.peers import find

CELLS = 2
"""For each process, eight bytes each: when its first job began, in nanoseconds, and how many ran."""


class Tally:
    """Counts the jobs that ran in this process, where the process that measures can see it."""

    def __init__(self, path: Path, number: int) -> None:
        with path.open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        self._first, self._count = range(number * CELLS, (number + 1) * CELLS)
        self._lock = Lock()

    def begin(self) -> None:
        """Note that a job that takes its time begins; the first one starts the clock."""
        with self._lock:
            self._cells[self._first] = self._cells[self._first] or time.perf_counter_ns()

    def __call__(self) -> None:
        """Count a job."""
        self.begin()
        with self._lock:
            self._cells[self._count] += 1


def ready() -> None:
    """Tell that all is open, and wait for the others."""
    print("ready", flush=True)
    sys.stdin.readline()
    Thread(target=_end_with_input, daemon=True).start()


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


def produce(enqueue: Callable[[int], object], seconds: float) -> list[float]:
    """Store one job after the other for so long, and return the seconds that each call took."""
    calls: list[float] = []
    end = time.perf_counter() + seconds
    began = time.perf_counter()
    while began < end:
        enqueue(len(calls))
        now = time.perf_counter()
        calls.append(now - began)
        began = now
    return calls


def main(deed: str, module: str, place: str, *more: str) -> None:
    """Consume or produce."""
    peer = find(module)
    if deed == "consume":
        path, number, *options = more
        peer.consume(place, Tally(Path(path), int(number)), ready, *map(int, options))
    else:
        with peer.producer(place) as enqueue:
            enqueue(0)
            ready()
            calls = produce(enqueue, float(more[0]))
        print(json.dumps({"ended": time.perf_counter_ns(), "calls": calls}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
