"""The executor for plain functions: threads of this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Semaphore, Thread

from persistentq.context import running
from persistentq.runtime.executor import Ended, Executor, Run


class ThreadExecutor(Executor):
    """Runs tasks in threads, which are made when they are first needed and then kept.

    A thread cannot be stopped from outside: an interrupted run ends when its code asks its context, or by itself. The
    threads are daemons, as a task that never returns must not keep a drained process alive.

    Args:
        on_end: As for Executor.
        next_run: Asked in the thread whose run has ended; what it returns runs there at once.
    """

    def __init__(self, on_end: Callable[[Ended], None], next_run: Callable[[], Run | None]) -> None:
        super().__init__(on_end)
        self._next_run = next_run
        self._runs: SimpleQueue[Run | None] = SimpleQueue()
        self._idle = Semaphore(0)
        self._number = 0

    def start(self, run: Run) -> None:
        """See Executor."""
        if not self._idle.acquire(blocking=False):
            Thread(target=self._work, name=f"task-{self._number}", daemon=True).start()
            self._number += 1
        self._runs.put(run)

    def interrupt(self, run: Run) -> None:
        """Do nothing: the run's context tells its code."""

    def close(self) -> None:
        """See Executor."""
        for _ in range(self._number):
            self._runs.put(None)

    def _work(self) -> None:
        while (run := self._runs.get()) is not None:
            while run is not None:
                self._on_end(run_here(run))
                run = self._next_run()
            self._idle.release()


def run_here(run: Run) -> Ended:
    """Run a task in this thread; whatever it raises is the run's error."""
    run.began = began = time.monotonic()
    try:
        run.context.check()
        with running(run.context):
            result = run.task.bind(run.job.args)()
            if run.task.is_async:
                import asyncio

                result = asyncio.run(result)
    except BaseException as error:
        return Ended(run, None, error, time.monotonic() - began)
    return Ended(run, result, None, time.monotonic() - began)
