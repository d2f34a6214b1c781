"""What goes over the pipe between a consumer and a child process, as JSON: jobs, and how they ended."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from persistentq.backoff import Backoff
from persistentq.errors import LeaseLost
from persistentq.failure import Failure, describe
from persistentq.job import Job, JobStatus
from persistentq.outcomes import (
    ArgumentsRefused,
    Cancel,
    JobCancelled,
    JobInterrupted,
    JobTimedOut,
    NoRetry,
    Retry,
    Snooze,
    UnknownTask,
)
from persistentq.payload import decode_result

_TIMES = ("created_at", "run_at", "started_at", "finished_at", "lease_until")
_PLAIN = (UnknownTask, ArgumentsRefused, NoRetry, JobCancelled, JobTimedOut, JobInterrupted)
_MICROSECOND = timedelta(microseconds=1)


def pack_job(job: Job) -> dict[str, Any]:
    """Return a job as JSON values."""
    packed = {field.name: getattr(job, field.name) for field in fields(job)}
    for name in _TIMES:
        packed[name] = packed[name] and packed[name].isoformat()
    if job.backoff is not None:
        packed["backoff"] = [job.backoff.base // _MICROSECOND, job.backoff.cap // _MICROSECOND]
    return packed


def unpack_job(packed: dict[str, Any]) -> Job:
    """Return the job that was packed."""
    values = dict(packed)
    for name in _TIMES:
        values[name] = values[name] and datetime.fromisoformat(values[name])
    if values["backoff"] is not None:
        values["backoff"] = Backoff(*(span * _MICROSECOND for span in values["backoff"]))
    values |= {"status": JobStatus(values["status"]), "tags": tuple(values["tags"])}
    return Job(**values)


class Answer(NamedTuple):
    """How a run ended in a child.

    Attributes:
        job_id: Of which job.
        attempt: Of which attempt of it.
        result: What it returned, as JSON text; None if it raised or returned None.
        error: What it raised, packed; None if it returned.
        is_completed: Whether its session has made the job done.
        memory: How many bytes of memory the child has in use now; 0 if that is not known.
        is_spent: Whether the child should run nothing more.
    """

    job_id: int
    attempt: int
    result: str | None
    error: dict[str, Any] | None
    is_completed: bool
    memory: int
    is_spent: bool

    def outcome(self, job: Job) -> tuple[Any, BaseException | Failure | None]:
        """Return the job's result and its error."""
        return decode_result(self.result), None if self.error is None else unpack_error(self.error, job)


def pack_error(error: BaseException | Failure, job: Job) -> dict[str, Any]:
    """Return what a task has raised: what is kept of it, and what it asks for, if it is an outcome."""
    packed: dict[str, Any] = {"failure": describe(error), "is": None, "after": None}
    if isinstance(error, Retry | Snooze):
        packed["is"] = "retry" if isinstance(error, Retry) else "snooze"
        packed["after"] = None if error.delay is None else error.delay // _MICROSECOND
    elif isinstance(error, Cancel):
        packed["is"] = "cancel"
    elif isinstance(error, LeaseLost) and error.job_id == job.id:
        packed["is"] = "lost"
    else:
        packed["is"] = next((known.__name__ for known in _PLAIN if isinstance(error, known)), None)
    return packed


def unpack_error(packed: dict[str, Any], job: Job) -> BaseException | Failure:
    """Return an error of the same outcome and description as the one that was packed."""
    failure = Failure(*packed["failure"])
    after = None if packed["after"] is None else packed["after"] * _MICROSECOND
    error: BaseException
    match packed["is"]:
        case None:
            return failure
        case "retry":
            error = Retry(after, failure.message)
        case "snooze":
            error = Snooze(after or timedelta(0))
        case "cancel":
            error = Cancel(failure.message)
        case "lost":
            error = LeaseLost(job.id, job.consumer or "", job.attempt)
        case name:
            known = {one.__name__: one for one in _PLAIN}[name]
            # A task's own kind of NoRetry keeps its name.
            kind = known if failure.type == name else type(failure.type, (known,), {"__module__": "__main__"})
            error = kind(failure.message)
    error.__cause__ = InChild(failure.traceback or "")
    return error


class InChild(Exception):
    """Stands for what was raised in a child process, with the traceback that it had there."""

    def __str__(self) -> str:
        return f"in the child process:\n{self.args[0]}"
