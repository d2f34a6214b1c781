"""backup, restore and graduate on the command line: what they say, ask, refuse and return."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistentq import NewJob, PersistentQInterface, PersistentQSQLAlchemy, open_queue
from tests.front_ends.admin_kit import Terminal, a_store, run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


def there(folder: Path) -> PersistentQSQLAlchemy:
    return PersistentQSQLAlchemy(f"sqlite:///{folder}/there.db", create=False)


def test_a_backup_tells_what_it_holds(store: PersistentQInterface, tmp_path: Path) -> None:
    store.enqueue_many([NewJob("t")] * 2)
    file = tmp_path / "copy.db"
    code, out, err = run("backup", file, "--reason", "nightly")
    assert (code, out, err) == (0, f"{file} holds 2 jobs, {file.stat().st_size:,} bytes\n", "")
    entry = store.list_journal().items[0]
    assert (entry.verb, entry.face, entry.reason) == ("backup", "cli", "nightly")
    assert run("backup", file) == (
        2,
        "",
        f"error: {file} exists already\nhint: name another file, or replace it with --force\n",
    )
    told = json.loads(run("backup", file, "--force", "--output", "json").out)
    assert (told["schema"], told["path"], told["bytes"]) == (1, str(file), file.stat().st_size)
    assert told["rows"]["persistentq_jobs"] == 2


def test_a_restore_asks_and_tells(store: PersistentQInterface, tmp_path: Path) -> None:
    kept = store.enqueue("t").id
    file = tmp_path / "copy.db"
    run("backup", file)
    store.cancel(kept)
    newer = store.enqueue("t").id
    store.close()
    code, out, err = run("restore", file, "--dry-run")
    assert (code, out) == (0, f"{tmp_path}/queue.db would hold 1 job of {file}\n")
    assert "ended or run since the backup: 1 job\n" in err
    assert f"not in the backup, being enqueued since: 1 job: {newer}\n" in err
    assert f"  what is there is kept as ….before-restore in {tmp_path}\n" in err
    code, out, err = run("restore", file)
    assert (code, out) == (2, "")
    assert "hint: add --yes to go on without being asked" in err
    told = json.loads(run("restore", file, "--yes", "--output", "json").out)
    assert (told["dry_run"], told["kept"], told["newest"], told["paused"]) == (False, 1, [newer], [])
    with open_queue(create=False) as again:
        assert [(job.id, job.status) for job in again.list_jobs()] == [(kept, "cancelled")]
        assert again.list_journal().items[0].verb == "restore"
    code, out, err = run("restore", file, "--yes")
    assert (code, err.count("before-restore")) == (0, 1)
    assert Path(err.split("what was there is kept as ")[1].splitlines()[0]).is_file()


def test_a_restore_without_the_present_queue_says_how_to_go_on(
    store: PersistentQInterface, tmp_path: Path
) -> None:
    store.enqueue("t", queue="mail")
    file = tmp_path / "copy.db"
    run("backup", file)
    store.close()
    (tmp_path / "queue.db").unlink()
    code, out, err = run("restore", file, "--yes")
    assert (code, out) == (0, f"{tmp_path}/queue.db holds 1 job of {file}\n")
    assert "every queue is paused" in err
    assert "hint: `resume mail` hands its jobs out again" in err
    assert run("resume", "mail").code == 0


def test_graduate_asks_moves_and_says_what_to_set(store: PersistentQInterface, tmp_path: Path) -> None:
    store.enqueue("t")
    url = f"sqlite:///{tmp_path}/there.db"
    code, out, err = run("graduate", url, "--dry-run")
    what = f"1 job, 0 of them running, from {tmp_path}/queue.db to {tmp_path}/there.db"
    assert (code, out, err) == (0, f"graduate would move {what}\n", "")
    assert run("graduate", url).code == 2
    assert not (tmp_path / "there.db").exists()
    code, out, err = run("graduate", url, "--yes", "--reason", "many hosts")
    assert (code, out) == (0, f"1 job moved from {tmp_path}/queue.db to {tmp_path}/there.db\n")
    assert "hint: set QUEUE_DB_FILE to it everywhere" in err
    code, out, err = run("list-jobs")
    assert (code, out) == (4, "")
    assert f"error: database {tmp_path}/queue.db has moved to {tmp_path}/there.db\n" in err
    code, out, err = run("graduate", url, "--yes", "--output", "json")
    assert (code, json.loads(out)["rows"]) == (0, {})
    with there(tmp_path) as queue:
        assert queue.list_journal().items[0].reason == "many hosts"


def test_jobs_that_run_are_told_with_the_remedy(store: PersistentQInterface, tmp_path: Path) -> None:
    store.enqueue("t")
    store.dequeue("c_1")
    url = f"sqlite:///{tmp_path}/there.db"
    code, out, err = run("graduate", url, "--yes", "--drain", "0")
    assert (code, out) == (2, "")
    assert err.startswith("error: 1 job is still running\nhint: ")
    code, _, err = run("graduate", url, "--yes", "--drain", "0", "--release")
    assert code == 0
    assert "1 running jobs were given back" in err


def test_read_only_mode_refuses_what_changes(
    store: PersistentQInterface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.enqueue("t")
    file = tmp_path / "copy.db"
    monkeypatch.setenv("QUEUE_READONLY", "1")
    assert run("backup", file).code == 0
    for arguments in (["restore", file, "--yes"], ["graduate", f"sqlite:///{tmp_path}/there.db", "--yes"]):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert "read-only" in err
    assert store.list_journal().items == ()


def test_wrong_files_and_urls_are_told(store: PersistentQInterface, tmp_path: Path) -> None:
    store.close()
    code, _, err = run("restore", tmp_path / "none.db", "--yes")
    assert (code, err) == (
        2,
        f"error: there is no file {tmp_path}/none.db\nhint: name a file that `backup` has made\n",
    )
    for url in ("mysql://host/db", "no url", f"sqlite:///{tmp_path}/queue.db"):
        code, out, err = run("graduate", url, "--yes")
        assert (code, out) == (2, "")
        assert err.startswith("error: ")


def test_on_a_terminal_the_number_is_typed_and_bars_are_drawn(
    store: PersistentQInterface, tmp_path: Path
) -> None:
    store.enqueue_many([NewJob("t")] * 500)
    store.close()
    with Terminal(tmp_path, "graduate", f"sqlite:///{tmp_path}/there.db") as terminal:
        assert terminal.shows("Type the number to go on:")
        terminal.type("500\n")
        assert terminal.shows("500 jobs moved")
        assert terminal.end() == 0
        assert terminal.shows("the copy is the same")
    with there(tmp_path) as queue:
        assert len(queue.list_jobs(limit=1000).items) == 500
