"""What producers may rely on."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistentq import (
    Backoff,
    InvalidArgument,
    JobStatus,
    NewJob,
    PayloadError,
    PersistentQInterface,
    PersistentQMemory,
    PersistentQSQLAlchemy,
    clock,
)
from persistentq.payload import MAX_BYTES, MAX_DEPTH

LetPass = Callable[[float], None]


def test_an_enqueued_job_is_as_it_was_given(queue: PersistentQInterface) -> None:
    """G1: what enqueue returned is what is stored."""
    job = queue.enqueue(
        "mail.send", {"to": "a@example.org"}, queue="mail", priority=7, max_attempts=5, unique_key="k"
    )
    assert (job.task, dict(job.args), job.queue) == ("mail.send", {"to": "a@example.org"}, "mail")
    assert (job.priority, job.max_attempts, job.unique_key) == (7, 5, "k")
    assert (job.status, job.attempt, job.duplicate) == (JobStatus.PENDING, 0, False)
    assert job.created_at == job.run_at
    assert abs(clock.now() - job.created_at) < timedelta(seconds=5)
    assert queue.get_job(job.id) == job


def test_defaults(queue: PersistentQInterface) -> None:
    job = queue.enqueue("t")
    assert (dict(job.args), job.queue, job.priority, job.max_attempts) == ({}, "default", 0, 3)


def test_many_jobs_come_back_in_order(queue: PersistentQInterface) -> None:
    jobs = queue.enqueue_many(NewJob("t", {"n": n}, priority=n % 3) for n in range(50))
    assert [job.args["n"] for job in jobs] == list(range(50))
    assert [job.id for job in jobs] == sorted({job.id for job in jobs})
    assert queue.enqueue_many([]) == []


def test_a_bad_job_among_many_stores_none(queue: PersistentQInterface) -> None:
    """G7: all or none."""
    with pytest.raises(PayloadError):
        queue.enqueue_many([NewJob("t"), NewJob("t", {"bad": {1, 2}})])
    assert queue.count_jobs() == {}


def test_run_at_in_the_future_is_scheduled_and_becomes_ready(
    queue: PersistentQInterface, let_pass: LetPass
) -> None:
    moment = clock.now() + timedelta(seconds=60)
    job = queue.enqueue("t", run_at=moment)
    assert (job.status, job.run_at) == (JobStatus.SCHEDULED, moment)
    assert queue.dequeue("c") == []
    let_pass(61)
    assert [taken.id for taken in queue.dequeue("c")] == [job.id]


def test_run_at_in_the_past_is_ready_at_once(queue: PersistentQInterface) -> None:
    job = queue.enqueue("t", run_at=datetime(2001, 1, 1, tzinfo=UTC))
    assert job.status == JobStatus.PENDING


def test_delay(queue: PersistentQInterface, let_pass: LetPass) -> None:
    job = queue.enqueue("t", delay=timedelta(seconds=30))
    assert job.status == JobStatus.SCHEDULED
    assert job.run_at - job.created_at == timedelta(seconds=30)
    let_pass(31)
    assert queue.cleanup() == 1
    assert queue.get_job(job.id).status == JobStatus.PENDING
    assert queue.enqueue("t", delay=timedelta(0)).status == JobStatus.PENDING


def test_a_time_in_another_zone_is_the_same_instant(queue: PersistentQInterface) -> None:
    moment = datetime(2031, 5, 1, 5, 0, 0, 123456, tzinfo=timezone(timedelta(hours=9)))
    assert queue.get_job(queue.enqueue("t", run_at=moment).id).run_at == moment


def test_a_unique_key_is_held_while_unfinished(queue: PersistentQInterface) -> None:
    first = queue.enqueue("t", {"n": 1}, unique_key="k")
    again = queue.enqueue("t", {"n": 2}, unique_key="k")
    assert (again.id, dict(again.args), again.duplicate) == (first.id, {"n": 1}, True)
    (taken,) = queue.dequeue("c")
    assert queue.enqueue("t", unique_key="k").duplicate
    queue.complete(taken)
    fresh = queue.enqueue("t", unique_key="k")
    assert fresh.id != first.id
    assert not fresh.duplicate
    first_of_two, second_of_two = queue.enqueue_many(
        [NewJob("t", unique_key="m"), NewJob("t", unique_key="m")]
    )
    assert (second_of_two.id, second_of_two.duplicate) == (first_of_two.id, True)


@pytest.mark.parametrize(
    "bad",
    [
        {"queue": ""},
        {"queue": "no spaces"},
        {"queue": "q" * 65},
        {"queue": None},
        {"priority": 1.5},
        {"priority": True},
        {"priority": 10**7},
        {"max_attempts": 0},
        {"run_at": datetime(2030, 1, 1)},  # noqa: DTZ001 - naive on purpose
        {"run_at": datetime(9999, 6, 1, tzinfo=UTC)},
        {"run_at": datetime(1969, 6, 1, tzinfo=UTC)},
        {"run_at": "tomorrow"},
        {"delay": timedelta(seconds=-1)},
        {"delay": 5},
        {"delay": timedelta(1), "run_at": datetime(2030, 1, 1, tzinfo=UTC)},
        {"unique_key": ""},
        {"unique_key": "k" * 256},
        {"unique_key": "nul\0"},
        {"unique_key": "\ud800"},
        {"tags": ["two words"]},
        {"tags": ["a,b"]},
        {"tags": ["t"] * 21},
        {"metadata": {"v": math.nan}},
        {"metadata": "text"},
    ],
)
def test_bad_values_are_refused_before_anything_is_written(
    queue: PersistentQInterface, bad: dict[str, Any]
) -> None:
    """G7."""
    with pytest.raises(InvalidArgument):
        queue.enqueue("t", **bad)
    assert queue.count_jobs() == {}


@pytest.mark.parametrize("task", ["", "two words", "t" * 201, "nul\0", "line\n", "\ud800", None, 7])
def test_bad_task_names_are_refused(queue: PersistentQInterface, task: Any) -> None:
    with pytest.raises(InvalidArgument):
        queue.enqueue(task)


def _nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"v": value}
    return value


@pytest.mark.parametrize(
    "bad",
    [
        {"v": math.nan},
        {"v": [math.inf]},
        {"v": "\ud800"},
        {"\ud800": 1},
        {"v": "nul\0"},
        {"v\0": 1},
        {1: "key"},
        {"v": {2: "inner key"}},
        {"v": b"bytes"},
        {"v": object()},
        {"v": "x" * MAX_BYTES},
        _nested(MAX_DEPTH + 1),
        _nested(100_000),
        ["not", "a", "mapping"],
        "text",
    ],
    ids=lambda bad: repr(bad)[:30] if not isinstance(bad, dict) or "v" not in bad else None,
)
def test_bad_payloads_are_refused_before_anything_is_written(queue: PersistentQInterface, bad: Any) -> None:
    """G7."""
    with pytest.raises(PayloadError):
        queue.enqueue("t", bad)
    assert queue.count_jobs() == {}


def test_lists_that_hold_one_another_many_times_over_are_refused_at_once(queue: PersistentQInterface) -> None:
    """G7: as JSON, a few of them are endless; the aliases of YAML make such."""
    value: list[Any] = ["x"]
    for _ in range(MAX_DEPTH - 2):
        value = [value, value]
    with pytest.raises(PayloadError, match="is more than 1,048,576 bytes of JSON"):
        queue.enqueue("t", {"v": value})
    assert queue.count_jobs() == {}


def test_the_largest_payload_fits(queue: PersistentQInterface) -> None:
    text = "ü" * ((MAX_BYTES - len('{"v":""}')) // 2)
    assert queue.get_job(queue.enqueue("t", {"v": text}).id).args["v"] == text
    assert queue.enqueue("t", _nested(MAX_DEPTH)).args == _nested(MAX_DEPTH)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(args=st.dictionaries(st.text(st.characters(), max_size=8), JSON, max_size=4))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_payload_comes_back_equal_or_is_refused(
    queue: PersistentQInterface, args: dict[str, Any]
) -> None:
    """G7: nothing that was accepted is changed, and nothing else can come out."""
    try:
        job = queue.enqueue("t", args)
    except PayloadError:
        return
    assert job.args == args
    assert queue.get_job(job.id).args == args


def test_what_enqueue_was_given_may_change_later(queue: PersistentQInterface) -> None:
    args = {"list": [1]}
    job = queue.enqueue("t", args)
    args["list"].append(2)
    assert queue.get_job(job.id).args == {"list": [1]}


def test_tags_metadata_and_backoff_are_kept(queue: PersistentQInterface) -> None:
    rule = Backoff(timedelta(seconds=0.5), timedelta(seconds=90))
    job = queue.enqueue("t", tags=["vip", "eu"], metadata={"by": "a@example.org"}, backoff=rule)
    assert (job.tags, dict(job.metadata), job.backoff) == (("vip", "eu"), {"by": "a@example.org"}, rule)
    assert queue.get_job(job.id) == job
    plain = queue.enqueue("t")
    assert (plain.tags, dict(plain.metadata), plain.backoff) == ((), {}, None)


def test_both_implementations_know_the_same_methods() -> None:
    for implementation in (PersistentQMemory, PersistentQSQLAlchemy):
        assert not implementation.__abstractmethods__
