"""huey on SQLite with fsync on: one thread a process, which looks every 10 ms when idle (100 ms and more by default).

A job is deleted when it is taken, so a worker that dies loses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.peers import Handled, sqlite_durability, store_each
from benchmarks.raw import PAD

NAME = "huey"
NEEDS = ("huey",)
ON_SERVER = False
LOOK_S = 0.01


def _open(place: str) -> Any:
    from huey import SqliteHuey

    return SqliteHuey(filename=f"{place}/huey.db", fsync=True, timeout=30)


def _task(huey: Any, handled: Callable[[], None]) -> Any:
    def work(n: int, pad: str) -> None:  # noqa: ARG001 - a job's arguments
        handled()

    return huey.task(name="t")(work)


def prepare(place: str) -> None:
    _open(place).storage.close()


def durability(place: str) -> str:
    return sqlite_durability(_open(place).storage.conn.execute)


def store(place: str, number: int) -> None:
    store_each(producer(place), number)


@contextmanager
def producer(place: str) -> Iterator[Callable[[int], object]]:
    task = _task(_open(place), lambda: None)
    yield lambda n: task(n=n, pad=PAD)


def consume(place: str, handled: Handled, ready: Callable[[], None]) -> None:
    huey = _open(place)
    _task(huey, handled)
    consumer = huey.create_consumer(workers=1, periodic=False, initial_delay=LOOK_S, max_delay=LOOK_S)
    ready()
    consumer.run()


@contextmanager
def counter(place: str) -> Iterator[Callable[[], int]]:
    yield _open(place).pending_count
