"""The columns of the jobs: the usual ones, and all that have room."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pytest

from manager import moves, news
from manager.plain import Plain
from manager.state import State
from manager.table import job_lines
from tests.front_ends.manager_kit import NOW, a_job, a_queue, a_snapshot, after, settings_for

DONE = a_job(
    7,
    "done",
    queue="mail",
    priority=5,
    tags=("vip", "red"),
    consumer="consumer_03",
    attempt=1,
    created_at=NOW - timedelta(hours=3),
    started_at=NOW - timedelta(minutes=2),
    finished_at=NOW - timedelta(minutes=2) + timedelta(seconds=1.5),
)
RUNNING = a_job(6, "processing", attempt=1, started_at=NOW - timedelta(minutes=5))


def shown(state: State, width: int) -> list[str]:
    drawn = job_lines(state, NOW, width, 20, lambda *_: lambda _: NotImplemented)
    return ["".join(piece[1] for piece in line).rstrip() for line in drawn]


@pytest.fixture
def state() -> State:
    empty = State(location="/srv/queue.db", columns=200, lines=40)
    return after(empty, news.was_read(a_snapshot(empty, DONE, RUNNING)))


def test_all_columns_are_shown_and_the_usual_ones_again(state: State) -> None:
    every = after(state, moves.toggle_columns)
    head, done, running, *_ = shown(every, 200)
    titles = ["id", "status", "task", "queue", "tries", "consumer", "created", "ran"]
    assert head.split() == [*titles, "tags", "priority", "when", "error"]
    assert done.split()[5:] == [
        "mail",
        "1/3",
        "consumer_03",
        "3h",
        "ago",
        "1.50s",
        "vip",
        "red",
        "5",
        "1m",
        "ago",
    ]
    assert running.split()[4:] == ["default", "1/3", "0s", "ago", "5m", "0", "5m", "ago"]
    assert "created" not in shown(after(every, moves.toggle_columns), 200)[0]


def test_what_has_no_room_is_left_out_and_no_line_is_too_long(state: State) -> None:
    every = after(state, moves.toggle_columns)
    assert shown(every, 80)[0].split()[-3:] == ["created", "ran", "tags"]
    for width in range(20, 200, 7):
        assert all(len(line) <= width for line in shown(every, width))


def test_they_stay_in_every_list_and_the_details_make_room(state: State) -> None:
    assert state.shows_details
    every = after(state, moves.toggle_columns, moves.show_query("queue:mail"), moves.newest)
    assert every.has_all_columns
    assert not every.shows_details
    assert after(every, moves.toggle_details).shows_details


def test_they_are_told_by_the_line(tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=1):
        target = io.StringIO()
        assert Plain(settings_for(tmp_path), io.StringIO("columns\n"), target).run() == 0
    assert target.getvalue().count("created") == 1
