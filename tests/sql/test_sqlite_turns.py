"""Writers of one SQLite file: each gets its turn, and none waits past the lock timeout."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from sqlalchemy.orm import Session

from persistentq import LockTimeout, NewJob, PersistentQSQLAlchemy
from persistentq.sql.dialect import READONLY
from persistentq.sql.sqlite import choose_driver
from persistentq.sql.sqlite_turns import pause_after

ROOT = Path(__file__).resolve().parents[2]
WRITERS, SECONDS = 6, 1.5


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/queue.db"


@pytest.fixture
def stranger(tmp_path: Path, url: str) -> Iterator[Any]:
    """A connection of a program that knows nothing of the queue's rules."""
    PersistentQSQLAlchemy(url).close()
    driver = choose_driver()
    path = tmp_path / "queue.db"
    with closing(driver.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        yield connection


def opened(url: str, lock_timeout: float) -> PersistentQSQLAlchemy:
    return PersistentQSQLAlchemy(url, lock_timeout=timedelta(seconds=lock_timeout))


def elapsed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_every_writer_gets_its_turn(url: str) -> None:
    """With SQLite's own waiting, one of six has a tenth of another's turns, or none, and waits for seconds."""
    PersistentQSQLAlchemy(url).close()
    script = str(Path(__file__).with_name("writing.py"))
    writers = [started(script, url, str(SECONDS)) for _ in range(WRITERS)]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        said = [writer.communicate(timeout=60)[0].split() for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
    numbers, longest = [int(number) for number, _ in said], [float(worst) for _, worst in said]
    assert min(numbers) > max(numbers) / 3, (numbers, longest)
    assert max(longest) < 500, (numbers, longest)


WRITES: dict[str, Callable[[PersistentQSQLAlchemy], object]] = {
    "enqueue": lambda queue: queue.enqueue("t"),
    "enqueue_many": lambda queue: queue.enqueue_many([NewJob("t")] * 3),
    "dequeue": lambda queue: queue.dequeue("c"),
    "pause_queue": lambda queue: queue.pause_queue("default"),
    "delete_jobs": lambda queue: queue.delete_jobs(),
}


def _enqueue_in_session(queue: PersistentQSQLAlchemy) -> None:
    with Session(queue.engine) as session, session.begin():
        queue.enqueue("t", session=session)


WRITES["session"] = _enqueue_in_session


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_strangers_are_waited_for(
    url: str, stranger: Any, write: Callable[[PersistentQSQLAlchemy], object]
) -> None:
    with opened(url, 10) as queue:
        queue.enqueue("t")
        stranger.execute("BEGIN IMMEDIATE")
        Timer(0.15, lambda: stranger.execute("COMMIT")).start()
        assert 0.1 < elapsed(lambda: write(queue)) < 2


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_nobody_waits_past_the_lock_timeout(
    url: str, stranger: Any, write: Callable[[PersistentQSQLAlchemy], object]
) -> None:
    with opened(url, 0.2) as queue:
        queue.enqueue("t")
        stranger.execute("BEGIN IMMEDIATE")
        began = time.perf_counter()
        with pytest.raises(LockTimeout) as caught:
            write(queue)
        assert 0.2 <= time.perf_counter() - began < 0.5
        assert "QUEUE_LOCK_TIMEOUT" in caught.value.hint
        stranger.execute("COMMIT")
        write(queue)


def test_a_lock_timeout_of_zero_looks_once(url: str, stranger: Any) -> None:
    with opened(url, 0) as queue:
        queue.enqueue("t")
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockTimeout):
            queue.enqueue("t")


def test_whoever_is_killed_in_its_turn_holds_nobody_up(url: str) -> None:
    holding = (
        "import sys\n"
        "from persistentq import open_queue\n"
        "with open_queue(sys.argv[1]).engine.begin():\n"
        "    print(flush=True)\n"
        "    input()\n"
    )
    with opened(url, 10) as queue:
        queue.enqueue("t")
        holder = started("-c", holding, url)
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            killer = Timer(0.1, holder.kill)
            killer.start()
            assert elapsed(lambda: queue.enqueue("t")) < 2
        finally:
            holder.kill()
            holder.communicate()


def test_who_has_waited_longest_looks_most_often_until_it_is_a_long_wait() -> None:
    pauses = [pause_after(waited) for waited in (0, 0.001, 0.01, 0.05, 0.1)]
    assert pauses[0] == 0.005
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[-1] == pytest.approx(0.0001, rel=0.05)
    assert [pause_after(waited) for waited in (1, 10)] == [0.001, 0.01]


def test_readers_keep_sqlites_waiting(url: str) -> None:
    """A reader may have to wait within SQLite, where nobody but SQLite can wait; its connection has written before."""
    with opened(url, 3) as queue:
        for _ in range(3):
            with queue.engine.begin() as connection:
                assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 0
            with queue.engine.execution_options(**{READONLY: True}).begin() as connection:
                assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 3000
