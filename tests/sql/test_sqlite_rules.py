"""The engine rules of SQLite: each was shown to matter, so each is held by a test."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from persistentq import (
    ConfigurationError,
    DatabaseMissing,
    InvalidArgument,
    JobStatus,
    LeaseLost,
    NewJob,
    PersistentQSQLAlchemy,
    StorageError,
    StorageUnavailable,
)
from persistentq.sql import sqlite
from persistentq.sql.dialect import READONLY
from persistentq.sql.sqlite import choose_driver, is_safe


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def queue(path: Path) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(f"sqlite:///{path}", lock_timeout=timedelta(seconds=0.3)) as made:
        yield made


@pytest.fixture
def system_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on the standard library's SQLite, whatever its version."""
    monkeypatch.setattr(sqlite, "choose_driver", lambda: sqlite3)


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 46, 1), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
        ((4, 0, 0), True),
    ],
)
def test_the_version_gate(version: tuple[int, ...], *, safe: bool) -> None:
    assert is_safe(version) is safe


def test_a_safe_driver_is_chosen_where_there_is_one() -> None:
    """On Linux x86_64 the lock file brings pysqlite3, so that no machine of ours runs unguarded."""
    assert is_safe(choose_driver().sqlite_version_info)


def test_every_connection_keeps_the_rules(queue: PersistentQSQLAlchemy) -> None:
    """G1: FULL on each connection, not only on the first."""
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "mmap_size": 0,
        "journal_size_limit": sqlite.WAL_LIMIT,
        "wal_autocheckpoint": 1000,
        "busy_timeout": 300,
    }
    connections = [queue.engine.execution_options(**{READONLY: True}).connect() for _ in range(4)]
    for connection in connections:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in expected}
        assert found == expected
        connection.close()


@pytest.fixture
def unsafe_sqlite(system_sqlite: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard library's SQLite, taken for one with the WAL-reset bug on every machine."""
    monkeypatch.setattr(sqlite, "is_safe", lambda version: False)


def test_on_an_unsafe_sqlite_nobody_checkpoints_unguarded(path: Path, unsafe_sqlite: None) -> None:
    with PersistentQSQLAlchemy(f"sqlite:///{path}") as queue, queue.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar() == 0


def test_on_an_unsafe_sqlite_no_foreign_connection_joins(path: Path, unsafe_sqlite: None) -> None:
    """It would checkpoint when it likes."""
    foreign = create_engine(f"sqlite:///{path}", module=sqlite3)
    with PersistentQSQLAlchemy(f"sqlite:///{path}") as queue:
        with (
            Session(foreign) as session,
            pytest.raises(InvalidArgument, match="not one of the queue's `engine`"),
        ):
            queue.enqueue("any.task", session=session)
        with Session(queue.engine.execution_options(any_option=1)) as session, session.begin():
            queue.enqueue("any.task", session=session)
        assert len(queue.list_jobs()) == 1
    foreign.dispose()


def test_the_guarded_checkpoint_bounds_the_wal(
    path: Path, unsafe_sqlite: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G1: nothing is lost while the maintainer checkpoints beside four writing threads."""
    monkeypatch.setattr(sqlite, "CHECKPOINT_AT", 256 * 1024)
    wal = Path(f"{path}-wal")
    stored: list[int] = []
    with PersistentQSQLAlchemy(f"sqlite:///{path}") as queue:

        def write() -> None:
            for n in range(60):
                stored.extend(
                    job.id for job in queue.enqueue_many([NewJob("t", {"pad": "x" * 2000, "n": n})] * 3)
                )

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(stored)) == 720
        assert queue.count_jobs() == {"default": {JobStatus.PENDING: 720}}
        # One more commit may be in the WAL than the limit; without checkpoints it would hold 3 MB.
        assert wal.stat().st_size < 1024 * 1024
        with queue.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def test_files_are_private_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        with PersistentQSQLAlchemy(f"sqlite:///{path}") as queue:
            queue.enqueue("t")
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"queue.db": 0o600, "queue.db-wal": 0o600, "queue.db-shm": 0o600}


def test_tables_are_strict_and_refuse_illegal_states(queue: PersistentQSQLAlchemy) -> None:
    """G7: the database itself refuses what the state machine does not have."""
    job = queue.enqueue("t")
    illegal = [
        "status = 'nonsense'",
        "status = 'processing'",
        "status = 'done'",
        "lease_until = 1",
        "finished_at = 1",
        "attempt = 4",
        "attempt = -1",
        "attempt = 'many'",
        "cancel_requested = 1",
        "budget = 0",
        "run_at = NULL",
        "args = NULL",
    ]
    for change in illegal:
        with queue.engine.connect() as connection, pytest.raises(Exception, match=r"constraint|cannot store"):
            connection.exec_driver_sql(f"UPDATE persistentq_jobs SET {change}")
    assert queue.get_job(job.id) == job
    with queue.engine.connect() as connection:
        tables = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%'"
        ).all()
    assert len(tables) >= 4
    assert all(sql.rstrip().endswith("STRICT") for name, sql in tables if name != "sqlite_sequence")


def test_ids_are_never_used_again(queue: PersistentQSQLAlchemy) -> None:
    """G2: otherwise a stale consumer's word on a deleted job could settle another."""
    last = queue.enqueue_many([NewJob("t")] * 3)[-1]
    queue.delete_jobs()
    assert queue.enqueue("t").id == last.id + 1


def test_a_transaction_that_may_write_takes_the_lock_at_its_beginning(queue: PersistentQSQLAlchemy) -> None:
    with queue.engine.begin(), pytest.raises(StorageUnavailable) as caught:
        queue.enqueue("t")
    assert "lock timeout" in caught.value.summary
    assert caught.value.retryable
    assert queue.enqueue("t").status == JobStatus.PENDING


def test_readers_wait_for_no_writer(queue: PersistentQSQLAlchemy) -> None:
    job = queue.enqueue("t")
    with queue.engine.begin():
        assert queue.get_job(job.id) == job
        assert len(queue.list_jobs()) == 1
        assert queue.list_consumers() == []


def test_a_row_that_cannot_be_decoded_ends_failed(queue: PersistentQSQLAlchemy) -> None:
    """G7: it never stops a consumer."""
    broken = [b"{", b"[]", b'{"v": ', b'{"v": "\xff"}', b'{"\xed\xa0\x80": 1}']
    bad = queue.enqueue_many([NewJob("t")] * len(broken))
    for job, stored in zip(bad, broken, strict=True):
        with queue.engine.begin() as connection:
            connection.execute(
                text("UPDATE persistentq_jobs SET args = CAST(:a AS TEXT) WHERE id = :i"),
                {"a": stored, "i": job.id},
            )
    good = queue.enqueue("t")
    assert [job.id for job in queue.dequeue("c", limit=10)] == [good.id]
    for job in bad:
        ended = queue.get_job(job.id)
        assert (ended.status, ended.error) == (JobStatus.FAILED, "the stored arguments are not a JSON object")
        assert len(queue.get_attempts(job.id)) == 1


@pytest.mark.parametrize("column", ["task", "tags", "metadata", "error", "unique_key"])
def test_no_text_that_is_not_utf8_stops_a_consumer(queue: PersistentQSQLAlchemy, column: str) -> None:
    """G7: whichever column it is in, the others are worked on, and it can be shown."""
    odd, good = queue.enqueue_many([NewJob("t")] * 2)
    with queue.engine.begin() as connection:
        change = f"UPDATE persistentq_jobs SET {column} = CAST(x'7bff7d' AS TEXT) WHERE id = {odd.id}"
        connection.exec_driver_sql(change)
    assert [job.id for job in queue.dequeue("c", limit=10)] == [odd.id, good.id]
    assert len(queue.list_jobs()) == 2
    assert queue.get_job(odd.id).status == JobStatus.PROCESSING


def test_a_face_does_not_make_a_database(path: Path) -> None:
    with pytest.raises(DatabaseMissing) as caught:
        PersistentQSQLAlchemy(f"sqlite:///{path}", create=False)
    assert str(path) in caught.value.summary
    assert not path.exists()
    path.touch()
    with pytest.raises(DatabaseMissing):
        PersistentQSQLAlchemy(f"sqlite:///{path}", create=False)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true"])
def test_a_database_that_processes_cannot_share_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        PersistentQSQLAlchemy(url)


def test_unusable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="cannot be created"):
        PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/no/such/folder/queue.db")
    prose = tmp_path / "prose.db"
    prose.write_text("This is not a database, it only looks as if it might be one.\n" * 40)
    with pytest.raises(StorageError, match="not a database"):
        PersistentQSQLAlchemy(f"sqlite:///{prose}")
    with pytest.raises(StorageError):
        PersistentQSQLAlchemy(f"sqlite:///{tmp_path}")


def _enqueue_in_child(queue: PersistentQSQLAlchemy, pipe: int) -> None:
    try:
        said = str(queue.enqueue("from.the.child").id)
    except StorageError as error:
        said = error.problem
    os.write(pipe, said.encode())


def _fork(queue: PersistentQSQLAlchemy) -> tuple[multiprocessing.process.BaseProcess, int]:
    reading, writing = os.pipe()
    child = multiprocessing.get_context("fork").Process(target=_enqueue_in_child, args=(queue, writing))
    child.start()
    os.close(writing)
    return child, reading


def _heard(child: multiprocessing.process.BaseProcess, reading: int) -> str:
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    child.join(10)
    assert child.exitcode == 0
    return said


def test_a_forked_child_uses_no_inherited_connection(queue: PersistentQSQLAlchemy) -> None:
    """S9: a shared connection lost the child's committed row silently."""
    for _ in range(10):
        mine = queue.enqueue("from.the.parent")
        child, reading = _fork(queue)
        also_mine = queue.enqueue("from.the.parent")
        assert {mine.id, also_mine.id, int(_heard(child, reading))} <= {job.id for job in queue.list_jobs()}
    assert queue.count_jobs() == {"default": {JobStatus.PENDING: 30}}


def test_a_child_forked_within_a_transaction_is_refused(queue: PersistentQSQLAlchemy) -> None:
    """S9: SQLite keeps its locks in memory that the child inherits; refusing is all that is safe there."""
    with queue.engine.begin() as connection:
        mine = queue.enqueue("t", session=connection)
        child, reading = _fork(queue)
        assert "was in use when this process was forked" in _heard(child, reading)
    assert [job.id for job in queue.list_jobs()] == [mine.id]


DAEMON = """
import os, subprocess, sys
from persistentq import open_queue
from persistentq.clock import Deadline
queue = open_queue(sys.argv[1])
queue.enqueue("from.the.parent")
queue.list_jobs()
parent = os.getpid()
if os.fork():
    os._exit(0)
Deadline(20).wait_for(lambda: os.getppid() != parent)
queue.enqueue("from.the.daemon")
other = "import sys; from persistentq import open_queue; open_queue(sys.argv[1]).enqueue('from.another')"
subprocess.run([sys.executable, "-c", other, sys.argv[1]], check=True)
queue.enqueue("from.the.daemon")
print(len(queue.list_jobs()))
"""


def test_a_child_that_outlives_its_parent_loses_nothing(path: Path) -> None:
    """G1, S9: it had none of the locks that SQLite believed it had, so that others took the WAL away from it."""
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run(
        [sys.executable, "-c", DAEMON, f"sqlite:///{path}"],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (said.stdout, said.stderr) == ("4\n", "")
    with PersistentQSQLAlchemy(f"sqlite:///{path}") as queue:
        assert len(queue.list_jobs()) == 4


def test_a_child_of_a_process_at_work_is_refused_and_the_parent_goes_on(queue: PersistentQSQLAlchemy) -> None:
    with queue.engine.connect():
        child, reading = _fork(queue)
        assert "was in use when this process was forked" in _heard(child, reading)
        assert queue.enqueue("t").id == 1


def test_enqueue_joins_the_callers_transaction(queue: PersistentQSQLAlchemy) -> None:
    """G6."""
    with Session(queue.engine) as session:
        job = queue.enqueue("t", session=session)
        assert queue.list_jobs().items == ()
        session.commit()
    assert queue.get_job(job.id) == job
    with Session(queue.engine) as session:
        queue.enqueue("t", session=session)
        session.rollback()
    with queue.engine.connect() as connection:
        queue.enqueue_many([NewJob("t")], session=connection)
    assert [one.id for one in queue.list_jobs()] == [job.id]


def test_completion_joins_the_callers_transaction(queue: PersistentQSQLAlchemy) -> None:
    """G6: the job's effects and its completion commit together, or neither does."""
    queue.enqueue("t")
    (job,) = queue.dequeue("c")
    with Session(queue.engine) as session:
        session.execute(text("CREATE TABLE effects (n INTEGER)"))
        session.commit()
    with Session(queue.engine) as session:
        session.execute(text("INSERT INTO effects VALUES (1)"))
        queue.complete(job, session=session)
        session.rollback()
    assert queue.get_job(job.id).status == JobStatus.PROCESSING
    with Session(queue.engine) as session:
        session.execute(text("INSERT INTO effects VALUES (2)"))
        queue.complete(job, session=session)
        session.commit()
    assert queue.get_job(job.id).status == JobStatus.DONE
    queue.enqueue("t")
    (lost,) = queue.dequeue("c")
    queue.assign_job(lost.id, "other")
    with Session(queue.engine) as session:
        session.execute(text("INSERT INTO effects VALUES (3)"))
        with pytest.raises(LeaseLost):
            queue.complete(lost, session=session)
    with queue.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT n FROM effects").scalars().all() == [2]


def test_a_guard_makes_the_callers_transaction_fail_once_the_lease_is_lost(
    queue: PersistentQSQLAlchemy,
) -> None:
    """G6."""
    queue.enqueue("t")
    (job,) = queue.dequeue("c")
    with Session(queue.engine) as session:
        queue.guard(job, session=session)
        session.commit()
    assert queue.get_job(job.id) == job
    queue.assign_job(job.id, "other")
    with Session(queue.engine) as session, pytest.raises(LeaseLost):
        queue.guard(job, session=session)


def test_a_session_of_another_driver_is_refused(queue: PersistentQSQLAlchemy, path: Path) -> None:
    """S8: two SQLite libraries on one file in one process drop each other's locks."""
    engine = create_engine(f"sqlite:///{path}")
    with Session(engine) as session, pytest.raises(InvalidArgument, match="engine"):
        queue.enqueue("t", session=session)
    engine.dispose()


def test_the_wal_stays_small_under_steady_writing(queue: PersistentQSQLAlchemy, path: Path) -> None:
    for _ in range(40):
        queue.enqueue_many([NewJob("t", {"pad": "x" * 1000})] * 200)
    assert Path(f"{path}-wal").stat().st_size < 8 * 1024 * 1024
