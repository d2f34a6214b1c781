"""procrastinate: its asynchronous worker, ten jobs at once (one by default), woken by LISTEN as by default."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.peers import Handled, postgresql_durability
from benchmarks.raw import BULK, PAD

NAME = "procrastinate"
NEEDS = ("procrastinate",)
ON_SERVER = True
AT_ONCE = 10


def _app(connector: Any, handled: Callable[[], None] = lambda: None) -> tuple[Any, Any]:
    from procrastinate import App

    app = App(connector=connector)

    async def work(n: int, pad: str) -> None:  # noqa: ARG001 - a job's arguments
        handled()

    return app, app.task(name="t")(work)


@contextmanager
def _opened(place: str) -> Iterator[tuple[Any, Any]]:
    from procrastinate import SyncPsycopgConnector

    app, task = _app(SyncPsycopgConnector(conninfo=place))
    with app.open():
        yield app, task


def prepare(place: str) -> None:
    with _opened(place) as (app, _):
        app.schema_manager.apply_schema()


def durability(place: str) -> str:
    with _opened(place) as (app, _), app.connector.pool.connection() as connection:
        return postgresql_durability(connection.execute)


def store(place: str, number: int) -> None:
    with _opened(place) as (_, task):
        for start in range(0, number, BULK):
            numbers = range(start, min(number, start + BULK))
            task.batch_defer(*({"n": n, "pad": PAD} for n in numbers))


@contextmanager
def producer(place: str) -> Iterator[Callable[[int], object]]:
    with _opened(place) as (_, task):
        yield lambda n: task.defer(n=n, pad=PAD)


def consume(place: str, handled: Handled, ready: Callable[[], None]) -> None:
    from procrastinate import PsycopgConnector

    # At INFO, its default under no configuration, it prepares a line for each job.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    app, _ = _app(PsycopgConnector(conninfo=place), handled)
    ready()
    app.run_worker(concurrency=AT_ONCE)


@contextmanager
def counter(place: str) -> Iterator[Callable[[], int]]:
    unfinished = "SELECT count(*) AS n FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
    with _opened(place) as (app, _):
        yield lambda: app.connector.execute_query_one(unfinished)["n"]
