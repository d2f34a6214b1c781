"""G6 from async code: on PostgreSQL through an AsyncSession, on SQLite through a thread, the rest refused by name."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from persistentq import InvalidArgument, JobStatus, LeaseLost, NewJob, PersistentQSQLAlchemy
from persistentq.sql import sqlite


@pytest.fixture
def queue(own_postgres_url: str) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(own_postgres_url) as made:
        with made.engine.begin() as connection:
            connection.execute(text("CREATE TABLE effects (n INTEGER)"))
        yield made


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as made:
        yield made


@asynccontextmanager
async def engine_for(url: Any, **options: Any) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url, **options)
    try:
        yield engine
    finally:
        await engine.dispose()


def in_session(queue: PersistentQSQLAlchemy, work: Callable[[AsyncSession], Awaitable[None]]) -> None:
    """Run `work` with an AsyncSession on the queue's PostgreSQL database."""

    async def run() -> None:
        async with engine_for(queue.engine.url) as engine, AsyncSession(engine) as session:
            await work(session)

    asyncio.run(run())


def effects(queue: PersistentQSQLAlchemy) -> list[int]:
    with queue.engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT n FROM effects ORDER BY n").scalars())


def test_enqueue_becomes_visible_with_the_async_commit(queue: PersistentQSQLAlchemy) -> None:
    async def work(session: AsyncSession) -> None:
        await session.execute(text("INSERT INTO effects VALUES (1)"))
        job = await session.run_sync(lambda joined: queue.enqueue("t", {"n": 1}, session=joined))
        assert queue.list_jobs().items == ()
        await session.commit()
        assert queue.get_job(job.id) == job

    in_session(queue, work)
    assert [one.args for one in queue.dequeue("c")] == [{"n": 1}]
    assert effects(queue) == [1]


def test_enqueue_is_gone_with_the_async_rollback(queue: PersistentQSQLAlchemy) -> None:
    async def work(session: AsyncSession) -> None:
        for end in (session.rollback, session.close):
            await session.execute(text("INSERT INTO effects VALUES (1)"))
            await session.run_sync(lambda joined: queue.enqueue("t", unique_key="k", session=joined))
            await session.run_sync(lambda joined: queue.enqueue_many([NewJob("t")] * 3, session=joined))
            await end()
        # The key was never taken.
        assert not queue.enqueue("t", unique_key="k").duplicate

    in_session(queue, work)
    assert [job.unique_key for job in queue.list_jobs()] == ["k"]
    assert effects(queue) == []


def test_completion_and_guard_join_an_async_transaction(queue: PersistentQSQLAlchemy) -> None:
    queue.enqueue_many([NewJob("t")] * 2)
    kept, lost = queue.dequeue("c", limit=2)
    queue.assign_job(lost.id, "other")

    async def work(session: AsyncSession) -> None:
        await session.execute(text("INSERT INTO effects VALUES (1)"))
        await session.run_sync(lambda joined: queue.guard(kept, session=joined))
        await session.run_sync(lambda joined: queue.complete(kept, {"n": 1}, session=joined))
        assert queue.get_job(kept.id).status == JobStatus.PROCESSING
        await session.commit()
        for refused in (queue.guard, queue.complete):
            await session.execute(text("INSERT INTO effects VALUES (2)"))
            with pytest.raises(LeaseLost):
                await session.run_sync(lambda joined, refused=refused: refused(lost, session=joined))  # type: ignore[misc]
            await session.rollback()

    in_session(queue, work)
    done = queue.get_job(kept.id)
    assert (done.status, done.result) == (JobStatus.DONE, {"n": 1})
    assert effects(queue) == [1]


def test_an_async_connection_joins_too(queue: PersistentQSQLAlchemy) -> None:
    async def run() -> None:
        async with engine_for(queue.engine.url) as engine, engine.begin() as connection:
            await connection.run_sync(lambda joined: queue.enqueue("t", session=joined))

    asyncio.run(run())
    assert [job.task for job in queue.list_jobs()] == ["t"]


def test_an_async_session_itself_is_refused_with_the_remedy(queue: PersistentQSQLAlchemy) -> None:
    async def work(session: AsyncSession) -> None:
        with pytest.raises(InvalidArgument, match=r"run_sync\(\)"):
            queue.enqueue("t", session=session)  # type: ignore[arg-type] # what the test is about
        assert not session.in_transaction()
        with pytest.raises(InvalidArgument, match="not a Session or Connection"):
            queue.enqueue("t", session=queue.engine)  # type: ignore[arg-type] # the same for an engine

    in_session(queue, work)


@pytest.mark.parametrize("same_library", [True, False])
def test_an_async_session_on_sqlite_is_refused_before_it_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, same_library: bool
) -> None:
    """S8; and the same answer on every machine, whether or not aiosqlite's library is the queue's."""
    if same_library:
        monkeypatch.setattr(sqlite, "choose_driver", lambda: sqlite3)
    asked: list[object] = []

    async def connect(*_: object, **__: object) -> None:
        asked.append(...)

    async def run(queue: PersistentQSQLAlchemy) -> None:
        url = f"sqlite+aiosqlite:///{tmp_path}/queue.db"
        async with engine_for(url, async_creator=connect) as engine, AsyncSession(engine) as session:
            with pytest.raises(InvalidArgument, match=r"asyncio\.to_thread"):
                await session.run_sync(lambda joined: queue.enqueue("t", session=joined))

    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as queue:
        asyncio.run(run(queue))
        assert (asked, queue.list_jobs().items) == ([], ())


def test_a_session_in_a_thread_serves_async_code_on_sqlite(on_sqlite: PersistentQSQLAlchemy) -> None:
    def place(end: str) -> None:
        with Session(on_sqlite.engine) as session:
            on_sqlite.enqueue("t", {"end": end}, session=session)
            assert on_sqlite.list_jobs(status="pending").items == ()
            getattr(session, end)()

    async def run() -> None:
        await asyncio.to_thread(place, "rollback")
        await asyncio.to_thread(place, "commit")

    asyncio.run(run())
    assert [job.args for job in on_sqlite.list_jobs()] == [{"end": "commit"}]
