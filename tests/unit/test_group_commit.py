"""Threads share work: everybody is served once, the lone one at once, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event
from typing import Any

import pytest

from persistentq.clock import Deadline
from persistentq.sql.group_commit import Shared


class Late(Exception):
    """Waited for too long."""


class Gate:
    """Work that stands still until it is let through; `batches` is what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = Event()
        self.error: BaseException | None = None

    def __call__(self, batch: list[int]) -> list[int]:
        self.batches.append(batch)
        assert self.open.wait(10)
        if self.error is not None:
            raise self.error
        return [10 * one for one in batch]


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def waiting(shared: Shared[int, int], number: int) -> Callable[[], bool]:
    return lambda: len(shared._waiting) == number


def five_at_once(
    shared: Shared[int, int], gate: Gate, pool: ThreadPoolExecutor
) -> tuple[Future[int], list[Future[int]]]:
    """The first is at work; four others have come meanwhile."""
    first = pool.submit(shared, 1)
    assert Deadline(5).wait_for(lambda: gate.batches == [[1]], 0.001)
    others = []
    for number in range(2, 6):
        others.append(pool.submit(shared, number))
        assert Deadline(5).wait_for(waiting(shared, number - 1), 0.001)
    return first, others


def test_those_who_come_meanwhile_share_the_next_turn(gate: Gate, pool: ThreadPoolExecutor) -> None:
    shared = Shared(gate, 10, Late)
    first, others = five_at_once(shared, gate, pool)
    gate.open.set()
    assert [first.result(5), *(one.result(5) for one in others)] == [10, 20, 30, 40, 50]
    assert gate.batches == [[1], [2, 3, 4, 5]]
    assert shared(6) == 60
    assert gate.batches[-1] == [6]


def test_an_error_is_told_to_all_who_shared_it(gate: Gate, pool: ThreadPoolExecutor) -> None:
    shared = Shared(gate, 10, Late)
    first, others = five_at_once(shared, gate, pool)
    gate.error = ValueError("the disk is full")
    gate.open.set()
    for one in (first, *others):
        with pytest.raises(ValueError, match="the disk is full"):
            one.result(5)
    gate.error = None
    assert shared(7) == 70


def test_an_interrupt_is_only_its_own_threads(gate: Gate, pool: ThreadPoolExecutor) -> None:
    shared = Shared(gate, 10, Late)
    first, (leader, *others) = five_at_once(shared, gate, pool)
    gate.error = KeyboardInterrupt()
    gate.open.set()
    for one in (first, leader):
        with pytest.raises(KeyboardInterrupt):
            one.result(5)
    for one in others:
        with pytest.raises(RuntimeError, match="interrupted"):
            one.result(5)
    gate.error = None
    assert shared(7) == 70


@pytest.mark.parametrize("is_rung", [False, True], ids=["while it waits", "when it has to lead"])
def test_an_interrupted_waiter_holds_nobody_up(gate: Gate, pool: ThreadPoolExecutor, is_rung: bool) -> None:
    shared = Shared(gate, 10, Late)
    interrupted, wait = [], shared._wait

    def interrupt(mine: Any) -> None:
        if mine.given == 2 and not interrupted:
            if is_rung:
                wait(mine)
            interrupted.append(mine)
            raise KeyboardInterrupt
        wait(mine)

    shared._wait = interrupt  # type: ignore[method-assign]
    first = pool.submit(shared, 1)
    assert Deadline(5).wait_for(lambda: gate.batches == [[1]], 0.001)
    second = pool.submit(shared, 2)
    assert Deadline(5).wait_for(lambda: bool(interrupted) or len(shared._waiting) == 1, 0.001)
    third = pool.submit(shared, 3)
    assert Deadline(5).wait_for(waiting(shared, 2 if is_rung else 1), 0.001)
    gate.open.set()
    with pytest.raises(KeyboardInterrupt):
        second.result(5)
    assert [first.result(5), third.result(5), shared(4)] == [10, 30, 40]
    assert gate.batches == [[1], [3], [4]]


def test_who_waits_for_too_long_leaves_with_nothing_done(gate: Gate, pool: ThreadPoolExecutor) -> None:
    shared = Shared(gate, 0.05, Late)
    with ExitStack() as at_the_end:
        at_the_end.callback(gate.open.set)
        first = pool.submit(shared, 1)
        assert Deadline(5).wait_for(lambda: gate.batches == [[1]], 0.001)
        with pytest.raises(Late):
            shared(2)
    assert first.result(5) == 10
    assert shared(3) == 30
    assert gate.batches == [[1], [3]]


def test_many_threads_are_served_once_each(pool: ThreadPoolExecutor) -> None:
    seen: list[int] = []

    def work(batch: list[int]) -> list[int]:
        seen.extend(batch)
        return [-one for one in batch]

    shared = Shared(work, 10, Late)

    def call(start: int) -> list[int]:
        return [shared(number) for number in range(start, start + 500)]

    for start, made in zip(range(0, 4000, 500), pool.map(call, range(0, 4000, 500)), strict=True):
        assert made == [-number for number in range(start, start + 500)]
    assert sorted(seen) == list(range(4000))
