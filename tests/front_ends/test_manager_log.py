"""The last lines of a consumer's log in the manager."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from manager import moves, news
from manager.layout import clamp_scroll
from manager.plain import Plain
from manager.snapshot import Place, Row
from manager.state import State
from persistentq import PersistentQInterface
from persistentq.errors import SupervisionError
from persistentq.operations import supervised
from persistentq.operations.supervised import Program
from tests.front_ends.manager_kit import NOW, Terminal, a_queue, a_snapshot, after, running, settings_for

THERE = State(location="/srv/queue.db", place=Place.CONSUMERS, back=(Place.JOBS,))
ROWS = tuple(Row(name, ((("", name),) * 8), (("", "about"),)) for name in ("consumer_00", "consumer_01"))


def read(state: State, *output: str) -> State:
    return after(state, news.was_read(a_snapshot(state, rows=ROWS, output=output)))


def test_the_log_of_the_consumer_under_the_cursor_is_asked_for() -> None:
    there = read(THERE)
    assert there.request.log_of == ""
    asked = after(there, moves.toggle_log)
    assert (asked.request.log_of, asked.shows_details, asked.output) == ("consumer_00", True, None)
    told = read(asked, "one", "two")
    assert told.output == ("one", "two")
    other = after(told, moves.step_rows(1))
    assert (other.request.log_of, other.output) == ("consumer_01", None)


@pytest.mark.parametrize("leave", [moves.toggle_log, moves.step_back, moves.toggle_details])
def test_the_log_is_left_for_the_details_again(leave: object) -> None:
    shown = read(after(read(THERE), moves.toggle_log), "one")
    left = leave(shown)  # type: ignore[operator]
    assert (left.place, left.shows_log, left.request.log_of) == (Place.CONSUMERS, False, "")


def test_another_view_has_no_log() -> None:
    shown = after(read(THERE), moves.toggle_log, moves.go_to(Place.QUEUES))
    assert (shown.request.log_of, shown.shows_log) == ("", False)
    assert "nothing is selected" in str(after(THERE, moves.toggle_log).message)


def test_a_log_is_scrolled_from_its_end() -> None:
    shown = read(after(read(THERE), moves.toggle_log), *map(str, range(100)))
    up = clamp_scroll(after(shown, moves.scroll(-1)), NOW)
    assert up.scroll > 0
    assert after(up, moves.scroll(1)).scroll == 0
    top = clamp_scroll(replace(shown, scroll=10_000), NOW)
    assert top.scroll == 100 - (shown.body_lines - 3 - 1)


class KeptConsumers:
    """A supervisord that keeps two consumers, one with a log."""

    socket = Path("/")
    lines: list[str]

    def __init__(self, _: Path) -> None:
        pass

    def programs(self) -> list[Program]:
        return [Program(f"consumer:consumer_0{number}", "RUNNING", 7, "/log", "") for number in (0, 1)]

    def log_tail(self, program: str) -> list[str]:
        if program != "consumer:consumer_00":
            raise SupervisionError(f"the output of {program} is kept in no file here", "")
        return self.lines


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    KeptConsumers.lines = [f"line {number}" for number in range(60)]
    monkeypatch.setattr(supervised, "Supervised", KeptConsumers)
    with a_queue(tmp_path) as queue:
        for name in ("consumer_00", "consumer_01", "by_hand"):
            queue.heartbeat(name, host="box", pid=7, queues=["default"])
        yield queue


def test_it_is_shown_and_followed_without_what_could_steer_the_terminal(
    queue: PersistentQInterface, tmp_path: Path
) -> None:
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.press("5")
        manager.wait_for_text("consumer_01", "by_hand")
        manager.press("j", "l")
        manager.wait_for_text("log of consumer_00: lines 49 to 60 of 60", "line 59")
        KeptConsumers.lines = [*KeptConsumers.lines, "\x1b[2Jlast", "password=hunter2"]
        manager.wait_for_text("\\x1b[2Jlast", "password=[redacted]", "to 62 of 62")
        manager.press(*"[" * 20)
        manager.wait_for_text("lines 1 to 12 of 62", "line 0")
        manager.press("j")
        manager.wait_for_text("log of consumer_01", "is kept in no file here")
        manager.press("g")
        manager.wait_for_text("log of by_hand", "is not kept by the supervisord of here")


def test_it_is_told_by_the_line(queue: PersistentQInterface, tmp_path: Path) -> None:
    source, target = io.StringIO("log consumer_00\nlog\n"), io.StringIO()
    assert Plain(settings_for(tmp_path), source, target).run() == 1
    assert "line 58\nline 59\n" in target.getvalue()
    assert "is typed as: log CONSUMER" in target.getvalue()
