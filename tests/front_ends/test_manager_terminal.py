"""The manager on a real terminal (tmux): it comes, it follows other processes, and the terminal is as it was."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from persistentq import NewJob
from persistentq.clock import Deadline
from tests.front_ends.manager_kit import (
    HOLD_READERS,
    HOLD_WRITERS,
    LONG,
    ROOT,
    Tmux,
    a_queue,
    a_tmux,
    holding,
)

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

ENQUEUE = """
import sys
from persistentq import open_queue
with open_queue() as queue:
    queue.enqueue(sys.argv[1])
"""

CRASH = """
import sys
from pathlib import Path
from manager import {module}, manager

original, marker = {module}.{name}, Path(sys.argv[1])

def {name}(*arguments):
    if marker.exists():
        raise RuntimeError("injected failure")
    return original(*arguments)

{module}.{name} = {name}
raise SystemExit(manager.main([]))
"""


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    with a_tmux(tmp_path) as terminal:
        yield terminal


def assert_restored(tmux: Tmux) -> None:
    """The alternate screen is left, what is typed is echoed, and commands run."""
    assert not tmux.is_alternate()
    tmux.type("echo al''ive; stty -a")
    tmux.wait_for_text("echo al''ive; stty -a")
    tmux.press("Enter")
    tmux.wait_for_text("\nalive\n", " echo ", " icanon ")


def test_rows_live_resize_mark_failed_and_quit(tmux: Tmux, tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=2) as queue:
        tmux.start_manager()
        tmux.wait_for_text("[all 2]", " live ", "? help")
        environment = {**os.environ, "QUEUE_DB_FILE": str(tmp_path / "queue.db")}
        command = [sys.executable, "-c", ENQUEUE, "from.elsewhere"]
        subprocess.run(command, check=True, cwd=ROOT, env=environment, timeout=LONG)
        tmux.wait_for_text("[all 3]", "from.elsewhere")

        tmux.resize(120, 40)
        tmux.wait_for_text("details", "│")
        tmux.resize(50, 10)
        tmux.wait_for_text("terminal too small: 50x10")
        tmux.resize(80, 24)
        tmux.wait_for_text("from.elsewhere", "? help")

        tmux.press("Up", "F")
        tmux.wait_for_text("Mark job 3 failed?", ">[ Cancel ]", "[ Mark failed ]")
        tmux.press("Enter", "F")
        tmux.press("Tab", "Enter")
        tmux.wait_for_text("mark-failed worked for job 3", "✗ failed 1")
        assert queue.get_job(3).status == "failed"

    assert tmux.is_alternate()
    tmux.press("q")
    tmux.wait_for_text("code=0")
    assert_restored(tmux)


@pytest.mark.parametrize(("module", "name"), [("layout", "header_lines"), ("manager", "clamp_scroll")])
def test_a_failure_of_its_own_restores_the_terminal_and_is_shown(
    tmux: Tmux, tmp_path: Path, module: str, name: str
) -> None:
    script, marker = tmp_path / "crash.py", tmp_path / "marker"
    script.write_text(CRASH.format(module=module, name=name))
    with a_queue(tmp_path, jobs=2):
        tmux.start_manager("-c", script.read_text(), str(marker))
        tmux.wait_for_text("[all 2]", " live ")
        marker.touch()
        tmux.wait_for_text("RuntimeError: injected failure", "code=1")
        assert "press ENTER" not in tmux.text()
    assert_restored(tmux)


@pytest.mark.parametrize(("signal", "code"), [("TERM", 143), ("INT", 130)])
def test_a_signal_restores_the_terminal(tmux: Tmux, tmp_path: Path, signal: str, code: int) -> None:
    with a_queue(tmp_path, jobs=2):
        tmux.start_manager()
        tmux.wait_for_text("[all 2]", " live ")
        os.kill(tmux.child(), {"TERM": 15, "INT": 2}[signal])
        tmux.wait_for_text(f"code={code}")
    assert_restored(tmux)


def test_a_closed_terminal_ends_the_manager(tmux: Tmux, tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=2):
        tmux.start_manager()
        tmux.wait_for_text("[all 2]", " live ")
        process = tmux.child()
        tmux.kill()
        assert Deadline(LONG).wait_for(lambda: not is_running(process))


def is_running(process: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


@pytest.mark.parametrize("no_color", ["", "1"])
def test_no_color_leaves_words_and_signs(tmp_path: Path, no_color: str) -> None:
    with a_queue(tmp_path, jobs=2) as queue, a_tmux(tmp_path) as tmux:
        queue.mark_failed(2, "because")
        tmux.type(f"NO_COLOR={no_color}; export NO_COLOR; clear")
        tmux.press("Enter")
        tmux.start_manager()
        tmux.wait_for_text(" live ", "✗ failed 1", ">   2 ✗ failed", "○ pending")
        assert ("\x1b[31m" in tmux.coloured()) is (no_color == "")


@pytest.mark.parametrize("redirection", ["< /dev/null", "| cat"])
def test_without_a_terminal_it_points_to_the_command_line(tmux: Tmux, redirection: str) -> None:
    tmux.resize(160, 24)
    tmux.type(f"({sys.executable} -m manager.manager; echo code=$?) {redirection}")
    tmux.press("Enter")
    tmux.wait_for_text(
        "error: the manager needs a terminal", "hint: python -m admin.admin list-jobs", "code=2"
    )


def test_without_any_terminal_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "manager.manager"]
    ended = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, timeout=LONG
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "hint: python -m admin.admin list-jobs" in ended.stderr


def test_help_and_usage_need_no_terminal() -> None:
    command = [sys.executable, "-m", "manager.manager"]
    ended = subprocess.run(
        [*command, "--help"], check=False, capture_output=True, text=True, cwd=ROOT, timeout=LONG
    )
    assert ended.returncode == 0
    assert "--no-mouse" in ended.stdout
    wrong = subprocess.run(
        [*command, "--nonsense"], check=False, capture_output=True, text=True, cwd=ROOT, timeout=LONG
    )
    assert wrong.returncode == 2


def test_it_is_suspended_and_comes_back_with_what_happened_meanwhile(tmux: Tmux, tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=2) as queue:
        tmux.start_manager()
        tmux.wait_for_text("[all 2]", " live ")
        for number in (3, 4):
            tmux.press("C-z")
            tmux.wait_for_text("Stopped")
            assert_restored(tmux)
            queue.enqueue("while.away")
            tmux.type("clear; fg")
            tmux.press("Enter")
            tmux.wait_for_text(f"[all {number}]", "while.away", " live ", "? help")
            assert tmux.is_alternate()
            assert "alive" not in tmux.text().replace("consumers alive", "")
        tmux.press("C", "C-z")
        tmux.wait_for_text("Stopped")
        tmux.type("clear; fg")
        tmux.press("Enter")
        tmux.wait_for_text("Cancel job 2?")
        tmux.press("C-c")
        assert Deadline(LONG).wait_for(lambda: not tmux.is_alternate(), every=0.1)
        tmux.type("echo code=$?")
        tmux.press("Enter")
        tmux.wait_for_text("code=0")
    assert_restored(tmux)


# --- what an operator meets


def test_a_killed_consumer_is_seen_and_its_job_returned(tmux: Tmux, tmp_path: Path) -> None:
    with a_queue(tmp_path) as queue:
        queue.enqueue("test.hang")
        environment = {**os.environ, "QUEUE_DB_FILE": str(tmp_path / "queue.db"), "TIMEOUT_SECONDS": "2"}
        (tmp_path / "hanging.py").write_text(HANGING)
        command = [
            sys.executable,
            "-m",
            "consumer.consumer",
            "--app",
            "hanging",
            "--consumer-id",
            "consumer_00",
        ]
        environment["PYTHONPATH"] = f"{ROOT}:{tmp_path}"
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as consumer:
            tmux.start_manager()
            tmux.wait_for_text(" live ", "▶ processing 1", "1 of 1 consumers alive")
            tmux.press("5")
            tmux.wait_for_text("consumer_00", "● alive")
            consumer.kill()
        tmux.press("2")
        tmux.wait_for_text("~ soon", "lease", "1 lease has run out")
        tmux.press("Enter")
        tmux.wait_for_text("id:1 ", "▶ processing test.hang")
        tmux.press("Enter")
        tmux.wait_for_text("its lease ran out")
        queue.heartbeat("consumer_01", host="box", pid=7, queues=["default"])
        assert Deadline(LONG).wait_for(lambda: bool(queue.dequeue("consumer_01")))
        tmux.wait_for_text("consumer_01 holds it at attempt 2 of 3")
        tmux.press("]", "]")
        tmux.wait_for_text("#1 lost at consumer_00")


HANGING = """
import time
from persistentq import task

@task("test.hang")
def hang() -> None:
    time.sleep(600)
"""


def test_a_locked_database_never_freezes_the_screen(tmux: Tmux, tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=3) as queue:
        tmux.start_manager()
        tmux.wait_for_text("[all 3]", " live ")
        with holding(HOLD_READERS, tmp_path / "queue.db"):
            tmux.wait_for_text("STALE ", "mail.send")
            tmux.press("j")
            tmux.wait_for_text(">   2 ○ pending")
            tmux.press("/")
            tmux.type("status:pending")
            tmux.wait_for_text("/status:pending")
            tmux.press("Escape")
            tmux.wait_for_text("? help")
        tmux.wait_for_text(" live ")
        with holding(HOLD_WRITERS, tmp_path / "queue.db"):
            tmux.press("C")
            tmux.wait_for_text("Cancel job 2?")
            tmux.press("y")
            tmux.wait_for_text("cancel: ", "locked")
        assert queue.get_job(2).status == "pending"


def test_a_dialog_outlives_a_resize(tmux: Tmux, tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=30):
        tmux.start_manager()
        tmux.wait_for_text("[all 30]", " live ")
        tmux.press("a", "C")
        tmux.wait_for_text("Cancel 16 jobs?", "16 jobs; oldest 15, newest 30")
        for size in ((60, 15), (200, 50), (50, 10), (80, 24)):
            tmux.resize(*size)
            tmux.wait_for_text("too small" if size == (50, 10) else "Cancel 16 jobs?")
        tmux.press("y")
        tmux.wait_for_text("cancel worked for 16 jobs")


def test_a_whole_query_is_previewed_cancelled_and_taken_back(tmux: Tmux, tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=3) as queue:
        queue.enqueue_many([NewJob("sms.send")] * 250)
        (held,) = queue.dequeue("consumer_00")
        tmux.start_manager()
        tmux.wait_for_text("[all 253]", " live ")
        tmux.press("/")
        tmux.type("task:sms.* OR status:processing")
        tmux.press("Enter")
        tmux.wait_for_text("253", "list-jobs --where 'task:sms.* OR status:processing'")
        tmux.press("A", "D")
        tmux.wait_for_text("Delete 251 jobs?", "newest 253", "1 would be skipped: is processing", "type 250")
        tmux.type("25")
        tmux.press("Enter")
        tmux.wait_for_text("type 250 to go on")
        assert len(queue.list_jobs(limit=1000)) == 253
        tmux.type("0")
        tmux.press("Enter")
        tmux.wait_for_text("delete worked for 250 jobs", "takes it back", "all 3")
        tmux.press("z")
        tmux.wait_for_text("Take back what entry 1")
        tmux.press("y")
        tmux.wait_for_text("undo worked for 250 jobs", "all 253")
        assert queue.get_job(held.id).status == "processing"


def test_the_command_is_copied_to_the_terminals_clipboard(tmux: Tmux, tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=1):
        tmux.accept_clipboard()
        tmux.start_manager()
        tmux.wait_for_text("[all 1]", " live ")
        tmux.press("Tab", "y")
        tmux.wait_for_text("copied: ")
        wanted = "python -m admin.admin list-jobs --where status:scheduled"
        assert Deadline(LONG).wait_for(lambda: tmux.clipboard() == wanted)


def test_plain_words_work_on_a_terminal_that_cannot_draw(tmux: Tmux, tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=2) as queue:
        tmux.type(f"TERM=dumb {sys.executable} -m manager.manager --plain; echo code=$?")
        tmux.press("Enter")
        tmux.wait_for_text("[1] jobs · page 1 of 1", "> ")
        tmux.type("cancel")
        tmux.press("Enter")
        tmux.wait_for_text("Cancel job 2?", "do it? [y/N]")
        tmux.type("y")
        tmux.press("Enter", "Enter")
        tmux.wait_for_text("cancel worked for job 2")
        tmux.type("quit")
        tmux.press("Enter")
        tmux.wait_for_text("code=0")
        assert queue.get_job(2).status == "cancelled"
