"""What is really on the screen, by a terminal emulator, at the three sizes that matter."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest
from prompt_toolkit.utils import get_cwidth

from manager.style import THEMES
from persistentq import NewJob, PersistentQInterface
from persistentq.clock import Deadline
from tests.front_ends.manager_kit import (
    HOLD_ALL,
    HOLD_READERS,
    HOSTILE,
    Terminal,
    a_queue,
    holding,
    running,
)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[PersistentQInterface]:
    with a_queue(tmp_path) as queue:
        yield queue


@pytest.fixture
def varied(queue: PersistentQInterface) -> PersistentQInterface:
    """Jobs 1 to 6: done, failed, processing, cancelled, pending, scheduled; consumer_00 alive, consumer_01 stopped."""
    queue.heartbeat("consumer_00", host="box", pid=7, queues=["default", "mail"])
    queue.heartbeat("consumer_01", host="box", pid=8, queues=["default"])
    queue.retire("consumer_01")
    tasks = ["file.stamp", "report.build", "image.scale", "mail.cancelled", "mail.send"]
    queue.enqueue_many([NewJob(task, {"number": number}) for number, task in enumerate(tasks)])
    queue.enqueue("mail.later", {"to": "日本@example.org"}, delay=timedelta(hours=2))
    done, failed, _ = queue.dequeue("consumer_00", limit=3)
    queue.complete(done, {"lines": 12})
    try:
        raise ValueError("the month has no days")
    except ValueError as error:
        queue.fail(failed, error, retry=False)
    queue.cancel(4)
    return queue


def row_of(lines: list[str], word: str) -> int:
    return next(number for number, line in enumerate(lines) if word in line)


def test_80x24_shows_counts_rows_and_keys(varied: PersistentQInterface, tmp_path: Path) -> None:
    with running(tmp_path, terminal := Terminal(80, 24)) as manager:
        manager.wait_for_text("mail.later", " live ")
        lines = terminal.lines()
    assert lines[0].startswith("persistentq")
    assert " UTC, " in lines[0]
    assert ", every " in lines[0]
    for words in ("[all 6]", "◷ scheduled 1", "○ pending 1", "▶ processing 1", "✓ done 1", "✗ failed 1"):
        assert words in lines[1]
    assert "⊘ cancelled 1" in lines[2]
    assert lines[3] == "[1] jobs · page 1 of 1, newest first · 1 of 2 consumers alive"
    assert lines[4].split() == ["id", "status", "task", "tries", "when", "consumer", "error"]
    assert lines[5].split()[:7] == [">", "6", "◷", "scheduled", "mail.later", "0/3", "in"]
    assert lines[9].split()[:9] == [
        "2",
        "✗",
        "failed",
        "report.build",
        "1/3",
        "0s",
        "ago",
        "consumer_00",
        "the",
    ]
    assert "? help" in lines[22]
    assert all(len(line) <= 80 for line in lines)


def test_120x40_shows_the_details_beside_the_table(varied: PersistentQInterface, tmp_path: Path) -> None:
    with running(tmp_path, terminal := Terminal(120, 40)) as manager:
        manager.wait_for_text("mail.later", "details", "日")
        for _ in range(4):
            manager.press("Down")
        manager.wait_for_text(
            "job 2", "ValueError: the month has no days", "Traceback (most recent call last):"
        )
        manager.wait_for_text('raise ValueError("the month', "#1 failed at consumer_00")
        assert " │ " in terminal.lines()[10]
        assert "⊘ cancelled 1" in terminal.lines()[1]
        manager.press("Enter")
        manager.wait(lambda: "Traceback" not in manager.text())


def test_50x10_says_that_it_is_too_small_and_still_lives(
    varied: PersistentQInterface, tmp_path: Path
) -> None:
    with running(tmp_path, terminal := Terminal(50, 10)) as manager:
        manager.wait_for_text("terminal too small: 50x10, needs 60x15", "live")
        manager.press("D", "y")
        terminal.resize(80, 24)
        manager.wait_for_text("mail.later", "? help")
        assert manager.state.dialog is None
        terminal.resize(50, 10)
        manager.wait_for_text("too small")
        manager.press("q")
        assert manager.code() == 0
    assert len(varied.list_jobs()) == 6


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (119, 30), (120, 40), (200, 60)])
def test_every_part_fits_at_every_size(
    varied: PersistentQInterface, tmp_path: Path, size: tuple[int, int]
) -> None:
    with running(tmp_path, terminal := Terminal(*size)) as manager:
        manager.wait_for_text("persistentq", "[1] jobs · page 1", "? help", "mail.later")
        for key, words in [
            ("Enter", "[1] jobs"),
            ("5", "[5] consumers ·"),
            ("?", "help · lines"),
            ("?", "? help"),
            ("1", "[1] jobs · page"),
            ("D", "[ Delete ]"),
        ]:
            manager.press(key)
            manager.wait_for_text(words)
            assert len(terminal.lines()) == size[1]
        manager.wait_for_text("z takes it back")


def test_details_name_everything_a_job_can_have(queue: PersistentQInterface, tmp_path: Path) -> None:
    new = NewJob(
        "mail.send",
        queue="mail",
        priority=7,
        unique_key="key-1",
        tags=("red", "blue"),
        metadata={"tenant": "acme"},
    )
    (job,) = queue.enqueue_many([new])
    queue.assign_job(job.id, "consumer_09")
    with running(tmp_path, Terminal(120, 40)) as manager:
        manager.wait_for_text("mail, priority 7", "key-1", "red blue", '"tenant": "acme"', "for consumer_09")
        manager.wait_for_text("0 of 3", "enqueued", "UTC, ", "none yet")


def test_the_help_scrolls_to_its_end_and_back(queue: PersistentQInterface, tmp_path: Path) -> None:
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.wait_for_text(" live ")
        manager.press("?")
        manager.wait_for_text("help · lines 1 to 17 of", "this help, and back")
        manager.press(*["PgDn"] * 20)
        manager.wait_for_text("a value of the metadata, by its path")
        assert "this help, and back" not in manager.text()
        manager.press(*["PgUp"] * 20)
        manager.wait_for_text("this help, and back")
        manager.press("Esc")
        manager.wait_for_text("The queue is empty.")


def test_the_largest_dialog_shows_its_buttons_on_the_lowest_terminal(
    queue: PersistentQInterface, tmp_path: Path
) -> None:
    queue.enqueue_many([NewJob("task")] * 20)
    with running(tmp_path, Terminal(60, 15)) as manager:
        manager.wait_for_jobs()
        manager.press("a", "M", *("x" * 128), "Enter")
        manager.wait_for_text("Reserve 7 jobs", "is not known", ">[ Cancel ]", "[ Assign ]", "Esc leave")


def test_a_cancelled_running_job_is_said_to_be_asked(varied: PersistentQInterface, tmp_path: Path) -> None:
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.wait_for_text("image.scale")
        manager.press("/", *"status:processing", "Enter")
        manager.wait(lambda: manager.state.job_id == 3)
        manager.press("C", "y")
        manager.wait_for_text("cancel worked for job 3", "asked to cancel", "▶ processing")


def test_details_open_below_and_scroll(varied: PersistentQInterface, tmp_path: Path) -> None:
    varied.enqueue("mail.many", {f"key{number:02}": number for number in range(40)})
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.wait_for_text("mail.many")
        manager.press("Enter")
        manager.wait_for_text("details: lines 1 to", "job 7")
        manager.wait(lambda: manager.state.attempts is not None)
        manager.press("]", "]", "]", "]", "]", "]", "]", "]", "]", "]")
        manager.wait_for_text("attempts, latest first", "none yet", '"key39": 39')
        manager.press("[")
        manager.wait(lambda: "none yet" not in manager.text())
        assert '"key33": 33' in manager.text()


def test_only_one_page_and_the_next(queue: PersistentQInterface, tmp_path: Path) -> None:
    queue.enqueue_many([NewJob(f"task.{number:04}") for number in range(1, 5001)])
    with running(tmp_path, terminal := Terminal(80, 24)) as manager:
        manager.wait_for_text("task.5000", "all 5,000")
        first = [line.split()[-6] for line in terminal.lines() if "pending    task" in line]
        assert len(manager.state.jobs) == len(first) == manager.state.page_size
        manager.press("n")
        manager.wait_for_text(f"task.{5000 - len(first)}", "page 2 of")
        manager.press("PgDn", "PgUp", "N")
        manager.wait_for_text("task.5000", "page 1 of")


def test_the_cursor_is_seen_on_its_job_while_others_arrive(
    queue: PersistentQInterface, tmp_path: Path
) -> None:
    queue.enqueue_many([NewJob("task.old"), NewJob("task.watched")])
    with running(tmp_path, terminal := Terminal(80, 24)) as manager:
        manager.wait_for_text(">   2 ○ pending")
        queue.enqueue("task.new")
        manager.wait_for_text("task.new")
        lines = terminal.lines()
        assert row_of(lines, "task.new") + 1 == row_of(lines, ">   2 ○ pending")
        queue.enqueue_many([NewJob("task.new")] * 30)
        manager.wait_for_text("job 2 is selected, on another page")


def test_marks_are_shown_and_one_that_vanished_is_called_gone(
    queue: PersistentQInterface, tmp_path: Path
) -> None:
    queue.enqueue_many([NewJob("task.a"), NewJob("task.b"), NewJob("task.c")])
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.wait_for_text("task.c")
        manager.press(" ", " ")
        manager.wait_for_text("2 marked", " *  3 ○", " *  2 ○")
        queue.delete_job(3)
        manager.wait_for_text("2 marked, 1 of them gone")
        manager.press("D")
        manager.wait_for_text("Delete 2 jobs?", "1 would be skipped: does not exist", "[ Delete ]")


def test_consumers(varied: PersistentQInterface, tmp_path: Path) -> None:
    with running(tmp_path, terminal := Terminal(100, 24)) as manager:
        manager.wait_for_text("mail.later")
        manager.press("5")
        manager.wait_for_text("consumer_01", "[5] consumers · 1 of 2 · 1 of 2 consumers alive")
        alive, stopped = terminal.lines()[5:7]
    assert alive.split()[:5] == [">", "consumer_00", "●", "alive", "·"]
    assert alive.split()[6:] == ["ago", "default", "mail", "box:7", "1", "3"]
    assert "◌ stopped" in stopped


def test_hostile_text_reaches_the_terminal_as_text(queue: PersistentQInterface, tmp_path: Path) -> None:
    (job,) = [queue.enqueue("evil.\u202etask", {"text": HOSTILE, HOSTILE: "key"})]
    (held,) = queue.dequeue("consumer_00")
    queue.fail(held, HOSTILE + "\n" + HOSTILE, retry=False)
    with running(tmp_path, terminal := Terminal(160, 60)) as manager:
        manager.wait_for_text(
            "\\x1b[31mred\\x1b[2J", "\\x9bC1 \\u202eevil", "evil.\\u202etask", f"job {job.id}"
        )
        assert "persistentq" in terminal.lines()[0]


@pytest.mark.parametrize(
    ("jobs", "keys", "words"),
    [
        (0, "", ["The queue is empty.", "python -m producer.producer"]),
        (1, "\t" * 5, ["No job is meant by: status:failed", "without status:failed: 1", "0 shows every job"]),
        (1, "2", ["Nothing needs attention."]),
        (1, "3", ["No attempt failed"]),
        (0, "4", ["There is no queue yet"]),
        (1, "5", ["No consumer has reported yet.", "python -m consumer.consumer"]),
        (1, "6", ["There is no schedule yet"]),
        (1, "8", ["No operator has done anything yet."]),
    ],
)
def test_emptiness_is_said_in_words(
    queue: PersistentQInterface, tmp_path: Path, jobs: int, keys: str, words: list[str]
) -> None:
    queue.enqueue_many([NewJob("task")] * jobs)
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.wait_for_text(" live ")
        manager.press(*keys)
        manager.wait_for_text(*words)


def test_a_missing_database_is_waited_for(tmp_path: Path) -> None:
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.wait_for_text("NO DATA", "There is no queue database at", "queue.db", "as soon as it exists")
        assert not (tmp_path / "queue.db").exists()
        with a_queue(tmp_path, jobs=1):
            manager.wait_for_text("mail.send", " live ")


def test_a_database_of_newer_code_is_told(tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=1):
        pass
    with closing(sqlite3.connect(tmp_path / "queue.db")) as database, database:
        database.execute("UPDATE persistentq_schema SET version_num = '9999'")
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.wait_for_text("NO DATA", "has schema 9999", "hint: ")
        manager.press("5", "?", "?", "q")
        assert manager.code() == 0


def test_a_database_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=3):
        pass
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.wait_for_text("[all 3]")
        for file in tmp_path.glob("queue.db*"):
            file.unlink()
        manager.wait_for_text("STALE", "no queue database", "[all 3]")
        with a_queue(tmp_path, jobs=1):
            manager.wait_for_text("[all 1]", " live ")


def test_a_locked_database_at_the_start(tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=1):
        pass
    with ExitStack() as lock:
        lock.enter_context(holding(HOLD_ALL, tmp_path / "queue.db"))
        with running(tmp_path, Terminal(80, 24)) as manager:
            manager.wait_for_text("NO DATA", "locked", "Trying again")
            lock.close()
            manager.wait_for_text("mail.send", " live ")


def test_each_term_of_a_query_without_a_hit_says_what_it_removes(
    queue: PersistentQInterface, tmp_path: Path
) -> None:
    queue.enqueue_many([NewJob("mail.send")] * 3)
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.wait_for_jobs()
        manager.press("/", *"task:mail.* queue:sms", "Enter")
        manager.wait_for_text("No job is meant by: task:mail.* queue:sms")
        manager.wait_for_text("without task:mail.*: 0", "without queue:sms: 3")


def test_a_read_only_manager_says_so(queue: PersistentQInterface, tmp_path: Path) -> None:
    queue.enqueue("t")
    with running(tmp_path, Terminal(80, 24), readonly=True) as manager:
        manager.wait_for_text("READ-ONLY", " live ")
        manager.wait_for_jobs()
        manager.press("D")
        manager.wait_for_text("error: 'delete' is refused: this is read-only")


def test_a_queue_without_a_living_consumer_is_told_of(queue: PersistentQInterface, tmp_path: Path) -> None:
    queue.heartbeat("consumer_00", host="box", pid=7, queues=["default"])
    queue.retire("consumer_00")
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.wait_for_text("all consumers are down")


def test_an_idle_screen_sends_next_to_nothing(varied: PersistentQInterface, tmp_path: Path) -> None:
    with running(tmp_path, terminal := Terminal(120, 40)) as manager:
        manager.wait_for_text("mail.later", " live ")
        first = manager.state.snapshot
        before = terminal.written
        assert not Deadline(3.0).wait_for(lambda: terminal.written > before + 3 * 500)
        assert manager.state.snapshot is not first


def test_a_frozen_screen_says_so(queue: PersistentQInterface, tmp_path: Path) -> None:
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.wait_for_text(" live ")
        manager.press("f")
        manager.wait_for_text("FROZEN 2s")
        manager.press("f")
        manager.wait_for_text(" live ")


def test_a_database_that_does_not_answer_leaves_old_data_and_says_so(
    queue: PersistentQInterface, tmp_path: Path
) -> None:
    queue.enqueue("mail.send")
    with running(tmp_path, Terminal(100, 24)) as manager:
        manager.wait_for_text("mail.send", " live ")
        with holding(HOLD_READERS, tmp_path / "queue.db"):
            manager.wait(lambda: re.search(r"STALE \ds: the database does not answer", manager.text()))
            assert "mail.send" in manager.text()
            manager.press("?")
            manager.wait_for_text("help · lines 1 to")
            manager.press("?")
        manager.wait_for_text(" live ", "mail.send")


def test_clicks_select_and_the_wheel_turns(varied: PersistentQInterface, tmp_path: Path) -> None:
    with running(tmp_path, terminal := Terminal(80, 24)) as manager:
        manager.wait_for_text("report.build")
        manager.click(20, row_of(terminal.lines(), "report.build") + 1)
        manager.wait(lambda: manager.state.job_id == 2)
        manager.keyboard.send_text("\x1b[<65;20;8M")
        manager.wait(lambda: manager.state.job_id == 1)
        manager.click(terminal.lines()[1].index("✗ failed") + 1, 2)
        manager.wait(lambda: manager.state.only_status == "failed" and manager.state.job_id == 2)
        manager.press("R")
        manager.wait_for_text("[ Resubmit ]")
        manager.click(3, 6)
        line = row_of(terminal.lines(), "[ Resubmit ]")
        manager.click(terminal.lines()[line].index("Resubmit") + 1, line + 1)
        manager.wait_for_text("resubmit worked for job 2")


@pytest.mark.parametrize("has_mouse", [True, False])
def test_the_mouse_is_asked_for_or_left_to_the_terminal(
    varied: PersistentQInterface, tmp_path: Path, has_mouse: bool
) -> None:
    with running(tmp_path, terminal := Terminal(80, 24), has_mouse=has_mouse) as manager:
        manager.wait_for_text("report.build")
        assert terminal.reports_mouse() is has_mouse
    assert not terminal.reports_mouse()


def test_wide_characters_keep_the_columns(queue: PersistentQInterface, tmp_path: Path) -> None:
    queue.enqueue_many([NewJob("a" * 200), NewJob("日本" * 100), NewJob("e\u0301" * 100)])
    with running(tmp_path, terminal := Terminal(80, 24)) as manager:
        manager.wait_for_text("aaa…", "日本", "\u00e9")
        rows = [line for line in terminal.lines() if "pending " in line and " 0/3 " in line]
    assert len({get_cwidth(row[: row.index(" 0/3 ")]) for row in rows}) == 1


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_says_all_in_words_and_mono_has_no_colour(
    varied: PersistentQInterface, tmp_path: Path, theme: str
) -> None:
    with running(tmp_path, terminal := Terminal(80, 24), theme=theme) as manager:
        manager.wait_for_text("✗ failed 1", "✓ done", "▶ processing", "? help")
        assert terminal.has_colours() is (theme != "mono")
