"""The pairs: what the queue does, beside what the hand-written loop does."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import text

from benchmarks import raw
from benchmarks.drivers import PostgreSQLDriver, SQLiteDriver
from persistentq import NewJob, PersistentQSQLAlchemy

THREADS = 16


class Case(NamedTuple):
    """One row of the table: seconds of the queue and of the reference for the same number of jobs.

    Attributes:
        target: The least ratio (reference seconds / queue seconds) that is aimed at.
    """

    name: str
    jobs: int
    target: float
    queue: Callable[[int], float]
    reference: Callable[[int], float]
    beside: str = "raw loop"


def enqueue(queue: PersistentQSQLAlchemy, number: int) -> float:
    """One job per call."""
    began = time.perf_counter()
    for n in range(number):
        queue.enqueue("t", {"n": n, "pad": raw.PAD})
    return time.perf_counter() - began


def enqueue_many(queue: PersistentQSQLAlchemy, number: int) -> float:
    """A thousand jobs per call."""
    began = time.perf_counter()
    for start in range(0, number, raw.BULK):
        queue.enqueue_many([NewJob("t", {"n": n, "pad": raw.PAD}) for n in range(start, start + raw.BULK)])
    return time.perf_counter() - began


def enqueue_from_threads(queue: PersistentQSQLAlchemy, number: int) -> float:
    """One job per call, from many threads at once."""
    began = time.perf_counter()
    threads = [threading.Thread(target=enqueue, args=(queue, number // THREADS)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def drain(queue: PersistentQSQLAlchemy, number: int, batch: int) -> float:
    """Dequeue and complete `batch` jobs at a time."""
    left, began = number, time.perf_counter()
    while left > 0:
        jobs = queue.dequeue("c", limit=batch)
        if batch == 1:
            queue.complete(jobs[0])
        else:
            queue.complete_many(jobs)
        left -= len(jobs)
    return time.perf_counter() - began


@contextmanager
def sqlite_queue(synchronous: str = "FULL") -> Iterator[PersistentQSQLAlchemy]:
    """Yield a new queue in a file of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        PersistentQSQLAlchemy(f"sqlite:///{Path(folder)}/q.db") as queue,
    ):
        if synchronous != "FULL":
            # Only to compare with queues that give up durability; the library itself never does.
            queue._hot._ready()[0].execute(f"PRAGMA synchronous={synchronous}")
        yield queue


def on_sqlite(
    work: Callable[[PersistentQSQLAlchemy, int], float], *, waiting: bool = False, synchronous: str = "FULL"
) -> Callable[[int], float]:
    """Return a run of `work` on a new queue, with as many jobs waiting as it will do if so asked."""

    def run(number: int) -> float:
        with sqlite_queue(synchronous) as queue:
            if waiting:
                enqueue_many(queue, number)
            return work(queue, number)

    return run


def by_hand_on_sqlite(
    work: Callable[[raw.Driver, int], float], *, waiting: bool = False, synchronous: str = "FULL"
) -> Callable[[int], float]:
    """Return a run of the hand-written loop on a new file with the queue's tables."""

    def run(number: int) -> float:
        with sqlite_queue() as queue:
            if waiting:
                enqueue_many(queue, number)
            queue._hot.close()
            return work(SQLiteDriver(queue.engine, synchronous), number)

    return run


def sqlite_cases() -> list[Case]:
    """Return the pairs on SQLite."""
    one = on_sqlite(enqueue)
    return [
        Case("enqueue one, FULL", 1000, 0.90, one, by_hand_on_sqlite(raw.enqueue)),
        Case(
            "enqueue one, NORMAL",
            4000,
            0.60,
            on_sqlite(enqueue, synchronous="NORMAL"),
            by_hand_on_sqlite(raw.enqueue, synchronous="NORMAL"),
        ),
        Case(
            f"enqueue one, {THREADS} threads", 1600, 5.0, on_sqlite(enqueue_from_threads), one, "one thread"
        ),
        Case(
            "enqueue_many, 1,000 a call",
            10_000,
            0.60,
            on_sqlite(enqueue_many),
            by_hand_on_sqlite(raw.enqueue_many),
        ),
        Case(
            "dequeue(100), complete 100",
            10_000,
            0.60,
            on_sqlite(lambda queue, n: drain(queue, n, 100), waiting=True),
            by_hand_on_sqlite(lambda driver, n: raw.drain(driver, n, 100), waiting=True),
        ),
        Case(
            "dequeue(1), complete(1)",
            1000,
            0.80,
            on_sqlite(lambda queue, n: drain(queue, n, 1), waiting=True),
            by_hand_on_sqlite(lambda driver, n: raw.drain(driver, n, 1), waiting=True),
        ),
    ]


def postgresql_cases(url: str) -> list[Case]:
    """Return the pairs on the PostgreSQL database at `url`; its queue is emptied before each run."""
    queue = PersistentQSQLAlchemy(url)

    def emptied(number: int) -> None:
        with queue.engine.begin() as connection:
            connection.execute(text("TRUNCATE persistentq_jobs, persistentq_attempts RESTART IDENTITY"))
        if number:
            enqueue_many(queue, number)

    def ours(
        work: Callable[[PersistentQSQLAlchemy, int], float], *, waiting: bool = False
    ) -> Callable[[int], float]:
        def run(number: int) -> float:
            emptied(number * waiting)
            return work(queue, number)

        return run

    def by_hand(work: Callable[[raw.Driver, int], float], *, waiting: bool = False) -> Callable[[int], float]:
        def run(number: int) -> float:
            emptied(number * waiting)
            return work(PostgreSQLDriver(url), number)

        return run

    lock = " FOR UPDATE SKIP LOCKED"
    return [
        Case("PostgreSQL: enqueue one", 1000, 0.90, ours(enqueue), by_hand(raw.enqueue)),
        Case("PostgreSQL: enqueue_many", 5000, 0.60, ours(enqueue_many), by_hand(raw.enqueue_many)),
        Case(
            "PostgreSQL: dequeue(100), complete 100",
            5000,
            0.80,
            ours(lambda store, n: drain(store, n, 100), waiting=True),
            by_hand(lambda driver, n: raw.drain(driver, n, 100, lock), waiting=True),
        ),
    ]
