"""The limit: a hand-written loop on the driver, with this queue's table, for a hundred jobs at a time."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import raw
from benchmarks.drivers import PostgreSQLDriver, SQLiteDriver
from benchmarks.peers import Handled
from benchmarks.peers.ours import counter, durability, prepare, producer, store, url
from persistentq import PersistentQSQLAlchemy

__all__ = ["NAME", "NEEDS", "ON_SERVER", "consume", "counter", "durability", "prepare", "producer", "store"]

NAME = "raw loop"
NEEDS = ()
ON_SERVER = False


def consume(place: str, handled: Handled, ready: Callable[[], None]) -> None:
    with PersistentQSQLAlchemy(url(place)) as queue:
        if queue.engine.dialect.name == "sqlite":
            driver, lock = SQLiteDriver(queue.engine, "FULL"), ""
        else:
            driver, lock = PostgreSQLDriver(queue.engine.url), " FOR UPDATE SKIP LOCKED"
        ready()
        for _ in raw.turns(driver, raw.BATCH, lock, handled):
            pass
