"""What a running task may know and do, and how it says how its attempt shall end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from persistentq import (
    Cancel,
    InvalidArgument,
    Job,
    JobCancelled,
    JobContext,
    JobInterrupted,
    JobTimedOut,
    LeaseLost,
    PersistentQMemory,
    Progress,
    Retry,
    Snooze,
    clock,
    current_job,
)
from persistentq.clock import Deadline
from persistentq.context import Holder, Interruption, Notes, running
from persistentq.job_log import MAX_LINES


class Holding:
    """A job's holder that writes down what it is asked."""

    def __init__(self) -> None:
        self.queue = PersistentQMemory()
        self.is_held = True
        self.notes = Notes()
        self.completed: list[Any] = []

    def extend(self) -> bool:
        return self.is_held

    def record(self, lines: Sequence[str], progress: Progress | None) -> None:
        self.notes.add(lines, progress)

    @contextmanager
    def completing(self, result: Any) -> Iterator[Any]:
        yield "a session"
        if not self.is_held:
            raise LeaseLost(1, "c_1", 1)
        self.completed.append(result)


@pytest.fixture
def holder() -> Holding:
    return Holding()


@pytest.fixture
def job(holder: Holding) -> Job:
    holder.queue.enqueue("task")
    return holder.queue.dequeue("c_1")[0]


@pytest.fixture
def context(job: Job, holder: Holding) -> JobContext:
    kept: Holder = holder
    return JobContext(job, kept)


def test_the_token_is_of_the_attempt(context: JobContext, holder: Holding) -> None:
    assert context.token == "1-1"
    holder.queue.release([context.job])
    again = holder.queue.dequeue("c_1")[0]
    assert JobContext(again, holder).token == "1-2"


@pytest.mark.parametrize(
    ("why", "error", "text"),
    [
        (Interruption.CANCELLED, JobCancelled, "an operator asked to cancel job 1"),
        (Interruption.TIMED_OUT, JobTimedOut, "job 1 ran for longer than its timeout of 0:00:30"),
        (Interruption.LEASE_LOST, LeaseLost, r"job 1 is no longer held by c_1 \(attempt 1\)"),
        (Interruption.STOPPED, JobInterrupted, "the consumer stops and gives job 1 back"),
    ],
)
def test_an_interruption_is_told_with_its_reason(
    job: Job, holder: Holding, why: Interruption, error: type[Exception], text: str
) -> None:
    context = JobContext(job, holder, timedelta(seconds=30))
    context.check()
    assert (context.should_stop, context.interruption) == (False, None)
    context.interrupt(why)
    context.interrupt(Interruption.STOPPED)
    assert (context.should_stop, context.interruption) == (True, why)
    with pytest.raises(error, match=text):
        context.check()


def test_the_time_begins_with_the_code(job: Job, holder: Holding) -> None:
    context = JobContext(job, holder, timedelta(milliseconds=20))
    assert context.deadline is None
    with running(context):
        assert context.deadline is not None
        assert Deadline(5).wait_for(lambda: context.should_stop, every=0.005)
    with pytest.raises(JobTimedOut):
        context.check()


def test_without_a_timeout_there_is_no_deadline(context: JobContext) -> None:
    with running(context):
        assert context.deadline is None


def test_a_lost_lease_stops_the_task(context: JobContext, holder: Holding) -> None:
    context.require_lease()
    holder.is_held = False
    with pytest.raises(LeaseLost):
        context.require_lease()
    with pytest.raises(LeaseLost):
        context.check()


def test_lines_and_progress_go_to_the_holder(context: JobContext, holder: Holding) -> None:
    context.log("one\ntwo")
    context.progress(0.5, "half")
    context.progress(0.75)
    assert holder.notes.take() == (["one", "two"], Progress(0.75))
    with pytest.raises(InvalidArgument, match="fraction 2 is not a number"):
        context.progress(2)
    assert not holder.notes


def test_the_session_makes_the_job_done_once_it_ends_well(context: JobContext, holder: Holding) -> None:
    with pytest.raises(ZeroDivisionError), context.session():
        1 / 0  # noqa: B018
    assert (context.is_completed, holder.completed) == (False, [])
    holder.is_held = False
    with pytest.raises(LeaseLost), context.session():
        pass
    assert not context.is_completed
    holder.is_held = True
    with context.session(result=5) as session:
        assert session == "a session"  # type: ignore[comparison-overlap]
    assert (context.is_completed, holder.completed) == (True, [5])


def test_each_thread_and_coroutine_has_its_own_context(holder: Holding) -> None:
    holder.queue.enqueue("task"), holder.queue.enqueue("task")
    contexts = [JobContext(job, holder) for job in holder.queue.dequeue("c_1", limit=2)]
    seen: dict[int, JobContext] = {}
    together = threading.Barrier(2)

    def work(n: int) -> None:
        with running(contexts[n]):
            together.wait(10)
            seen[n] = current_job()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert list(map(seen.get, range(2))) == contexts

    async def await_both() -> list[JobContext]:
        async def one(context: JobContext) -> JobContext:
            with running(context):
                await asyncio.sleep(0)
                return current_job()

        return await asyncio.gather(*map(one, contexts))

    assert asyncio.run(await_both()) == contexts


class TestNotes:
    def test_they_are_taken_once(self) -> None:
        notes = Notes()
        assert not notes
        notes.add(["a"], None)
        notes.add(["b"], Progress(0.1))
        assert notes
        assert notes.take() == (["a", "b"], Progress(0.1))
        assert (bool(notes), notes.take()) == (False, ([], None))

    def test_they_are_bounded(self) -> None:
        notes = Notes()
        for n in range(3 * MAX_LINES):
            notes.add([str(n)], None)
        lines, _ = notes.take()
        assert (len(lines), lines[-1]) == (MAX_LINES, str(3 * MAX_LINES - 1))


class TestOutcomes:
    def test_a_span_or_a_moment(self) -> None:
        assert Snooze(timedelta(hours=1)).delay == timedelta(hours=1)
        assert Retry(timedelta(0)).delay == timedelta(0)
        assert Retry().delay is None
        assert Snooze(datetime(1999, 1, 1, tzinfo=UTC)).delay == timedelta(0)
        soon = Retry(clock.now() + timedelta(minutes=5)).delay
        assert soon is not None
        assert timedelta(minutes=4) < soon <= timedelta(minutes=5)

    @pytest.mark.parametrize("outcome", [Retry, Snooze])
    @pytest.mark.parametrize("bad", [datetime(2026, 1, 1), timedelta(seconds=-1), 5, "1h"])  # noqa: DTZ001
    def test_other_times_are_refused(self, outcome: Any, bad: Any) -> None:
        with pytest.raises(InvalidArgument):
            outcome(bad)

    def test_what_is_kept_as_the_error(self) -> None:
        assert str(Retry()) == "the task asked for another attempt"
        assert str(Retry(timedelta(1), "not yet there")) == "not yet there"
        assert str(Cancel("the customer is gone")) == "the customer is gone"
        assert Cancel().reason == "the task called the job off"
        assert str(Snooze(timedelta(hours=1))) == "the task put the job off: 1:00:00"
