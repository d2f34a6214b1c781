"""Schedules as rows: what a database may hold that nobody put there, and how they are found."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.exc import IntegrityError

from persistentq import InvalidArgument, PersistentQSQLAlchemy, Schedule, StorageError
from persistentq.sql.models import ScheduleRow
from persistentq.sql.prepared import Prepared
from persistentq.sql.schedules import due, until_look
from tests.contract.conftest import age_everything
from tests.sql.proxy import Cut, Proxy

HOUR = Schedule("hourly", "every 1h", "t", {"n": 1})
THREADS = 8


@pytest.fixture
def queue(own_url: str) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(own_url) as opened:
        yield opened


def change(store: PersistentQSQLAlchemy, schedule: str, **values: Any) -> None:
    with store.engine.begin() as connection:
        connection.execute(update(ScheduleRow).where(ScheduleRow.name == schedule).values(values))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"zone": "Mars/Base"}, "zone 'Mars/Base' is not a time zone that this machine knows"),
        ({"zone": ""}, "zone '' is not text of 1 to 64 characters"),
        ({"expression": "@reboot"}, "expression '@reboot' is not one of @hourly"),
        ({"expression": "x" * 300}, "is not text of 1 to 200 characters"),
        ({"task": "a b"}, "task 'a b' is not 1 to 200 printable characters"),
        ({"queue": "?"}, "queue '?' is not 1 to 64"),
        ({"priority": 2**31 - 1}, "priority 2147483647 is not a whole number"),
        ({"max_attempts": 0}, "max_attempts 0 is not a whole number"),
        ({"catch_up_limit": 0}, "catch_up_limit 0 is not a whole number"),
        ({"tags": "ü"}, "tag 'ü' is not 1 to 64"),
        ({"args": "[]"}, "schedule 'damaged' cannot be used: the stored arguments are not a JSON object"),
        ({"args": "{"}, "schedule 'damaged' cannot be used: the stored arguments are not a JSON object"),
        ({"args": '{"n": NaN}'}, "args {'n': nan} is not JSON"),
    ],
    ids=str,
)
def test_a_damaged_row_is_marked_and_disturbs_no_other(
    queue: PersistentQSQLAlchemy, damage: dict[str, Any], told: str
) -> None:
    """G7: those before and after it tick, and it can be listed, mended and removed."""
    for name in ("before", "damaged", "later"):
        queue.put_schedule(replace(HOUR, name=name))
    age_everything(queue, 3601)
    change(queue, "damaged", **damage)
    assert [job.metadata["schedule"] for job in queue.tick()] == ["before", "later"]
    assert queue.tick() == []
    info = queue.get_schedule("damaged")
    assert info.error is not None
    assert told in info.error
    assert info in queue.list_schedules()
    if damage.keys() & {"zone", "expression"}:
        with pytest.raises(InvalidArgument):
            info.preview(info.created_at)
    elif damage.keys() & {"args", "task", "queue"}:
        with pytest.raises(InvalidArgument):
            queue.run_schedule("damaged")
    else:
        assert info.preview(info.created_at, 1) == [info.next_at]
    queue.pause_schedule("damaged")
    queue.resume_schedule("damaged")
    assert queue.put_schedule(replace(HOUR, name="damaged")).error is None
    queue.remove_schedule("damaged")


@pytest.mark.parametrize(
    "state",
    [
        {"look_at": None},
        {"paused_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"catch_up": "some"},
        {"next_at": None},
    ],
    ids=str,
)
def test_a_state_that_does_not_exist_is_refused(queue: PersistentQSQLAlchemy, state: dict[str, Any]) -> None:
    queue.put_schedule(HOUR)
    with pytest.raises(IntegrityError):
        change(queue, "hourly", **state)


def test_a_tick_whose_job_cannot_be_stored_has_not_been(queue: PersistentQSQLAlchemy) -> None:
    """All or nothing: the job and the next tick are one transaction."""
    queue.put_schedule(HOUR)
    age_everything(queue, 3601)
    before = queue.get_schedule("hourly")
    with queue.engine.begin() as connection:
        connection.execute(text("ALTER TABLE persistentq_jobs RENAME TO away"))
    with pytest.raises(StorageError):
        queue.tick()
    with queue.engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO persistentq_jobs"))
    assert queue.get_schedule("hourly") == before
    assert len(queue.tick()) == 1


@pytest.mark.parametrize(
    "word", [b"INSERT INTO persistentq_jobs", b"UPDATE persistentq_schedules", b"COMMIT\0"]
)
@pytest.mark.parametrize("when", Cut, ids=[one.name.lower() for one in Cut])
def test_a_connection_that_is_lost_loses_and_repeats_no_tick(
    own_postgres_url: str, word: bytes, when: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody need know whether the COMMIT was heard: the call is made again, and finds what is due then."""
    with Proxy(own_postgres_url) as proxy, PersistentQSQLAlchemy(proxy.url) as queue:
        queue.put_schedule(HOUR)
        age_everything(queue, 3601)
        before = queue.get_schedule("hourly")
        # So that the first COMMIT is that of the tick itself.
        monkeypatch.setattr(queue, "next_tick", lambda: timedelta(0))
        proxy.cut(when, word)
        queue.tick()
        assert proxy.cuts == 1
        queue.tick()
        (job,) = queue.list_jobs()
        assert job.metadata["tick"] == before.next_at.isoformat()
        after = queue.get_schedule("hourly")
        assert (after.next_at, after.last_job_id) == (before.next_at + timedelta(hours=1), job.id)


def test_many_may_put_the_same_at_once(queue: PersistentQSQLAlchemy) -> None:
    """As consumers do that start together."""
    go, found = threading.Barrier(THREADS), []

    def put() -> None:
        go.wait()
        found.append(queue.put_schedule(HOUR))

    threads = [threading.Thread(target=put) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [queue.get_schedule("hourly")] * THREADS


def test_one_that_somebody_works_on_is_passed_by(own_postgres_url: str) -> None:
    with PersistentQSQLAlchemy(own_postgres_url) as queue:
        for name in ("held", "free"):
            queue.put_schedule(replace(HOUR, name=name))
        age_everything(queue, 3601)
        with queue.engine.begin() as connection:
            connection.execute(text("SELECT 1 FROM persistentq_schedules WHERE name = 'held' FOR UPDATE"))
            assert [job.metadata["schedule"] for job in queue.tick()] == ["free"]
            assert queue.tick() == []
        assert [job.metadata["schedule"] for job in queue.tick()] == ["held"]


def test_a_look_that_finds_nothing_waits_for_no_writer(queue: PersistentQSQLAlchemy) -> None:
    queue.put_schedule(HOUR)
    with queue.engine.begin() as connection:
        connection.execute(update(ScheduleRow).values(priority=1))
        assert queue.tick() == []
        assert queue.next_tick() is not None


def test_what_is_due_is_found_by_an_index(queue: PersistentQSQLAlchemy) -> None:
    """G8: ten thousand schedules, of which a few are due."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    row = dict.fromkeys(("priority", "is_unique"), 0) | dict.fromkeys(
        ("zone", "task", "queue", "tags", "args"), ""
    )
    row |= {"expression": "", "catch_up": "one", "catch_up_limit": 1, "created_at": now}
    times = [now + timedelta(hours=number) for number in range(10_000)]
    rows = [row | {"name": f"s{n}", "next_at": time, "look_at": time} for n, time in enumerate(times)]
    with queue.engine.begin() as connection:
        connection.execute(insert(ScheduleRow), rows)
        connection.execute(text("ANALYZE persistentq_schedules"))
    found, look = due(now + timedelta(hours=50), 100), Prepared(until_look(), queue.engine.dialect)
    prefix = "EXPLAIN" if queue.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    with queue.engine.connect() as connection:
        compiled = found.compile(connection, compile_kwargs={"literal_binds": True})
        plans = [
            connection.execute(text(f"{prefix} {compiled}")).all(),
            connection.exec_driver_sql(f"{prefix} {look.sql}", look.bind({}, 0)).all(),
        ]
    for plan in ["\n".join(map(str, lines)) for lines in plans]:
        assert "ix_persistentq_schedules_look_at" in plan
        assert "Seq Scan" not in plan
        assert "SCAN persistentq_schedules" not in plan
