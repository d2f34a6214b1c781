"""Snapshot: jobs that pass through a queue on PostgreSQL while a REPEATABLE READ transaction stays open elsewhere.

VACUUM can then remove nothing that the snapshot might still see, so the old versions of all rows stay; beside it, the
same without a snapshot. A thousand jobs are stored, then claimed and completed a hundred at a time, again and again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from benchmarks.queues import connect, drain, enqueue_many, postgresql_queue
from benchmarks.raw import BATCH, BULK
from benchmarks.report import Case, Options, in_turn
from persistentq import PersistentQSQLAlchemy
from persistentq.clock import Deadline

TARGET = 0.5
FEW, MANY = 30_000, 300_000
HELD_S = 300.0
"""How long the snapshot is held while MANY jobs pass, so that VACUUM comes by as it does in real life."""


def benchmarks(options: Options) -> list[Case]:
    """Return the short pair, and the long one if asked for; none without a PostgreSQL."""
    url = options.postgresql
    if url is None:
        return []
    cases = [_case("PostgreSQL: snapshot held, 30,000 jobs", url, FEW, 0.0)]
    if options.long:
        cases.append(_case("PostgreSQL: snapshot held for 5 minutes, 300,000 jobs", url, MANY, HELD_S))
    return cases


def _case(name: str, url: str, jobs: int, held_s: float) -> Case:
    def held(number: int) -> float:
        with postgresql_queue(url) as queue, _snapshot(queue):
            deadline, late = Deadline(held_s * number / jobs), number // 10
            seconds = _pass(queue, number - late)
            deadline.wait_for(lambda: False, every=1.0)
            return seconds + _pass(queue, late)

    def free(number: int) -> float:
        with postgresql_queue(url) as queue:
            return _pass(queue, number)

    return Case(name, jobs, TARGET, in_turn(held, free), "no snapshot")


@contextmanager
def _snapshot(queue: PersistentQSQLAlchemy) -> Iterator[None]:
    with closing(connect(queue.engine.url)) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM persistentq_schema")
        yield
        # Its lock would keep the schema from being dropped.
        connection.execute("ROLLBACK")


def _pass(queue: PersistentQSQLAlchemy, number: int) -> float:
    """Let so many jobs pass and return the seconds."""
    began = time.perf_counter()
    for start in range(0, number, BULK):
        some = min(BULK, number - start)
        enqueue_many(queue, some)
        drain(queue, some, BATCH)
    return time.perf_counter() - began
