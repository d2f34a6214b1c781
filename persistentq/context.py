"""What a running task may know of its job and do with it, the same in every executor."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token
from datetime import timedelta
from enum import Enum
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from persistentq.clock import Deadline
from persistentq.errors import LeaseLost
from persistentq.job import Job
from persistentq.job_log import MAX_LINES, Progress, check_progress, to_lines
from persistentq.outcomes import JobCancelled, JobInterrupted, JobTimedOut

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from persistentq.interface import PersistentQInterface
    from persistentq.telemetry.tracing import JobSpan


class Interruption(Enum):
    """Why a running task is asked to stop.

    Attributes:
        CANCELLED: An operator asked for it.
        TIMED_OUT: It has run for longer than its task may.
        LEASE_LOST: The job is no longer this consumer's; what the task still does may happen twice.
        STOPPED: The consumer stops, and has waited as long as it may.
    """

    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"
    LEASE_LOST = "lease lost"
    STOPPED = "stopped"


class Holder(Protocol):
    """Who holds the job for a context: the consumer's process, or a child's end of the pipe to it.

    Every method may be called from the task's thread at any time.
    """

    @property
    def queue(self) -> PersistentQInterface:
        """Where the job comes from, and where the task's own jobs go; a child opens it when first asked."""

    def extend(self) -> bool:
        """Renew the lease now; return whether the job is still held."""

    def record(self, lines: Sequence[str], progress: Progress | None) -> None:
        """Keep these with the job, soon.

        Must not write to the database in the caller's thread: the task may be in a transaction of its own, which
        would wait for itself. `Notes` gathers them until another thread writes them.
        """

    def completing(self, result: Any) -> AbstractContextManager[Session]:
        """See `PersistentQInterface.completing`."""


class JobContext:
    """What a running task may know of its job, and do with it.

    A task gets it from `current_job()`, or as its first parameter if that is annotated `JobContext`.

    Args:
        job: As it was claimed.
        holder: Who holds it.
        timeout: How long the task may run.

    Attributes:
        job: As it was claimed.
        deadline: When its time is over; None for a task without a timeout.
        is_completed: Whether `session` has made the job done.
    """

    __slots__ = ("_holder", "_interruption", "_timeout", "deadline", "is_completed", "job")

    def __init__(self, job: Job, holder: Holder, timeout: timedelta | None = None) -> None:
        self.job, self._holder, self._timeout = job, holder, timeout
        self.deadline: Deadline | None = None
        self.is_completed = False
        self._interruption: Interruption | None = None

    @property
    def token(self) -> str:
        """The job's id and attempt: a fencing token for outside systems, which no other attempt has."""
        return f"{self.job.id}-{self.job.attempt}"

    @property
    def queue(self) -> PersistentQInterface:
        """Where the job comes from; what the task enqueues goes there too."""
        return self._holder.queue

    # --- stopping

    def interrupt(self, why: Interruption) -> None:
        """Ask the task to stop. For the runtime; may be called from any thread, and only the first reason counts."""
        if self._interruption is None:
            self._interruption = why

    @property
    def interruption(self) -> Interruption | None:
        """Why the task shall stop; None while it may go on."""
        if self._interruption is None and self.deadline is not None and self.deadline.passed:
            self.interrupt(Interruption.TIMED_OUT)
        return self._interruption

    @property
    def should_stop(self) -> bool:
        """Whether the task shall stop: cancelled, out of time, without its lease, or because its consumer stops."""
        return self.interruption is not None

    def check(self) -> None:
        """Return if the task may go on; a long one calls it now and then.

        Raises:
            JobCancelled: an operator wants the job to stop.
            JobTimedOut: its time is over.
            LeaseLost: the job is no longer this consumer's.
            JobInterrupted: the consumer stops, and has waited as long as it may.
        """
        match self.interruption:
            case Interruption.CANCELLED:
                raise JobCancelled(f"an operator asked to cancel job {self.job.id}")
            case Interruption.TIMED_OUT:
                raise JobTimedOut(f"job {self.job.id} ran for longer than its timeout of {self._timeout}")
            case Interruption.LEASE_LOST:
                raise self._lost()
            case Interruption.STOPPED:
                raise JobInterrupted(f"the consumer stops and gives job {self.job.id} back")

    def require_lease(self) -> None:
        """Renew the lease; call it before an effect that must not happen twice.

        It narrows the window, which only a transaction can close; see `session`.

        Raises:
            LeaseLost: the job is no longer this consumer's.
        """
        if not self._holder.extend():
            self.interrupt(Interruption.LEASE_LOST)
            raise self._lost()

    def _lost(self) -> LeaseLost:
        return LeaseLost(self.job.id, self.job.consumer or "", self.job.attempt)

    # --- telling

    def log(self, line: str) -> None:
        """Keep a line with the job, for `get_log` and the front ends. Of many, the last are kept; never raises.

        It is written soon, not at once: the last second's lines may be lost if the process is killed.
        """
        self._holder.record(to_lines(line), None)

    def progress(self, fraction: float, note: str = "") -> None:
        """Tell how far the task has come, as `log` does; the last one counts.

        Args:
            fraction: 0.0 to 1.0.
            note: What it is at, in one line.

        Raises:
            InvalidArgument: the fraction is not within these bounds.
        """
        self._holder.record((), check_progress(fraction, note))

    # --- effects

    @contextmanager
    def session(self, result: Any = None) -> Iterator[Session]:
        """Give a Session on the queue's database for the task's effects, which commit with the job's completion.

        At the end of the block the job is done, and what the task returns or raises afterwards changes nothing. If the
        block raises, or the lease was lost, nothing of it is kept.

        Args:
            result: Kept as the job's result.

        Raises:
            LeaseLost: at the end: the job is no longer this consumer's.
            PayloadError: at the beginning: the result is not bounded JSON.
            InvalidArgument: the queue is not in a database.
        """
        with self._holder.completing(result) as session:
            yield session
        self.is_completed = True

    def begin(self) -> None:
        """Let its time begin; `running` does it."""
        if self._timeout is not None:
            self.deadline = Deadline(self._timeout.total_seconds())


class Notes:
    """Lines and progress that wait to be written: bounded, and safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._progress: Progress | None = None

    def add(self, lines: Sequence[str], progress: Progress | None) -> None:
        """Keep these until they are taken; of more lines than a job may have, the last."""
        with self._lock:
            self._lines.extend(lines)
            self._progress = progress or self._progress

    def take(self) -> tuple[list[str], Progress | None]:
        """Return what waits, which is then forgotten: the lines, oldest first, and the latest progress."""
        with self._lock:
            lines, progress = list(self._lines), self._progress
            self._lines.clear()
            self._progress = None
            return lines, progress

    def __bool__(self) -> bool:
        return bool(self._lines) or self._progress is not None


_current: ContextVar[JobContext] = ContextVar("persistentq_job")


def current_job() -> JobContext:
    """Return the context of the job that this code runs for.

    Raises:
        LookupError: it does not run for a job.
    """
    return _current.get()


def find_current_job() -> JobContext | None:
    """Return the context of the job that this code runs for, or None."""
    return _current.get(None)


class running:  # noqa: N801 - reads as a statement: with running(context)
    """Makes `context` that of the code within the block, in its thread or coroutine; its time begins, and its span."""

    __slots__ = ("_context", "_span", "_token")

    def __init__(self, context: JobContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._context.begin()
        self._token: Token[JobContext] = _current.set(self._context)
        self._span: JobSpan | None = None
        if "opentelemetry.trace" in sys.modules:
            from persistentq.telemetry.tracing import JobSpan

            self._span = JobSpan(self._context)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._span is not None:
            self._span.end(error)
        _current.reset(self._token)
