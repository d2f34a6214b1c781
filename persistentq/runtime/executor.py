"""What every executor is to the consumer: it runs tasks, tells of their ends, and stops what it can."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from persistentq.failure import Failure

if TYPE_CHECKING:
    from persistentq.context import JobContext
    from persistentq.job import Job
    from persistentq.tasks import Task


@dataclass(slots=True, eq=False)
class Run:
    """One attempt that this process holds.

    Attributes:
        job: As it was claimed.
        task: What it runs.
        context: What its handler sees; it carries the interruption, if there is one.
        began: When its code began, on the monotonic clock; None while it waits in this process.
        is_stopped: Whether its executor was told to stop it.
        is_lost: Whether the job is no longer this consumer's.
    """

    job: Job
    task: Task[..., Any]
    context: JobContext
    began: float | None = None
    is_stopped: bool = False
    is_lost: bool = False

    @property
    def key(self) -> tuple[int, int]:
        """The job's id and attempt, which are no other run's."""
        return self.job.id, self.job.attempt

    @property
    def seconds(self) -> float:
        """For how long its code has run; 0.0 if it has not begun."""
        return 0.0 if self.began is None else time.monotonic() - self.began


class Ended(NamedTuple):
    """A run that ended.

    Attributes:
        result: What the task returned; None if it raised.
        error: What it raised, or what is known of it where the error itself stayed in another process.
        seconds: How long its code ran.
        returned: Whether the job is to be given back uncounted: its code never began, for no fault of its own.
    """

    run: Run
    result: Any
    error: BaseException | Failure | None
    seconds: float
    returned: bool = False


class Executor(ABC):
    """Runs tasks somewhere. Its methods are called from the consumer's main thread, and none of them waits.

    Args:
        on_end: Called once for each run that was started, from any thread.
    """

    def __init__(self, on_end: Callable[[Ended], None]) -> None:
        self._on_end = on_end

    @abstractmethod
    def start(self, run: Run) -> None:
        """Begin a run now; sets `began` when its code begins. There are never more than the consumer's places."""

    @abstractmethod
    def interrupt(self, run: Run) -> None:
        """Stop the run's code, where that can be done; `run.context` says why. Its end is told as any other's."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything without waiting; what still runs is on its own, or killed where that can be done."""
