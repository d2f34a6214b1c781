"""Latency: from the return of `enqueue` to the start of the handler, in an idle consumer of another process.

One job at a time, after pauses of up to 40 ms, at random; all jobs of all rounds are taken together. Beside them is
what the calls of `enqueue` took, which the claim takes once more. The clock is one for all processes. Then a consumer
that has nothing to do is watched for 20 seconds, for the part of a core that it uses.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import Thread
from typing import NamedTuple

from benchmarks.queues import postgresql_queue, sqlite_queue
from benchmarks.report import Options, Row
from persistentq import Consumer, PersistentQSQLAlchemy, current_job
from persistentq.clock import Deadline
from persistentq.tasks import Tasks

JOBS = 500
LONGEST_PAUSE_S = 0.04
IDLE_S = 20.0
STARTED_S = 1.0
MOST_IDLE = 0.005


def benchmarks(options: Options) -> list[Latency]:
    """Return one benchmark for each database."""
    url = options.postgresql
    found = [Latency("a job's start", sqlite_queue, {0.5: 1.5, 0.99: 6.0})]
    if url:
        found.append(Latency("PostgreSQL: a job's start", lambda: postgresql_queue(url), {0.5: 2.5}))
    return found


class Seen(NamedTuple):
    """What came of one run.

    Attributes:
        starts: For each job, milliseconds from the return of its `enqueue` to the start of its handler.
        calls: For each job, milliseconds that its `enqueue` took.
        idle: The part of a core that the consumer used while there was nothing to do.
    """

    starts: Sequence[float]
    calls: Sequence[float]
    idle: float


def consume(url: str, idle_s: float, pipe: Connection) -> None:
    """Note when each job's handler starts; when asked for it, tell that and what idleness costs, and stop."""
    starts: dict[int, int] = {}

    def start() -> None:
        starts.setdefault(current_job().job.id, time.monotonic_ns())

    tasks = Tasks()
    tasks.add("t", start)
    with PersistentQSQLAlchemy(url) as queue:
        consumer = Consumer(queue, tasks=tasks, consumer_id="c")

        def answer() -> None:
            pipe.send("ready")
            pipe.recv()
            used, began = time.process_time(), time.monotonic()
            Deadline(idle_s).pause(idle_s)
            pipe.send((starts, (time.process_time() - used) / (time.monotonic() - began)))
            consumer.stop()

        Thread(target=answer, daemon=True).start()
        consumer.run()


def run(queue: PersistentQSQLAlchemy, jobs: int, idle_s: float) -> Seen:
    """Enqueue so many jobs, one after the other, for a consumer in another process."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=consume, args=(queue.address, idle_s, theirs), daemon=True)
    process.start()
    pipe.recv()
    Deadline(STARTED_S).pause(STARTED_S)
    calls, returned = [], {}
    for _ in range(jobs):
        pause = random.uniform(0, LONGEST_PAUSE_S)
        Deadline(pause).pause(pause)
        began = time.monotonic_ns()
        job = queue.enqueue("t")
        returned[job.id] = time.monotonic_ns()
        calls.append((returned[job.id] - began) / 1e6)
    Deadline(STARTED_S).pause(STARTED_S)
    pipe.send("done")
    starts, idle = pipe.recv()
    process.join()
    return Seen([(starts[job] - end) / 1e6 for job, end in returned.items()], calls, idle)


@dataclass(frozen=True)
class Latency:
    """A queue's latency, and what it costs.

    Attributes:
        opened: Gives a new queue.
        most_ms: For parts of all jobs, the milliseconds that these may take.
    """

    name: str
    opened: Callable[[], AbstractContextManager[PersistentQSQLAlchemy]]
    most_ms: dict[float, float]

    def rows(self, rounds: int) -> Iterator[Row]:
        """Yield a row for each part of all jobs, and one for idleness."""
        seen = []
        for n in range(rounds):
            with self.opened() as queue:
                # Idleness is watched once.
                seen.append(run(queue, JOBS, IDLE_S if n == 0 else 0.1))
        for part, most in self.most_ms.items():
            ours = _at([start for one in seen for start in one.starts], part)
            each = sorted(_at(one.starts, part) for one in seen)
            calls = _at([call for one in seen for call in one.calls], part)
            yield Row(
                f"{self.name}: p{part * 100:.0f}",
                f"{ours:.2f} ms",
                f"{calls:.2f} ms (the call)",
                f"({each[0]:.2f}-{each[-1]:.2f} ms)",
                f"<= {most} ms",
                ours <= most,
            )
        idle = seen[0].idle
        wanted = f"<= {MOST_IDLE:.1%} of a core"
        yield Row(f"{self.name}: idle", f"{idle:.2%} of a core", "", "", wanted, idle <= MOST_IDLE)


def _at(values: Sequence[float], part: float) -> float:
    """Return the value that this part of all does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
