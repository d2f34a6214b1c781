"""Tasks: the functions that jobs name. A job runs only what was registered here, never a name to import."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import update_wrapper
from threading import Lock
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypedDict, TypeVar, Unpack, overload

from persistentq.backoff import Backoff
from persistentq.checks import check_span, check_task
from persistentq.context import JobContext, find_current_job
from persistentq.errors import InvalidArgument
from persistentq.job import Job, NewJob
from persistentq.outcomes import ArgumentsRefused
from persistentq.signature import Signature
from persistentq.unique import Unique, UniqueRule

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from persistentq.interface import PersistentQInterface

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_TIMEOUT = timedelta(days=365)


class Executor(StrEnum):
    """Where a task's code runs.

    Attributes:
        THREAD: In a thread of the consumer; what a plain function gets if nothing else is said.
        ASYNC: In the consumer's event loop; what a coroutine function gets if nothing else is said.
        PROCESS: In a child process of the consumer, which can be killed.
    """

    THREAD = "thread"
    ASYNC = "async"
    PROCESS = "process"


class TaskOptions(TypedDict, total=False):
    """What may be said of a task; see `task`."""

    queue: str
    max_attempts: int | None
    timeout: timedelta | float | None
    backoff: Backoff | None
    priority: int
    unique: UniqueRule
    executor: Executor | str | None


class CallOptions(TypedDict, total=False):
    """What may be said of one call; see `Enqueuing.using`."""

    at: PersistentQInterface
    session: Session | Connection | None
    queue: str
    priority: int
    run_at: datetime | None
    delay: timedelta | None
    max_attempts: int | None
    unique_key: str | None
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    backoff: Backoff | None


class Enqueuing(Generic[P]):
    """How jobs of a task are enqueued: by the task's own settings, or by what `using` has said of a call."""

    _task: Task[P, Any]
    _options: CallOptions

    def using(self, **options: Unpack[CallOptions]) -> Enqueuing[P]:
        """Return the same task with something said about the jobs that are enqueued through what is returned.

        Args:
            at: The PersistentQInterface to enqueue at.
            session: See `PersistentQInterface.enqueue`.
            queue: The name of the queue; it and the others instead of what the task says. See `NewJob` for them all.
        """
        _refuse_others("using", options, CallOptions)
        told = Enqueuing[P]()
        told._task, told._options = self._task, {**self._options, **options}
        return told

    def new(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return a job with these arguments, which is not enqueued yet.

        Raises:
            InvalidArgument: the task does not take these arguments, or JSON cannot hold one of them.
        """
        task, options = self._task, dict(self._options)
        stored = task.signature.store(args, kwargs)
        if task.unique is not None and "unique_key" not in options:
            options["unique_key"] = task.unique.key(stored)
        for name in ("at", "session"):
            options.pop(name, None)
        return NewJob(**{**task.defaults, **options, "args": stored})

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Enqueue one job with these arguments; return it as `PersistentQInterface.enqueue` does.

        It goes to the queue that `using(at=…)` names; within a job, to the queue from which that job came; else to the
        one bound with `Tasks.bind`; else to the one that the settings name, which is opened once.

        Raises:
            InvalidArgument: as for `new`; nothing was enqueued.
        """
        return self._enqueue([self.new(*args, **kwargs)])[0]

    def enqueue_in(self, delay: timedelta, /, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Enqueue one job that is ready after `delay`; otherwise as `enqueue`."""
        return self.using(delay=delay).enqueue(*args, **kwargs)

    def enqueue_many(self, jobs: Iterable[NewJob]) -> list[Job]:
        """Enqueue jobs that `new` made, in one transaction, all or none; return them in order.

        What was said about the queue and each job when it was made stays; `at` and `session` are those of this call.

        Raises:
            InvalidArgument: one of them is of another task; nothing was enqueued.
        """
        given = list(jobs)
        for job in given:
            if job.task != self._task.name:
                raise InvalidArgument("job", job, f"is not of the task {self._task.name!r}")
        return self._enqueue(given)

    def _enqueue(self, jobs: list[NewJob]) -> list[Job]:
        queue = self._options.get("at") or self._task.registry.queue
        return queue.enqueue_many(jobs, session=self._options.get("session"))


class Task(Enqueuing[P], Generic[P, R]):
    """A function that jobs can name. Calling it calls the function; see `task` for its settings.

    Attributes:
        name: What jobs call it.
        function: The function itself.
        is_async: Whether it is a coroutine function.
        executor: Where it runs.
        timeout: For how long one attempt may run; None for as long as it likes.
        registry: Where it was registered.
        signature: What it takes.
        unique: How its jobs' unique keys are made; None if they have none.
        defaults: What its jobs get that say nothing else, by the names of `NewJob`.
    """

    __name__: str

    def __init__(
        self, registry: Tasks, name: str, signature: Signature, **options: Unpack[TaskOptions]
    ) -> None:
        _refuse_others("task", options, TaskOptions)
        self.function: Callable[..., R] = signature.function
        update_wrapper(self, self.function)
        self._task, self._options = self, {}
        self.registry, self.name, self.signature = registry, name, signature
        self.is_async = inspect.iscoroutinefunction(self.function)
        self.executor = _executor(options.get("executor"), is_async=self.is_async)
        self.timeout = _timeout(options.get("timeout"))
        rule = options.get("unique", False)
        self.unique = None if rule is False else Unique(name, rule, signature)
        given: Mapping[str, Any] = {**options}
        own = ("queue", "priority", "max_attempts", "backoff")
        self.defaults: Mapping[str, Any] = {
            "task": name,
            **{key: given[key] for key in own if key in given},
        }
        NewJob(**self.defaults)  # refuses bad ones now

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, here and now."""
        return self.function(*args, **kwargs)

    def bind(self, args: Mapping[str, Any]) -> Callable[[], R]:
        """Return the call of the function with the arguments of a stored job; make it within the job's context.

        Raises:
            ArgumentsRefused: the function does not take these arguments.
        """
        try:
            return self.signature.bind(args)
        except InvalidArgument as error:
            raise ArgumentsRefused(error.summary) from error

    def __repr__(self) -> str:
        return f"<Task {self.name!r}>"


class ContextTask(Task[P, R]):
    """A task whose function takes its `JobContext` first; jobs are enqueued without it."""

    def __call__(self, context: JobContext, /, *args: P.args, **kwargs: P.kwargs) -> R:  # type: ignore[override]
        """Call the function, here and now."""
        return self.function(context, *args, **kwargs)


class Registration:
    """Registers the function that it decorates."""

    def __init__(self, registry: Tasks, name: str, options: TaskOptions) -> None:
        self._registry, self._name, self._options = registry, name, options

    @overload
    def __call__(self, function: Callable[Concatenate[JobContext, P], R]) -> ContextTask[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R]) -> Task[P, R]: ...

    def __call__(self, function: Callable[..., Any]) -> Any:
        """Return the task that the function is from now on."""
        return self._registry.add(self._name, function, **self._options)


class Tasks:
    """A registry of tasks by name, and where they are enqueued."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}
        self._lock = Lock()
        self._bound: PersistentQInterface | None = None
        self._opened: PersistentQInterface | None = None

    def task(self, name: str, **options: Unpack[TaskOptions]) -> Registration:
        """Register the decorated function here; see `persistentq.task`."""
        return Registration(self, check_task(name), options)

    def add(self, name: str, function: Callable[..., Any], **options: Unpack[TaskOptions]) -> Task[..., Any]:
        """Let jobs named `name` run `function`; see `persistentq.task`. May be repeated with the same function.

        Raises:
            InvalidArgument: the name is not a task's, or is taken by another function, or a setting is out of bounds.
        """
        signature = Signature(check_task(name), function)
        made = ContextTask if signature.context_comes_first else Task
        known = self._tasks.setdefault(name, made(self, name, signature, **options))
        if known.function is not function:
            raise InvalidArgument("task", name, "is registered already, for another function")
        return known

    def find(self, name: str) -> Task[..., Any] | None:
        """Return the task of this name, or None."""
        return self._tasks.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    def __iter__(self) -> Iterator[Task[..., Any]]:
        return iter(list(self._tasks.values()))

    def __len__(self) -> int:
        return len(self._tasks)

    # --- where their jobs go

    def bind(self, queue: PersistentQInterface | None) -> None:
        """Let what these tasks enqueue go to `queue`, except within jobs; with None, to what the settings name."""
        self._bound = queue

    @property
    def bound(self) -> PersistentQInterface | None:
        """The queue given to `bind`."""
        return self._bound

    @property
    def queue(self) -> PersistentQInterface:
        """Where a task that is enqueued here and now goes; see `Enqueuing.enqueue`.

        Raises:
            ConfigurationError, StorageError: see `open_queue`.
        """
        if (context := find_current_job()) is not None:
            return context.queue
        return self._bound or self._opened or self._open()

    def _open(self) -> PersistentQInterface:
        import atexit

        from persistentq.connect import open_queue

        with self._lock:
            if self._opened is None:
                self._opened = open_queue()
                atexit.register(self._opened.close)
            return self._opened


TASKS = Tasks()
"""Where `@task` registers, and where a Consumer looks if it is given no other registry."""


def task(name: str, **options: Unpack[TaskOptions]) -> Registration:
    """Register the decorated function, plain or async, as the task `name`.

    The function stays callable as it is. A job's arguments are given to it by name, checked against its annotations and
    converted to them. What it returns is the job's result; what it raises ends the attempt, with another try later
    unless it is one of the outcomes `NoRetry`, `Retry`, `Snooze` and `Cancel`.

    Args:
        name: What jobs call it: 1 to 200 printable characters without spaces.
        queue: The queue of its jobs. This, `max_attempts`, `backoff` and `priority` are for jobs that say nothing else;
            see `NewJob`.
        timeout: For how long one attempt may run: a timedelta or seconds, more than zero and up to a year; None for as
            long as it likes. A thread is only told (`JobContext.check`), a coroutine and a process are stopped.
        unique: True for one unfinished job with the same arguments, a format of them such as "{order}", or a function
            that takes them and returns what tells them apart; no second such job is enqueued meanwhile.
        executor: "thread", "async" or "process"; None for "async" if it is a coroutine function, else "thread".

    Raises:
        InvalidArgument: the name cannot be a task's, or another function has it, or a setting is out of bounds.
    """
    return TASKS.task(name, **options)


def _refuse_others(name: str, given: Mapping[str, Any], known: type) -> None:
    # As Python does for arguments that are written out; a TypedDict is for type checkers only.
    for other in given.keys() - known.__annotations__.keys():
        raise TypeError(f"{name}() got an unexpected keyword argument {other!r}")


def _executor(given: Executor | str | None, *, is_async: bool) -> Executor:
    if given is None:
        return Executor.ASYNC if is_async else Executor.THREAD
    if given not in set(Executor):
        raise InvalidArgument("executor", given, f"is not one of {', '.join(Executor)}")
    if given == Executor.ASYNC and not is_async:
        raise InvalidArgument(
            "executor", given, "runs coroutine functions only, and this one would hold up its loop"
        )
    return Executor(given)


def _timeout(given: timedelta | float | None) -> timedelta | None:
    if given is None:
        return None
    if isinstance(given, int | float) and 0 < given <= LONGEST_TIMEOUT.total_seconds():
        given = timedelta(seconds=given)
    return check_span("timeout", given, timedelta(microseconds=1), LONGEST_TIMEOUT)
