"""Nothing is kept on a session, so a pooler may give each transaction another one; and each has our settings."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.orm import Session

from persistentq import NewJob, PersistentQSQLAlchemy, StorageUnavailable
from persistentq.clock import Deadline
from persistentq.errors import LockTimeout
from persistentq.sql import postgresql
from tests.contract.conftest import emptied
from tests.sql.proxy import Proxy

# What a session may have that another one has not. `source` is "client" for what the connection began with; what is
# called transaction_… begins anew with each transaction.
TRACES = r"""
    SELECT 'setting ' || name || ' ' || setting FROM pg_settings
        WHERE source = 'session' AND name NOT LIKE 'transaction\_%'
    UNION ALL SELECT 'prepared ' || statement FROM pg_prepared_statements
    UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE name <> ''
    UNION ALL SELECT 'channel ' || channel FROM pg_listening_channels() AS channel
    UNION ALL SELECT 'lock ' || objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
    UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relpersistence = 't' AND relnamespace = pg_my_temp_schema()
"""


@pytest.fixture
def queue(postgres_url: str) -> Iterator[PersistentQSQLAlchemy]:
    """A queue behind what it takes for a pooler."""
    with Proxy(postgres_url, pools=True) as proxy, PersistentQSQLAlchemy(proxy.url) as queue:
        yield emptied(queue)


def use_everything(queue: PersistentQSQLAlchemy) -> None:
    """Every kind of transaction there is, often enough for a driver to prepare its statements."""
    for n in range(7):
        queue.enqueue_many([NewJob("any.task", unique_key=f"{n}-{one}") for one in range(7)])
        queue.enqueue("any.task", unique_key=f"{n}-0")
        queue.heartbeat("c", host="host", pid=1, queues=["default"])
        first, second, third, fourth, *rest = queue.dequeue("c", limit=7)
        queue.extend([first])
        queue.complete(first, {"n": n})
        queue.complete_many(rest)
        queue.fail(second, "broke")
        queue.snooze(third, timedelta(seconds=1))
        queue.release([fourth])
        queue.cancel(fourth.id)
        queue.resubmit(fourth.id)
        queue.pause_queue("default", lasting=timedelta(seconds=9))
        queue.resume_queue("default")
        queue.cleanup()
        queue.list_jobs(status="done", error="x")
        queue.list_queues()
        queue.list_consumers()
        queue.activity(timedelta(hours=1), 5)
        queue.get_attempts(second.id)
        queue.prune_jobs("done", keep=1)
        queue.retire("c")
        with Session(queue.engine) as session, session.begin():
            queue.enqueue("any.task", session=session)
        with Session(queue.engine) as session:
            queue.enqueue("any.task", session=session)
        queue.delete_jobs()


def connections(queue: PersistentQSQLAlchemy) -> list[Any]:
    """The driver's connections that the queue has open: the pool's and the hot path's."""
    pooled = [queue.engine.raw_connection() for _ in range(queue.engine.pool.checkedin())]
    found = [one.dbapi_connection for one in (*pooled, queue._hot._connection)]
    for one in pooled:
        one.close()
    return found


def traces(connection: Any) -> list[str]:
    return [row[0] for row in connection.execute(TRACES)]


def test_no_transaction_leaves_a_trace(queue: PersistentQSQLAlchemy) -> None:
    use_everything(queue)
    found = connections(queue)
    assert len(found) >= 2
    assert [one.info.transaction_status.name for one in found] == ["IDLE"] * len(found)
    assert [traces(one) for one in found] == [[]] * len(found)
    # The same question does see what there might be.
    found[0].execute("SET lock_timeout = 77")
    found[0].execute("SELECT pg_advisory_lock(5)")
    found[0].execute("LISTEN something")
    found[0].execute("PREPARE something AS SELECT 1")
    assert {trace.split()[0] for trace in traces(found[0])} == {"setting", "lock", "channel", "prepared"}
    found[0].close()


def test_a_connection_begins_with_nothing_that_a_pooler_refuses(postgres_url: str) -> None:
    with Proxy(postgres_url) as proxy, PersistentQSQLAlchemy(proxy.url) as queue:
        queue.count_jobs()
        assert proxy.openings
        for opening in proxy.openings:
            names = opening[8:].split(b"\0")[::2]
            assert set(filter(None, names)) <= {b"user", b"database", b"application_name", b"client_encoding"}


def in_force(connection: Any) -> list[str]:
    names = ("transaction_isolation", "synchronous_commit", "lock_timeout", "transaction_read_only")
    return [connection.execute(f"SHOW {name}").fetchone()[0] for name in names]


def driver_of(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


@pytest.fixture
def serializable_url(own_postgres_url: str) -> str:
    """A database whose defaults are all wrong for a queue."""
    admin = create_engine(own_postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for setting in (
            "default_transaction_isolation = 'serializable'",
            "synchronous_commit = off",
            "lock_timeout = '1h'",
        ):
            connection.execute(text(f"ALTER DATABASE {connection.engine.url.database} SET {setting}"))
    admin.dispose()
    return own_postgres_url


def test_a_transaction_has_our_settings_whatever_the_servers_are(serializable_url: str) -> None:
    with PersistentQSQLAlchemy(serializable_url, lock_timeout=timedelta(seconds=3)) as queue:
        ours = ["read committed", "on", "3s", "off"]
        with queue._orm() as session:
            assert in_force(driver_of(session.connection())) == ours
        with queue._write() as connection:
            assert in_force(driver_of(connection)) == ours
        with queue._orm(read_only=True) as session:
            assert in_force(driver_of(session.connection())) == [*ours[:3], "on"]
        assert queue._run(lambda cursor: in_force(queue._hot._connection)) == ours
        (after, *_) = connections(queue)
        assert in_force(after) == ["serializable", "off", "1h", "off"]


def test_many_consumers_on_a_server_that_prefers_serializable(serializable_url: str) -> None:
    """P2: V18 saw 850 failures in 300 claims."""
    with PersistentQSQLAlchemy(serializable_url) as queue:
        queue.enqueue_many([NewJob("any.task")] * 200)
    seen: list[Any] = []

    def consume(name: str) -> list[int]:
        with PersistentQSQLAlchemy(serializable_url) as queue:
            explain = queue._facts.explain
            queue._facts.explain = lambda place, error: (seen.append(error), explain(place, error))[1]  # type: ignore[method-assign]
            taken = []
            while jobs := queue.dequeue(name, limit=3):
                taken += [job.id for job in jobs]
                queue.complete_many(jobs)
            return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [id for ids in pool.map(consume, [f"c{n}" for n in range(8)]) for id in ids]
    assert (len(taken), len(set(taken)), seen) == (200, 200, [])


def test_an_application_may_choose_its_isolation(queue: PersistentQSQLAlchemy) -> None:
    with queue.engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
        assert in_force(driver_of(connection))[0] == "serializable"
        connection.rollback()
    with queue.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM persistentq_pauses"))
    for _ in range(3):
        with queue._orm() as session:
            assert in_force(driver_of(session.connection()))[0] == "read committed"


def test_a_lock_is_waited_for_as_long_as_configured(postgres_url: str, queue: PersistentQSQLAlchemy) -> None:
    with (
        PersistentQSQLAlchemy(postgres_url, lock_timeout=timedelta(seconds=0.2)) as impatient,
        queue.engine.begin() as connection,
    ):
        connection.execute(text("LOCK persistentq_jobs"))
        waited = Deadline(5)
        for call in (
            lambda: impatient.enqueue("any.task"),
            lambda: impatient.dequeue("c"),
            impatient.count_jobs,
        ):
            with pytest.raises(LockTimeout) as caught:
                call()
            assert not caught.value.is_unknown
        assert not waited.passed


def test_an_idle_transaction_of_ours_is_ended(
    queue: PersistentQSQLAlchemy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P6: the server cannot see that a host is gone, and the locked jobs would be passed by until it does."""
    monkeypatch.setattr(postgresql, "IDLE_LIMIT_MS", 100)
    job = queue.enqueue("any.task")
    claim = "UPDATE persistentq_jobs SET priority = 9"
    with pytest.raises(StorageUnavailable), queue._orm() as session:  # noqa: PT012
        session.execute(text(claim))
        Deadline(0.4).pause(0.4)
        session.execute(text("SELECT 1"))
    with queue.engine.begin() as connection:
        # An application's own may be idle for longer.
        connection.execute(text("SELECT 1"))
        Deadline(0.4).pause(0.4)
        connection.execute(text("SELECT 1"))
    assert queue.get_job(job.id).priority == 0
    assert [one.id for one in queue.dequeue("c")] == [job.id]
