"""PgQueuer on asyncpg and uvloop, which takes a hundred jobs at once (ten by default).

Done jobs move to its log, a batch at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from typing import Any

from benchmarks.peers import Handled, postgresql_durability
from benchmarks.queues import connect
from benchmarks.raw import BATCH, BULK, payload

NAME = "PgQueuer"
NEEDS = ("pgqueuer", "asyncpg", "uvloop")
ON_SERVER = True


def _run(work: Callable[[Any], Coroutine[Any, Any, None]], place: str) -> None:
    import asyncpg
    import uvloop

    async def connected() -> None:
        connection = await asyncpg.connect(place)
        await work(connection)
        await connection.close()

    uvloop.run(connected())


def prepare(place: str) -> None:
    from pgqueuer.queries import Queries

    _run(lambda connection: Queries.from_asyncpg_connection(connection).install(), place)


def durability(place: str) -> str:
    from sqlalchemy import make_url

    with closing(connect(make_url(place))) as connection:
        return postgresql_durability(connection.execute)


def store(place: str, number: int) -> None:
    from pgqueuer.queries import Queries

    async def enqueue(connection: Any) -> None:
        queries = Queries.from_asyncpg_connection(connection)
        for start in range(0, number, BULK):
            some = range(start, min(number, start + BULK))
            await queries.enqueue(["t"] * len(some), [payload(n).encode() for n in some], [0] * len(some))

    _run(enqueue, place)


@contextmanager
def producer(place: str) -> Iterator[Callable[[int], object]]:
    import asyncpg
    import uvloop
    from pgqueuer.queries import Queries

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        queries = Queries.from_asyncpg_connection(runner.run(asyncpg.connect(place)))
        yield lambda n: runner.run(queries.enqueue("t", payload(n).encode()))


def consume(place: str, handled: Handled, ready: Callable[[], None]) -> None:
    import json

    from pgqueuer import PgQueuer

    async def serve(connection: Any) -> None:
        queuer = PgQueuer.from_asyncpg_connection(connection)

        async def work(job: Any) -> None:
            json.loads(job.payload)
            handled()

        queuer.entrypoint("t")(work)
        ready()
        await queuer.run(batch_size=BATCH)

    _run(serve, place)


@contextmanager
def counter(place: str) -> Iterator[Callable[[], int]]:
    from sqlalchemy import make_url

    with closing(connect(make_url(place))) as connection:
        yield lambda: connection.execute("SELECT count(*) FROM pgqueuer").fetchone()[0]
