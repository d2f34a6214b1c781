"""Writers: how long eight processes wait when each enqueues one job after the other into one SQLite file.

All calls of all rounds are taken together; beside them one writer alone, in turn. `python -m benchmarks.writers` shows
the same beside SQLite's own way of waiting for its write lock.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.report import Options, Row
from persistentq import PersistentQSQLAlchemy, StorageUnavailable
from persistentq.clock import Deadline
from persistentq.sql.sqlite_turns import TurnTaking

LOCK_TIMEOUT = timedelta(seconds=10)
WRITERS, SECONDS = 8, 8.0
LATE_MS, WORST_MS, THROUGHPUT = 60.0, 250.0, 0.85


def benchmarks(_: Options) -> list[Writers]:
    """Return the one benchmark."""
    return [Writers()]


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


def _let_sqlite_wait(self: TurnTaking, execute: Callable[[str], object], *, wanted: bool) -> None:
    execute(f"PRAGMA busy_timeout={int(self.lock_timeout * 1000)}")
    self._has_patience = wanted


def write(url: str, seconds: float, together: Barrier, answers: Queue[object], *, turns: bool) -> None:
    """Enqueue for so many seconds, as one of the processes."""
    if not turns:
        TurnTaking._let_sqlite_wait = _let_sqlite_wait  # type: ignore[method-assign]
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


class Writers:
    """One writer and eight, in turn."""

    name = f"{WRITERS} writer processes"

    def rows(self, rounds: int) -> Iterator[Row]:
        """Yield a row each for the slowest calls, for errors and for the throughput."""
        alone, together = [], []
        run(WRITERS, 1.0, None, turns=True)
        for _ in range(rounds):
            alone.append(run(1, SECONDS / 2, None, turns=True))
            together.append(run(WRITERS, SECONDS, None, turns=True))
        yield self._wait("p99.9", 0.999, LATE_MS, alone, together)
        yield self._wait("worst", 1.0, WORST_MS, alone, together)
        failed = sum(waits.errors for waits in together)
        yield Row(f"{self.name}: errors", f"{failed}", "", "", "0", failed == 0)
        yield self._throughput(alone, together)

    def _wait(self, what: str, part: float, most: float, alone: list[Waits], together: list[Waits]) -> Row:
        ours, theirs = all_calls(together).at(part), all_calls(alone).at(part)
        each = sorted(waits.at(part) for waits in together)
        shown = f"({each[0]:.1f}-{each[-1]:.1f} ms)"
        return Row(
            f"{self.name}: {what}",
            f"{ours:.1f} ms",
            f"{theirs:.1f} ms (one writer)",
            shown,
            f"<= {most:.0f} ms",
            ours <= most,
        )

    def _throughput(self, alone: list[Waits], together: list[Waits]) -> Row:
        rate, limit = (statistics.median(waits.rate for waits in some) for some in (together, alone))
        ratios = sorted(ours.rate / theirs.rate for ours, theirs in zip(together, alone, strict=True))
        ratio = statistics.median(ratios)
        return Row(
            f"{self.name}: throughput",
            f"{rate:,.0f} jobs/s",
            f"{limit:,.0f} jobs/s (one writer)",
            f"{ratio:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})",
            f"{THROUGHPUT:.2f}",
            ratio >= THROUGHPUT,
        )


def all_calls(runs: Sequence[Waits]) -> Waits:
    """Return the calls of several runs together."""
    calls = sorted(call for waits in runs for call in waits.calls)
    return Waits(calls, sum(waits.errors for waits in runs), 0.0, (0, 0))


def main(argv: Sequence[str] | None = None) -> int:
    """Print one writer, eight with SQLite's own waiting, and eight that take turns, in turn; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.writers", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--writers", type=int, default=WRITERS)
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
