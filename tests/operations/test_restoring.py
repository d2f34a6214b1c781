"""Backups that are whole, and restores after which nothing that ran runs again."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from persistentq import (
    Act,
    CopyRefused,
    JobStatus,
    NewJob,
    PersistentQError,
    PersistentQInterface,
    PersistentQSQLAlchemy,
    QueueMoved,
    ReadOnlyMode,
    Schedule,
    SchemaMismatch,
    StorageError,
    StorageUnavailable,
    open_queue,
)
from persistentq.clock import Deadline
from persistentq.connect import open_copies
from persistentq.copies_interface import JOBS, Restored, Stage
from persistentq.operations.moving import Caretaker
from persistentq.sql import backing_up
from persistentq.sql.sqlite import choose_driver
from tests.operations.whole_queue import NOTE, content, copied, dying_at, fill


@pytest.fixture
def url(own_url: str) -> str:
    return own_url


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "backup.db"


def is_file(url: str) -> bool:
    return url.startswith("sqlite")


def made(url: str) -> str:
    """Make a queue with something of everything; nobody has it open."""
    with PersistentQSQLAlchemy(url) as queue:
        fill(queue)
    return url


def restored(url: str, copy: Path) -> Restored:
    return open_copies(url).restore(copy, NOTE, force=not is_file(url))


# --- backups


def test_a_backup_is_a_queue_like_the_original(url: str, copy: Path) -> None:
    before = content(made(url))
    backup = open_copies(url).back_up(copy, NOTE)
    assert (backup.path, backup.size) == (copy, copy.stat().st_size)
    assert backup.rows == {name: len(rows) for name, rows in before.items()}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in copy.parent.glob("backup.db*")] == ["backup.db"]
    assert content(f"sqlite:///{copy}") == before
    with open_queue(f"sqlite:///{copy}", create=False) as there, open_queue(url) as queue:
        entry = queue.list_journal().items[0]
        assert (entry.verb, entry.details) == ("backup", {"path": str(copy), "bytes": backup.size})
        assert there.enqueue("t").id == queue.enqueue("t").id


def test_it_holds_every_job_that_was_acknowledged_before(url: str, tmp_path: Path) -> None:
    """S14: while others write; `cp` of a file with a WAL holds none of what is only in the WAL."""
    acknowledged: set[int] = set()
    is_over = threading.Event()
    with PersistentQSQLAlchemy(url) as queue:

        def write() -> None:
            while not is_over.is_set():
                acknowledged.add(queue.enqueue("t", {"pad": "x" * 500}).id)

        threads = [threading.Thread(target=write) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            assert Deadline(20).wait_for(lambda: len(acknowledged) > 20)
            for n in range(5):
                before, path = set(acknowledged), tmp_path / f"copy-{n}.db"
                open_copies(url).back_up(path, None)
                with closing(choose_driver().connect(path)) as connection:
                    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                    assert before <= {id for (id,) in connection.execute("SELECT id FROM persistentq_jobs")}
        finally:
            is_over.set()
            for thread in threads:
                thread.join()


def test_it_overwrites_nothing_unless_it_is_told_to(url: str, copy: Path) -> None:
    made(url)
    copy.write_text("dear to somebody")
    copies = open_copies(url)
    with pytest.raises(CopyRefused, match="exists already"):
        copies.back_up(copy, NOTE)
    assert copy.read_text() == "dear to somebody"
    copies.back_up(copy, NOTE, force=True)
    assert content(f"sqlite:///{copy}")[JOBS] == content(url)[JOBS]


def test_the_queue_itself_is_never_overwritten(tmp_path: Path) -> None:
    url = made(f"sqlite:///{tmp_path}/queue.db")
    for force in (False, True):
        with pytest.raises(CopyRefused, match="is the queue itself"):
            open_copies(url).back_up(tmp_path / "queue.db", NOTE, force=force)
    open_copies(url).back_up(tmp_path / "copy.db", NOTE)
    with pytest.raises(CopyRefused, match="is the queue itself"):
        open_copies(url).restore(tmp_path / "queue.db", NOTE)


def test_one_that_fails_leaves_nothing(url: str, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(url)
    with pytest.raises(CopyRefused, match=f"there is no folder {copy.parent}/no/such"):
        open_copies(url).back_up(copy.parent / "no" / "such" / "copy.db", NOTE)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    before = set(copy.parent.iterdir())
    monkeypatch.setattr(backing_up, "sync", full)
    with pytest.raises(StorageUnavailable, match="No space left"):
        open_copies(url).back_up(copy, NOTE)
    assert set(copy.parent.iterdir()) <= before | {copy.parent / "queue.db-wal", copy.parent / "queue.db-shm"}


def test_one_that_is_not_whole_gets_no_name(url: str, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(url)
    fill_it = backing_up._fill
    monkeypatch.setattr(backing_up, "_fill", lambda *rest: {**fill_it(*rest), JOBS: 10**9})
    with pytest.raises(StorageError, match="lacks jobs that were there before"):
        open_copies(url).back_up(copy, NOTE)
    assert not list(copy.parent.glob("backup.db*"))


@pytest.mark.parametrize("stage", [Stage.COPYING])
def test_one_that_is_killed_has_no_name(url: str, copy: Path, stage: Stage) -> None:
    made(url)
    assert dying_at(stage, "back-up", url, str(copy)) == -9
    assert not copy.exists()
    open_copies(url).back_up(copy, NOTE)
    assert copy.exists()


def test_read_only_mode_allows_a_backup_and_no_restore(url: str, copy: Path) -> None:
    made(url)
    caretaker = Caretaker(open_copies(url), readonly=True)
    before = content(url)
    caretaker.back_up(copy)
    with pytest.raises(ReadOnlyMode):
        caretaker.restore(copy)
    assert caretaker.plan_restore(copy, force=True).rows[JOBS] == len(before[JOBS])
    assert content(url) == before


# --- restores


@pytest.fixture
def queue(url: str) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(url) as made:
        yield made


def statuses(queue: PersistentQInterface) -> dict[int, JobStatus]:
    return {job.id: job.status for job in queue.list_jobs()}


def test_what_ended_or_ran_since_the_backup_does_not_run_again(
    url: str, queue: PersistentQSQLAlchemy, copy: Path
) -> None:
    ids = [
        job.id for job in queue.enqueue_many([NewJob("t", {"n": n}, unique_key=f"k{n}") for n in range(7)])
    ]
    open_copies(url).back_up(copy, NOTE)
    done, failed, retried, *_ = queue.dequeue("c_1", limit=3)
    queue.complete(done, {"n": 0})
    queue.fail(failed, "broken", retry=False)
    queue.fail(retried, "again", delay=timedelta(hours=1))
    queue.act(Act("edit-arguments", arguments={"n": 99}), [ids[3]], note=NOTE)
    queue.cancel(ids[4])
    queue.act(Act("delete"), [ids[5]], note=NOTE)
    newer = [queue.enqueue("later").id for _ in range(3)]
    queue.close()
    planned = open_copies(url).plan_restore(copy, force=True)
    told = restored(url, copy)
    assert (told.kept, told.withheld, told.newer, told.newest) == (4, 1, 3, tuple(newer))
    assert (planned.kept, planned.withheld, planned.newer) == (4, 1, 3)
    assert told.paused == ()
    assert told.aside is not None
    with open_queue(url, create=False) as again:
        assert statuses(again) == {
            ids[0]: JobStatus.DONE,
            ids[1]: JobStatus.FAILED,
            ids[2]: JobStatus.SCHEDULED,
            ids[3]: JobStatus.PENDING,
            ids[4]: JobStatus.CANCELLED,
            ids[5]: JobStatus.CANCELLED,
            ids[6]: JobStatus.PENDING,
        }
        assert again.get_job(ids[0]).result == {"n": 0}
        assert (again.get_job(ids[2]).attempt, len(again.get_attempts(ids[2]))) == (1, 1)
        assert again.get_job(ids[3]).args == {"n": 3}
        assert "resubmit it" in (again.get_job(ids[5]).error or "")
        assert [job.id for job in again.dequeue("c_2", limit=10)] == [ids[3], ids[6]]
        assert again.enqueue("t").id > newer[-1]
        assert again.list_journal().items[0].verb == "restore"
    with open_queue(f"sqlite:///{told.aside}", create=False) as aside:
        assert set(newer) <= statuses(aside).keys()


def test_no_tick_of_a_schedule_comes_twice(url: str, queue: PersistentQSQLAlchemy, copy: Path) -> None:
    every = {"expression": "every 1h", "task": "t"}
    queue.put_schedule(Schedule("kept", **every))
    queue.put_schedule(Schedule("removed", **every))
    open_copies(url).back_up(copy, NOTE)
    with queue.engine.begin() as connection:
        connection.execute(
            text("UPDATE persistentq_schedules SET next_at = next_at + 7, look_at = look_at + 7")
        )
    queue.remove_schedule("removed")
    now = queue.get_schedule("kept")
    queue.close()
    restored(url, copy)
    with open_queue(url) as again:
        assert again.get_schedule("kept") == now
        assert again.get_schedule("removed").paused_at is not None


def test_where_nobody_can_tell_what_ran_every_queue_is_paused(url: str, copy: Path, tmp_path: Path) -> None:
    """The database is missing, or another queue's."""
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/lost.db") as lost:
        lost.enqueue("t")
        lost.enqueue("mail.send", queue="mail")
    open_copies(f"sqlite:///{tmp_path}/lost.db").back_up(copy, NOTE)
    told = restored(url, copy)
    assert (told.paused, told.aside) == (("default", "mail"), None)
    with open_queue(url, create=False) as again:
        assert again.dequeue("c_1", ("default", "mail"), 10) == []
        again.resume_queue("mail")
        assert len(again.dequeue("c_1", ("default", "mail"), 10)) == 1
    made(f"sqlite:///{tmp_path}/other.db")
    other = restored(f"sqlite:///{tmp_path}/other.db", copy)
    assert other.paused == ("default", "mail")
    assert other.aside is not None


def test_a_file_that_cannot_be_read_is_kept_and_replaced(tmp_path: Path, copy: Path) -> None:
    file = tmp_path / "queue.db"
    url = made(f"sqlite:///{file}")
    open_copies(url).back_up(copy, NOTE)
    for damage in (b"no database at all" * 300, file.read_bytes()[:8192] + b"\xff" * 40_000):
        file.write_bytes(damage)
        Path(f"{file}-wal").write_bytes(b"stale")
        told = open_copies(url).restore(copy, NOTE)
        assert told.paused == ("default", "mail")
        assert told.aside is not None
        assert Path(told.aside).read_bytes() == damage
        with open_queue(url, create=False) as again:
            assert again.count_jobs()


def test_a_restore_of_an_unchanged_queue_changes_nothing(url: str, copy: Path) -> None:
    before = content(made(url))
    open_copies(url).back_up(copy, None)
    told = restored(url, copy)
    assert (told.kept, told.withheld, told.newer, told.paused) == (0, 0, 0, ())
    assert copied(content(url)) == copied(before)


def test_it_is_refused_while_consumers_are_alive(url: str, queue: PersistentQSQLAlchemy, copy: Path) -> None:
    queue.heartbeat("c_1", host="mail-1", pid=7, queues=("default",))
    open_copies(url).back_up(copy, NOTE)
    for call in (restored, lambda url, copy: open_copies(url).plan_restore(copy, force=True)):
        with pytest.raises(CopyRefused) as caught:
            call(url, copy)
    assert queue.enqueue("t")
    queue.retire("c_1")
    queue.close()
    assert restored(url, copy)
    assert "c_1" in caught.value.problem


def test_it_is_refused_while_anybody_has_the_file_open(tmp_path: Path, copy: Path) -> None:
    url = f"sqlite:///{tmp_path}/queue.db"
    with PersistentQSQLAlchemy(url) as queue:
        job = queue.enqueue("t")
        open_copies(url).back_up(copy, NOTE)
        with pytest.raises(CopyRefused, match=r"other processes have .* open"):
            restored(url, copy)
        assert queue.get_job(job.id)
        assert queue.enqueue("t")
    assert restored(url, copy).newer == 1


def test_a_server_with_rows_wants_to_be_told(own_postgres_url: str, copy: Path) -> None:
    before = content(made(own_postgres_url))
    copies = open_copies(own_postgres_url)
    copies.back_up(copy, None)
    for refused in (lambda: copies.restore(copy, NOTE), lambda: copies.plan_restore(copy)):
        with pytest.raises(CopyRefused, match="is not empty") as caught:
            refused()
        assert "--force" in caught.value.hint
    assert content(own_postgres_url) == before


def test_a_queue_that_has_moved_is_not_brought_back_beside_it(tmp_path: Path, copy: Path) -> None:
    """It would be live twice."""
    url = made(f"sqlite:///{tmp_path}/queue.db")
    open_copies(url).back_up(copy, NOTE)
    open_copies(url).move(f"sqlite:///{tmp_path}/there.db", NOTE)
    with pytest.raises(QueueMoved):
        restored(url, copy)
    with pytest.raises(QueueMoved):
        open_copies(url).back_up(tmp_path / "other.db", NOTE)


def test_what_is_no_backup_is_refused(url: str, tmp_path: Path) -> None:
    before = content(made(url))
    text_file, empty, whole = tmp_path / "text.txt", tmp_path / "empty.db", tmp_path / "whole.db"
    text_file.write_text("this is no database " * 100)
    with closing(choose_driver().connect(empty)) as connection:
        connection.execute("CREATE TABLE other (n)")
    open_copies(url).back_up(whole, None)
    damaged, newer = tmp_path / "damaged.db", tmp_path / "newer.db"
    pages = bytearray(whole.read_bytes())
    pages[8192:12288] = b"\xff" * 4096
    damaged.write_bytes(pages)
    newer.write_bytes(whole.read_bytes())
    with closing(choose_driver().connect(newer)) as connection:
        connection.execute("UPDATE persistentq_schema SET version_num = '9999'")
        connection.commit()
    cases: list[tuple[Path, type[PersistentQError], str]] = [
        (tmp_path / "missing.db", CopyRefused, "there is no file"),
        (text_file, CopyRefused, "cannot be read as a backup"),
        (empty, CopyRefused, "holds no queue"),
        (damaged, CopyRefused, "damaged|cannot be read"),
        (newer, SchemaMismatch, "has schema 9999"),
    ]
    for path, kind, told in cases:
        with pytest.raises(kind, match=told):
            restored(url, path)
    assert content(url) == before
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


@pytest.mark.parametrize("stage", [Stage.CHECKED, Stage.CHECKING, Stage.TAKEN, Stage.PLACED])
def test_killed_at_any_moment_it_leaves_the_one_or_the_other(
    tmp_path: Path, copy: Path, stage: Stage
) -> None:
    url = made(f"sqlite:///{tmp_path}/queue.db")
    open_copies(url).back_up(copy, None)
    with PersistentQSQLAlchemy(url) as queue:
        later = queue.enqueue("later").id
    before = content(url)
    assert dying_at(stage, "restore", url, str(copy)) == -9
    is_restored = stage is Stage.PLACED
    with open_queue(url, create=False) as queue:
        assert (later in statuses(queue)) is not is_restored
    if not is_restored:
        assert content(url) == before
        assert restored(url, copy).newer == 1


def test_killed_within_a_servers_transaction_it_leaves_what_was_there(
    own_postgres_url: str, copy: Path
) -> None:
    with PersistentQSQLAlchemy(f"sqlite:///{copy.parent}/other.db") as other:
        fill(other)
    open_copies(f"sqlite:///{copy.parent}/other.db").back_up(copy, None)
    open_queue(own_postgres_url).close()
    before = content(own_postgres_url)
    for stage in (Stage.COPYING, Stage.CHECKING, Stage.TAKEN):
        assert dying_at(stage, "restore", own_postgres_url, str(copy)) == -9
        assert content(own_postgres_url) == before
    assert restored(own_postgres_url, copy).rows[JOBS]
