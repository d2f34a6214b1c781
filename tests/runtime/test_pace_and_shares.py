"""How much is claimed, from whom, and who may begin: the consumer's plain rules."""

from __future__ import annotations

from collections import Counter
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast

import pytest

from persistentq import InvalidArgument
from persistentq.runtime.executor import Run
from persistentq.runtime.pace import MOST_AHEAD, Pace
from persistentq.runtime.places import Places
from persistentq.runtime.shares import Shares, read_queues
from persistentq.tasks import Executor as Place


def test_before_anything_is_measured_only_what_can_begin_is_claimed() -> None:
    pace = Pace(4)
    assert pace.room(0, []) == 4
    assert pace.room(3, [0.01, 0.01, 0.01]) == 1
    assert pace.room(4, [0.01] * 4) == 0


def test_short_jobs_are_claimed_ahead_and_long_ones_are_not() -> None:
    pace = Pace(2)
    pace.note([0.001] * 50)
    assert pace.room(0, []) == 100
    assert pace.room(95, []) == 5
    pace.note([1.0] * 50)
    assert pace.room(0, []) == 2


def test_no_more_is_claimed_ahead_than_the_bound() -> None:
    pace = Pace(8)
    pace.note([0.0] * 10)
    assert pace.room(0, []) == MOST_AHEAD


def test_a_place_that_a_long_job_holds_has_nothing_claimed_for_it() -> None:
    pace = Pace(2)
    pace.note([0.001] * 50)
    assert pace.room(2, [9.0, 9.0]) == 0
    assert pace.room(1, [9.0]) == 50
    single = Pace(1)
    single.note([0.001] * 50)
    assert single.room(1, [9.0]) == 0


def test_few_different_limits_are_asked_for() -> None:
    pace = Pace(1000)
    sizes = {pace.room(held, []) for held in range(1001)}
    assert len(sizes) <= 35
    assert all(pace.room(held, []) <= 1000 - held for held in range(1001))
    assert all(pace.room(held, []) > 0 for held in range(1000))


def served(shares: Shares, backlog: dict[str, int], room: int) -> Counter[str]:
    claimed: Counter[str] = Counter()
    for name in shares.order:
        taken = min(backlog.get(name, 0), room - claimed.total())
        if taken:
            backlog[name] -= taken
            claimed[name] = taken
    shares.note(claimed, room)
    return claimed


@pytest.mark.parametrize("room", [1, 3, 10])
def test_queues_that_have_jobs_are_served_in_proportion(room: int) -> None:
    shares = Shares({"default": 3, "mail": 1, "slow": 2})
    backlog = {"default": 10_000, "mail": 10_000, "slow": 10_000}
    total: Counter[str] = Counter()
    for _ in range(600):
        total += served(shares, backlog, room)
    assert total.total() == 600 * room
    for name, share in {"default": 3 / 6, "mail": 1 / 6, "slow": 2 / 6}.items():
        assert abs(total[name] - share * total.total()) <= 6 * room


def test_a_queue_that_was_empty_has_nothing_to_make_up_for() -> None:
    shares = Shares({"a": 1, "b": 1})
    backlog = {"a": 100_000, "b": 0}
    for _ in range(1000):
        served(shares, backlog, 10)
    backlog["b"] = 100_000
    both: Counter[str] = Counter()
    for _ in range(20):
        both += served(shares, backlog, 10)
    assert both == {"a": 100, "b": 100}


def test_the_order_moves_and_the_names_stay() -> None:
    shares = Shares({"a": 1, "b": 1})
    shares.note({"a": 4, "b": 0}, room=4)
    assert (shares.order, shares.names) == (("b", "a"), ("a", "b"))


def test_without_weights_the_order_is_strict() -> None:
    shares = Shares(["b", "a", "b"])
    backlog = {"a": 5, "b": 20}
    assert shares.order == ("b", "a")
    assert [served(shares, backlog, 10) for _ in range(3)] == [{"b": 10}, {"b": 10}, {"a": 5}]


@pytest.mark.parametrize("bad", [[], {}, {"a": 0}, {"a": 1001}, {"a": True}, ["no such!"]])
def test_bad_queues_are_refused(bad: Any) -> None:
    with pytest.raises(InvalidArgument):
        Shares(bad)


@pytest.mark.parametrize(
    ("text", "queues"),
    [
        ("default", ["default"]),
        ("b, a", ["b", "a"]),
        ("default=3,mail=1", {"default": 3, "mail": 1}),
        ("default=3, mail", {"default": 3, "mail": 1}),
    ],
)
def test_queues_are_read_from_a_command_line(text: str, queues: list[str] | dict[str, int]) -> None:
    assert read_queues(text) == queues
    Shares(queues)


@pytest.mark.parametrize("text", ["a=", "a=x", "a=-1", "a=1.5", "a=3=4"])
def test_a_weight_that_is_none_is_told(text: str) -> None:
    with pytest.raises(InvalidArgument, match="where a weight from 1 to 1,000 belongs"):
        read_queues(text)


def run_in(place: Place) -> Run:
    return Run(cast("Any", None), cast("Any", SimpleNamespace(executor=place)), cast("Any", None))


def test_places_go_to_those_who_wait_longest_and_are_passed_on() -> None:
    places = Places(2)
    runs = [run_in(Place.THREAD), run_in(Place.THREAD), run_in(Place.THREAD), run_in(Place.ASYNC)]
    places.line_up(runs)
    assert places.seat() == runs[:2]
    assert (places.seat(), places.waiting, places.has_free) == ([], 2, False)
    assert places.pass_on(Place.ASYNC) is None
    assert places.seat() == [runs[2]]
    assert places.pass_on(Place.THREAD) is None
    assert places.withdraw() == [runs[3]]
    assert (places.seat(), places.waiting, places.waited()) == ([], 0, 0.0)
    places.leave()
    assert places.has_free


def test_no_place_is_given_twice_however_many_threads_ask() -> None:
    places = Places(10)
    places.line_up([run_in(Place.THREAD) for _ in range(5000)])
    seated: list[Run] = []

    def sit() -> None:
        mine = places.seat()
        while mine:
            seated.extend(mine)
            mine = [run for one in mine if (run := places.pass_on(place_of_run(one))) is not None]

    threads = [Thread(target=sit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seated) == len(set(map(id, seated))) == 5000


def place_of_run(run: Run) -> Place:
    assert run.task.executor is not None
    return run.task.executor
