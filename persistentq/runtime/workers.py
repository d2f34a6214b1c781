"""The threads that run tasks, and what came of each job."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any

from persistentq.job import Job
from persistentq.tasks import JobContext, Tasks


@dataclass(frozen=True, slots=True)
class Ended:
    """A task that ended: its result, or the error it raised, and the seconds it ran."""

    job: Job
    result: Any
    error: BaseException | None
    seconds: float


class Workers:
    """A fixed number of threads that run jobs' tasks.

    The threads are daemons: a task that never returns must not keep a drained process alive.

    Args:
        tasks: What the jobs may run.
        number: How many run at once.
        on_end: Called in the worker's thread after each task.
    """

    def __init__(self, tasks: Tasks, number: int, on_end: Callable[[Ended], None]) -> None:
        self._tasks, self._on_end = tasks, on_end
        self._jobs: SimpleQueue[JobContext] = SimpleQueue()
        for n in range(number):
            Thread(target=self._work, name=f"worker-{n}", daemon=True).start()

    def start(self, context: JobContext) -> None:
        """Hand a job to the next free thread."""
        self._jobs.put(context)

    def _work(self) -> None:
        while True:
            context = self._jobs.get()
            began = time.monotonic()
            result, error = None, None
            try:
                result = self._tasks.run(context)
            except BaseException as raised:
                error = raised
            self._on_end(Ended(context.job, result, error, time.monotonic() - began))
