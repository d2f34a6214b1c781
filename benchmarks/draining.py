"""Consumers: processes that drain a backlog of tasks that do nothing, or work while others produce.

Each consumer is a process of its own. A backlog is stored before they start, and the clock runs from the start of the
first job until the database has the last one as done; the raw loop claims a hundred jobs and finishes them, again and
again, with payloads decoded. A consumer runs one task at a time unless a row says otherwise, and its log has warnings
only. Two producers store one job after the other, as fast as they can, while two consumers work; all calls of all
rounds are taken together. The memory is what one `python -m consumer.consumer` keeps after its first hundred jobs.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import crew
from benchmarks.peers import find, ours
from benchmarks.report import Benchmark, Case, Options, Row, in_turn
from benchmarks.writers import all_calls
from persistentq.clock import Deadline

JOBS, MANY = 20_000, 4
SLEEPERS, AT_ONCE = 1000, 50
MIXED_S, MIXED_ROUNDS = 10.0, 3
P99_TIMES, WORST_MS, LATE_S = 5.0, 100.0, 1.0
IDLE_S, MOST_MB = 2.0, 70.0
STATM = Path("/proc/self/statm")
"""Linux tells there how much memory a process has."""


def benchmarks(options: Options) -> list[Benchmark]:
    """Return the rows on SQLite, and those on PostgreSQL if one is given."""
    found: list[Benchmark] = [
        Case("drain, 1 consumer", JOBS, 0.60, in_turn(drained("ours"), drained("raw_loop"))),
        Case(
            f"drain, {MANY} consumers",
            JOBS,
            1.00,
            in_turn(drained("ours", MANY), drained("ours")),
            "one consumer",
        ),
        *(
            Case(
                f"{AT_ONCE} at once, asleep for 200 ms: {how}",
                SLEEPERS,
                0.95,
                partial(_asleep, task),
                "ideal",
            )
            for how, task in (("threads", ours.SLEEP), ("async", ours.SLEEP_ASYNC))
        ),
        Mixture("2 producers, 2 consumers", None),
    ]
    if STATM.exists():
        found.append(Idle())
    if url := options.postgresql:
        on_server = partial(drained, server=url)
        pairs = {
            number: in_turn(on_server("ours", number), on_server("raw_loop", number)) for number in (1, MANY)
        }
        found += [
            Case("PostgreSQL: drain, 1 consumer", JOBS, 0.60, pairs[1]),
            Case(f"PostgreSQL: drain, {MANY} consumers", JOBS, 1.00, pairs[MANY], f"{MANY} raw loops"),
            Mixture("PostgreSQL: 2 producers, 2 consumers", url),
        ]
    return found


def drained(module: str, consumers: int = 1, server: str | None = None) -> Callable[[int], float]:
    """Return a run in which so many consumers do the jobs of a new place; it returns the seconds."""
    peer = find(module)

    def run(number: int) -> float:
        with crew.place_for(peer, server) as place:
            peer.store(place, number)
            return number / crew.drain(module, place, number, consumers).rate

    return run


def _asleep(task: str, number: int) -> tuple[float, float]:
    """Return the seconds that so many sleeping jobs take, and those that they must take."""
    with crew.place_for(find("ours"), None) as place:
        ours.store_sleepers(place, number, task)
        seconds = number / crew.drain("ours", place, number, options=(AT_ONCE,)).rate
    return seconds, number / AT_ONCE * ours.NAP_S


@dataclass(frozen=True)
class Mixture:
    """Producers and consumers at the same time, beside one producer alone, in turn."""

    name: str
    server: str | None

    def rows(self, rounds: int) -> Iterator[Row]:
        """Yield a row each for the slower calls, for the slowest, and for what is left at the end."""
        alone, together, late = [], [], []
        for _ in range(min(rounds, MIXED_ROUNDS)):
            alone.append(self._run(1, 0, MIXED_S / 2).waits)
            mixed = self._run(2, 2, MIXED_S)
            together.append(mixed.waits)
            late.append(mixed.late)
        yield self._slower(all_calls(together).at(0.99), all_calls(alone).at(0.99))
        worst, worst_alone = all_calls(together).at(1.0), all_calls(alone).at(1.0)
        yield Row(
            f"{self.name}: one enqueue, worst",
            f"{worst:.1f} ms",
            f"{worst_alone:.1f} ms (one producer alone)",
            "",
            f"<= {WORST_MS:.0f} ms",
            worst <= WORST_MS,
        )
        rate, rate_alone = (statistics.median(waits.rate for waits in some) for some in (together, alone))
        yield Row(
            f"{self.name}: all done after the end",
            f"{max(late):.2f} s ({rate:,.0f} jobs/s)",
            f"{rate_alone:,.0f} jobs/s (one producer alone)",
            "",
            f"<= {LATE_S:.0f} s",
            max(late) <= LATE_S,
        )

    def _run(self, producers: int, consumers: int, seconds: float) -> crew.Mixed:
        with crew.place_for(find("ours"), self.server) as place:
            return crew.mix("ours", place, producers, consumers, seconds)

    def _slower(self, together: float, alone: float) -> Row:
        return Row(
            f"{self.name}: one enqueue, p99",
            f"{together:.2f} ms",
            f"{alone:.2f} ms (one producer alone)",
            f"{together / alone:.2f} times",
            f"<= {P99_TIMES:.2f}",
            together <= P99_TIMES * alone,
        )


class Idle:
    """One consumer process that has nothing to do any more."""

    name = "idle consumer"

    def rows(self, rounds: int) -> Iterator[Row]:
        """Yield the row of its memory."""
        found = sorted(idle_mb() for _ in range(min(rounds, MIXED_ROUNDS)))
        yield Row(
            f"{self.name}: memory (RSS)",
            f"{statistics.median(found):.0f} MB",
            "",
            f"({found[0]:.0f}-{found[-1]:.0f} MB)",
            f"<= {MOST_MB:.0f} MB",
            found[-1] <= MOST_MB,
        )


def idle_mb(jobs: int = 100) -> float:
    """Return the megabytes that a consumer's process keeps after so many jobs."""
    peer = find("ours")
    with crew.place_for(peer, None) as place, peer.counter(place) as left:
        peer.store(place, jobs)
        # The nearest .env and this shell's settings are not what is measured.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("QUEUE_")}
        with subprocess.Popen(
            [sys.executable, "-m", "consumer.consumer", "--app", "benchmarks.nothing"],
            cwd=crew.ROOT,
            env=environment | {"QUEUE_DB_URL": ours.url(place)},
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                if not Deadline(crew.PATIENCE_S).wait_for(lambda: not left()):
                    raise RuntimeError("the consumer did not finish its jobs")
                Deadline(IDLE_S).wait_for(lambda: False)
                return resident_mb(process.pid)
            finally:
                process.terminate()


def resident_mb(pid: int) -> float:
    """Return the megabytes of a process that are in memory, what it shares with others included."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize() / 1e6
