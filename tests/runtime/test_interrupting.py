"""Stopping what runs: by cancellation, by timeout, by a lost lease and by a drain, in threads and in the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from persistentq import Consumer, Job, JobStatus, Outcome, PersistentQInterface, current_job
from persistentq.clock import Deadline, now
from persistentq.outcomes import Cancel, JobCancelled, JobTimedOut, Retry, Snooze
from persistentq.runtime import turns
from persistentq.tasks import Tasks
from tests.runtime.conftest import PATIENCE_S, ended, running

HOUR = timedelta(hours=1)


class Endless:
    """A task that runs until it is stopped, as a coroutine or in a thread, and notes what it was told."""

    def __init__(self, tasks: Tasks, kind: str, **options: float) -> None:
        self.begun, self.told = threading.Event(), threading.Event()
        self.error: BaseException | None = None
        tasks.add("endless", self.coroutine if kind == "async" else self.function, **options)  # type: ignore[arg-type]

    async def coroutine(self) -> None:
        self.begun.set()
        try:
            await asyncio.sleep(PATIENCE_S)
        except BaseException as error:
            self._note(error)
            raise

    def function(self) -> None:
        self.begun.set()
        patience = Deadline(PATIENCE_S)
        try:
            while not patience.passed:
                current_job().check()
                patience.pause(0.005)
        except BaseException as error:
            self._note(error)
            raise

    def _note(self, error: BaseException) -> None:
        self.error = error
        self.told.set()


KINDS = pytest.mark.parametrize("kind", ["async", "thread"])


@KINDS
def test_a_cancelled_job_is_stopped_within_a_second(
    queue: PersistentQInterface, tasks: Tasks, kind: str
) -> None:
    endless = Endless(tasks, kind)
    job = queue.enqueue("endless")
    with running(Consumer(queue, tasks=tasks)):
        assert endless.begun.wait(PATIENCE_S)
        queue.cancel(job.id)
        limit = Deadline(1.0)
        assert endless.told.wait(PATIENCE_S)
        assert not limit.passed
        cancelled = ended(queue, job)
    assert (cancelled.status, cancelled.error) == (
        JobStatus.CANCELLED,
        "cancelled by an operator while it ran",
    )
    assert [one.outcome for one in queue.get_attempts(job.id)] == [Outcome.CANCELLED]
    assert isinstance(endless.error, asyncio.CancelledError if kind == "async" else JobCancelled)


@KINDS
def test_a_job_that_runs_for_too_long_fails_and_is_tried_again(
    queue: PersistentQInterface, tasks: Tasks, kind: str
) -> None:
    endless = Endless(tasks, kind, timeout=0.2)
    job = queue.enqueue("endless", max_attempts=1)
    with running(Consumer(queue, tasks=tasks)):
        failed = ended(queue, job)
    assert failed.status == JobStatus.FAILED
    assert "timeout of 0:00:00.2" in (failed.error or "")
    (attempt,) = queue.get_attempts(job.id)
    assert attempt.error_type == "JobTimedOut"
    assert isinstance(endless.error, asyncio.CancelledError if kind == "async" else JobTimedOut)


@KINDS
def test_a_drain_stops_what_does_not_end_and_gives_it_back_uncounted(
    queue: PersistentQInterface, tasks: Tasks, kind: str
) -> None:
    endless = Endless(tasks, kind)
    job = queue.enqueue("endless", max_attempts=1)
    with running(Consumer(queue, tasks=tasks, drain=timedelta(seconds=0.1))) as consumer:
        assert endless.begun.wait(PATIENCE_S)
        consumer.stop()
    assert endless.told.is_set()
    assert consumer.may_still_run
    back = queue.get_job(job.id)
    assert (back.status, back.attempt, back.max_attempts) == (JobStatus.PENDING, 1, 2)


@KINDS
def test_a_lost_lease_stops_the_handler(queue: PersistentQInterface, tasks: Tasks, kind: str) -> None:
    """G2."""
    endless = Endless(tasks, kind)
    job = queue.enqueue("endless")
    with running(Consumer(queue, tasks=tasks, lease=timedelta(seconds=0.6))):
        assert endless.begun.wait(PATIENCE_S)
        queue.assign_job(job.id, "chosen")
        assert endless.told.wait(PATIENCE_S)
    waiting = queue.get_job(job.id)
    assert (waiting.status, waiting.reserved_for) == (JobStatus.PENDING, "chosen")


def test_one_cancelled_before_it_began_never_begins(queue: PersistentQInterface, tasks: Tasks) -> None:
    ran, let_go = threading.Event(), threading.Event()
    tasks.add("hold", lambda: let_go.wait(PATIENCE_S))
    tasks.add("short", ran.set)
    consumer = Consumer(queue, tasks=tasks, consumer_id="c")
    queue.enqueue("hold")
    job = queue.enqueue("short")
    consumer._turns._pace.note([0.0001] * 10)
    with running(consumer):
        taken = Deadline(PATIENCE_S)
        assert taken.wait_for(lambda: queue.get_job(job.id).status == JobStatus.PROCESSING, every=0.001)
        queue.cancel(job.id)
        assert ended(queue, job).status == JobStatus.CANCELLED
        let_go.set()
    assert not ran.is_set()


def test_what_waits_behind_a_long_job_is_given_back_uncounted(
    queue: PersistentQInterface, tasks: Tasks
) -> None:
    begun, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        let_go.wait(PATIENCE_S)

    tasks.add("hold", hold)
    tasks.add("short", lambda: None)
    consumer = Consumer(queue, tasks=tasks)
    queue.enqueue("hold", priority=1)
    jobs = [queue.enqueue("short") for _ in range(20)]
    consumer._turns._pace.note([0.0001] * 10)
    with running(consumer):
        assert begun.wait(PATIENCE_S)
        patience = Deadline(turns.WAITS_S + 5)
        assert patience.wait_for(
            lambda: all(queue.get_job(job.id).status == JobStatus.PENDING for job in jobs)
        )
        others = queue.dequeue("other", limit=100)
        assert [job.id for job in others] == [job.id for job in jobs]
        assert all(job.max_attempts - job.attempt == 2 for job in others)
        let_go.set()


def throw(error: BaseException) -> Callable[[], object]:
    def raising() -> object:
        raise error

    return raising


def settled_once(queue: PersistentQInterface, tasks: Tasks, mood: Callable[[], object]) -> Job:
    tasks.add("moody", mood)
    job = queue.enqueue("moody")
    Consumer(queue, tasks=tasks).run(burst=True)
    return queue.get_job(job.id)


def test_a_task_may_choose_the_time_of_its_next_attempt(queue: PersistentQInterface, tasks: Tasks) -> None:
    job = settled_once(queue, tasks, throw(Retry(HOUR, "the shop is closed")))
    assert (job.status, job.error, job.max_attempts) == (JobStatus.SCHEDULED, "the shop is closed", 3)
    assert HOUR - timedelta(minutes=1) < job.run_at - now() < HOUR + timedelta(minutes=1)


def test_a_task_may_put_itself_off_uncounted(queue: PersistentQInterface, tasks: Tasks) -> None:
    job = settled_once(queue, tasks, throw(Snooze(now() + HOUR)))
    assert (job.status, job.error, job.max_attempts) == (JobStatus.SCHEDULED, None, 4)
    assert HOUR - timedelta(minutes=1) < job.run_at - now() < HOUR + timedelta(minutes=1)


def test_a_task_may_call_itself_off(queue: PersistentQInterface, tasks: Tasks) -> None:
    job = settled_once(queue, tasks, throw(Cancel("nothing to do any more")))
    assert (job.status, job.error) == (JobStatus.CANCELLED, "nothing to do any more")


def test_an_unknown_task_may_be_left_to_others(queue: PersistentQInterface, tasks: Tasks) -> None:
    job = queue.enqueue("elsewhere", max_attempts=1)
    Consumer(queue, tasks=tasks, leave_unknown=True).run(burst=True)
    left = queue.get_job(job.id)
    assert (left.status, left.max_attempts - left.attempt) == (JobStatus.SCHEDULED, 1)


def test_what_a_task_tells_is_kept_with_its_job(queue: PersistentQInterface, tasks: Tasks) -> None:
    def tell() -> None:
        current_job().log("half way\nand on")
        current_job().progress(0.5, "half")

    tasks.add("tell", tell)
    job = queue.enqueue("tell")
    Consumer(queue, tasks=tasks).run(burst=True)
    log = queue.get_log(job.id)
    assert [line.text for line in log.lines] == ["half way", "and on"]
    assert log.progress == (0.5, "half")


def test_many_coroutines_wait_at_once(queue: PersistentQInterface, tasks: Tasks) -> None:
    together = 0
    most = 0

    async def wait() -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.05)
        together -= 1

    tasks.add("wait", wait)
    jobs = [queue.enqueue("wait") for _ in range(60)]
    Consumer(queue, tasks=tasks, concurrency=20).run(burst=True)
    assert {queue.get_job(job.id).status for job in jobs} == {JobStatus.DONE}
    assert 15 <= most <= 20


def test_no_more_run_at_once_than_may_whatever_they_run_in(queue: PersistentQInterface, tasks: Tasks) -> None:
    lock, together, most = threading.Lock(), 0, 0

    def enter(step: int) -> None:
        nonlocal together, most
        with lock:
            together += step
            most = max(most, together)

    async def coroutine() -> None:
        enter(1)
        await asyncio.sleep(0.002)
        enter(-1)

    def function() -> None:
        enter(1)
        Deadline(0.002).pause(1)
        enter(-1)

    tasks.add("coroutine", coroutine)
    tasks.add("function", function)
    for _ in range(50):
        queue.enqueue("coroutine")
        queue.enqueue("function")
    Consumer(queue, tasks=tasks, concurrency=3).run(burst=True)
    assert queue.count_jobs() == {"default": {JobStatus.DONE: 100}}
    assert most == 3


def test_queues_are_served_by_their_weights(queue: PersistentQInterface, tasks: Tasks) -> None:
    order: list[str] = []

    def note(name: str) -> None:
        order.append(name)

    tasks.add("note", note)
    for name in ("bulk", "mail"):
        for _ in range(100):
            queue.enqueue("note", {"name": name}, queue=name)
    consumer = Consumer(queue, {"bulk": 1, "mail": 3}, tasks=tasks)
    consumer._turns._pace.note([1.0] * 1000)
    consumer.run(burst=True)
    assert len(order) == 200
    assert order[:20].count("bulk") == 5


def test_a_task_whose_children_could_not_import_it_fails_alone(
    queue: PersistentQInterface, tasks: Tasks
) -> None:
    def local() -> None:
        """Stands for a function of a script."""

    local.__module__ = "__main__"
    tasks.add("local", local, executor="process")
    tasks.add("plain", lambda: None)
    job, other = queue.enqueue("local"), queue.enqueue("plain")
    Consumer(queue, tasks=tasks).run(burst=True)
    failed = queue.get_job(job.id)
    assert (failed.status, failed.attempt) == (JobStatus.FAILED, 1)
    assert "cannot be imported by a child process" in (failed.error or "")
    assert queue.get_job(other.id).status == JobStatus.DONE
