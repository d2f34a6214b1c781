"""Throughput: jobs per second, beside a hand-written loop on the driver with the same table, pragmas and payload."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing

from benchmarks import raw
from benchmarks.drivers import PostgreSQLDriver, SQLiteDriver
from benchmarks.queues import drain, enqueue, enqueue_many, postgresql_queue, sqlite_queue
from benchmarks.report import Case, Options, in_turn
from persistentq import PersistentQSQLAlchemy

THREADS = 16


def benchmarks(options: Options) -> list[Case]:
    """Return the pairs on SQLite, and those on PostgreSQL if one is given."""
    return sqlite_cases() + (postgresql_cases(options.postgresql) if options.postgresql else [])


def enqueue_from_threads(queue: PersistentQSQLAlchemy, number: int) -> float:
    """One job per call, from many threads at once."""
    began = time.perf_counter()
    threads = [threading.Thread(target=enqueue, args=(queue, number // THREADS)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


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
    by_hand = by_hand_on_sqlite(raw.enqueue)
    loose = in_turn(
        on_sqlite(enqueue, synchronous="NORMAL"), by_hand_on_sqlite(raw.enqueue, synchronous="NORMAL")
    )
    threads = in_turn(on_sqlite(enqueue_from_threads), one)
    many = in_turn(on_sqlite(enqueue_many), by_hand_on_sqlite(raw.enqueue_many))
    return [
        Case("enqueue one, FULL", 1000, 0.90, in_turn(one, by_hand)),
        Case("enqueue one, NORMAL", 4000, 0.60, loose),
        Case(f"enqueue one, {THREADS} threads", 1600, 5.0, threads, "one thread"),
        Case("enqueue_many, 1,000 a call", 10_000, 0.60, many),
        Case("dequeue(100), complete 100", 10_000, 0.60, drained_on_sqlite(100)),
        Case("dequeue(1), complete(1)", 1000, 0.80, drained_on_sqlite(1)),
    ]


def drained_on_sqlite(batch: int) -> Callable[[int], tuple[float, float]]:
    """Return what dequeues and completes, `batch` jobs at a time, in the queue and by hand."""
    return in_turn(
        on_sqlite(lambda queue, n: drain(queue, n, batch), waiting=True),
        by_hand_on_sqlite(lambda driver, n: raw.drain(driver, n, batch), waiting=True),
    )


def postgresql_cases(url: str) -> list[Case]:
    """Return the pairs on a PostgreSQL database."""

    def ours(
        work: Callable[[PersistentQSQLAlchemy, int], float], *, waiting: bool = False
    ) -> Callable[[int], float]:
        def run(number: int) -> float:
            with postgresql_queue(url) as queue:
                # The other side has its connection before the clock starts, too.
                enqueue(queue, 1), drain(queue, 1, 1)
                enqueue_many(queue, number * waiting)
                return work(queue, number)

        return run

    def by_hand(work: Callable[[raw.Driver, int], float], *, waiting: bool = False) -> Callable[[int], float]:
        def run(number: int) -> float:
            with postgresql_queue(url) as queue, closing(PostgreSQLDriver(queue.engine.url)) as driver:
                enqueue_many(queue, number * waiting)
                return work(driver, number)

        return run

    lock = " FOR UPDATE SKIP LOCKED"
    return [
        Case("PostgreSQL: enqueue one", 1000, 0.90, in_turn(ours(enqueue), by_hand(raw.enqueue))),
        Case("PostgreSQL: enqueue_many", 5000, 0.60, in_turn(ours(enqueue_many), by_hand(raw.enqueue_many))),
        Case(
            "PostgreSQL: dequeue(100), complete 100",
            5000,
            0.80,
            in_turn(
                ours(lambda store, n: drain(store, n, 100), waiting=True),
                by_hand(lambda driver, n: raw.drain(driver, n, 100, lock), waiting=True),
            ),
        ),
    ]
