"""Upgrades of the tables by a made-up second revision: all or nothing, by one of many, under load."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from persistentq import (
    Attempt,
    Job,
    JobStatus,
    NewJob,
    PersistentQSQLAlchemy,
    SchemaMismatch,
    StorageError,
    migrate,
    open_queue,
)
from persistentq.sql import schema
from tests.sql.newer_code import NEWER, PAUSE, STEPS, newer_process, started, tell, told, write_revision

OLDER = schema.VERSION
JOBS = 3
PROCESSES, ROUNDS = 10, 3
WORKERS, BUSY = 2, 60
REBUILD = """\
with op.batch_alter_table("persistentq_jobs", recreate="always", table_kwargs={"sqlite_strict": True}) as table:
        table.add_column(sa.Column("note", sa.Text))"""
LOSE_PARENTS = 'op.execute("DELETE FROM persistentq_jobs")'


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The migrations of a made-up next version; a `%` in a path must not matter."""
    return write_revision(tmp_path / "100% newer", *STEPS)


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return a function that makes this process one of the next version."""

    def become_newer(migrations: Path) -> None:
        monkeypatch.setattr(schema, "VERSION", NEWER)
        monkeypatch.setattr(schema, "MIGRATIONS", migrations)

    return become_newer


def make_old(url: str) -> str:
    """Make a database of the present version, with jobs, one of which has a history."""
    with open_queue(url) as queue:
        queue.enqueue_many([NewJob("any.task", {"n": n}) for n in range(JOBS)])
        (taken,) = queue.dequeue("c_1")
        queue.fail(taken, "for the test")
    return url


@pytest.fixture
def old_url(own_url: str) -> str:
    return make_old(own_url)


@pytest.fixture
def old_file(tmp_path: Path) -> str:
    return make_old(f"sqlite:///{tmp_path}/queue.db")


def content(url: str) -> list[tuple[Job, list[Attempt]]]:
    with open_queue(url, create=False) as queue:
        return [(job, queue.get_attempts(job.id)) for job in queue.list_jobs()]


def notes(queue: PersistentQSQLAlchemy) -> list[str | None] | None:
    """Return what the made-up revision wrote to each job; None if it has done nothing at all."""
    with queue.engine.connect() as connection:
        found = inspect(connection)
        names = {each["name"] for each in found.get_columns("persistentq_jobs")}
        indexes = {each["name"] for each in found.get_indexes("persistentq_jobs")}
        version = connection.execute(text("SELECT version_num FROM persistentq_schema")).scalar_one()
        state = (version, "note" in names, "persistentq_note" in indexes)
        if state == (OLDER, False, False):
            return None
        assert state == (NEWER, True, True)
        return list(connection.execute(text("SELECT note FROM persistentq_jobs ORDER BY id")).scalars())


def test_an_upgrade_keeps_every_job_and_its_history(
    old_url: str, newer: Path, become: Callable[[Path], None]
) -> None:
    before = content(old_url)
    become(newer)
    assert migrate(old_url)[1:] == (OLDER, NEWER)
    assert content(old_url) == before
    with PersistentQSQLAlchemy(old_url) as queue:
        assert notes(queue) == ["in default"] * JOBS
        assert queue.enqueue("any.task").id == JOBS + 1
    assert migrate(old_url)[1:] == (NEWER, NEWER)


@pytest.mark.parametrize("create", [True, False])
def test_whoever_opens_an_old_file_upgrades_it(
    old_file: str, newer: Path, become: Callable[[Path], None], *, create: bool
) -> None:
    become(newer)
    with PersistentQSQLAlchemy(old_file, create=create) as queue:
        assert notes(queue) == ["in default"] * JOBS
        with queue.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_on_a_server_only_the_command_upgrades(
    own_postgres_url: str, newer: Path, become: Callable[[Path], None]
) -> None:
    make_old(own_postgres_url)
    with PersistentQSQLAlchemy(own_postgres_url) as old:
        become(newer)
        with pytest.raises(SchemaMismatch, match=f"has schema {OLDER}, this code needs {NEWER}"):
            open_queue(own_postgres_url)
        assert notes(old) is None
        migrate(own_postgres_url)
        open_queue(own_postgres_url).close()


def test_a_failed_step_undoes_all_before_it(
    old_url: str, tmp_path: Path, become: Callable[[Path], None]
) -> None:
    with PersistentQSQLAlchemy(old_url) as old:
        become(write_revision(tmp_path / "bad", *STEPS, 'op.execute("SELECT no_such_column")'))
        with pytest.raises(StorageError, match="no_such_column"):
            migrate(old_url)
        assert notes(old) is None
        assert len(old.list_jobs()) == JOBS


def test_a_table_may_be_made_anew_without_losing_what_refers_to_it(
    old_file: str, tmp_path: Path, become: Callable[[Path], None]
) -> None:
    """SQLite's DROP TABLE deletes, by cascade, the histories of all jobs, unless foreign keys are off."""
    before = content(old_file)
    assert [len(history) for _, history in before] == [0, 0, 1]
    become(write_revision(tmp_path / "rebuild", REBUILD))
    assert content(old_file) == before


def test_an_upgrade_that_would_break_foreign_keys_is_undone(
    old_file: str, tmp_path: Path, become: Callable[[Path], None]
) -> None:
    with PersistentQSQLAlchemy(old_file) as old:
        become(write_revision(tmp_path / "orphans", LOSE_PARENTS))
        with pytest.raises(StorageError, match="foreign keys"):
            open_queue(old_file)
        assert notes(old) is None
        assert len(old.list_jobs()) == JOBS


def test_threads_may_upgrade_different_files_at_once(
    tmp_path: Path, newer: Path, become: Callable[[Path], None]
) -> None:
    """Alembic's `op` is one for the whole process."""
    urls = [make_old(f"sqlite:///{tmp_path}/{n}.db") for n in range(6)]
    become(newer)
    threads = [threading.Thread(target=lambda url=url: open_queue(url).close()) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for url in urls:
        with PersistentQSQLAlchemy(url) as queue:
            assert notes(queue) == ["in default"] * JOBS


def test_many_processes_upgrade_one_file_at_once(tmp_path: Path, newer: Path) -> None:
    """S5: all start, and the upgrade is done once."""
    urls = [make_old(f"sqlite:///{tmp_path}/{n}.db") for n in range(ROUNDS)]
    with ExitStack() as stack:
        starters = [stack.enter_context(newer_process(newer)) for _ in range(PROCESSES)]
        assert [told(process) for process in starters] == ["ready"] * PROCESSES
        for url in urls:
            for process in starters:
                tell(process, url)
            assert [told(process) for process in starters] == [str(JOBS)] * PROCESSES
        assert {process.communicate(timeout=30)[1] for process in starters} == {""}


def test_many_commands_upgrade_one_server_at_once(own_postgres_url: str, newer: Path) -> None:
    make_old(own_postgres_url)
    with ExitStack() as stack:
        processes = [stack.enter_context(newer_process(newer)) for _ in range(PROCESSES // 2)]
        assert {told(process) for process in processes} == {"ready"}
        for process in processes:
            tell(process, f"migrate {own_postgres_url}")
        answers = {told(process) for process in processes}
    assert str((OLDER, NEWER)) in answers
    assert answers <= {str((OLDER, NEWER)), str((NEWER, NEWER))}


def test_a_killed_upgrade_leaves_nothing_and_the_next_succeeds(
    old_url: str, tmp_path: Path, newer: Path, become: Callable[[Path], None]
) -> None:
    """T14: kill -9 after each step."""
    before = content(old_url)
    with PersistentQSQLAlchemy(old_url) as old, ExitStack() as stack:
        halts = [
            write_revision(tmp_path / f"halt {done}", *STEPS[:done], PAUSE, *STEPS[done:])
            for done in range(1, len(STEPS) + 1)
        ]
        processes = [stack.enter_context(newer_process(folder)) for folder in halts]
        for process in processes:
            assert told(process) == "ready"
            tell(process, f"migrate {old_url}")
            assert told(process) == "paused"
            process.kill()
            process.wait()
            assert notes(old) is None
            assert content(old_url) == before
        become(newer)
        assert migrate(old_url)[1:] == (OLDER, NEWER)
        assert notes(old) == ["in default"] * JOBS
    assert content(old_url) == before


def work(worker: subprocess.Popen[str], past: int, done: list[int]) -> None:
    """Read what a worker has done until it is past this job; fail if it has ended."""
    while not done or done[-1] <= past:
        line = told(worker)
        assert line, worker.communicate(timeout=30)
        done += map(int, line.split())


def test_an_upgrade_under_load_stops_no_process_of_the_version_before(
    old_url: str, newer: Path, become: Callable[[Path], None]
) -> None:
    """A8: none of its jobs is lost or done twice. One that starts afterwards is refused."""
    script = Path(__file__).with_name("old_worker.py")
    each: list[list[int]] = [[] for _ in range(WORKERS)]
    with ExitStack() as stack:
        workers = [stack.enter_context(started(script, old_url, f"c_{n}")) for n in range(WORKERS)]
        upgrading = stack.enter_context(newer_process(newer))
        assert told(upgrading) == "ready"
        for worker, done in zip(workers, each, strict=True):
            work(worker, BUSY, done)
        tell(upgrading, f"migrate {old_url}")
        assert told(upgrading) == str((OLDER, NEWER))
        tell(upgrading, old_url)
        made = int(told(upgrading))
        for worker, done in zip(workers, each, strict=True):
            work(worker, made + BUSY, done)
            assert worker.stdin is not None
            worker.stdin.close()
        for worker, done in zip(workers, each, strict=True):
            assert worker.stdout is not None
            assert worker.stderr is not None
            done.extend(map(int, worker.stdout.read().split()))
            assert (worker.wait(30), worker.stderr.read()) == (0, "")
    settled = [job_id for done in each for job_id in done]
    with pytest.raises(SchemaMismatch, match=f"has schema {NEWER}, this code needs {OLDER}"):
        open_queue(old_url)
    become(newer)
    with open_queue(old_url) as queue:
        while jobs := queue.dequeue("last", limit=100):
            settled += [job.id for job in jobs]
        numbers = queue.count_jobs()["default"]
    assert len(settled) == len(set(settled))
    assert sum(numbers.values()) == len(settled) + numbers.get(JobStatus.SCHEDULED, 0)
