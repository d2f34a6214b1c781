"""The executor for coroutines: one event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from threading import Thread

from persistentq.context import running
from persistentq.runtime.executor import Ended, Executor, Run


class AsyncExecutor(Executor):
    """Runs tasks as coroutines in one event loop; an interrupted one is cancelled where it awaits.

    Args:
        on_end: As for Executor.
        next_run: Asked in the loop when a run has ended; what it returns begins at once.
    """

    def __init__(self, on_end: Callable[[Ended], None], next_run: Callable[[], Run | None]) -> None:
        super().__init__(on_end)
        self._next_run = next_run
        self._loop = asyncio.new_event_loop()
        self._tasks: dict[Run, asyncio.Task[None]] = {}
        Thread(target=self._serve, name="tasks-loop", daemon=True).start()

    def _serve(self) -> None:
        self._loop.run_forever()
        # Closing it would complain of tasks that would not be cancelled, while they are still there to see.
        if not self._tasks:
            self._loop.close()

    def start(self, run: Run) -> None:
        """See Executor."""
        self._loop.call_soon_threadsafe(self._begin, run)

    def interrupt(self, run: Run) -> None:
        """See Executor: the coroutine is cancelled."""
        self._loop.call_soon_threadsafe(self._cancel, run)

    def close(self) -> None:
        """See Executor."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _begin(self, run: Run) -> None:
        self._tasks[run] = self._loop.create_task(self._run(run))

    def _cancel(self, run: Run) -> None:
        if (task := self._tasks.get(run)) is not None:
            task.cancel()

    async def _run(self, run: Run) -> None:
        ended = await run_in_loop(run)
        del self._tasks[run]
        self._on_end(ended)
        if (following := self._next_run()) is not None:
            self._begin(following)


async def run_in_loop(run: Run) -> Ended:
    """Run a task in this event loop; whatever it raises is the run's error."""
    run.began = began = time.monotonic()
    try:
        run.context.check()
        with running(run.context):
            result = run.task.bind(run.job.args)()
            if inspect.isawaitable(result):
                result = await result
    except BaseException as error:
        # What cancelled it is known to the context; the loop itself must go on.
        return Ended(run, None, error, time.monotonic() - began)
    return Ended(run, result, None, time.monotonic() - began)
