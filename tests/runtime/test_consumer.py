"""The consumer's engine in one process: what becomes of jobs, leases and stops."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from persistentq import (
    Consumer,
    InvalidArgument,
    JobStatus,
    LeaseLost,
    NoRetry,
    Outcome,
    PersistentQInterface,
    PersistentQMemory,
    StorageUnavailable,
    current_job,
    task,
)
from persistentq.clock import Deadline
from persistentq.runtime import make_consumer_id
from persistentq.settlement import Turn
from persistentq.tasks import TASKS, Tasks
from tests.runtime.conftest import PATIENCE_S, ended, running


def test_a_task_runs_and_its_result_is_kept(queue: PersistentQInterface, tasks: Tasks) -> None:
    tasks.add("add", lambda a, b: a + b)
    job = queue.enqueue("add", {"a": 1, "b": 2})
    Consumer(queue, tasks=tasks, consumer_id="c").run(burst=True)
    done = queue.get_job(job.id)
    assert (done.status, done.result, done.consumer, done.attempt) == (JobStatus.DONE, 3, "c", 1)
    (consumer,) = queue.list_consumers()
    assert (consumer.id, consumer.held, consumer.is_alive) == ("c", 0, False)
    assert consumer.stopped_at is not None
    assert consumer.tasks == ("add",)


def test_an_async_task_runs(queue: PersistentQInterface, tasks: Tasks) -> None:
    async def greet(name: str) -> str:
        return f"hello {name}, job {current_job().job.id}"

    tasks.add("greet", greet)
    job = queue.enqueue("greet", {"name": "you"})
    Consumer(queue, tasks=tasks).run(burst=True)
    assert queue.get_job(job.id).result == f"hello you, job {job.id}"


def test_what_cannot_run_ends_failed_with_the_reason(queue: PersistentQInterface, tasks: Tasks) -> None:
    def give_up() -> None:
        raise NoRetry("hopeless")

    tasks.add("add", lambda a, b: a + b)
    tasks.add("give_up", give_up)
    tasks.add("odd", lambda: {1, 2})
    jobs = {
        "no task 'unknown'": queue.enqueue("unknown"),
        "lack 'b'": queue.enqueue("add", {"a": 1}),
        "argument c = 3 is not one that it takes": queue.enqueue("add", {"a": 1, "b": 2, "c": 3}),
        "hopeless": queue.enqueue("give_up"),
        "result cannot be stored": queue.enqueue("odd"),
    }
    good = queue.enqueue("add", {"a": 1, "b": 1})
    Consumer(queue, tasks=tasks).run(burst=True)
    for reason, job in jobs.items():
        failed = queue.get_job(job.id)
        assert (failed.status, failed.attempt) == (JobStatus.FAILED, 1)
        assert reason in (failed.error or "")
    assert queue.get_job(good.id).status == JobStatus.DONE


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_whatever_a_task_raises_is_its_attempts_error(
    queue: PersistentQInterface, tasks: Tasks, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    tasks.add("fail", fail)
    job = queue.enqueue("fail", max_attempts=2)
    Consumer(queue, tasks=tasks).run(burst=True)
    waiting = queue.get_job(job.id)
    assert (waiting.status, waiting.attempt) == (JobStatus.SCHEDULED, 1)
    (attempt,) = queue.get_attempts(job.id)
    assert (attempt.outcome, attempt.error_type) == (Outcome.FAILED, type(error).__name__)


def test_retries_go_on_until_one_succeeds(queue: PersistentQInterface, tasks: Tasks) -> None:
    def third_time_lucky() -> int:
        if (attempt := current_job().job.attempt) < 3:
            raise ValueError("not yet")
        return attempt

    tasks.add("try", third_time_lucky)
    job = queue.enqueue("try")
    with running(Consumer(queue, tasks=tasks)):
        assert ended(queue, job).result == 3


def test_tasks_run_at_once_up_to_the_concurrency(queue: PersistentQInterface, tasks: Tasks) -> None:
    together = threading.Barrier(5)
    tasks.add("meet", lambda: together.wait(PATIENCE_S))
    jobs = [queue.enqueue("meet") for _ in range(10)]
    Consumer(queue, concurrency=5, tasks=tasks).run(burst=True)
    assert {queue.get_job(job.id).status for job in jobs} == {JobStatus.DONE}


def test_no_more_is_claimed_than_can_start(queue: PersistentQInterface, tasks: Tasks) -> None:
    started, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        let_go.wait(PATIENCE_S)

    tasks.add("hold", hold)
    jobs = [queue.enqueue("hold") for _ in range(3)]
    with running(Consumer(queue, tasks=tasks)):
        assert started.wait(PATIENCE_S)
        assert [queue.get_job(job.id).status for job in jobs[1:]] == [JobStatus.PENDING] * 2
        let_go.set()
        ended(queue, jobs[2])


def test_a_job_longer_than_its_lease_is_kept(queue: PersistentQInterface, tasks: Tasks) -> None:
    """G4: heartbeats renew the lease."""
    tasks.add("slow", lambda: Deadline(1.2).wait_for(lambda: False))
    job = queue.enqueue("slow")
    with running(Consumer(queue, tasks=tasks, lease=timedelta(seconds=0.4))):
        patience = Deadline(PATIENCE_S)
        assert patience.wait_for(lambda: queue.get_job(job.id).status == JobStatus.PROCESSING, every=0.01)
        while queue.get_job(job.id).status != JobStatus.DONE and not patience.passed:
            assert queue.dequeue("thief") == []
            patience.pause(0.02)
    assert queue.get_job(job.id).attempt == 1


def test_a_lost_lease_refuses_the_outcome_and_the_effect(queue: PersistentQInterface, tasks: Tasks) -> None:
    """G2."""
    started, taken, refused = threading.Event(), threading.Event(), threading.Event()

    def work() -> str:
        started.set()
        taken.wait(PATIENCE_S)
        try:
            current_job().require_lease()
        except LeaseLost:
            refused.set()
        return "late"

    tasks.add("work", work)
    job = queue.enqueue("work")
    other = queue.enqueue("other.task", queue="other")
    with running(Consumer(queue, tasks=tasks)) as consumer:
        assert started.wait(PATIENCE_S)
        queue.assign_job(job.id, "chosen")
        taken.set()
        assert refused.wait(PATIENCE_S)
        after = queue.enqueue("work")
        ended(queue, after)
        assert consumer.id
    assert queue.get_job(job.id).status == JobStatus.PENDING
    assert queue.get_job(job.id).reserved_for == "chosen"
    assert queue.get_job(other.id).status == JobStatus.PENDING


def test_a_stop_lets_the_running_task_finish(queue: PersistentQInterface, tasks: Tasks) -> None:
    started, let_go = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        let_go.wait(PATIENCE_S)

    tasks.add("work", work)
    first, second = queue.enqueue("work"), queue.enqueue("work")
    with running(Consumer(queue, tasks=tasks)) as consumer:
        assert started.wait(PATIENCE_S)
        consumer.stop()
        let_go.set()
    assert queue.get_job(first.id).status == JobStatus.DONE
    assert queue.get_job(second.id).status == JobStatus.PENDING
    assert queue.get_job(second.id).attempt == 0


def give_back_after_drain(consumer: Consumer) -> None:
    consumer.stop()


def give_back_at_once(consumer: Consumer) -> None:
    consumer.stop()
    consumer.stop()


@pytest.mark.parametrize(
    ("stop", "drain"), [(give_back_after_drain, 0.2), (give_back_at_once, PATIENCE_S * 10)]
)
def test_a_task_that_does_not_end_is_given_back_uncounted(
    queue: PersistentQInterface, tasks: Tasks, stop: Callable[[Consumer], None], drain: float
) -> None:
    started, let_go = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        let_go.wait(PATIENCE_S)

    tasks.add("work", work)
    job = queue.enqueue("work", max_attempts=1)
    with running(Consumer(queue, tasks=tasks, drain=timedelta(seconds=drain))) as consumer:
        assert started.wait(PATIENCE_S)
        stop(consumer)
    let_go.set()
    back = queue.get_job(job.id)
    assert (back.status, back.attempt, back.max_attempts) == (JobStatus.PENDING, 1, 2)
    assert [attempt.outcome for attempt in queue.get_attempts(job.id)] == [Outcome.RELEASED]


def test_an_idle_consumer_stops_at_once(queue: PersistentQInterface) -> None:
    limit = Deadline(5)
    with running(Consumer(queue)):
        pass
    assert not limit.passed


class Flaky(PersistentQMemory):
    """A queue whose database is out of reach for the first turns that say something, and the first that ask."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.left = {"asks": failures, "says": failures}

    def turn(self, *args: Any, **more: Any) -> Turn:
        kind = "says" if more["settled"] else "asks"
        if self.left[kind]:
            self.left[kind] -= 1
            raise StorageUnavailable("flaky", "is out of reach")
        return super().turn(*args, **more)


def test_a_database_out_of_reach_is_waited_for_and_no_outcome_is_forgotten(tasks: Tasks) -> None:
    runs: list[int] = []

    def fail() -> None:
        raise NoRetry("no")

    tasks.add("work", lambda: runs.append(1))
    tasks.add("fail", fail)
    queue = Flaky(failures=2)
    good, bad = queue.enqueue("work"), queue.enqueue("fail")
    with running(Consumer(queue, tasks=tasks)):
        assert ended(queue, good).attempt == 1
        assert ended(queue, bad).attempt == 1
    assert runs == [1]
    assert queue.left == {"asks": 0, "says": 0}


def test_a_made_up_id_is_unique_and_valid(queue: PersistentQInterface) -> None:
    ids = {make_consumer_id() for _ in range(100)}
    assert len(ids) == 100
    assert Consumer(queue).id not in ids


@pytest.mark.parametrize(
    "bad",
    [{"concurrency": 0}, {"queues": ["a b"]}, {"consumer_id": "a b"}],
    ids=["concurrency", "queues", "id"],
)
def test_bad_settings_are_refused(queue: PersistentQInterface, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        Consumer(queue, **bad)


def test_a_name_belongs_to_one_function(tasks: Tasks) -> None:
    tasks.add("mine", test_a_made_up_id_is_unique_and_valid)
    tasks.add("mine", test_a_made_up_id_is_unique_and_valid)
    with pytest.raises(InvalidArgument):
        tasks.add("mine", print)
    with pytest.raises(InvalidArgument):
        tasks.add("two words", print)
    assert "mine" in tasks
    assert "other" not in tasks


def test_the_decorator_registers_and_leaves_the_function_alone() -> None:
    @task("tests.decorated")
    def decorated(n: int) -> int:
        return n + 1

    assert decorated(1) == 2
    assert "tests.decorated" in TASKS


def test_there_is_no_current_job_outside_of_one() -> None:
    with pytest.raises(LookupError):
        current_job()
