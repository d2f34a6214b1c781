"""The manager a line at a time: what is typed, what is told, and what it changes."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from manager.plain import Plain
from persistentq import JobStatus, NewJob, PersistentQInterface
from tests.front_ends.manager_kit import HOSTILE, LONG, ROOT, a_queue, settings_for


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[PersistentQInterface]:
    with a_queue(tmp_path, jobs=3) as queue:
        yield queue


def typed(folder: Path, *lines: str, readonly: bool = False) -> tuple[int, str]:
    """Return the exit code and what is told when these lines are typed."""
    source, target = io.StringIO("".join(f"{line}\n" for line in lines)), io.StringIO()
    code = Plain(settings_for(folder), source, target, readonly=readonly).run()
    return code, target.getvalue()


def test_every_view_is_told(queue: PersistentQInterface, tmp_path: Path) -> None:
    names = [
        "jobs",
        "attention",
        "failures",
        "queues",
        "consumers",
        "schedules",
        "activity",
        "journal",
        "health",
    ]
    code, told = typed(tmp_path, *names, "help", "quit", "never read")
    assert code == 0
    for number, name in enumerate(names, 1):
        assert f"[{number}] {name} · " in told
    assert "set-priority N: higher leaves earlier" in told
    assert "\x1b" not in told


def test_jobs_are_found_marked_changed_and_brought_back(queue: PersistentQInterface, tmp_path: Path) -> None:
    code, told = typed(
        tmp_path, "/task:mail.*", "mark 1 2", "cancel", "y", "not wanted", "undo 1", "y", "", "/status:done"
    )
    assert code == 0
    assert "= python -m admin.admin cancel 1 2" in told
    assert "cancel worked for 2 jobs · undo 1 (z) takes it back" in told
    assert "undo worked for 2 jobs" in told
    assert "No job is meant by: status:done" in told
    assert queue.count_jobs() == {"default": {JobStatus.PENDING: 3}}
    assert queue.list_journal().items[-1].reason == "not wanted"


@pytest.mark.parametrize("answer", ["n", "", "1", "yes, 3"])
def test_deleting_several_needs_their_number(
    queue: PersistentQInterface, tmp_path: Path, answer: str
) -> None:
    assert "nothing was changed" in typed(tmp_path, "mark all", "delete", answer)[1]
    assert len(queue.list_jobs()) == 3
    assert "delete worked for 3 jobs" in typed(tmp_path, "mark all", "delete", "3", "")[1]
    assert len(queue.list_jobs()) == 0


def test_one_job_is_told_in_full_without_what_could_steer_a_terminal(
    queue: PersistentQInterface, tmp_path: Path
) -> None:
    queue.enqueue("evil", {"text": HOSTILE, "password": "hunter2"})
    _, told = typed(tmp_path, "job 4")
    assert "\\u001b[31mred" in told
    assert "\x1b" not in told
    assert "hunter2" not in told
    assert "hunter2" in typed(tmp_path, "job 4", "reveal", "y", "", "job 4")[1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/status:faild", "error: the query at 'faild', character 8,"),
        ("ques", "did you mean 'queues'?"),
        ("set-priority high", "is typed as: set-priority N"),
        ("reschedule soon", "error: "),
        ("undo 99", "error: undo: the journal has no entry 99"),
        ("cancel 'x", "cannot be read"),
        ("add-schedule x never report.make", "'never'"),
        ("add-schedule x @daily", "is typed as: add-schedule SCHEDULE EXPRESSION TASK"),
        ("edit-schedule x", "is typed as: edit-schedule SCHEDULE"),
        ("edit-schedule x --colour=red", "is typed as: edit-schedule SCHEDULE"),
        ("edit-schedule x --queue=night", "error: edit-schedule: "),
        ("remove-schedule x", "error: remove-schedule: "),
    ],
)
def test_what_cannot_be_done_is_told_and_the_exit_code_says_so(
    queue: PersistentQInterface, tmp_path: Path, line: str, words: str
) -> None:
    code, told = typed(tmp_path, line, "y", "")
    assert code == 1
    assert words in told


def test_nothing_is_changed_where_nothing_may_be(queue: PersistentQInterface, tmp_path: Path) -> None:
    before = queue.list_jobs()
    code, told = typed(tmp_path, "mark all", "delete", "pause default", "reveal", readonly=True)
    assert (code, told.count("is refused: this is read-only")) == (1, 3)
    assert queue.list_jobs() == before
    assert queue.list_journal().items == ()
    file = tmp_path / "out.csv"
    assert typed(tmp_path, f"export {file}", "y", "", readonly=True)[0] == 0
    assert len(file.read_text().splitlines()) == 4


def test_a_missing_database_is_told(tmp_path: Path) -> None:
    code, told = typed(tmp_path, "jobs")
    assert code == 1
    assert "error: no queue database at" in told
    assert "hint: " in told


def test_it_needs_no_terminal(queue: PersistentQInterface, tmp_path: Path) -> None:
    queue.enqueue_many([NewJob("sms.send")] * 2)
    ended = subprocess.run(
        [sys.executable, "-m", "manager.manager", "--plain"],
        check=False,
        input="/task:sms.*\nqueues\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LONG,
        env={"QUEUE_DB_FILE": str(tmp_path / "queue.db"), "PATH": ""},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (ended.stdout.count("sms.send"), ended.stdout.count("[4] queues")) == (4, 1)
