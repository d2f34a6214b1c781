"""persist-queue, its SQLiteAckQueue with JSON: it has no worker, so this is the loop of its README, which looks every
5 ms when idle.

Its consumers do not exclude each other: with several of them, jobs run more than once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.peers import Handled, sqlite_durability, store_each
from benchmarks.raw import PAD

NAME = "persist-queue"
NEEDS = ("persist-queue",)
ON_SERVER = False
LOOK_S = 0.005


def _open(place: str) -> Any:
    from persistqueue import SQLiteAckQueue
    from persistqueue.serializers import json

    # Resuming is for the one process that starts first: it takes back what others are at.
    return SQLiteAckQueue(place, multithreading=True, auto_resume=False, serializer=json, timeout=30)


def prepare(place: str) -> None:
    _open(place).close()


def durability(place: str) -> str:
    queue = _open(place)  # closes itself when nobody holds it
    return sqlite_durability(queue._putter.execute)


def store(place: str, number: int) -> None:
    store_each(producer(place), number)


@contextmanager
def producer(place: str) -> Iterator[Callable[[int], object]]:
    queue = _open(place)
    yield lambda n: queue.put({"n": n, "pad": PAD})


def consume(place: str, handled: Handled, ready: Callable[[], None]) -> None:
    from persistqueue import Empty

    queue = _open(place)
    ready()
    while True:
        try:
            job = queue.get(block=False, raw=True)
        except Empty:
            time.sleep(LOOK_S)
            continue
        handled()
        queue.ack(job)


@contextmanager
def counter(place: str) -> Iterator[Callable[[], int]]:
    queue = _open(place)
    yield lambda: queue._count() + queue.unack_count()
