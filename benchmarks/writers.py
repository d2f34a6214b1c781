"""`python -m benchmarks.writers`: how long many processes wait when each enqueues one job after the other.

Runs, in turn: one writer; eight with SQLite's own waiting for its write lock; eight that take turns as the queue does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from persistentq import PersistentQSQLAlchemy, StorageUnavailable
from persistentq.clock import Deadline
from persistentq.sql.sqlite_turns import TurnTaking

LOCK_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True)
class Waits:
    """What came of one run.

    Attributes:
        calls: Seconds that each call took, sorted.
        errors: How many calls failed.
        rate: Jobs per second, of all writers together.
        spread: The least and the most jobs that one writer stored.
    """

    calls: Sequence[float]
    errors: int
    rate: float
    spread: tuple[int, int]

    def at(self, part: float) -> float:
        """Return the milliseconds that this part of all calls did not exceed."""
        return self.calls[min(len(self.calls) - 1, int(len(self.calls) * part))] * 1000

    def row(self, name: str, alone: float) -> str:
        """Return a line of the table; `alone` is one writer's rate."""
        waits = " | ".join(f"{self.at(part):.1f}" for part in (0.5, 0.99, 0.999, 1.0))
        least, most = self.spread
        rates = f"{self.rate:,.0f} | {self.rate / alone:.2f} | {least:,}-{most:,}"
        return f"| {name} | {waits} | {rates} | {self.errors} |"


def _begin_as_sqlite_does(
    self: TurnTaking,  # noqa: ARG001 - it takes a method's place
    execute: Callable[[str], object],
    *,
    read_only: bool = False,
) -> None:
    execute("BEGIN" if read_only else "BEGIN IMMEDIATE")


def write(url: str, seconds: float, together: Barrier, answers: Queue[object], *, turns: bool) -> None:
    """Enqueue for so many seconds, as one of the processes."""
    if not turns:
        TurnTaking.begin = _begin_as_sqlite_does  # type: ignore[method-assign]
    calls: list[float] = []
    errors = 0
    with PersistentQSQLAlchemy(url, lock_timeout=LOCK_TIMEOUT) as queue:
        queue.enqueue("bench.task", {"n": 0})
        together.wait()
        deadline = Deadline(seconds)
        while not deadline.passed:
            began = time.perf_counter()
            try:
                queue.enqueue("bench.task", {"to": "a@example.org", "n": len(calls)})
            except StorageUnavailable:
                errors += 1
            calls.append(time.perf_counter() - began)
    answers.put((calls, errors))


def run(writers: int, seconds: float, folder: Path | None, *, turns: bool) -> Waits:
    """Let so many processes write to a new database, and return how long they waited."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        url = f"sqlite:///{place}/queue.db"
        PersistentQSQLAlchemy(url).close()
        together, answers = context.Barrier(writers), context.Queue()
        processes = [
            context.Process(target=write, args=(url, seconds, together, answers), kwargs={"turns": turns})
            for _ in range(writers)
        ]
        for process in processes:
            process.start()
        found = [answers.get() for _ in processes]
        for process in processes:
            process.join()
    calls = sorted(call for own, _ in found for call in own)
    numbers = [len(own) for own, _ in found]
    errors = sum(failed for _, failed in found)
    return Waits(calls, errors, len(calls) / seconds, (min(numbers), max(numbers)))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.writers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="where the databases are; a temporary folder by default")
    given = parser.parse_args(argv)
    print("| writers | p50 ms | p99 | p99.9 | worst | jobs/s | of one writer | per writer | errors |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for _ in range(given.rounds):
        alone = run(1, given.seconds / 2, given.folder, turns=True)
        print(alone.row("1", alone.rate), flush=True)
        for name, turns in (("SQLite's waiting", False), ("turns", True)):
            waits = run(given.writers, given.seconds, given.folder, turns=turns)
            print(waits.row(f"{given.writers}, {name}", alone.rate), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
