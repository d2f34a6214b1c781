"""reschedule, set-priority and edit-arguments on the command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from persistentq import JobStatus, NewJob, PersistentQInterface, clock
from tests.front_ends.admin_kit import a_store, run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of tasks in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "edited_tasks.py").write_text(
        "from persistentq import Tasks\n"
        "tasks = Tasks()\n"
        "@tasks.task('mail.send', queue='mail', max_attempts=7)\n"
        "def send(to: str, parts: int = 1): ...\n"
    )
    return "edited_tasks:tasks"


def test_reschedule(store: PersistentQInterface) -> None:
    job_id = store.enqueue("x").id
    before = clock.now()
    assert run("reschedule", job_id, "--in", "1h30m") == (0, f"job {job_id} is scheduled\n", "")
    moved = store.get_job(job_id).run_at - before - timedelta(minutes=90)
    assert timedelta(0) <= moved < timedelta(minutes=1)
    assert run("reschedule", job_id, "--at", "2099-01-02T03:04+05:00", "--reason", "later").code == 0
    assert store.get_job(job_id).run_at == datetime(2099, 1, 1, 22, 4, tzinfo=UTC)
    assert run("reschedule", job_id, "--now") == (0, f"job {job_id} is pending\n", "")
    entries = store.list_journal().items
    assert [(entry.verb, entry.reason) for entry in entries] == [
        ("reschedule", ""),
        ("reschedule", "later"),
        ("reschedule", ""),
    ]
    assert run("undo", entries[0].id).out == "undo changed 1 job\n"
    assert store.get_job(job_id).status == JobStatus.SCHEDULED


def test_set_priority(store: PersistentQInterface) -> None:
    ids = [job.id for job in store.enqueue_many([NewJob("x"), NewJob("x"), NewJob("y")])]
    assert run("set-priority", ids[0], ids[1], 7).code == 0
    assert [store.get_job(job_id).priority for job_id in ids] == [7, 7, 0]
    assert run("set-priority", "--where", "task:y", "--yes", "--", -3).out == "set-priority changed 1 job\n"
    assert store.get_job(ids[2]).priority == -3
    assert run("set-priority", "-", 9, given=f"{ids[2]}\n").code == 0
    assert store.get_job(ids[2]).priority == 9
    store.dequeue("c", limit=3)
    assert run("set-priority", ids[0], 1).code == 2
    assert store.get_job(ids[0]).priority == 7


def test_edit_arguments(store: PersistentQInterface) -> None:
    ids = [job.id for job in store.enqueue_many([NewJob("x", {"to": "a", "note": 1})] * 3)]
    code, out, _ = run(
        "edit-arguments", "--all", "--set", 'to="b"', "--set", "n=[1]", "--drop", "note", "--dry-run"
    )
    assert (code, out) == (0, "edit-arguments would change 3 of 3 jobs\n")
    assert store.get_job(ids[0]).args == {"to": "a", "note": 1}
    assert run("edit-arguments", ids[0], "--set", 'to="b=c"', "--set", "n=[1]", "--drop", "note").code == 0
    assert store.get_job(ids[0]).args == {"to": "b=c", "n": [1]}
    (entry,) = store.list_journal().items
    assert entry.details == {"set": ["n", "to"], "dropped": ["note"]}
    assert run("undo", entry.id).code == 0
    assert store.get_job(ids[0]).args == {"to": "a", "note": 1}


def test_edited_arguments_are_checked_by_the_tasks(store: PersistentQInterface, app: str) -> None:
    jobs = store.enqueue_many([NewJob("mail.send", {"to": "a"})] * 2 + [NewJob("other", {"to": "a"})])
    named = (jobs[0].id, jobs[1].id)
    code, out, err = run("edit-arguments", *named, "--set", 'parts="many"', "--app", app)
    assert (code, out) == (2, "")
    assert err.startswith(
        f"error: job {jobs[0].id} would not fit: task mail.send: argument parts should be a valid integer"
    )
    code, _, err = run("edit-arguments", "--all", "--yes", "--set", "parts=2", "--app", app)
    assert (code, "job 3 is of task other, which is none" in err) == (2, True)
    assert run("edit-arguments", *named, "--drop", "to", "--app", app, "--dry-run").code == 2
    assert {tuple(job.args) for job in store.list_jobs()} == {("to",)}
    assert store.list_journal().items == ()
    assert run("edit-arguments", *named, "--set", "parts=2", "--app", app).code == 0
    assert store.get_job(jobs[1].id).args == {"to": "a", "parts": 2}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("reschedule 1", "error: reschedule needs a time\nhint: give --at, --in or --now"),
        ("reschedule 1 --now --in 1h", "error: reschedule needs a time"),
        ("reschedule 1 --at 2026-01-01 --in 1h", "error: --at and --in exclude one another"),
        ("reschedule 1 --in soon", "error: --in 'soon' is not a span such as 90s"),
        ("reschedule 1 --at tomorrow", "error: --at 'tomorrow' is not a time such as 2026"),
        ("reschedule --now", "error: no job is named"),
        ("set-priority 1 high", "error: invalid value for 'N'"),
        ("set-priority 1 1000001", "error: priority 1000001 is not a whole number from -1,000,000"),
        ("set-priority 1", "error: no job is named"),
        ("edit-arguments 1", "error: arguments {} change nothing; say what to set or to drop"),
        ("edit-arguments 1 --set to", "error: --set 'to' is not NAME=JSON"),
        ("edit-arguments 1 --set =3", "error: --set '=3' is not NAME=JSON"),
        ("edit-arguments 1 --set to=a", "error: --set 'to=a' is not NAME=JSON; as a text it is to=\"a\""),
        ("edit-arguments 1 --set n=1 --set n=2", "error: --set 'n=2' gives n for the second time"),
        ("edit-arguments 1 --set n=1 --app nowhere", "error: --app 'nowhere' is not a module"),
    ],
)
def test_what_is_refused(store: PersistentQInterface, arguments: str, told: str) -> None:
    """And nothing is changed."""
    before = store.enqueue("x")
    ended = run(*shlex.split(arguments))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(told)
    assert (store.get_job(before.id), store.list_journal().items) == (before, ())


def test_a_refusal_as_json(store: PersistentQInterface) -> None:
    code, _, err = run("edit-arguments", 1, "--set", "x", "-o", "json")
    assert (code, json.loads(err)["code"]) == (2, 2)
