"""This queue, on the database that the place names: consumers as anybody embeds them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import text

from benchmarks.peers import Handled, postgresql_durability, sqlite_durability
from benchmarks.queues import enqueue_many
from benchmarks.raw import PAD
from persistentq import Consumer, NewJob, PersistentQSQLAlchemy
from persistentq.tasks import Tasks

NAME = "persistentq"
NEEDS = ()
ON_SERVER = False
NAP_S = 0.2
SLEEP, SLEEP_ASYNC = "sleep", "sleep-async"


def url(place: str) -> str:
    """Return the URL of the queue at a place."""
    if "://" in place:
        return place.replace("postgresql:", "postgresql+psycopg:", 1)
    return f"sqlite:///{place}/queue.db"


def prepare(place: str) -> None:
    PersistentQSQLAlchemy(url(place)).close()


def durability(place: str) -> str:
    with PersistentQSQLAlchemy(url(place)) as queue:
        execute = queue._hot._ready()[0].execute
        answer = sqlite_durability if queue.engine.dialect.name == "sqlite" else postgresql_durability
        return answer(execute)


def store(place: str, number: int) -> None:
    with PersistentQSQLAlchemy(url(place)) as queue:
        enqueue_many(queue, number)


def store_sleepers(place: str, number: int, task: str) -> None:
    """Store so many jobs that sleep."""
    with PersistentQSQLAlchemy(url(place)) as queue:
        queue.enqueue_many([NewJob(task)] * number)


@contextmanager
def producer(place: str) -> Iterator[Callable[[int], object]]:
    with PersistentQSQLAlchemy(url(place)) as queue:
        yield lambda n: queue.enqueue("t", {"n": n, "pad": PAD})


def consume(place: str, handled: Handled, ready: Callable[[], None], at_once: int = 1) -> None:
    def work(n: int, pad: str) -> None:  # noqa: ARG001 - a job's arguments
        handled()

    def sleep() -> None:
        handled.begin()
        time.sleep(NAP_S)
        handled()

    async def sleep_async() -> None:
        handled.begin()
        await asyncio.sleep(NAP_S)
        handled()

    tasks = Tasks()
    for name, function in (("t", work), (SLEEP, sleep), (SLEEP_ASYNC, sleep_async)):
        tasks.add(name, function)
    with PersistentQSQLAlchemy(url(place)) as queue:
        consumer = Consumer(queue, concurrency=at_once, tasks=tasks)
        ready()
        consumer.run()


@contextmanager
def counter(place: str) -> Iterator[Callable[[], int]]:
    unfinished = text(
        "SELECT count(*) FROM persistentq_jobs WHERE status IN ('scheduled', 'pending', 'processing')"
    )

    def count() -> int:
        with queue._reader.connect() as connection:
            return connection.execute(unfinished).scalar_one()

    with PersistentQSQLAlchemy(url(place)) as queue:
        yield count
