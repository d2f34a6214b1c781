"""litequeue: it has no worker, so this is the loop of its README, which looks every 5 ms when idle."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.peers import Handled, sqlite_durability
from benchmarks.raw import payload

NAME = "litequeue"
NEEDS = ("litequeue",)
ON_SERVER = False
LOOK_S = 0.005


def _open(place: str) -> Any:
    from litequeue import LiteQueue

    return LiteQueue(f"{place}/queue.db", timeout=30)


def prepare(place: str) -> None:
    _open(place).close()


def durability(place: str) -> str:
    # Its connection gives named rows, which are fetched by number as well.
    return sqlite_durability(_open(place).conn.execute)


def store(place: str, number: int) -> None:
    queue = _open(place)
    with queue.transaction():
        for n in range(number):
            queue.put(payload(n))


@contextmanager
def producer(place: str) -> Iterator[Callable[[int], object]]:
    queue = _open(place)
    yield lambda n: queue.put(payload(n))


def consume(place: str, handled: Handled, ready: Callable[[], None]) -> None:
    queue = _open(place)
    ready()
    while True:
        message = queue.pop()
        if message is None:
            time.sleep(LOOK_S)
            continue
        json.loads(message.data)
        handled()
        queue.done(message.message_id)


@contextmanager
def counter(place: str) -> Iterator[Callable[[], int]]:
    yield _open(place).qsize
