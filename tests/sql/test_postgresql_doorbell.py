"""The doorbell of a PostgreSQL database: hints that come soon, that nobody waits for, and that may be lost."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.orm import Session

from persistentq import NewJob, PersistentQSQLAlchemy
from persistentq.clock import Deadline
from persistentq.doorbell import Doorbell
from persistentq.sql import doorbell_postgresql
from tests.contract.conftest import emptied
from tests.contract.test_waiting import LONG_S, QUIET_S, calm
from tests.sql.proxy import Cut, Proxy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def queue(postgres_url: str) -> Iterator[PersistentQSQLAlchemy]:
    with emptied(PersistentQSQLAlchemy(postgres_url)) as queue:
        yield queue


@pytest.fixture
def other(queue: PersistentQSQLAlchemy) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(queue.engine.url) as other:
        other.count_jobs()
        yield other


@pytest.fixture
def bell(queue: PersistentQSQLAlchemy) -> Iterator[Doorbell]:
    with queue.listen("c", ["default"]) as bell:
        calm(bell)
        yield bell


class Listener:
    """Hears what is said on the queue's channel, as a bell does."""

    def __init__(self, url: str) -> None:
        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection = psycopg.connect(plain, autocommit=True)
        found = self._connection.execute("SELECT 'persistentq_jobs'::regclass::oid").fetchone()
        assert found is not None
        self._connection.execute(f"LISTEN persistentq_{found[0]}")  # type: ignore[call-overload]

    def heard(self, seconds: float) -> list[str]:
        return [said.payload for said in self._connection.notifies(timeout=seconds)]

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def listener(postgres_url: str, queue: PersistentQSQLAlchemy) -> Iterator[Listener]:
    with closing(Listener(postgres_url)) as listener:
        yield listener


def end_sessions(queue: PersistentQSQLAlchemy, words: str) -> int:
    """End the sessions whose last statement begins so; return how many there were."""
    found = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE %s"
    with queue.engine.connect() as connection:
        return len(connection.exec_driver_sql(found, (f"{words}%",)).all())


def test_what_is_said_is_the_queues_name_and_little_of_it(
    queue: PersistentQSQLAlchemy, listener: Listener
) -> None:
    """P8: at most once in five milliseconds, and less often while much is stored."""
    began, stored = time.monotonic(), 0
    while time.monotonic() - began < 1.0:
        queue.enqueue("t", {"secret": 1})
        queue.enqueue("t", queue="mail")
        stored += 2
    heard = listener.heard(QUIET_S)
    seconds = time.monotonic() - began
    assert set(heard) == {"default", "mail"}
    assert 4 <= len(heard) <= min(stored, 2 * seconds / doorbell_postgresql.SPACING_S)
    queue.enqueue_many([NewJob("t")] * 1000)
    assert listener.heard(QUIET_S) == ["default"]


def test_who_stores_much_tells_less_often(
    queue: PersistentQSQLAlchemy, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorbell_postgresql, "MANY_PER_S", 0)
    began = time.monotonic()
    while time.monotonic() - began < 1.0:
        queue.enqueue("t")
    often = len(listener.heard(QUIET_S))
    assert 4 <= often <= 4 + (time.monotonic() - began) / doorbell_postgresql.LONGEST_SPACING_S


def test_other_queues_wake_nobody(other: PersistentQSQLAlchemy, bell: Doorbell) -> None:
    other.enqueue("t", queue="elsewhere")
    assert not bell.wait(QUIET_S)


def test_a_lost_connection_is_made_anew_and_the_waiter_looks(
    queue: PersistentQSQLAlchemy, other: PersistentQSQLAlchemy, bell: Doorbell
) -> None:
    for _ in range(5):
        assert end_sessions(other, "LISTEN") == 1
        assert bell.wait(LONG_S)
        calm(bell)
        other.enqueue("t")
        assert bell.wait(LONG_S)
        assert len(queue.dequeue("c")) == 1
        calm(bell)


def test_nobody_waits_for_a_server_that_is_away(postgres_url: str, queue: PersistentQSQLAlchemy) -> None:
    with Proxy(postgres_url) as proxy, PersistentQSQLAlchemy(proxy.url) as far, far.listen("c") as bell:
        calm(bell)
        far.engine.dispose()
        proxy.refuse(True)
        assert end_sessions(queue, "LISTEN") == 1
        for _ in range(5):
            waited, late = Deadline(0.1), Deadline(0.3)
            assert not bell.wait(0.1)
            assert waited.passed
            assert not late.passed
        bell.ring()
        assert bell.wait(0)
        proxy.refuse(False)
        # Who was not told looks once it can be told again.
        assert bell.wait(LONG_S)
        calm(bell)
        queue.enqueue("t")
        assert bell.wait(LONG_S)


def test_behind_a_pooler_it_says_so_once_and_is_silent(
    postgres_url: str, queue: PersistentQSQLAlchemy, caplog: pytest.LogCaptureFixture
) -> None:
    with Proxy(postgres_url, pools=True) as proxy, PersistentQSQLAlchemy(proxy.url) as pooled:
        with pooled.listen("c") as bell:
            assert not bell.wait(1.0)
            queue.enqueue("t")
            assert not bell.wait(QUIET_S)
            bell.ring()
            assert bell.wait(0)
        assert pooled.location in caplog.messages[0]
        assert [message.partition(" is ")[2] for message in caplog.messages] == [
            "behind a pooler: new jobs are found only by looking for them"
        ]
        # What is stored through a pooler is told to those who can hear.
        with queue.listen("d") as bell:
            calm(bell)
            pooled.enqueue("t")
            assert bell.wait(LONG_S)


def test_hints_that_cannot_be_given_hold_nobody_up(
    postgres_url: str, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    with Proxy(postgres_url) as proxy, PersistentQSQLAlchemy(proxy.url) as queue:
        queue.enqueue("t")
        assert listener.heard(QUIET_S) == ["default"]
        with caplog.at_level(logging.DEBUG):
            proxy.cut(Cut.BEFORE, b"pg_notify")
            queue.enqueue("t")
            assert listener.heard(QUIET_S) == []
        assert proxy.cuts == 1
        assert [message.partition(":")[0] for message in caplog.messages] == ["nobody was told"]
        queue.enqueue("t")
        assert listener.heard(QUIET_S) == ["default"]


def test_a_notification_queue_that_refuses_refuses_no_job(
    queue: PersistentQSQLAlchemy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusing = "SELECT pg_notify('persistentq', repeat('x', 9000)) FROM unnest($1::text[])"
    monkeypatch.setattr(doorbell_postgresql, "TELL", refusing)
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            queue.enqueue("t")
        queue._hints.close()
    assert "nobody was told: ERROR:  payload string too long" in " ".join(caplog.messages)
    assert sum(queue.count_jobs()["default"].values()) == 3


def test_a_job_in_a_session_is_told_of_when_it_is_committed(
    queue: PersistentQSQLAlchemy, listener: Listener
) -> None:
    with Session(queue.engine) as session:
        for name in ("first", "second"):
            with session.begin_nested():
                queue.enqueue("t", queue=name, session=session)
        assert listener.heard(QUIET_S) == []
        session.commit()
        assert sorted(listener.heard(QUIET_S)) == ["first", "second"]
        queue.enqueue("t", queue="undone", session=session)
        session.rollback()
        assert listener.heard(QUIET_S) == []
        queue.enqueue("t", queue="third", session=session)
        session.commit()
        assert "third" in listener.heard(QUIET_S)


def test_a_job_in_a_connections_transaction_is_found_by_looking(
    queue: PersistentQSQLAlchemy, listener: Listener
) -> None:
    with queue.engine.begin() as connection:
        queue.enqueue("t", session=connection)
    assert listener.heard(QUIET_S) == []


def test_the_last_words_of_a_process_are_heard(postgres_url: str, listener: Listener) -> None:
    script = "import sys, persistentq\nwith persistentq.open_queue(sys.argv[1]) as queue:\n    queue.enqueue('t')\n"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", script, postgres_url],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert listener.heard(QUIET_S) == ["default"]


def test_hints_do_not_wait_for_the_disk(queue: PersistentQSQLAlchemy) -> None:
    """What holds for their own transaction holds for no other on the session, which may be a pooler's."""
    found = []
    with queue.engine.connect() as connection:
        for statement in (doorbell_postgresql.TELL, None):
            with connection.begin():
                if statement is not None:
                    connection.exec_driver_sql(statement.replace("$1", "'{default}'"))
                found.append(connection.exec_driver_sql("SHOW synchronous_commit").scalar_one())
    assert found == ["off", "on"]
