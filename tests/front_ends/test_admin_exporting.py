"""export and import, as they are typed: what they write, say and refuse."""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistentq import NewJob, PersistentQInterface
from tests.front_ends.admin_kit import HOSTILE, Terminal, a_store, run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    monkeypatch.chdir(tmp_path)
    yield from a_store(tmp_path, monkeypatch)


def three(store: PersistentQInterface) -> list[int]:
    """Store a failed job, one with a secret, and a plain one."""
    store.mark_failed(store.enqueue("first", {"to": HOSTILE}).id, HOSTILE)
    store.enqueue("second", {"password": "hunter2"})
    store.enqueue("=third", unique_key="k")
    return [1, 2, 3]


def test_jobs_are_written_to_a_file_or_to_standard_output(
    store: PersistentQInterface, tmp_path: Path
) -> None:
    ids = three(store)
    assert run("export", "jobs.jsonl", "--all") == (0, "exported 3 jobs to jobs.jsonl\n", "")
    path = tmp_path / "jobs.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["id"] for record in records] == ids
    assert records[0]["args"] == {"to": HOSTILE}
    code, out, err = run("export", "--all")
    assert (code, out, err) == (0, path.read_text(), "")
    assert run("export", "-", "--where", "task:*third", "--format", "csv").out.count("\n") == 2
    assert run("export", "--all", "--limit", 1).out.count("\n") == 1


def test_the_report_can_be_read_as_json(store: PersistentQInterface) -> None:
    three(store)
    code, out, err = run("export", "jobs.csv", "--where", "status:pending", "-o", "json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"schema": 1, "file": "jobs.csv", "format": "csv", "exported": 2}


def test_list_jobs_and_export_write_the_same(store: PersistentQInterface) -> None:
    three(store)
    for form in ("csv", "jsonl"):
        listed = run("list-jobs", "--output", form).out.splitlines()
        exported = run("export", "--all", "--format", form).out.splitlines()
        header = form == "csv"
        assert exported[header:] == listed[header:][::-1]


@pytest.mark.parametrize("arguments", [[], ["--all", "--where", "id:1"], ["--all", "--limit", "0"]])
def test_no_job_is_meant_by_accident(store: PersistentQInterface, arguments: list[str]) -> None:
    assert run("export", "jobs.jsonl", *arguments).code == 2
    assert not Path("jobs.jsonl").exists()


def test_a_file_that_is_there_stays(store: PersistentQInterface) -> None:
    three(store)
    Path("jobs.jsonl").write_text("mine")
    code, out, err = run("export", "jobs.jsonl", "--all")
    assert (code, out) == (2, "")
    assert err.startswith(
        "error: file 'jobs.jsonl' exists already; name another, or replace it with --force\n"
    )
    assert run("export", "jobs.jsonl", "--all", "--force").code == 0
    code, out, err = run("export", "queue.db", "--all", "--force")
    assert (code, out) == (2, "")
    assert "the queue's own" in err
    code, out, err = run("export", "no/such/folder/jobs", "--all")
    assert (code, out) == (2, "")
    assert err == "error: file 'no/such/folder/jobs' is in a folder that is not there; make it first\n"


def test_nothing_that_matches_is_no_error(store: PersistentQInterface) -> None:
    assert run("export", "--all") == (0, "", "hint: no job matches\n")
    assert run("export", "--all", "--format", "csv").out.startswith("id,status,task,")


def test_a_look_at_secrets_is_noted(store: PersistentQInterface) -> None:
    three(store)
    assert "hunter2" not in run("export", "--all").out
    assert store.list_journal().items == ()
    assert "hunter2" in run("export", "--all", "--reveal", "--reason", "to move").out
    (entry,) = store.list_journal().items
    assert (entry.verb, entry.face, entry.reason, entry.details) == ("reveal", "cli", "to move", {"jobs": 3})


def test_what_was_exported_is_imported(store: PersistentQInterface) -> None:
    three(store)
    run("export", "jobs.csv", "--where", "task:*third")
    run("delete-db-jobs", "--yes")
    assert run("import", "jobs.csv", "--dry-run") == (0, "import would enqueue 1 job from jobs.csv\n", "")
    code, out, err = run("import", "jobs.csv", "--reason", "back again")
    entry = store.list_journal().items[0]
    assert (code, out) == (0, "imported 1 job from jobs.csv\n")
    assert err == f"hint: `undo {entry.id}` takes it back while it is safe\n"
    assert (entry.verb, entry.face, entry.reason, entry.done) == ("import", "cli", "back again", 1)
    (job,) = store.list_jobs()
    assert (job.task, job.unique_key) == ("=third", "k")
    code, out, err = run("import", "jobs.csv")
    assert (code, out) == (0, "imported 0 jobs from jobs.csv\n")
    assert err == (
        f"  1 were imported before, as entry {entry.id} of the journal tells\n"
        "hint: --repeat imports them once more\n"
    )
    assert run("undo", entry.id).out == "undo changed 1 job\n"
    assert len(store.list_jobs()) == 0


def test_keys_that_are_taken_and_jobs_that_are_finished_are_told(store: PersistentQInterface) -> None:
    three(store)
    run("export", "jobs.jsonl", "--where", "-task:second")
    code, out, err = run("import", "jobs.jsonl")
    assert (code, out) == (0, "imported 0 jobs from jobs.jsonl\n")
    assert "  passed over, being finished: 1 failed\n" in err
    assert "  1 exist already: an unfinished job has their unique key\n" in err
    code, out, err = run("import", "jobs.jsonl", "--again", "--repeat", "-o", "json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "schema": 1,
        "verb": "import",
        "entry": 2,
        "enqueued": 1,
        "existing": 1,
        "before": 0,
        "finished": {},
    }


def test_a_file_without_its_secrets_is_refused_and_says_so(store: PersistentQInterface) -> None:
    three(store)
    run("export", "jobs.jsonl", "--all")
    code, out, err = run("import", "jobs.jsonl", "--repeat")
    assert (code, out) == (2, "")
    assert "line 2: args" in err
    assert "export with --reveal" in err
    assert len(store.list_jobs()) == 3


def test_every_bad_line_is_named(store: PersistentQInterface) -> None:
    rows = [["task", "priority"], ["a b", "1"], ["good", "2"], ["good", "x\x1b[2J"]]
    with Path("jobs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows + [["c d", "1"]] * 30)
    code, out, err = run("import", "jobs.csv")
    lines = err.splitlines()
    assert (code, out, len(lines)) == (2, "", 22)
    assert lines[0].startswith("error: line 2: task 'a b' is not")
    assert lines[1].startswith(r"error: line 4: priority 'x\x1b[2J' is not")
    assert lines[-2:] == ["error: and 12 more lines", "hint: nothing was imported; mend these lines first"]
    code, out, err = run("import", "jobs.csv", "-o", "json")
    assert (code, out) == (2, "")
    assert (json.loads(err)["lines"], len(json.loads(err)["problems"])) == (32, 20)
    assert len(store.list_jobs()) == 0


def test_who_may_only_read_cannot_import(
    store: PersistentQInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("jobs.jsonl").write_text('{"task": "t"}\n')
    monkeypatch.setenv("QUEUE_READONLY", "1")
    code, out, err = run("import", "jobs.jsonl")
    assert (code, out, err.splitlines()[0]) == (2, "", "error: 'import' is refused: this is read-only")
    assert run("export", "--all").code == 0
    assert len(store.list_jobs()) == 0


def test_parquet_goes_down_a_pipe_but_not_to_a_terminal(store: PersistentQInterface, tmp_path: Path) -> None:
    three(store)
    assert run("export", "jobs.parquet", "--all").code == 0
    with Terminal(tmp_path, "export", "--all", "--format", "parquet") as terminal:
        assert terminal.end() == 2
    assert "Parquet is not for a terminal" in terminal.text


def test_a_bar_tells_on_a_terminal_how_far_it_is(store: PersistentQInterface, tmp_path: Path) -> None:
    store.enqueue_many([NewJob("x")] * 1_500)
    with Terminal(tmp_path, "export", "jobs.jsonl", "--all") as terminal:
        assert terminal.end() == 0
    assert "exported 1,500 of 1,500" in terminal.text
    assert "━" in terminal.text
    assert "exported 1,500 jobs to jobs.jsonl" in terminal.text
    with Terminal(tmp_path, "import", "jobs.jsonl") as terminal:
        assert terminal.end() == 0
    assert "imported 1,500 of 1,500" in terminal.text


def test_hostile_text_stays_in_its_cell(store: PersistentQInterface) -> None:
    three(store)
    for form in ("csv", "jsonl"):
        out = run("export", "--all", "--format", form).out
        assert out.replace("\n", "").isprintable()
    rows = list(csv.DictReader(io.StringIO(run("export", "--all", "--format", "csv").out)))
    assert json.loads(rows[0]["args"]) == {"to": HOSTILE}
    assert rows[2]["task"] == "'=third"
