"""How a held job's attempt ends, as a consumer tells it, and what one turn of a consumer answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from persistentq.checks import check_span
from persistentq.context import Interruption, JobContext
from persistentq.errors import LeaseLost, PayloadError
from persistentq.failure import Failure, describe
from persistentq.job import LONGEST_DELAY, Job
from persistentq.outcomes import Cancel, JobTimedOut, NoRetry, Retry, Snooze
from persistentq.payload import encode_result


class Verb(StrEnum):
    """What a consumer says of a job that it holds.

    Attributes:
        COMPLETE: It is done.
        FAIL: The attempt failed.
        SNOOZE: It is given back for later, uncounted.
        RELEASE: It is given back to be taken at once, uncounted.
        CANCEL: It is called off.
    """

    COMPLETE = "complete"
    FAIL = "fail"
    SNOOZE = "snooze"
    RELEASE = "release"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Settlement:
    """A consumer's word on one job that it holds. Make it by the method that is called as the verb.

    Attributes:
        job: As `dequeue` or `turn` returned it.
        verb: What to do with it.
        result: Of a completion: the result as JSON text, or None.
        failure: Of a failure: what is kept of the error; of a cancellation: the reason.
        retry: Of a failure: whether another attempt may follow.
        delay: Of a failure: until the next attempt, None for the job's own rule; of a snooze: for how long.
    """

    job: Job
    verb: Verb
    result: str | None = None
    failure: Failure | None = None
    retry: bool = True
    delay: timedelta | None = None

    @classmethod
    def complete(cls, job: Job, result: Any = None) -> Settlement:
        """Return the word that the job is done.

        Raises:
            PayloadError: the result is not bounded JSON.
        """
        return cls(job, Verb.COMPLETE, encode_result(result))

    @classmethod
    def fail(
        cls,
        job: Job,
        error: BaseException | Failure | str,
        *,
        retry: bool = True,
        delay: timedelta | None = None,
    ) -> Settlement:
        """Return the word that the attempt failed.

        Raises:
            InvalidArgument: the delay is negative or longer than a hundred years.
        """
        return cls(
            job,
            Verb.FAIL,
            failure=describe(error),
            retry=retry,
            delay=None if delay is None else _span(delay),
        )

    @classmethod
    def snooze(cls, job: Job, delay: timedelta) -> Settlement:
        """Return the word that the job is wanted later; raises as `fail` does."""
        return cls(job, Verb.SNOOZE, delay=_span(delay))

    @classmethod
    def release(cls, job: Job) -> Settlement:
        """Return the word that the job may be taken by anybody."""
        return cls(job, Verb.RELEASE)

    @classmethod
    def cancel(cls, job: Job, reason: str) -> Settlement:
        """Return the word that the job is called off."""
        return cls(job, Verb.CANCEL, failure=describe(reason))


def _span(delay: timedelta) -> timedelta:
    return check_span("delay", delay, timedelta(0), LONGEST_DELAY)


def word_for(context: JobContext, result: Any, error: BaseException | Failure | None) -> Settlement | None:
    """Return what a consumer says of a job whose code has ended.

    Args:
        context: What the code saw; it knows whether the code was asked to stop, and why.
        result: What the task returned.
        error: What it raised; None if it returned.

    Returns:
        None if there is nothing to say: the job was completed already, or is no longer this consumer's.
    """
    job, why = context.job, context.interruption
    if context.is_completed or why is Interruption.LEASE_LOST:
        return None
    if error is None:
        try:
            return Settlement.complete(job, result)
        except PayloadError as refused:
            error = NoRetry(f"the task's result cannot be stored: {refused.summary}")
    if isinstance(error, LeaseLost) and error.job_id == job.id:
        return None
    match why:
        case Interruption.STOPPED:
            return Settlement.release(job)
        case Interruption.CANCELLED:
            return Settlement.cancel(job, "cancelled by an operator while it ran")
        case Interruption.TIMED_OUT if not isinstance(error, Exception):
            error = _timed_out(context) or error
    return _word_on(job, error)


def _timed_out(context: JobContext) -> JobTimedOut | None:
    try:
        context.check()
    except JobTimedOut as error:
        return error
    return None


def _word_on(job: Job, error: BaseException | Failure) -> Settlement:
    match error:
        case Snooze():
            return Settlement.snooze(job, error.delay)
        case Cancel():
            return Settlement.cancel(job, error.reason)
        case Retry():
            return Settlement.fail(job, error, delay=error.delay)
    return Settlement.fail(job, error, retry=not isinstance(error, NoRetry))


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn answers.

    Attributes:
        refused: The settled jobs that were not held any more; they are untouched.
        lost: The jobs to be renewed that were not held any more.
        cancelling: The ids of the jobs held by this consumer whose cancellation was requested, if that was asked.
        claimed: As `dequeue` returns them.
    """

    refused: list[Job] = field(default_factory=list)
    lost: list[Job] = field(default_factory=list)
    cancelling: frozenset[int] = frozenset()
    claimed: list[Job] = field(default_factory=list)
