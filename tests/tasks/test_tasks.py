"""@task: settings, calls, where jobs go, unique keys, and what a running task sees."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from persistentq import (
    TASKS,
    Backoff,
    InvalidArgument,
    Job,
    JobContext,
    NewJob,
    PayloadError,
    PersistentQInterface,
    PersistentQMemory,
    PersistentQSQLAlchemy,
    Tasks,
    current_job,
    open_queue,
    task,
)
from persistentq.context import running
from persistentq.outcomes import ArgumentsRefused, NoRetry
from persistentq.tasks import Executor


@pytest.fixture
def queue() -> Iterator[PersistentQMemory]:
    with PersistentQMemory() as made:
        yield made


@pytest.fixture
def tasks(queue: PersistentQMemory) -> Tasks:
    made = Tasks()
    made.bind(queue)
    return made


class Holding:
    """A job's holder, as far as enqueuing asks it."""

    def __init__(self, queue: PersistentQInterface) -> None:
        self.queue = queue

    def extend(self) -> bool:
        return True

    def record(self, *_: object) -> None: ...

    def completing(self, result: object) -> Any:
        raise AssertionError


def a_job(queue: PersistentQInterface) -> Job:
    queue.enqueue("anything")
    return queue.dequeue("c_1")[0]


class TestDecorating:
    def test_the_function_stays_callable_as_it_is(self, tasks: Tasks) -> None:
        @tasks.task("add")
        def add(a: int, b: int = 2) -> int:
            """Add."""
            return a + b

        assert (add(1), add(1, b=3), add.function(5, 5)) == (3, 4, 10)
        assert (add.__name__, add.__doc__, add.__module__) == ("add", "Add.", __name__)

    def test_a_function_with_a_context_is_called_with_one(
        self, tasks: Tasks, queue: PersistentQMemory
    ) -> None:
        @tasks.task("who")
        def who(context: JobContext, name: str) -> str:
            return f"{context.token} {name}"

        context = JobContext(a_job(queue), Holding(queue))
        assert who(context, name="a") == "1-1 a"
        assert who.enqueue(name="a").args == {"name": "a"}
        with running(context):
            assert who.bind({"name": "b"})() == "1-1 b"

    def test_settings_are_kept(self, tasks: Tasks) -> None:
        @tasks.task(
            "mail",
            queue="mails",
            max_attempts=7,
            timeout=1.5,
            backoff=Backoff(timedelta(minutes=1)),
            priority=3,
            executor="process",
        )
        def mail() -> None: ...

        assert (mail.timeout, mail.executor) == (timedelta(seconds=1.5), Executor.PROCESS)
        job = mail.enqueue()
        assert (job.queue, job.max_attempts, job.priority) == ("mails", 7, 3)
        assert job.backoff == Backoff(timedelta(minutes=1))
        assert job.unique_key is None

    def test_where_a_task_runs(self, tasks: Tasks) -> None:
        async def coroutine() -> None: ...
        def function() -> None: ...

        assert tasks.add("a", coroutine).executor is Executor.ASYNC
        assert tasks.add("b", function).executor is Executor.THREAD
        assert tasks.add("c", coroutine, executor=Executor.PROCESS).executor is Executor.PROCESS
        assert tasks.add("d", coroutine, executor="thread").executor is Executor.THREAD
        with pytest.raises(InvalidArgument, match="executor 'async' runs coroutine functions only"):
            tasks.add("e", function, executor="async")
        assert (tasks.add("a", coroutine).is_async, tasks.add("b", function).is_async) == (True, False)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"executor": "fiber"}, "executor 'fiber' is not one of thread, async, process"),
            ({"timeout": 0}, "timeout 0 is not a timedelta"),
            ({"timeout": -1.0}, "timeout -1.0 is not"),
            ({"timeout": timedelta(days=400)}, "timeout .* is not"),
            ({"queue": "a b"}, "queue 'a b' is not"),
            ({"max_attempts": 0}, "max_attempts 0 is not"),
            ({"priority": 10**9}, "priority 1000000000 is not"),
            ({"unique": "{c}"}, "unique '{c}' names 'c', which the task does not take"),
            ({"unique": "same"}, "unique 'same' names no argument"),
            ({"unique": "{a"}, "unique '{a' is not a format"),
            ({"unique": 5}, "unique 5 is not True, a format"),
        ],
    )
    def test_bad_settings_are_refused_at_once(self, tasks: Tasks, options: Any, message: str) -> None:
        with pytest.raises(InvalidArgument, match=message):
            tasks.add("name", lambda a, b: None, **options)
        assert "name" not in tasks

    def test_a_misspelt_setting_is_refused(self, tasks: Tasks) -> None:
        with pytest.raises(TypeError, match="unexpected keyword argument 'timout'"):
            tasks.add("name", lambda: None, timout=5)  # type: ignore[call-arg]

    def test_a_name_means_one_function(self, tasks: Tasks) -> None:
        def first() -> None: ...

        known = tasks.add("name", first)
        assert tasks.add("name", first) is known
        with pytest.raises(InvalidArgument, match="task 'name' is registered already"):
            tasks.add("name", lambda: None)
        with pytest.raises(InvalidArgument, match="task 'a b' is not 1 to 200"):
            tasks.task("a b")

    def test_a_registry_can_be_looked_through(self, tasks: Tasks) -> None:
        one, two = tasks.add("one", lambda: 1), tasks.add("two", lambda: 2)
        assert (list(tasks), len(tasks)) == ([one, two], 2)
        assert (tasks.find("one"), tasks.find("three"), "two" in tasks) == (one, None, True)

    def test_the_plain_decorator_registers_for_everyone(self) -> None:
        @task("tests.everyone")
        def everyone() -> None: ...

        assert TASKS.find("tests.everyone") is everyone


class TestEnqueuing:
    def test_positions_are_stored_by_name_and_values_as_json(self, tasks: Tasks) -> None:
        @tasks.task("remind")
        def remind(to: str, at: datetime, *, loud: bool = False) -> None: ...

        job = remind.enqueue("a", datetime(2026, 1, 1, tzinfo=UTC), loud=True)
        assert job.args == {"to": "a", "at": "2026-01-01T00:00:00Z", "loud": True}
        assert remind.bind(job.args).keywords["at"] == datetime(2026, 1, 1, tzinfo=UTC)  # type: ignore[attr-defined]

    def test_bad_arguments_enqueue_nothing(self, tasks: Tasks, queue: PersistentQMemory) -> None:
        @tasks.task("send")
        def send(to: str, extra: Any = None) -> None: ...

        with pytest.raises(InvalidArgument, match="task send: argument to = 5 should be a valid string"):
            send.enqueue(5)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="did you mean 'to'"):
            send.enqueue(too="x")  # type: ignore[call-arg]
        with pytest.raises(PayloadError, match="is not JSON"):
            send.enqueue("a", extra=object())
        assert queue.list_jobs().items == ()

    def test_later_and_many(self, tasks: Tasks, queue: PersistentQMemory) -> None:
        @tasks.task("send", priority=1)
        def send(to: str) -> None: ...

        job = send.enqueue_in(timedelta(hours=1), "a")
        assert job.run_at - job.created_at == timedelta(hours=1)
        jobs = send.enqueue_many([send.new("b"), send.using(priority=5).new(to="c")])
        assert [(one.args["to"], one.priority) for one in jobs] == [("b", 1), ("c", 5)]
        assert send.enqueue_many([]) == []
        with pytest.raises(InvalidArgument, match="is not of the task 'send'"):
            send.enqueue_many([NewJob("other")])

    def test_using_says_something_of_one_call_only(self, tasks: Tasks) -> None:
        @tasks.task("send", queue="mails", max_attempts=2)
        def send(to: str) -> None: ...

        told = send.using(
            queue="slow",
            priority=9,
            delay=timedelta(minutes=1),
            max_attempts=1,
            unique_key="k",
            tags=("vip",),
            metadata={"by": "me"},
            backoff=Backoff(),
        )
        job = told.using(priority=8).enqueue(to="a")
        assert (job.queue, job.priority, job.max_attempts, job.unique_key) == ("slow", 8, 1, "k")
        assert (job.tags, job.metadata, job.backoff) == (("vip",), {"by": "me"}, Backoff())
        assert job.run_at - job.created_at == timedelta(minutes=1)
        assert send.enqueue(to="a").queue == "mails"
        when = datetime(2030, 1, 1, tzinfo=UTC)
        assert send.using(run_at=when).enqueue(to="a").run_at == when
        with pytest.raises(InvalidArgument, match="together with run_at"):
            send.using(run_at=when).enqueue_in(timedelta(1), to="a")
        with pytest.raises(TypeError, match="unexpected keyword argument 'delai'"):
            send.using(delai=1)  # type: ignore[call-arg]

    def test_it_joins_the_callers_transaction(self, tmp_path: Path) -> None:
        """G6."""
        with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as queue:
            tasks = Tasks()
            tasks.bind(queue)
            send = tasks.task("send")(lambda to: None)
            with Session(queue.engine) as session:
                send.using(session=session).enqueue(to="a")
                session.rollback()
            assert queue.list_jobs().items == ()
            with Session(queue.engine) as session, session.begin():
                told = send.using(session=session)
                told.enqueue(to="a")
                told.enqueue_many([send.new(to="b")])
            assert [job.args["to"] for job in queue.list_jobs()] == ["b", "a"]


class TestWhichQueue:
    def test_the_one_named_then_the_running_jobs_then_the_bound(
        self, tasks: Tasks, queue: PersistentQMemory
    ) -> None:
        send = tasks.add("send", lambda: None)
        with PersistentQMemory() as of_job, PersistentQMemory() as named:
            send.enqueue()
            with running(JobContext(a_job(of_job), Holding(of_job))):
                send.enqueue()
                send.using(at=named).enqueue()
            send.enqueue()
            assert [len(one.list_jobs(task="send")) for one in (queue, of_job, named)] == [2, 1, 1]

    def test_without_any_the_settings_one_is_opened_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("QUEUE_DB_FILE", str(tmp_path / "own.db"))
        tasks = Tasks()
        send = tasks.add("send", lambda: None)
        threads = [threading.Thread(target=send.enqueue) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        opened = tasks.queue
        assert opened is tasks.queue
        with opened, open_queue(create=False) as queue:
            assert len(queue.list_jobs(task="send")) == 4

    def test_a_binding_ends(self, tasks: Tasks, queue: PersistentQMemory) -> None:
        with PersistentQMemory() as other:
            assert tasks.bound is queue
            tasks.bind(other)
            assert tasks.queue is other
            tasks.bind(None)
            assert tasks.bound is None


class TestUnique:
    def test_one_unfinished_job_for_the_same_arguments(self, tasks: Tasks, queue: PersistentQMemory) -> None:
        @tasks.task("charge", unique=True)
        def charge(order: int, at: datetime | None = None, note: str = "") -> None: ...

        first = charge.enqueue(7)
        assert charge.enqueue(order=7, note="").duplicate
        assert charge.enqueue("7").id == first.id  # type: ignore[arg-type]
        assert not charge.enqueue(8).duplicate
        assert not charge.enqueue(7, datetime(2026, 1, 1, tzinfo=UTC)).duplicate
        queue.complete(queue.dequeue("c_1")[0])
        assert not charge.enqueue(7).duplicate

    def test_by_a_format_or_a_function_of_the_arguments(self, tasks: Tasks) -> None:
        @tasks.task("ship", unique="{order.year}-{to}")
        def ship(order: datetime, to: str = "home", weight: int = 0) -> None: ...

        @tasks.task("call", unique=lambda to, **_: to.lower())
        def call(to: str, words: str = "") -> None: ...

        day = datetime(2026, 5, 1, tzinfo=UTC)
        assert ship.enqueue(day).unique_key == "ship:2026-home"
        assert ship.enqueue(day, weight=5).duplicate
        assert call.enqueue("A", "hello").unique_key == "call:a"
        assert call.enqueue("a").duplicate

    def test_tasks_do_not_meet_and_a_call_may_say_otherwise(self, tasks: Tasks) -> None:
        one = tasks.add("one", lambda a: None, unique="{a}")
        two = tasks.add("two", lambda a: None, unique="{a}")
        assert not one.enqueue(a=1).duplicate
        assert not two.enqueue(a=1).duplicate
        assert two.using(unique_key="one:1").enqueue(a=1).duplicate
        assert two.using(unique_key=None).enqueue(a=1).unique_key is None

    def test_a_long_key_is_made_short(self, tasks: Tasks) -> None:
        send = tasks.add("s" * 200, lambda text: None, unique="{text}")
        long, other = send.enqueue(text="x" * 1000), send.enqueue(text="x" * 1001)
        assert long.unique_key is not None
        assert len(long.unique_key) <= 255
        assert not other.duplicate
        assert send.enqueue(text="x" * 1000).duplicate


class TestBinding:
    def test_what_no_longer_fits_is_no_reason_to_try_again(self, tasks: Tasks) -> None:
        add = tasks.add("add", lambda a, b: a + b)
        assert add.bind({"a": 1, "b": 2})() == 3
        with pytest.raises(ArgumentsRefused, match="lack 'b'") as caught:
            add.bind({"a": 1})
        assert isinstance(caught.value, NoRetry)
        assert isinstance(caught.value.__cause__, InvalidArgument)

    def test_the_context_is_that_of_the_code_that_runs(self, queue: PersistentQMemory) -> None:
        context = JobContext(a_job(queue), Holding(queue))
        with pytest.raises(LookupError):
            current_job()
        with running(context):
            assert current_job() is context
        with pytest.raises(LookupError):
            current_job()
