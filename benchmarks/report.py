"""A benchmark gives rows; a row has a target, and says whether it was reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

HEAD = ("| work | queue | beside | ratio (min-max) | target | |", "|---|---|---|---|---|---|")


class Options(NamedTuple):
    """What was asked for.

    Attributes:
        postgresql: The URL of a database to measure on as well, or None.
        long: Whether to run what takes many minutes, too.
        peers: Whether to measure beside other queues, too.
    """

    postgresql: str | None
    long: bool
    peers: bool = False


class Row(NamedTuple):
    """A line of a table, ready to be shown, but for the verdict; `reached` is None if there is no target."""

    work: str
    queue: str
    beside: str
    ratio: str
    target: str
    reached: bool | None

    def __str__(self) -> str:
        verdict = {True: "reached", False: "missed", None: ""}[self.reached]
        return f"| {' | '.join(self[:-1])} | {verdict} |"


class Benchmark(Protocol):
    """Whatever gives rows for a table."""

    @property
    def name(self) -> str: ...
    def rows(self, rounds: int) -> Iterator[Row]: ...


@dataclass(frozen=True)
class Case:
    """The queue beside a reference; the row is the ratio of the seconds that each takes for the same number of jobs.

    Attributes:
        target: The least ratio (reference seconds / queue seconds) that is aimed at.
        both: Does so many jobs on both sides and returns the seconds, the queue's first.
        beside: What the reference is.
        unit: What there are so many of in a second.
        least_rounds: So many pairs, even if fewer are asked for.
    """

    name: str
    jobs: int
    target: float
    both: Callable[[int], tuple[float, float]]
    beside: str = "raw loop"
    unit: str = "jobs"
    least_rounds: int = 1

    def rows(self, rounds: int) -> Iterator[Row]:
        """Run both sides and yield the median of the ratios, pair by pair."""
        self.both(max(1, self.jobs // 10))
        seconds = [self.both(self.jobs) for _ in range(max(rounds, self.least_rounds))]
        pairs = [(self.jobs / queue, self.jobs / reference) for queue, reference in seconds]
        yield compared(self.name, pairs, self.target, self.beside, self.unit)


def compared(
    name: str, pairs: Sequence[tuple[float, float]], target: float | None, beside: str, unit: str = "jobs"
) -> Row:
    """Return the row for pairs of rates, the queue's first: the median of the ratios, pair by pair."""
    ratios = sorted(queue / reference for queue, reference in pairs)
    ratio = statistics.median(ratios)
    rate, limit = (_per_second(statistics.median(rates), unit) for rates in zip(*pairs, strict=True))
    shown = f"{ratio:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    if target is None:
        return Row(name, rate, f"{limit} ({beside})", shown, "", None)
    return Row(name, rate, f"{limit} ({beside})", shown, f"{target:.2f}", ratio >= target)


def _per_second(rate: float, unit: str) -> str:
    return f"{rate:,.{0 if rate >= 100 else 1}f} {unit}/s"


def in_turn(
    queue: Callable[[int], float], reference: Callable[[int], float]
) -> Callable[[int], tuple[float, float]]:
    """Return what runs the reference and then the queue, each for all the jobs."""

    def both(number: int) -> tuple[float, float]:
        seconds = reference(number)
        return queue(number), seconds

    return both


def measured(benchmarks: Iterable[Benchmark], rounds: int) -> list[str]:
    """Run the benchmarks, print their rows as they come, and return the lines of the table."""
    lines = list(HEAD)
    print("\n".join(lines), flush=True)
    for benchmark in benchmarks:
        for row in benchmark.rows(rounds):
            print(row, flush=True)
            lines.append(str(row))
    return lines
