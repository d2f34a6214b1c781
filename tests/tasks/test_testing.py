"""The test kit: jobs run here and now by the consumer's rules, time moves by hand, workers die on command."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from persistentq import (
    TASKS,
    Cancel,
    Consumer,
    InvalidArgument,
    JobContext,
    JobStatus,
    NoRetry,
    Outcome,
    PersistentQMemory,
    PersistentQSQLAlchemy,
    Progress,
    Retry,
    Snooze,
    Tasks,
    current_job,
    task,
)
from persistentq.testing import InMemoryQueue, crash, drain, queue_in_memory

ROOT = Path(__file__).resolve().parents[2]
HOUR = timedelta(hours=1)


@pytest.fixture
def tasks() -> Tasks:
    return Tasks()


class TestDraining:
    def test_ready_jobs_run_in_the_order_of_the_queue(self, tasks: Tasks) -> None:
        order: list[str] = []
        note = tasks.add("note", order.append)  # takes its argument by position
        with queue_in_memory(tasks) as queue:
            assert queue.drain() == []
            for name, priority in (("a", 0), ("b", 5), ("c", 0)):
                note.using(priority=priority).enqueue(name)
            later = note.enqueue_in(HOUR, "d")
            ran = queue.drain()
            assert (order, [job.status for job in ran]) == (["b", "a", "c"], [JobStatus.DONE] * 3)
            assert queue.get_job(later.id).status == JobStatus.SCHEDULED
            queue.advance(HOUR)
            assert [job.id for job in queue.drain()] == [later.id]

    def test_what_jobs_enqueue_runs_too_in_every_queue(self, tasks: Tasks) -> None:
        @tasks.task("count", queue="numbers")
        def count(down: int) -> int:
            if down:
                count.enqueue(down - 1)
            return down

        with queue_in_memory(tasks) as queue:
            count.enqueue(3)
            assert [job.result for job in queue.drain()] == [3, 2, 1, 0]

    def test_a_task_that_goes_on_for_ever_is_found(self, tasks: Tasks) -> None:
        @tasks.task("again")
        def again() -> None:
            again.enqueue()

        with queue_in_memory(tasks) as queue:
            again.enqueue()
            with pytest.raises(AssertionError, match="drain has run 50 jobs, and 'again' is ready again"):
                queue.drain(limit=50)
            assert queue.count_jobs()["default"] == {JobStatus.DONE: 50, JobStatus.PENDING: 1}

    def test_exactly_as_many_as_the_limit_are_no_error(self, tasks: Tasks) -> None:
        note = tasks.add("note", lambda: None)
        with queue_in_memory(tasks) as queue:
            note.enqueue_many([note.new() for _ in range(5)])
            assert len(queue.drain(limit=5)) == 5

    def test_coroutines_run_within_an_async_test_too(self, tasks: Tasks) -> None:
        @tasks.task("wait")
        async def wait() -> str:
            await asyncio.sleep(0)
            return current_job().token

        async def test() -> None:
            wait.enqueue()
            assert [job.result for job in queue.drain()] == ["2-1"]

        with queue_in_memory(tasks) as queue:
            wait.enqueue()
            assert [job.result for job in queue.drain()] == ["1-1"]
            asyncio.run(test())

    def test_the_context_is_all_there(self, tasks: Tasks) -> None:
        @tasks.task("tell", timeout=60)
        def tell(context: JobContext) -> None:
            context.check()
            context.require_lease()
            context.log("one line")
            context.progress(0.5, "half")
            assert context.deadline is not None
            assert context.queue is queue

        with queue_in_memory(tasks) as queue:
            tell.enqueue()
            (job,) = queue.drain()
            assert job.status == JobStatus.DONE, job.error
            log = queue.get_log(job.id)
            assert ([line.text for line in log.lines], log.progress) == (["one line"], Progress(0.5, "half"))

    def test_an_error_can_be_let_out(self, tasks: Tasks) -> None:
        def fail() -> None:
            raise ZeroDivisionError("no")

        def put_off() -> None:
            raise Snooze(HOUR)

        with queue_in_memory(tasks) as queue:
            tasks.add("put_off", put_off).enqueue()
            tasks.add("fail", fail).enqueue()
            with pytest.raises(ZeroDivisionError, match="no"):
                queue.drain(raising=True)
            assert queue.assert_enqueued("fail").error == "no"
            assert queue.assert_enqueued("fail").status == JobStatus.SCHEDULED

    def test_any_queue_can_be_drained_and_a_session_commits_with_the_job(
        self, tasks: Tasks, tmp_path: Path
    ) -> None:
        """G6."""

        @tasks.task("effect")
        def effect(context: JobContext, n: int) -> None:
            with context.session(result=n) as session:
                context.log("within the transaction")
                session.execute(text("INSERT INTO effects VALUES (:n)"), {"n": n})
            raise ZeroDivisionError("after the job was done")

        with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as queue:
            tasks.bind(queue)
            with queue.engine.begin() as connection:
                connection.execute(text("CREATE TABLE effects (n INTEGER)"))
            effect.enqueue(7)
            (job,) = drain(queue, tasks)
            assert (job.status, job.result) == (JobStatus.DONE, 7)
            assert [line.text for line in queue.get_log(job.id).lines] == ["within the transaction"]
            with queue.engine.connect() as connection:
                assert connection.scalars(text("SELECT n FROM effects")).all() == [7]


def outcomes() -> dict[str, Callable[[], object]]:
    def raises(error: BaseException) -> Callable[[], object]:
        def run() -> object:
            raise error

        return run

    return {
        "returns": lambda: {"a": [1]},
        "returns what is not JSON": lambda: {1, 2},
        "fails": raises(ValueError("bad")),
        "fails for good": raises(NoRetry("hopeless")),
        "retries": raises(Retry(HOUR, "not yet")),
        "retries at once": raises(Retry(timedelta(0))),
        "snoozes": raises(Snooze(HOUR)),
        "cancels": raises(Cancel("gone")),
        "exits": raises(SystemExit(3)),
        "takes arguments": lambda: None,
    }


def standing(queue: PersistentQMemory) -> list[tuple[Any, ...]]:
    jobs = sorted(queue.list_jobs(limit=1000), key=lambda job: job.id)
    return [
        (
            *(job.task, job.status, job.attempt, job.max_attempts, job.error, job.result),
            [(one.outcome, one.error_type, one.error) for one in queue.get_attempts(job.id)],
        )
        for job in jobs
    ]


def test_outcomes_are_those_of_a_consumer(tasks: Tasks) -> None:
    """Every kind of end, once by the kit and once by the real thing."""
    for name, function in outcomes().items():
        tasks.add(name.replace(" ", "_"), function)
    by_consumer, by_kit = PersistentQMemory(max_attempts=2), InMemoryQueue(tasks, max_attempts=2)
    for queue in (by_consumer, by_kit):
        for one in tasks:
            queue.enqueue(one.name, {"surplus": 1} if one.name == "takes_arguments" else {})
        queue.enqueue("unknown")
    Consumer(by_consumer, tasks=tasks, concurrency=1).run(burst=True)
    by_kit.drain()
    assert standing(by_kit) == standing(by_consumer)
    statuses = {task: status for task, status, *_ in standing(by_kit)}
    assert statuses == {
        "returns": JobStatus.DONE,
        "returns_what_is_not_JSON": JobStatus.FAILED,
        "fails": JobStatus.SCHEDULED,
        "fails_for_good": JobStatus.FAILED,
        "retries": JobStatus.SCHEDULED,
        "retries_at_once": JobStatus.FAILED,
        "snoozes": JobStatus.SCHEDULED,
        "cancels": JobStatus.CANCELLED,
        "exits": JobStatus.SCHEDULED,
        "takes_arguments": JobStatus.FAILED,
        "unknown": JobStatus.FAILED,
    }


class TestTime:
    def test_it_stands_still_until_it_is_moved(self, tasks: Tasks) -> None:
        def fail() -> None:
            raise ValueError("bad")

        with queue_in_memory(tasks, max_attempts=2) as queue:
            began = queue.now
            job = tasks.add("fail", fail).enqueue()
            assert job.created_at == began == queue.now
            assert len(queue.drain()) == 1
            assert queue.drain() == []
            queue.advance(HOUR)
            assert queue.now == began + HOUR
            (again,) = queue.drain()
            assert (again.attempt, again.status) == (2, JobStatus.FAILED)

    def test_it_does_not_go_back(self) -> None:
        with queue_in_memory(Tasks()) as queue, pytest.raises(InvalidArgument, match="span"):
            queue.advance(timedelta(seconds=-1))

    def test_a_moment_is_counted_from_the_queues_own_time(self, tasks: Tasks) -> None:
        note = tasks.add("note", lambda: None)
        with queue_in_memory(tasks) as queue:
            queue.advance(timedelta(days=30))
            note.using(run_at=queue.now + HOUR).enqueue()
            assert queue.drain() == []
            queue.advance(HOUR)
            assert len(queue.drain()) == 1


class TestCrashing:
    def test_the_worker_dies_after_the_task_and_before_it_tells(self, tasks: Tasks) -> None:
        """G2, G4: the effect is there, and the job comes again."""
        effects: list[int] = []
        charge = tasks.add("charge", lambda: effects.append(current_job().job.attempt))
        other = tasks.add("other", lambda: None)
        with queue_in_memory(tasks) as queue:
            queue.crash_next(charge)
            other.enqueue(), charge.enqueue()
            assert [(job.task, job.status) for job in queue.drain()] == [
                ("other", JobStatus.DONE),
                ("charge", JobStatus.PROCESSING),
            ]
            assert queue.drain() == []
            queue.advance(queue.lease)
            (job,) = queue.drain()
            assert (job.status, job.attempt, effects) == (JobStatus.DONE, 2, [1, 2])
            assert [one.outcome for one in queue.get_attempts(job.id)] == [Outcome.LOST, Outcome.DONE]

    def test_the_worker_dies_in_the_middle(self, tasks: Tasks) -> None:
        steps: list[str] = []

        class Bank:
            def pay(self, amount: int) -> None: ...

        bank = Bank()

        @tasks.task("pay")
        def pay(amount: int) -> None:
            steps.append("before")
            try:
                bank.pay(amount)
            except Exception:
                steps.append("handled")
            steps.append("after")

        with queue_in_memory(tasks, max_attempts=2) as queue:
            bank.pay = crash  # type: ignore[method-assign]
            pay.enqueue(5)
            for _ in range(2):
                assert queue.drain()[0].status == JobStatus.PROCESSING
                queue.advance(queue.lease)
            assert queue.drain() == []
            job = queue.assert_enqueued(pay)
            assert (job.status, steps) == (JobStatus.FAILED, ["before", "before"])
            assert "the worker died" in (job.error or "")

    def test_each_switch_works_once(self, tasks: Tasks) -> None:
        note = tasks.add("note", lambda: None)
        with queue_in_memory(tasks) as queue:
            queue.crash_next()
            queue.crash_next("note")
            for _ in range(2):
                note.enqueue()
            assert {job.status for job in queue.drain()} == {JobStatus.PROCESSING}
            note.enqueue()
            assert queue.drain()[0].status == JobStatus.DONE


class TestAsserting:
    @pytest.fixture
    def send(self, tasks: Tasks) -> Any:
        @tasks.task("send")
        def send(to: str, at: datetime | None = None, copies: int = 1) -> None: ...

        return send

    def test_a_job_with_these_arguments_is_found(self, tasks: Tasks, send: Any) -> None:
        when = datetime(2026, 1, 1, tzinfo=UTC)
        with queue_in_memory(tasks) as queue:
            first, second = send.enqueue("a", when), send.enqueue("b", copies=2)
            queue.drain()
            assert queue.assert_enqueued(send).id == second.id
            assert queue.assert_enqueued(send, to="a", at=when).id == first.id
            assert queue.assert_enqueued(send, at="2026-01-01T00:00:00Z").id == first.id
            assert queue.assert_enqueued("send", copies=1).id == first.id
            queue.assert_not_enqueued(send, to="c")
            queue.assert_not_enqueued("other")

    def test_the_message_says_what_there_is(self, tasks: Tasks, send: Any) -> None:
        with queue_in_memory(tasks) as queue:
            with pytest.raises(
                AssertionError, match=r"^no job of send\(to='a'\) was enqueued; none was, of any task$"
            ):
                queue.assert_enqueued(send, to="a")
            send.enqueue("b"), queue.enqueue("other", {"n": 1})
            with pytest.raises(AssertionError) as caught:
                queue.assert_enqueued(send, to="a")
            assert str(caught.value) == (
                "no job of send(to='a') was enqueued; there are, newest first:\n"
                "  job 2: other(n=1) is pending\n"
                "  job 1: send(to='b') is pending"
            )
            with pytest.raises(AssertionError, match=r"^job 1 of send\(\) was enqueued; there are"):
                queue.assert_not_enqueued(send)

    def test_a_misspelt_argument_is_not_taken_for_one_that_differs(self, tasks: Tasks, send: Any) -> None:
        with queue_in_memory(tasks) as queue:
            for look in (queue.assert_enqueued, queue.assert_not_enqueued):
                with pytest.raises(InvalidArgument, match="did you mean 'to'"):
                    look(send, too="a")

    def test_jobs_whose_arguments_no_longer_fit_are_compared_as_they_are_stored(
        self, tasks: Tasks, send: Any
    ) -> None:
        with queue_in_memory(tasks) as queue:
            queue.enqueue("send", {"to": 5})
            assert queue.assert_enqueued(send, to=5).id == 1


class TestBinding:
    def test_the_binding_ends_with_the_block(self, tasks: Tasks) -> None:
        with PersistentQMemory() as other:
            tasks.bind(other)
            with queue_in_memory(tasks) as queue:
                assert tasks.bound is queue
            assert tasks.bound is other
            with pytest.raises(ZeroDivisionError), queue_in_memory(tasks):
                1 / 0  # noqa: B018
            assert tasks.bound is other

    def test_the_fixture_is_bound_to_everything_decorated(self, job_queue: InMemoryQueue) -> None:
        @task("tests.kit")
        def kit(n: int) -> None: ...

        assert TASKS.bound is job_queue
        kit.enqueue(n=1)
        assert job_queue.assert_enqueued(kit, n=1).status == JobStatus.PENDING

    def test_without_pytest_all_but_the_fixture_is_there(self) -> None:
        code = (
            "import sys; sys.modules['pytest'] = None\n"
            "import persistentq.testing as kit\n"
            "with kit.queue_in_memory() as queue: print(queue.drain(), hasattr(kit, 'job_queue'))"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
        assert (ran.stdout, ran.stderr) == ("[] False\n", "")
