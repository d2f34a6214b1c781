"""The command line on a real terminal: tables, questions, the watching screen, and what Ctrl-C leaves behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistentq import JobStatus, NewJob, PersistentQInterface
from persistentq.job_files import make_job_file, stamp
from tests.front_ends.admin_kit import HOSTILE, Terminal, a_store

SHOW_CURSOR = b"\x1b[?25h"
ENTER_SCREEN, LEAVE_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


def test_jobs_are_a_table_that_hostile_text_cannot_leave(store: PersistentQInterface, tmp_path: Path) -> None:
    store.enqueue("mail.send", {"to": HOSTILE})
    (job,) = store.dequeue("consumer_00")
    store.fail(job, RuntimeError(HOSTILE), retry=False)
    store.enqueue("mail.send", {"日本": "日本" * 100})
    with Terminal(tmp_path, "list-jobs", columns=100) as terminal:
        assert terminal.end() == 0
    assert terminal.lines[0].split()[:3] == ["ID", "STATUS", "TASK"]
    assert terminal.lines[1].lstrip().startswith("2  ○ pending")
    assert "✗ failed" in terminal.lines[2]
    assert r"\x1b[31mred\x1b[2J" in terminal.lines[2]
    assert terminal.lines[3] == ""
    assert b"\x1b[2J" not in terminal.raw
    assert b"\x1b[31m\x1b" not in terminal.raw


@pytest.mark.parametrize(
    ("more", "has_colour", "has_escapes"),
    [({}, True, True), ({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False)],
)
def test_colour_can_be_refused(
    store: PersistentQInterface, tmp_path: Path, more: dict[str, str], has_colour: bool, has_escapes: bool
) -> None:
    store.enqueue("x")
    with Terminal(tmp_path, "list-jobs", **more) as terminal:
        assert terminal.end() == 0
    assert "○ pending" in terminal.text
    assert (b"\x1b[36m" in terminal.raw) is has_colour
    assert (b"\x1b[" in terminal.raw) is has_escapes


@pytest.mark.parametrize(
    ("typed", "code", "left"), [("n\n", 2, 3), ("\n", 2, 3), ("\x04", 2, 3), ("\x03", 130, 3), ("y\n", 0, 0)]
)
def test_deletion_asks(store: PersistentQInterface, tmp_path: Path, typed: str, code: int, left: int) -> None:
    store.enqueue_many([NewJob("x")] * 3)
    with Terminal(tmp_path, "delete-db-jobs") as terminal:
        assert terminal.shows("Delete 3 jobs? [y/N]")
        assert "○ pending            3" in terminal.text
        terminal.type(typed)
        assert terminal.end() == code
    assert len(store.list_jobs()) == left
    assert ("nothing was deleted" in terminal.text) is (code == 2)
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize(("typed", "code"), [("y\n", 2), ("1100\n", 0), ("1,100\n", 0)])
def test_deletion_of_many_needs_the_number(
    store: PersistentQInterface, tmp_path: Path, typed: str, code: int
) -> None:
    store.enqueue_many([NewJob("x")] * 1_100)
    with Terminal(tmp_path, "delete-db-jobs") as terminal:
        assert terminal.shows("Delete 1,100 jobs? Type the number to go on:")
        terminal.type(typed)
        assert terminal.end() == code
    assert len(store.list_jobs(limit=1000)) == (1000 if code else 0)
    assert ("deleted 1,100 of 1,100" in terminal.text) is (code == 0)


def test_file_deletion_asks(store: PersistentQInterface, tmp_path: Path) -> None:
    made = make_job_file(tmp_path / "files")
    stamp(tmp_path, str(made), "consumer_00", 1, lambda: None)
    with Terminal(tmp_path, "delete-job-files", "--directory", ".", columns=200) as terminal:
        assert terminal.shows(f"Delete 1 file, {made.stat().st_size} bytes? [y/N]")
        terminal.type("y\n")
        assert terminal.end() == 0
    assert not made.exists()


@pytest.mark.parametrize(("typed", "code", "reserved"), [("y\n", 0, "nobody"), ("n\n", 2, None)])
def test_assign_to_an_unknown_consumer_asks(
    store: PersistentQInterface, tmp_path: Path, typed: str, code: int, reserved: str | None
) -> None:
    job_id = store.enqueue("x").id
    with Terminal(tmp_path, "assign-job", job_id, "nobody") as terminal:
        assert terminal.shows("Reserve it for nobody all the same? [y/N]")
        terminal.type(typed)
        assert terminal.end() == code
    assert store.get_job(job_id).reserved_for == reserved


def test_show_is_made_for_reading(store: PersistentQInterface, tmp_path: Path) -> None:
    store.enqueue("mail.send", {"to": "a@example.org"})
    (job,) = store.dequeue("consumer_00")
    store.fail(job, RuntimeError("first\n\x1b[2Jsecond"), retry=False)
    with Terminal(tmp_path, "show", job.id, rows=40) as terminal:
        assert terminal.end() == 0
    assert terminal.lines[0] == f"job {job.id}  ✗ failed"
    assert '"to": "a@example.org"' in terminal.text
    assert r"\x1b[2Jsecond" in terminal.text
    assert b"\x1b[2J" not in terminal.raw


@pytest.mark.parametrize(("stop", "code"), [("keys", 130), ("SIGTERM", 0)])
def test_the_watch_is_a_screen_and_gives_the_terminal_back(
    store: PersistentQInterface, tmp_path: Path, stop: str, code: int
) -> None:
    store.heartbeat("consumer_00", host="box", pid=4321, queues=["default"])
    store.enqueue_many([NewJob("x")] * 3)
    with Terminal(tmp_path, "monitor-activity", "--interval", 0.2, columns=100) as terminal:
        assert terminal.shows("consumer_00  alive")
        assert terminal.lines[2].split()[2:6] == ["○", "pending", "▶", "processing"]
        assert terminal.lines[3].split() == ["0", "3", "0", "0", "0", "0"]
        assert "every 0.2s, Ctrl-C ends" in terminal.lines[0]
        store.complete(store.dequeue("consumer_00")[0])
        assert terminal.shows("█")
        assert terminal.lines[3].split() == ["0", "2", "0", "1", "0", "0"]
        if stop == "keys":
            terminal.type("\x03")
        else:
            terminal.process.send_signal(signal.SIGTERM)
        assert terminal.end() == code
    assert terminal.raw.count(ENTER_SCREEN) == terminal.raw.count(LEAVE_SCREEN) == 1
    assert terminal.raw.rfind(LEAVE_SCREEN) > terminal.raw.rfind(b"pending")
    assert terminal.raw.rfind(SHOW_CURSOR) > terminal.raw.rfind(b"pending")
    assert b"Traceback" not in terminal.raw


def test_the_watch_tells_how_fast_it_moves_and_what_needs_attention(
    store: PersistentQInterface, tmp_path: Path
) -> None:
    store.enqueue_many([NewJob("mail.send")] * 60)
    for job in store.dequeue("consumer_00", limit=30):
        store.complete(job)
    store.fail(store.dequeue("consumer_00")[0], f"token=hunter2 {HOSTILE}", retry=False)
    with Terminal(tmp_path, "monitor-activity", "--interval", 0.2, columns=130, rows=30) as terminal:
        assert terminal.shows(
            "each second of the last 1m: enqueued 1.0, started 0.5, done 0.5, failed 0.0; wait 0."
        )
        assert terminal.shows("later  failures: mail.send: 1 attempt failed in 1h, ")
        assert terminal.shows("Error: token=[redacted]")
        terminal.type("\x03")
        assert terminal.end() == 130
    assert b"hunter2" not in terminal.raw
    assert b"\x1b[31mred" not in terminal.raw


def test_a_counted_watch_leaves_its_last_look_on_the_terminal(
    store: PersistentQInterface, tmp_path: Path
) -> None:
    store.enqueue("x")
    with Terminal(tmp_path, "monitor-activity", "--interval", 0.2, "--count", 2) as terminal:
        assert terminal.end() == 0
    assert ENTER_SCREEN not in terminal.raw
    assert terminal.text.count("○ pending") == 1


def test_a_terminal_that_cannot_draw_gets_lines(store: PersistentQInterface, tmp_path: Path) -> None:
    store.enqueue("x")
    with Terminal(tmp_path, "monitor-activity", "--count", 1, columns=300, TERM="dumb") as terminal:
        assert terminal.end() == 0
    assert "scheduled=0 pending=1 processing=0" in terminal.lines[0]
    assert b"\x1b" not in terminal.raw


def test_the_statuses_of_the_state_machine_all_have_a_colour(
    store: PersistentQInterface, tmp_path: Path
) -> None:
    with Terminal(tmp_path, "monitor-activity", "--count", 1) as terminal:
        assert terminal.end() == 0
    assert [status for status in JobStatus if status not in terminal.text] == []
