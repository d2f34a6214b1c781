"""How a held job ends or waits again, on its ORM row; the transaction is the caller's."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import defer

from persistentq.backoff import DEFAULT
from persistentq.checks import check_id
from persistentq.errors import JobNotFound, LeaseLost
from persistentq.failure import Failure, worker_died
from persistentq.job import Job, JobStatus, Outcome, require_before
from persistentq.settlement import Settlement, Verb
from persistentq.sql.models import AttemptRow, JobRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


WITHOUT_PAYLOAD = (defer(JobRow.args), defer(JobRow.whole_args), defer(JobRow.extra), defer(JobRow.result))
"""Loads a row for a change that is not about its payload, which may have megabytes."""


def held_row(session: Session, job: Job) -> JobRow:
    """Return the locked row of a job that is still held as `job` says: by that consumer, at that attempt.

    Raises:
        LeaseLost: it is not.
    """
    # The fence: without the attempt, a consumer that came back under its old id could settle a later attempt.
    row = session.scalars(
        select(JobRow)
        .options(*WITHOUT_PAYLOAD)
        .where(
            JobRow.id == job.id,
            JobRow.status == JobStatus.PROCESSING,
            JobRow.consumer == job.consumer,
            JobRow.attempt == job.attempt,
        )
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise LeaseLost(job.id, job.consumer or "", job.attempt)
    return row


def operable_row(session: Session, job_id: int, verb: str) -> JobRow:
    """Return the locked row of a job on which `verb` works.

    Raises:
        JobNotFound: there is none.
        InvalidTransition: it has a status from which the verb does not work.
    """
    row = session.get(JobRow, check_id(job_id), with_for_update=True)
    if row is None:
        raise JobNotFound(job_id)
    require_before(verb, row.id, JobStatus(row.status))
    return row


def settle(session: Session, word: Settlement, now: datetime) -> JobRow:
    """Do what a consumer says of a job that it holds, but for a completion; return its row.

    Raises:
        LeaseLost: it is not held any more.
    """
    row = held_row(session, word.job)
    match word.verb:
        case Verb.FAIL:
            _fail(session, row, word, now)
        case Verb.SNOOZE:
            note(session, row, Outcome.SNOOZED, now)
            give_back(row, JobStatus.SCHEDULED, now, run_at=now + (word.delay or timedelta(0)))
        case Verb.RELEASE:
            note(session, row, Outcome.RELEASED, now)
            give_back(row, JobStatus.PENDING, now)
        case Verb.CANCEL:
            note(session, row, Outcome.CANCELLED, now, word.failure)
            finish(row, JobStatus.CANCELLED, now, word.failure and word.failure.message)
    return row


def _fail(session: Session, row: JobRow, word: Settlement, now: datetime) -> None:
    message = word.failure and word.failure.message
    note(session, row, Outcome.FAILED, now, word.failure)
    if row.cancel_requested:
        finish(row, JobStatus.CANCELLED, now, message)
    elif not word.retry or row.attempt >= row.max_attempts:
        finish(row, JobStatus.FAILED, now, message)
    else:
        rule = word.job.backoff or DEFAULT
        pause = rule.delay(row.attempt, random.random()) if word.delay is None else word.delay
        wait(row, JobStatus.SCHEDULED, run_at=now + pause, error=message)


def note(
    session: Session, row: JobRow, outcome: Outcome, now: datetime, failure: Failure | None = None
) -> None:
    """Keep the row's running attempt, ended now, in the job's history."""
    session.add(
        AttemptRow(
            job_id=row.id,
            attempt=row.attempt,
            consumer=row.consumer,
            started_at=row.started_at,
            ended_at=now,
            outcome=outcome,
            error_type=failure and failure.type,
            error=failure and failure.message,
            traceback=failure and failure.traceback,
        )
    )


def finish(row: JobRow, status: JobStatus, now: datetime, error: str | None = None) -> None:
    """End the job in `status`; an error, if given, becomes its latest."""
    row.status, row.finished_at = status, now
    row.lease_until, row.reserved_for, row.cancel_requested = None, None, 0
    row.error = error if error is not None else row.error


def wait(row: JobRow, status: JobStatus, *, run_at: datetime | None = None, error: str | None = None) -> None:
    """Let the job wait for its next attempt, from `run_at` if given."""
    row.status, row.lease_until = status, None
    row.run_at = run_at or row.run_at
    row.error = error if error is not None else row.error


def give_back(row: JobRow, status: JobStatus, now: datetime, run_at: datetime | None = None) -> None:
    """Let the job wait again as if this attempt had not been; or end it, if its cancellation was requested."""
    if row.cancel_requested:
        finish(row, JobStatus.CANCELLED, now)
        return
    # The attempt number is the fencing token and never goes back; the allowance grows instead.
    row.max_attempts += 1
    wait(row, status, run_at=run_at)


def expire(session: Session, row: JobRow, now: datetime) -> None:
    """Take the job back from a consumer that did not renew its lease; the attempt counts."""
    failure = worker_died(row.consumer or "", row.attempt)
    note(session, row, Outcome.LOST, now, failure)
    if row.cancel_requested:
        finish(row, JobStatus.CANCELLED, now, failure.message)
    elif row.attempt >= row.max_attempts:
        finish(row, JobStatus.FAILED, now, failure.message)
    else:
        wait(row, JobStatus.PENDING, error=failure.message)
