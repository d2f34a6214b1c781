"""The doorbell of a SQLite file: what it hears, what it costs, and what it does where nothing can be heard."""

from __future__ import annotations

import logging
import math
import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from persistentq import PersistentQSQLAlchemy
from persistentq.clock import Deadline
from persistentq.sql import inotify
from persistentq.sql.doorbell_sqlite import PAUSES_S, FileDoorbell, LookPlan
from persistentq.sql.inotify import FileWatch
from tests.contract.test_waiting import LONG_S, QUIET_S, calm, wakes


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as queue:
        yield queue


@pytest.fixture
def other(queue: PersistentQSQLAlchemy) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(queue.engine.url) as other:
        yield other


@pytest.fixture
def bell(queue: PersistentQSQLAlchemy) -> Iterator[FileDoorbell]:
    with queue.listen("c", ["default"]) as bell:
        assert isinstance(bell, FileDoorbell)
        calm(bell)
        yield bell


class Looks:
    """Counts what a bell asks the database."""

    def __init__(self, bell: FileDoorbell) -> None:
        self.number, self._peek = 0, bell._sight.peek
        bell._sight.peek = self._counted  # type: ignore[method-assign]

    def _counted(self, *given: Any) -> list[Any]:
        self.number += 1
        return self._peek(*given)


def test_nobody_looks_while_nothing_is_written(bell: FileDoorbell) -> None:
    looks = Looks(bell)
    assert not bell.wait(0.5)
    assert looks.number == 0


def test_an_idle_turn_writes_nothing(queue: PersistentQSQLAlchemy, bell: FileDoorbell) -> None:
    looks = Looks(bell)
    for _ in range(10):
        queue.turn("c", watch=True, limit=5)
        queue.next_due()
    looks.number = 0
    assert not bell.wait(QUIET_S)
    assert looks.number == 0


def test_looks_do_no_upkeep(
    queue: PersistentQSQLAlchemy,
    other: PersistentQSQLAlchemy,
    bell: FileDoorbell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a SQLite that must be guarded, that is a checkpoint, under the lock that writers wait for."""
    calls: list[object] = []
    monkeypatch.setattr(queue._facts, "after_write", calls.append)
    other.enqueue("t")
    assert bell.wait(LONG_S)
    calm(bell)
    queue.next_due()
    assert calls == []
    queue.dequeue("c")
    assert calls == [queue.engine]


def test_what_others_write_elsewhere_costs_little(
    queue: PersistentQSQLAlchemy, other: PersistentQSQLAlchemy, bell: FileDoorbell
) -> None:
    """They write thousands of times a second; a job for the listener is found among it all the same."""
    looks, is_over = Looks(bell), Event()

    def write() -> None:
        while not is_over.is_set():
            other.enqueue("t", queue="elsewhere")

    thread = Thread(target=write)
    thread.start()
    try:
        assert wakes(bell, 1.0) <= 13
        # Each look is one question, or three if there was a change.
        assert looks.number <= 3 * (60 + 200 + 20)
        other.enqueue("t")
        assert Deadline(0.5).wait_for(lambda: bell.wait(0.5) and queue.dequeue("c") != [], every=0)
    finally:
        is_over.set()
        thread.join()


def test_a_wal_that_is_deleted_and_made_anew_is_heard_again(
    tmp_path: Path, queue: PersistentQSQLAlchemy, bell: FileDoorbell
) -> None:
    wal = tmp_path / "queue.db-wal"
    watched = {-1}
    for _ in range(3):
        # With its last connection the WAL goes.
        queue._hot.close()
        queue.engine.dispose()
        assert not wal.exists()
        with PersistentQSQLAlchemy(queue.engine.url) as other:
            other.enqueue("t")
            assert bell.wait(LONG_S)
            calm(bell)
            assert bell._watch is not None
            assert bell._watch.watched not in watched
            watched.add(bell._watch.watched)
            looks = Looks(bell)
            assert not bell.wait(QUIET_S)
            assert looks.number == 0
            other.enqueue("t")
            assert bell.wait(LONG_S)
            calm(bell)


def test_a_replaced_database_is_for_others_to_complain_of(
    tmp_path: Path, queue: PersistentQSQLAlchemy, bell: FileDoorbell
) -> None:
    path = tmp_path / "queue.db"
    path.rename(tmp_path / "old.db")
    path.touch()
    queue.engine.dispose()
    bell._plan.expect()
    waited = Deadline(QUIET_S)
    assert not bell.wait(QUIET_S)
    assert waited.passed


def test_without_inotify_the_file_is_looked_at(
    queue: PersistentQSQLAlchemy,
    other: PersistentQSQLAlchemy,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(self: FileWatch, path: Path) -> None:
        raise OSError("this system has no inotify")

    monkeypatch.setattr(inotify.FileWatch, "__init__", refuse)
    with caplog.at_level(logging.INFO), queue.listen("c", ["default"]) as bell:
        assert isinstance(bell, FileDoorbell)
        calm(bell)
        looks = Looks(bell)
        assert not bell.wait(0.5)
        assert 10 <= looks.number <= 26
        other.enqueue("t")
        assert bell.wait(LONG_S)
        bell.ring()
        assert bell.wait(LONG_S)
    assert [record.message for record in caplog.records if "looked at" in record.message] == [
        f"{queue.location}-wal rings no bell: it is looked at every 20 ms: this system has no inotify"
    ]


def test_there_may_be_no_inotify_instance_left(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd.name) for fd in Path("/proc/self/fd").iterdir())
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, before[1]))
        with pytest.raises(OSError, match="no inotify instance left"):  # noqa: PT012 - the numbers below are free
            for _ in range(highest + 1):
                stack.callback(FileWatch(tmp_path / "file").close)


def test_no_file_of_the_database_is_opened(queue: PersistentQSQLAlchemy) -> None:
    """S7: closing such a descriptor would drop SQLite's locks."""
    queue.enqueue("t")

    def opened() -> list[str]:
        return [link for fd in Path("/proc/self/fd").iterdir() if (link := _link(fd)) is not None]

    before = opened()
    with queue.listen("c", ["default"]) as bell:
        calm(bell)
        during = opened()
        for link in before:
            during.remove(link)
    assert sorted(link.partition(":")[0] for link in during) == ["anon_inode", "pipe", "pipe"]
    assert sorted(opened()) == sorted(before)


def _link(descriptor: Path) -> str | None:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:
        return None


def test_a_commit_that_can_be_seen_long_after_its_pages_were_written_is_heard(
    tmp_path: Path, queue: PersistentQSQLAlchemy, bell: FileDoorbell
) -> None:
    """SQLite writes pages that do not fit its cache before the commit."""
    driver = queue.engine.dialect.loaded_dbapi
    connection = driver.connect(tmp_path / "queue.db", isolation_level=None)
    connection.execute("PRAGMA cache_size=2")
    connection.execute("BEGIN IMMEDIATE")
    looks = Looks(bell)
    connection.executemany(
        "INSERT INTO persistentq_payloads (job_id, args) VALUES (?, ?)", [(n, "x" * 9000) for n in range(20)]
    )
    assert not bell.wait(0.5)
    assert 5 <= looks.number <= 60
    connection.execute("COMMIT")
    connection.close()
    assert bell.wait(LONG_S)


def test_looks_follow_a_write_for_two_tenths_of_a_second() -> None:
    plan, pauses = LookPlan(), []
    plan.expect()
    while (pause := plan.pause) != math.inf:
        pauses.append(pause)
        plan.looked(math.inf, in_vain=True)
    assert len(pauses) == len(PAUSES_S)
    assert 0.19 <= sum(pauses) <= 0.2
    assert max(pauses[:7]) <= 0.0001


def test_who_never_finds_anything_looks_two_hundred_times_a_second() -> None:
    plan = LookPlan()
    for _ in range(100):
        plan.expect()
        plan.looked(math.inf, in_vain=True)
    assert 0.15 < plan.pause <= 0.2
    assert plan.is_limited
    plan.expect()
    plan.looked(math.inf, in_vain=False)
    plan.expect()
    assert plan.pause == 0
    assert not plan.is_limited
