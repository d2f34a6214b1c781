"""A test kit for those who write tasks: a queue in memory, the jobs run in the test's own thread, time moved by hand.

The rules are those of a consumer: the same claims, the same outcomes, the same retries. Nothing here is imported by the
rest of the library, and pytest is needed for the fixture only.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any, NoReturn

from persistentq import clock
from persistentq.checks import check_span
from persistentq.context import JobContext, running
from persistentq.errors import InvalidArgument, shown
from persistentq.interface import PersistentQInterface
from persistentq.job import LONGEST_DELAY, Job
from persistentq.memory import PersistentQMemory
from persistentq.outcomes import Cancel, Retry, Snooze, UnknownTask
from persistentq.runtime.holder import LocalHolder
from persistentq.settlement import word_for
from persistentq.tasks import TASKS, Task, Tasks

__all__ = ["InMemoryQueue", "crash", "drain", "job_queue", "queue_in_memory"]

CONSUMER = "test"
LIMIT = 1_000


class _Crash(BaseException):
    """The worker is dead from here on; no `except Exception` of a task notices it."""


def crash(*_: object, **__: object) -> NoReturn:
    """Let the worker die here, in the middle of a task: call it, or put it in the place of what the task calls.

    The job stays processing until its lease runs out, and its attempt counts. As a dead process does, it reports
    nothing; unlike one, Python runs the `finally` blocks on the way.
    """
    raise _Crash


class InMemoryQueue(PersistentQMemory):
    """A queue in memory whose time stands still until `advance` moves it.

    Args:
        tasks: What its jobs may run.
        max_attempts: For jobs that do not say.
        lease: How long a job stays with a worker that died.
    """

    def __init__(
        self, tasks: Tasks = TASKS, max_attempts: int = 3, lease: timedelta = timedelta(seconds=60)
    ) -> None:
        self._tasks, self._moment = tasks, clock.now()
        self._crashes: list[str | None] = []
        super().__init__(max_attempts, lease, now=lambda: self._moment)

    @property
    def now(self) -> datetime:
        """The queue's time (aware UTC). A `run_at` is compared with it, so count one from here."""
        return self._moment

    @property
    def lease(self) -> timedelta:
        """How long a job stays with a worker that died: `advance` by it, and the job is ready again."""
        return self._lease

    def advance(self, span: timedelta) -> None:
        """Let time pass for the queue: what is due by then is ready, and leases run out.

        Raises:
            InvalidArgument: the span is negative.
        """
        self._moment += check_span("span", span, timedelta(0), LONGEST_DELAY)

    def drain(self, *, raising: bool = False, limit: int = LIMIT) -> list[Job]:
        """Run every job that is ready, also those that become so meanwhile; see `drain` of this module."""
        return drain(self, self._tasks, raising=raising, limit=limit)

    def crash_next(self, task: Task[..., Any] | str | None = None) -> None:
        """Let the worker die at the end of the next run of `task` (None: of any), before it can tell of it.

        What the task did is done; the job stays processing until its lease runs out, and its attempt counts. To let it
        die elsewhere, see `crash`.
        """
        self._crashes.append(None if task is None else _name(task))

    def is_crashing(self, job: Job) -> bool:
        """Return whether the worker that ran this job dies now; it does so once for each `crash_next`."""
        for task in self._crashes:
            if task in (None, job.task):
                self._crashes.remove(task)
                return True
        return False

    def assert_enqueued(self, task: Task[..., Any] | str, /, **args: Any) -> Job:
        """Return the latest job of `task`, whatever its status, that has these arguments (others may have any value).

        Raises:
            AssertionError: there is none; says which jobs there are.
            InvalidArgument: the task takes no such argument.
        """
        found = self._find(task, args)
        if not found:
            raise AssertionError(f"no job of {_described(task, args)} was enqueued; {self._all()}")
        return found[0]

    def assert_not_enqueued(self, task: Task[..., Any] | str, /, **args: Any) -> None:
        """Return if there is no job that `assert_enqueued` would return.

        Raises:
            AssertionError: there is one.
            InvalidArgument: the task takes no such argument.
        """
        if found := self._find(task, args):
            raise AssertionError(f"job {found[0].id} of {_described(task, args)} was enqueued; {self._all()}")

    def _find(self, task: Task[..., Any] | str, args: dict[str, Any]) -> list[Job]:
        known = self._tasks.find(task) if isinstance(task, str) else task
        if known is not None:
            known.signature.refuse_unknown(args)
        return [job for job in self._newest_first() if job.task == _name(task) and _has(job, known, args)]

    def _newest_first(self) -> list[Job]:
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: -job.id)

    def _all(self) -> str:
        jobs = self._newest_first()
        if not jobs:
            return "none was, of any task"
        lines = [f"  job {job.id}: {_described(job.task, job.args)} is {job.status}" for job in jobs[:20]]
        return "\n".join(["there are, newest first:", *lines, *(["  …"] if len(jobs) > len(lines) else [])])


@contextmanager
def queue_in_memory(tasks: Tasks = TASKS, **options: Any) -> Iterator[InMemoryQueue]:
    """Give a queue of this test's own, to which `tasks` enqueue for the length of the block.

    Args:
        tasks: None other is bound; by default everything that `@task` registers.
        options: See `InMemoryQueue`.
    """
    before = tasks.bound
    with InMemoryQueue(tasks, **options) as queue:
        tasks.bind(queue)
        try:
            yield queue
        finally:
            tasks.bind(before)


def drain(
    queue: PersistentQInterface, tasks: Tasks = TASKS, *, raising: bool = False, limit: int = LIMIT
) -> list[Job]:
    """Run every job that is ready, of every queue, one after the other in this thread, as a consumer would.

    What becomes ready meanwhile runs too. A retry waits for its time, as it does in earnest; see
    `InMemoryQueue.advance`.

    Args:
        queue: Any; one in a database where tasks use `JobContext.session`.
        raising: Whether the first error of a task is raised here, after its attempt is settled.
        limit: How many runs are too many.

    Returns:
        The jobs as they are after their runs, in that order, one for each run; empty if none was ready.

    Raises:
        AssertionError: there were more runs than `limit`: some task enqueues itself for ever.
    """
    ran: list[Job] = []
    while job := _claim(queue):
        if len(ran) == limit:
            queue.release([job])
            raise AssertionError(f"drain has run {limit:,} jobs, and {job.task!r} is ready again")
        error = _run(queue, tasks, job)
        ran.append(queue.get_job(job.id))
        if raising and error is not None and not isinstance(error, Retry | Snooze | Cancel):
            raise error
    return ran


def _claim(queue: PersistentQInterface) -> Job | None:
    names = [info.name for info in queue.list_queues()]
    return next(iter(queue.dequeue(CONSUMER, names)), None) if names else None


def _run(queue: PersistentQInterface, tasks: Tasks, job: Job) -> BaseException | None:
    """Run one job and settle it; return what its task raised."""
    task = tasks.find(job.task)
    holder = LocalHolder(queue, job, None, lambda _: None)
    context = JobContext(job, holder, None if task is None else task.timeout)
    result, error = None, None
    try:
        if task is None:
            raise UnknownTask.here(job.task)
        call = task.bind(job.args)
        with running(context):
            result = _awaited(call()) if task.is_async else call()
    except _Crash:
        return None
    except (Exception, SystemExit) as raised:
        error = raised
    holder.write_notes()
    if isinstance(queue, InMemoryQueue) and queue.is_crashing(job):
        return None
    if (word := word_for(context, result, error)) is not None:
        queue.turn(CONSUMER, settled=[word])
    return error


def _awaited(coroutine: Any) -> Any:
    """Run a coroutine to its end, in this thread unless an event loop runs here already, as in an async test."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(max_workers=1) as other:
        return other.submit(copy_context().run, asyncio.run, coroutine).result()


def _name(task: Task[..., Any] | str) -> str:
    return task if isinstance(task, str) else task.name


def _described(task: Task[..., Any] | str, args: Any) -> str:
    return f"{_name(task)}({', '.join(f'{name}={shown(value, 60)}' for name, value in args.items())})"


def _has(job: Job, task: Task[..., Any] | None, args: dict[str, Any]) -> bool:
    """Return whether a job has these arguments, as they are stored or as its task gets them."""
    given = job.args if task is None else _readable(job, task)
    return all(
        name in given and (given[name] == value or job.args.get(name) == value)
        for name, value in args.items()
    )


def _readable(job: Job, task: Task[..., Any]) -> Any:
    try:
        return task.signature.effective(job.args)
    except InvalidArgument:
        return job.args


try:
    import pytest
except ModuleNotFoundError:
    pass
else:

    @pytest.fixture
    def job_queue() -> Iterator[InMemoryQueue]:
        """A queue of the test's own, to which everything that `@task` registers enqueues.

        Import it in a `conftest.py`, and tests ask for it by its name.
        """
        with queue_in_memory() as queue:
            yield queue
