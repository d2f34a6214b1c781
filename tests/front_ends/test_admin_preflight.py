"""preflight: whether new code can run what is stored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from persistentq import NewJob, PersistentQInterface, PersistentQMemory, Schedule, Tasks
from persistentq.job_files import TASK
from persistentq.operations.preflight import PAGE, Misfit, Problem, preflight
from tests.front_ends.admin_kit import ROOT, a_store, run

CODE = """
from datetime import datetime
from persistentq import Tasks
tasks = Tasks()

@tasks.task("mail.send")
def send(to: str, at: datetime | None = None): ...

@tasks.task("report.make")
def report(month: int): ...
"""


@pytest.fixture
def tasks() -> Tasks:
    made: dict[str, Tasks] = {}
    exec(CODE, made)  # noqa: S102 - the module that the command line imports below
    return made["tasks"]


def fill(queue: PersistentQInterface) -> None:
    """Store jobs of every status and schedules, some of which do not fit CODE."""
    good, late = {"to": "a", "at": "2026-01-01T00:00:00Z"}, {"to": "a", "at": "tomorrow"}
    queue.enqueue_many([NewJob("report.make", {"month": n}) for n in (1, 2)])
    queue.enqueue_many([NewJob("report.make", {"months": n}) for n in range(3, 10)])
    queue.enqueue("mail.send", good)
    queue.enqueue("mail.send", late, delay=timedelta(days=1))
    queue.enqueue("mail.sent", good)
    queue.enqueue(TASK, {"path": "file"})
    queue.enqueue("gone", queue="other")
    (held,) = queue.dequeue("c_1", queues=["other"])
    assert held.task == "gone"
    for task in ("finished.a", "finished.b"):
        queue.mark_failed(queue.enqueue(task).id, "long ago")
    queue.put_schedule(Schedule("nightly", "@daily", "report.make", {"month": 1}))
    queue.put_schedule(Schedule("hourly", "@hourly", "mail.sent", {}))
    queue.put_schedule(Schedule("often", "every 90s", "report.make", {"month": "January"}))
    queue.pause_schedule("often")


EXPECTED = [
    Misfit("gone", Problem.MISSING, "no task has this name", 1, [14]),
    Misfit(
        "mail.send",
        Problem.ARGUMENTS,
        "argument at = 'tomorrow' should be a valid datetime",
        1,
        [11],
    ),
    Misfit(
        "mail.sent", Problem.MISSING, "no task has this name; did you mean 'mail.send'?", 1, [12], ["hourly"]
    ),
    Misfit(
        "report.make",
        Problem.ARGUMENTS,
        "argument month = 'January' should be a valid integer",
        0,
        [],
        ["often"],
    ),
    Misfit(
        "report.make",
        Problem.ARGUMENTS,
        "argument months = 9 is not one that it takes; did you mean 'month'?",
        7,
        [9, 8, 7, 6, 5],
    ),
]


def test_every_unfinished_job_and_schedule_is_checked(tasks: Tasks) -> None:
    with PersistentQMemory() as queue:
        fill(queue)
        found = preflight(queue, tasks, known=[TASK])
    assert (found.jobs, found.schedules) == (14, 3)
    for one, expected in zip(found.misfits, EXPECTED, strict=True):
        assert one.reason.startswith(expected.reason)
        one.reason = expected.reason
    assert found.misfits == EXPECTED


def test_nothing_is_changed_and_all_pages_are_read(tasks: Tasks) -> None:
    with PersistentQMemory() as queue:
        queue.enqueue_many([NewJob("report.make", {"month": 1})] * PAGE)
        queue.enqueue_many([NewJob("report.make")] * PAGE)
        before = queue.list_jobs(limit=1000)
        found = preflight(queue, tasks)
        assert queue.list_jobs(limit=1000) == before
    assert (found.jobs, [(one.jobs, len(one.job_ids)) for one in found.misfits]) == (2 * PAGE, [(PAGE, 5)])


class TestCommandLine:
    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        (tmp_path / "new_code.py").write_text(CODE)
        yield from a_store(tmp_path, monkeypatch)
        sys.modules.pop("new_code", None)

    def test_what_fits_is_said(self, store: PersistentQInterface) -> None:
        store.enqueue("report.make", {"month": 5})
        code, out, err = run("preflight", "--app", "new_code:tasks")
        expected = f"all of 1 unfinished jobs and 0 schedules in {store.location} fit\n"
        assert (code, out, err) == (0, expected, "")

    def test_what_does_not_fit_is_grouped_and_6_is_returned(self, store: PersistentQInterface) -> None:
        fill(store)
        code, out, err = run("preflight", "--app", "new_code:tasks")
        assert code == 6
        lines = out.splitlines()
        assert lines[0] == "gone: 1 job (14): no task has this name"
        assert (
            "mail.sent: 1 job (12) and schedule hourly: no task has this name; did you mean 'mail.send'?"
            in lines
        )
        assert any(line.startswith("report.make: 7 jobs (9, 8, 7, 6, 5, …): ") for line in lines)
        assert lines[-1] == f"10 of 14 unfinished jobs and 2 of 3 schedules in {store.location} do not fit"
        assert err.startswith("hint: ")

    def test_as_json(self, store: PersistentQInterface) -> None:
        fill(store)
        code, out, err = run("preflight", "--app", "new_code:tasks", "--output", "json")
        document = json.loads(out)
        assert (code, err) == (6, "")
        items = document.pop("items")
        assert document == {"schema": 1, "jobs": 14, "schedules": 3, "tasks": 2}
        assert items[2] == {
            "task": "mail.sent",
            "problem": "missing",
            "reason": "no task has this name; did you mean 'mail.send'?",
            "jobs": 1,
            "job_ids": [12],
            "schedules": ["hourly"],
        }

    def test_an_app_is_needed_and_must_be_there(self, store: PersistentQInterface) -> None:
        code, _, err = run("preflight")
        assert code == 2
        assert "--app" in err
        code, out, err = run("preflight", "--app", "no_such_code", "--output", "json")
        assert (code, out) == (2, "")
        assert (
            json.loads(err)["error"] == "--app 'no_such_code' is not a module that can be imported from here"
        )

    def test_a_missing_database_is_not_made(self, tmp_path: Path, store: PersistentQInterface) -> None:
        store.close()
        (tmp_path / "queue.db").unlink()
        assert run("preflight", "--app", "new_code:tasks").code == 4
        assert not (tmp_path / "queue.db").exists()

    def test_the_installed_command_has_it_too(self, tmp_path: Path, store: PersistentQInterface) -> None:
        ran = subprocess.run(
            [sys.executable, "-m", "persistentq", "preflight", "--app", "new_code:tasks"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith("all of 0 unfinished jobs")
