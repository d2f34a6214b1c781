"""The executors of a consumer, each made when the first of its tasks comes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from persistentq.errors import InvalidArgument
from persistentq.outcomes import NoRetry
from persistentq.runtime.executor import Ended, Executor, Run
from persistentq.runtime.places import Places
from persistentq.tasks import Executor as Place
from persistentq.tasks import Task

Make = Callable[[Task[..., Any], Callable[[Ended], None]], Executor]


class Executors:
    """Begins each run where its task wants to run, as far as there are places.

    Args:
        places: Who may begin, and when.
        on_end: Called once for each run that began, from any thread.
        make_process: Makes the executor for tasks that want processes of their own, from the first of them.
    """

    def __init__(self, places: Places, on_end: Callable[[Ended], None], make_process: Make) -> None:
        self._places, self._on_end, self._make_process = places, on_end, make_process
        self._made: dict[Place, Executor] = {}

    def begin(self) -> None:
        """Let those begin who have a place."""
        for run in self._places.seat():
            try:
                self._of(run).start(run)
            except InvalidArgument as error:
                # There is no such executor here: the job's fault, not the consumer's.
                self._places.leave()
                self._on_end(Ended(run, None, NoRetry(error.summary), 0.0))

    def interrupt(self, run: Run) -> None:
        """Stop the run's code, where that can be done; `run.context` says why."""
        if run.began is not None:
            self._of(run).interrupt(run)

    def close(self) -> None:
        """Let go of all of them."""
        for executor in self._made.values():
            executor.close()

    def _of(self, run: Run) -> Executor:
        kind = run.task.executor
        if (known := self._made.get(kind)) is None:
            self._made[kind] = known = self._make(kind, run.task)
        return known

    def _make(self, kind: Place, task: Task[..., Any]) -> Executor:
        match kind:
            case Place.ASYNC:
                # asyncio is not for consumers that have no use for it.
                from persistentq.runtime.loop import AsyncExecutor

                return AsyncExecutor(self._on_end, partial(self._places.pass_on, kind))
            case Place.PROCESS:
                return self._make_process(task, self._end_of_process)
        from persistentq.runtime.threads import ThreadExecutor

        return ThreadExecutor(self._on_end, partial(self._places.pass_on, kind))

    def _end_of_process(self, ended: Ended) -> None:
        self._places.leave()
        self._on_end(ended)
