"""Tasks: the functions that jobs name. A job runs only what was registered here, never a name to import."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from persistentq.checks import check_task
from persistentq.errors import InvalidArgument
from persistentq.job import Job

Function = TypeVar("Function", bound=Callable[..., Any])


class NoRetry(Exception):
    """Raise it in a task to make the job failed at once: another attempt would not help."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a running task may know of its job.

    Attributes:
        job: As it was claimed; `job.id` with `job.attempt` is a fencing token for outside systems.
        require_lease: Raises LeaseLost if the job is no longer this consumer's; call it before an effect that
            must not happen twice. It narrows the window, only a transaction can close it.
    """

    job: Job
    require_lease: Callable[[], None]


_current: ContextVar[JobContext] = ContextVar("persistentq_job")


def current_job() -> JobContext:
    """Return the context of the job that this code runs for.

    Returns:
        Its `job` is the job as it was claimed, of which `id` with `attempt` is a fencing token for outside systems.
        Its `require_lease()` renews the lease, and raises LeaseLost if the job is no longer this consumer's; call it
        before an effect that must not happen twice. It narrows the window, which only a transaction can close.

    Raises:
        LookupError: it does not run for a job.
    """
    return _current.get()


class Tasks:
    """A registry of tasks by name."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable[..., Any]] = {}

    def add(self, name: str, function: Callable[..., Any]) -> None:
        """Let jobs named `name` run `function`, plain or async, with the job's arguments by name.

        Raises:
            InvalidArgument: the name is not a task's, or is taken by another function.
        """
        known = self._functions.setdefault(check_task(name), function)
        if known is not function:
            raise InvalidArgument("task", name, "is registered already, for another function")

    def __contains__(self, name: str) -> bool:
        return name in self._functions

    def run(self, context: JobContext) -> Any:
        """Run the job's task in this thread and return its result; what it raises is the attempt's error.

        Raises:
            NoRetry: no task has that name, or it does not take these arguments.
        """
        job = context.job
        function = self._functions.get(job.task)
        if function is None:
            raise NoRetry(f"no task {job.task!r} is known to this consumer")
        try:
            bound = inspect.signature(function).bind(**job.args)
        except TypeError as error:
            raise NoRetry(f"task {job.task!r} does not take these arguments: {error}") from None
        with _running(context):
            result = function(*bound.args, **bound.kwargs)
            if not inspect.iscoroutine(result):
                return result
            import asyncio

            return asyncio.run(result)


@contextmanager
def _running(context: JobContext) -> Iterator[None]:
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


TASKS = Tasks()
"""Where `@task` registers, and where a Consumer looks if it is given no other registry."""


def task(name: str) -> Callable[[Function], Function]:
    """Register the decorated function, plain or async, as the task `name`; the function itself is unchanged.

    A job's arguments are given to it by name. What it returns is the job's result, and what it raises ends the
    attempt: with another try later, or for good if it is NoRetry.

    Args:
        name: What jobs call it: 1 to 200 printable characters without spaces.

    Raises:
        InvalidArgument: the name cannot be a task's, or another function has it.
    """

    def register(function: Function) -> Function:
        TASKS.add(name, function)
        return function

    return register
