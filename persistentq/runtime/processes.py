"""The executor for tasks that must not take others with them: child processes, which can be killed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock

from persistentq.checks import check_int
from persistentq.runtime.executor import Ended, Executor, Run
from persistentq.runtime.keeper import Keeper, Plan, Starts, reason_to_stop
from persistentq.telemetry.events import CHILDREN_LIMITED, tell

MIB = 1024 * 1024


class ProcessExecutor(Executor):
    """Runs tasks in child processes, one job at a time in each; they are started when needed, kept and used again.

    A child that dies takes only its own job with it, and is replaced. An interrupted run is told to stop, and its child
    is killed with all that it has started if that has not ended it within half a second. The children die with this
    process.

    Args:
        number: How many children there are at most, 1 to 1000.
        app: What a child loads before its first job, as `--app` names it.
        on_end: As for Executor.
        url: Where a child opens the queue, if a task wants to use it; None if the queue is in no database.
        memory_limit: How many bytes of address space a child may have, its code included; None for no limit.
        recycle_jobs: After so many jobs a child is replaced.
        recycle_growth: A child is replaced when it uses so many more bytes than before its first job.

    Raises:
        InvalidArgument: a number is out of bounds.
    """

    def __init__(  # noqa: PLR0913 - each has a default; they are the executor's settings
        self,
        number: int,
        app: str,
        on_end: Callable[[Ended], None],
        *,
        url: str | None = None,
        memory_limit: int | None = None,
        recycle_jobs: int = 1000,
        recycle_growth: int = 256 * MIB,
    ) -> None:
        super().__init__(on_end)
        self._number = check_int("number", number, 1, 1000)
        if memory_limit is not None:
            check_int("memory_limit", memory_limit, MIB, 2**63 - 1)
        self._plan = Plan(
            app, url, memory_limit, check_int("recycle_jobs", recycle_jobs, 1, 2**31), recycle_growth
        )
        self._starts = Starts()
        self._lock = Lock()
        self._keepers: list[Keeper] = []
        self._idle: list[Keeper] = []
        self._at: dict[Run, Keeper] = {}
        self._waiting: deque[Run] = deque()

    def start(self, run: Run) -> None:
        """Begin a run as soon as a child is there for it."""
        with self._lock:
            keeper = self._find_keeper()
            if keeper is None:
                self._waiting.append(run)
            else:
                self._at[run] = keeper
                keeper.give(run)

    def interrupt(self, run: Run) -> None:
        """Stop the run's code, by force if it does not stop by itself."""
        with self._lock:
            is_waiting = run in self._waiting
            if is_waiting:
                self._waiting.remove(run)
            elif run in self._at:
                self._at[run].wake()
        if is_waiting:
            self._on_end(Ended(run, None, reason_to_stop(run), 0.0))

    def close(self) -> None:
        """Kill what runs, and let the children go."""
        for keeper in self._keepers:
            keeper.give(None)

    def _find_keeper(self) -> Keeper | None:
        if self._idle:
            warm = next((one for one in reversed(self._idle) if one.is_warm), self._idle[-1])
            self._idle.remove(warm)
            return warm
        if len(self._keepers) == self._number:
            return None
        try:
            made = Keeper(self._plan, self._starts, self._hear_end)
        except (OSError, RuntimeError) as error:
            if not self._keepers:
                raise
            # No descriptor or thread is to be had: what is there must do.
            tell(CHILDREN_LIMITED, children=len(self._keepers), error=str(error))
            self._number = len(self._keepers)
            return None
        self._keepers.append(made)
        return made

    def _hear_end(self, keeper: Keeper, ended: Ended) -> None:
        # In the keeper's thread. It is free before the end is told, so that another run finds it.
        with self._lock:
            del self._at[ended.run]
            if self._waiting:
                following = self._waiting.popleft()
                self._at[following] = keeper
                keeper.give(following)
            else:
                self._idle.append(keeper)
        self._on_end(ended)
