"""How often the manager reads, and what it says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from manager import moves, news, refresh
from manager.header import freshness
from manager.snapshot import INTERVALS, Place
from manager.state import State
from persistentq import JobStatus, PersistentQInterface, clock
from persistentq.clock import Deadline
from tests.front_ends.manager_kit import NOW, Terminal, a_queue, a_snapshot, after, running

SECOND = timedelta(seconds=1)


def read(every: timedelta | None, next_in: timedelta) -> State:
    state = State(location="/srv/queue.db", every=every)
    return after(state, news.was_read(a_snapshot(state, next_in=next_in)))


def test_the_steps_end_at_four_times_a_second_and_at_not_by_itself() -> None:
    state, seen = State(location="/srv/queue.db"), []
    for _ in range(9):
        seen.append(state.request.every)
        state = after(state, moves.step_interval(1))
    assert seen == [*INTERVALS, None, None]
    for _ in range(9):
        state = after(state, moves.step_interval(-1))
    assert state.every == INTERVALS[0] == timedelta(seconds=0.25)


@pytest.mark.parametrize(
    ("every", "next_in", "age", "words"),
    [
        (0.25, 0.25, 0, "live 12:00:00 UTC, 0s ago, every 0.25s"),
        (5, 5, 4, "live 12:00:00 UTC, 4s ago, every 5s"),
        (0.25, 3.3, 2, "live 12:00:00 UTC, 2s ago, every 5s"),
        (5, 5, 7, "STALE 7s: the database does not answer"),
        (None, 86_400, 3600, "12:00:00 UTC, 1h ago, refresh off"),
    ],
)
def test_the_first_line_says_how_old_the_data_is_and_how_often_it_is_read(
    every: float | None, next_in: float, age: int, words: str
) -> None:
    state = read(None if every is None else every * SECOND, next_in * SECOND)
    assert freshness(state, NOW + age * SECOND)[1] == words
    assert freshness(replace(state, is_frozen=True), NOW + age * SECOND)[1].startswith("FROZEN")


@pytest.mark.parametrize("steps", [6, 7])
def test_what_is_read_less_often_is_still_read_when_it_is_asked_for(tmp_path: Path, steps: int) -> None:
    with a_queue(tmp_path, jobs=1) as queue, running(tmp_path) as manager:
        manager.wait_for_jobs()
        manager.press(*">" * steps)
        every = (*INTERVALS, None)[steps]
        manager.wait(lambda: manager.state.snapshot and manager.state.snapshot.request.every == every)
        queue.enqueue("later")
        assert not Deadline(1.0).wait_for(lambda: len(manager.state.jobs) > 1)
        manager.press("4")
        manager.wait(lambda: manager.state.place is Place.QUEUES and manager.state.rows)
        assert manager.state.snapshot
        assert sum(manager.state.snapshot.totals.values()) == 2
        manager.press("1")
        manager.wait(lambda: len(manager.state.jobs) == 2)
        queue.enqueue("latest")
        manager.press(*"<" * steps)
        manager.wait(lambda: len(manager.state.jobs) == 3)


def test_a_frozen_screen_is_not_read_for_another_interval(tmp_path: Path) -> None:
    with a_queue(tmp_path, jobs=1) as queue, running(tmp_path) as manager:
        manager.wait_for_jobs()
        manager.wait(
            lambda: manager.state.snapshot and manager.state.snapshot.request == manager.state.request
        )
        manager.press("f", ">", "<", ">")
        manager.wait(lambda: manager.state.is_frozen and manager.state.every == INTERVALS[1])
        queue.enqueue("later")
        assert not Deadline(1.0).wait_for(lambda: len(manager.state.jobs) > 1)


class Slow:
    """Takes its time to count, as a big database does."""

    def __init__(self, queue: PersistentQInterface, taken: float) -> None:
        self._queue, self._taken, self.counts = queue, taken, 0

    def count_jobs(self) -> dict[str, dict[JobStatus, int]]:
        self.counts += 1
        Deadline(self._taken).pause(self._taken)
        return self._queue.count_jobs()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


def test_counting_that_takes_long_has_its_own_pace_and_says_how_old_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_queue(tmp_path, jobs=1) as queue:
        slow = Slow(queue, 0.3)
        monkeypatch.setattr(refresh.Reader, "_open", lambda _: slow)
        with running(tmp_path, Terminal(120, 24)) as manager:
            manager.wait_for_jobs()
            queue.enqueue("later")
            manager.wait(lambda: len(manager.state.jobs) == 2)
            manager.wait_for_text("all 1", " counted ", "s ago")
            assert slow.counts == 1
            # What the operator does is counted at once.
            manager.press("C", "y")
            manager.wait_for_text("cancelled 1", "all 2")
            assert slow.counts == 2


def test_what_nobody_changed_is_not_read_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    read_it = refresh.read
    monkeypatch.setattr(refresh, "read", lambda *args: reads.append(args) or read_it(*args))
    monkeypatch.setattr(refresh, "LONGEST_UNREAD", timedelta(days=1))
    with a_queue(tmp_path, jobs=1) as queue, running(tmp_path) as manager:
        manager.wait(
            lambda: manager.state.snapshot and manager.state.snapshot.request == manager.state.request
        )
        known, begun = len(reads), clock.now()
        manager.wait(lambda: manager.state.snapshot and manager.state.snapshot.read_at > begun + SECOND)
        assert len(reads) <= known + 1
        queue.enqueue("later")
        manager.wait(lambda: len(manager.state.jobs) == 2)
