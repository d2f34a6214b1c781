"""Why a job is not running: every reason there is, with the remedy and when it will be over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum

from persistentq import clock
from persistentq.insight import Circumstances
from persistentq.interface import PersistentQInterface
from persistentq.job import Attempt, ConsumerInfo, Job, JobStatus, Outcome
from persistentq.text import ago

SKEWED = timedelta(seconds=2)
"""Clocks that differ by more than this are worth a word."""


class Reason(StrEnum):
    """What a fact is about.

    Attributes:
        FUTURE: Its time has not come.
        PAUSED: Its queue is paused.
        NO_CONSUMER: No living consumer serves its queue.
        UNKNOWN_TASK: No living consumer that may take it can run its task.
        RESERVED: It is kept for one consumer.
        BEHIND: Others leave the queue before it.
        NEXT: Nothing stands in its way.
        HELD: A consumer has it.
        EXPIRED: Its consumer did not report in time.
        ABSENT: Its consumer, or the one it is kept for, is not there.
        CANCELLING: An operator wants it to stop.
        SPENT: All its attempts were used.
        GIVEN_UP: It failed although attempts were left.
        UNIQUE: Another unfinished job has its unique key.
        CANCELLED: It was called off.
        DONE: It was completed.
        SKEW: This machine's clock and the database's differ.
    """

    FUTURE = "future"
    PAUSED = "paused"
    NO_CONSUMER = "no-consumer"
    UNKNOWN_TASK = "unknown-task"
    RESERVED = "reserved"
    BEHIND = "behind"
    NEXT = "next"
    HELD = "held"
    EXPIRED = "expired"
    ABSENT = "absent"
    CANCELLING = "cancelling"
    SPENT = "spent"
    GIVEN_UP = "given-up"
    UNIQUE = "unique"
    CANCELLED = "cancelled"
    DONE = "done"
    SKEW = "skew"


@dataclass(frozen=True, slots=True)
class Fact:
    """One reason why a job is not running, or how it stands.

    Attributes:
        reason: What it is about.
        text: It, in one line; it may hold what came from the job.
        remedy: What changes it; empty if nothing need be done.
        over_in: How long until it is over by itself, by the database's clock; None if it will not be, or nobody knows.
    """

    reason: Reason
    text: str
    remedy: str = ""
    over_in: timedelta | None = None


def why(queue: PersistentQInterface, job_id: int) -> list[Fact]:
    """Return why the job is not running, what must be mended first at the top; at least one fact.

    Raises:
        JobNotFound: there is no such job.
    """
    asked_at = clock.now()
    known = queue.explain_job(job_id)
    facts = list(_FACTS[known.job.status](known))
    return [*facts, *_skew(known.now, asked_at, clock.now())]


def skew(there: datetime, before: datetime, after: datetime) -> timedelta:
    """Return by how much the database's clock is ahead of ours, given what it said between two looks at ours."""
    if before <= there <= after:
        return timedelta(0)
    return there - after if there > after else there - before


def _skew(there: datetime, before: datetime, after: datetime) -> Iterator[Fact]:
    found = skew(there, before, after)
    if abs(found) > SKEWED:
        side = "ahead of" if found > timedelta(0) else "behind"
        text = f"the database's clock is {ago(abs(found))} {side} this machine's; the database's decides"
        yield Fact(Reason.SKEW, text, "set both by NTP; run_at from this machine's clock is off by as much")


def _waiting(known: Circumstances) -> Iterator[Fact]:
    job = known.job
    left = job.run_at - known.now
    if job.status == JobStatus.SCHEDULED and left > timedelta(0):
        kind = f"waits for attempt {job.attempt + 1}" if job.attempt else "is not due"
        text = f"it {kind} until {_at(job.run_at)}"
        yield Fact(Reason.FUTURE, text, "reschedule it to run it sooner", left)
    if known.is_paused:
        until = known.paused_until
        text = f"queue {job.queue} is paused {'until ' + _at(until) if until else 'until it is resumed'}"
        yield Fact(Reason.PAUSED, text, "resume the queue", until - known.now if until else None)
    serving = [one for one in known.consumers if one.is_alive and job.queue in one.queues]
    is_moving = bool(serving) and not known.is_paused
    if job.reserved_for is not None:
        yield _reserved(known, job.reserved_for)
    elif not serving:
        yield _unserved(known)
    if job.reserved_for is not None:
        serving = [one for one in serving if one.id == job.reserved_for]
    yield from _unknown(job, serving)
    if job.status == JobStatus.PENDING or left <= timedelta(0):
        yield _turn(known, is_moving=is_moving)


def _reserved(known: Circumstances, name: str) -> Fact:
    job = known.job
    one = next((one for one in known.consumers if one.id == name), None)
    if one is not None and one.is_alive and job.queue in one.queues:
        return Fact(Reason.RESERVED, f"only {name} may take it, which is alive")
    if one is None:
        state = "which has not reported for a day or never did"
    elif one.is_alive:
        state = f"which does not serve queue {job.queue}"
    else:
        state = _absence(one)
    return Fact(
        Reason.ABSENT, f"only {name} may take it, {state}", f"assign-job {job.id} to one that is there"
    )


def _unserved(known: Circumstances) -> Fact:
    job = known.job
    gone = [one for one in known.consumers if job.queue in one.queues]
    text = f"no living consumer serves queue {job.queue}"
    if gone:
        latest = max(gone, key=lambda one: one.heartbeat_at)
        text += f"; the last was {latest.id}, {_absence(latest)}"
    elif alive := sorted({name for one in known.consumers if one.is_alive for name in one.queues}):
        text += f"; those that live serve {', '.join(alive)}"
    return Fact(Reason.NO_CONSUMER, text, f"python -m consumer.consumer --queues {job.queue}")


def _unknown(job: Job, serving: list[ConsumerInfo]) -> Iterator[Fact]:
    """Yield that nobody can run the job's task, if every one of these consumers has said what it can run."""
    if serving and all(one.tasks is not None and job.task not in one.tasks for one in serving):
        told = sorted({name for one in serving for name in one.tasks or ()})
        close = get_close_matches(job.task, told, 1)
        meant = f"; the nearest that they know is {close[0]}" if close else ""
        text = f"task {job.task} is known to no live consumer of queue {job.queue}{meant}"
        yield Fact(Reason.UNKNOWN_TASK, text, "start a consumer with --app and the module that has the task")


def _turn(known: Circumstances, *, is_moving: bool) -> Fact:
    job = known.job
    if not known.ahead:
        seen = "nothing else leaves its queue before it"
        return Fact(
            Reason.NEXT, f"it could run since {_at(job.run_at)} ({ago(known.now - job.run_at)}); {seen}"
        )
    number = f"{'more than ' * known.is_capped}{known.ahead:,}"
    text = f"{number} {'job leaves' if number == '1' else 'jobs leave'} queue {job.queue} before it"
    if not is_moving:
        # What ended lately, or was cancelled, says nothing of a queue from which nobody takes; nor would priority help.
        return Fact(Reason.BEHIND, text)
    if not known.pace:
        return Fact(Reason.BEHIND, f"{text}, from which nothing ended lately", "raise its priority")
    eta = timedelta(seconds=known.ahead / known.pace)
    rate = f"{known.pace:,.1f}" if known.pace >= 0.1 else f"{known.pace:.2g}"
    return Fact(Reason.BEHIND, f"{text}, of which {rate} end each second", "raise its priority", eta)


def _processing(known: Circumstances) -> Iterator[Fact]:
    job = known.job
    holder, until = job.consumer or "", job.lease_until or known.now
    since = f"at attempt {job.attempt} of {job.max_attempts} since {_at(job.started_at)}"
    if until <= known.now:
        text = f"{holder} holds it {since}, but its lease ran out {ago(known.now - until)} ago"
        remedy = "any consumer's next claim takes it back: start one"
        yield Fact(Reason.EXPIRED, text, remedy, timedelta(0) if _anyone(known) else None)
    else:
        text = f"{holder} holds it {since}; its lease lasts until {_at(until)} ({ago(known.now - until)})"
        yield Fact(Reason.HELD, text)
    one = next((one for one in known.consumers if one.id == holder), None)
    if one is None or not one.is_alive:
        state = "has not introduced itself" if one is None else f"is not there: {_absence(one)}"
        yield Fact(
            Reason.ABSENT,
            f"{holder} {state}",
            f"wait for the end of the lease, or: assign-job {job.id} to another",
            max(until - known.now, timedelta(0)),
        )
    if job.cancel_requested:
        text = "an operator wants it to stop; it is cancelled when its attempt ends, unless it completes"
        yield Fact(Reason.CANCELLING, text)


def _anyone(known: Circumstances) -> bool:
    return any(one.is_alive for one in known.consumers)


def _done(known: Circumstances) -> Iterator[Fact]:
    job = known.job
    yield Fact(Reason.DONE, f"{job.consumer} completed it at {_at(job.finished_at)}, attempt {job.attempt}")


def _failed(known: Circumstances) -> Iterator[Fact]:
    job, last = known.job, known.last
    error = f": {job.error}" if job.error else ""
    again = f"mend the cause, then: resubmit {job.id}"
    if last is not None and last.outcome is Outcome.LOST:
        again = f"it may kill who runs it: mend its task or give it executor=process, then: resubmit {job.id}"
    if last is None or last.outcome is Outcome.TAKEN or not _ended_with(job, last):
        text = f"an operator marked it failed at {_at(job.finished_at)}{error}"
        yield Fact(Reason.GIVEN_UP, text, again)
    elif job.attempt >= job.max_attempts:
        spent = "only attempt is spent" if job.attempt == 1 else f"{job.attempt} attempts are spent"
        text = f"its {spent}, by {job.consumer} at {_at(job.finished_at)}{error}"
        yield Fact(Reason.SPENT, text, again)
    else:
        text = (
            f"it was given up at attempt {job.attempt} of {job.max_attempts}, {_at(job.finished_at)}{error}"
        )
        yield Fact(Reason.GIVEN_UP, text, again)
    yield from _rival(known)


def _cancelled(known: Circumstances) -> Iterator[Fact]:
    job, last = known.job, known.last
    by = "an operator cancelled it"
    if last is not None and _ended_with(job, last):
        by = f"it was cancelled while {last.consumer} had it, attempt {last.attempt}"
    error = f": {job.error}" if job.error else ""
    yield Fact(Reason.CANCELLED, f"{by}, at {_at(job.finished_at)}{error}", f"resubmit {job.id}")
    yield from _rival(known)


def _ended_with(job: Job, last: Attempt) -> bool:
    """Return whether the job ended because its attempt did; otherwise an operator ended it while it waited."""
    if last.ended_at is None or job.finished_at is None:
        return False
    return abs(job.finished_at - last.ended_at) <= timedelta(milliseconds=10)


def _rival(known: Circumstances) -> Iterator[Fact]:
    if known.rival is not None:
        text = f"job {known.rival} has its unique key {known.job.unique_key} and is not finished"
        yield Fact(Reason.UNIQUE, text, f"cancel {known.rival} or wait for its end before resubmitting")


_FACTS = {
    JobStatus.SCHEDULED: _waiting,
    JobStatus.PENDING: _waiting,
    JobStatus.PROCESSING: _processing,
    JobStatus.DONE: _done,
    JobStatus.FAILED: _failed,
    JobStatus.CANCELLED: _cancelled,
}


def _absence(one: ConsumerInfo) -> str:
    if one.stopped_at is not None:
        return f"which stopped at {_at(one.stopped_at)}"
    return f"which has been silent for {ago(one.silent_for)}"


def _at(moment: datetime | None) -> str:
    return "an unknown time" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"
