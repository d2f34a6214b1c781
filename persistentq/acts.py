"""What an operator may want done to many jobs, and what that means for each: plain data and pure rules.

Both the databases and the memory model act by these rules, so an act, its journal and its undoing mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from persistentq.checks import check_consumer, check_id, check_int, check_time
from persistentq.errors import (
    ActRefused,
    InvalidArgument,
    InvalidTransition,
    JobError,
    JobNotFound,
    UniqueKeyTaken,
)
from persistentq.failure import describe
from persistentq.job import UNFINISHED, Job, JobStatus, NewJob, statuses_before
from persistentq.payload import encode_args

MARKED_FAILED = "marked failed by an operator"
MAX_BATCH = 500
"""So many jobs are changed in one transaction."""

WAITING = frozenset({JobStatus.SCHEDULED, JobStatus.PENDING})
EDITABLE = frozenset(JobStatus) - {JobStatus.PROCESSING, JobStatus.DONE}
EDITS: Mapping[str, frozenset[JobStatus]] = {
    "reschedule": WAITING,
    "set-priority": EDITABLE,
    "edit-arguments": EDITABLE,
}
"""The acts that are no arrow of the state machine, and the statuses from which they work."""

UNDO = "undo"
IMPORT = "import"

ACTED_ON = ("resubmit", "cancel", "mark-failed", "assign", *EDITS, "delete")
"""Every verb of an Act."""


def works_on(verb: str) -> frozenset[JobStatus]:
    """Return the statuses from which an act's verb works."""
    return EDITS[verb] if verb in EDITS else statuses_before(verb)


@dataclass(frozen=True, slots=True)
class Act:
    """What an operator wants done to jobs.

    Attributes:
        verb: resubmit, cancel, mark-failed, assign, reschedule, set-priority, edit-arguments or delete.
        consumer: Of assign: for whom; None for anyone.
        error: Of mark-failed: kept as the jobs' error.
        run_at: Of reschedule: when they become ready; None for at once.
        priority: Of set-priority.
        arguments: Of edit-arguments: the values by name that are put in the place of those there were.
        without: Of edit-arguments: the names of those that go.

    Raises:
        InvalidArgument: an unknown verb, or a value that cannot be stored.
    """

    verb: str
    consumer: str | None = None
    error: str = MARKED_FAILED
    run_at: datetime | None = None
    priority: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.verb not in ACTED_ON:
            raise InvalidArgument("verb", self.verb, f"is not one of {', '.join(ACTED_ON)}")
        if self.consumer is not None:
            check_consumer(self.consumer)
        if self.run_at is not None:
            check_time("run_at", self.run_at)
        check_int("priority", self.priority, -1_000_000, 1_000_000)
        encode_args(self.arguments)
        if self.verb == "edit-arguments" and not self.arguments and not self.without:
            raise InvalidArgument("arguments", self.arguments, "change nothing; say what to set or to drop")

    def edited(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return what edit-arguments makes of a job's arguments."""
        kept = {name: value for name, value in args.items() if name not in self.without}
        return kept | dict(self.arguments)

    @property
    def taken_for(self) -> str | None:
        """What is noted of the attempts of jobs that the act takes from their consumers."""
        return self.error if self.verb == "mark-failed" else None

    @property
    def details(self) -> dict[str, Any]:
        """What the journal keeps of the act beside its verb."""
        match self.verb:
            case "assign":
                return {"consumer": self.consumer}
            case "mark-failed":
                return {"error": describe(self.error).message}
            case "reschedule":
                return {"run_at": None if self.run_at is None else self.run_at.isoformat()}
            case "set-priority":
                return {"priority": self.priority}
            case "edit-arguments":
                # The values may be secret; who wants them looks at the jobs.
                return {"set": sorted(self.arguments), "dropped": sorted(self.without)}
        return {}


class IdPage(NamedTuple):
    """The ids of some jobs with their statuses, the newest first, and the cursor for those after them."""

    items: tuple[tuple[int, JobStatus], ...]
    next: str | None


class Standing(NamedTuple):
    """What of a job decides what an act does to it; `args` only where that is asked."""

    id: int
    queue: str
    status: JobStatus
    attempt: int
    max_attempts: int
    budget: int
    run_at: datetime
    reserved_for: str | None
    finished_at: datetime | None
    lease_until: datetime | None
    cancel_requested: bool
    priority: int
    error: str | None
    unique_key: str | None
    args: Mapping[str, Any] | None = None


Changes = dict[str, Any]
"""New values by the name of the job's field; the same names as Standing's."""

Told = tuple[Changes | None, Changes | None]
"""What a job had before and after. Without before, it came back from the trash; without after, it went there."""


def plan(act: Act, job: Standing, now: datetime) -> Changes:  # noqa: PLR0911 - one for each verb
    """Return what the act changes of a job; a deletion changes nothing.

    Raises:
        InvalidTransition: the job's status does not allow it.
        ActRefused: its arguments would be too large or too deep.
    """
    if job.status not in works_on(act.verb):
        raise refused_by_status(act.verb, job)
    match act.verb:
        case "resubmit":
            budget = job.attempt + job.budget
            return {"status": JobStatus.PENDING, "run_at": now, "finished_at": None, "max_attempts": budget}
        case "cancel":
            is_held = job.status == JobStatus.PROCESSING
            return {"cancel_requested": True} if is_held else _ended(JobStatus.CANCELLED, now)
        case "mark-failed":
            return _ended(JobStatus.FAILED, now) | {"error": describe(act.error).message}
        case "assign":
            return _assigned(act.consumer, job, now)
        case "reschedule":
            moment = now if act.run_at is None else max(act.run_at, now)
            return {"run_at": moment, "status": waiting_at(moment, now)}
        case "set-priority":
            return {"priority": act.priority}
        case "edit-arguments":
            return {"args": _edited(act, job)}
    return {}


def refused_by_status(verb: str, job: Standing) -> InvalidTransition:
    """Return the error that says that the verb does not work on a job in this status."""
    allowed = " or ".join(one for one in JobStatus if one in works_on(verb))
    return InvalidTransition(job.id, job.status, verb, allowed)


def _ended(status: JobStatus, now: datetime) -> Changes:
    cleared = {"lease_until": None, "reserved_for": None, "cancel_requested": False}
    return {"status": status, "finished_at": now, **cleared}


def _assigned(consumer: str | None, job: Standing, now: datetime) -> Changes:
    if job.status != JobStatus.PROCESSING:
        return {"reserved_for": consumer}
    if job.cancel_requested:
        return _ended(JobStatus.CANCELLED, now)
    # The attempt number is the fencing token and never goes back; the allowance grows instead.
    given_back = {"status": JobStatus.PENDING, "lease_until": None, "max_attempts": job.max_attempts + 1}
    return given_back | {"reserved_for": consumer}


def waiting_at(run_at: datetime, now: datetime) -> JobStatus:
    """Return the status of a job that waits for this time."""
    return JobStatus.SCHEDULED if run_at > now else JobStatus.PENDING


def _edited(act: Act, job: Standing) -> dict[str, Any]:
    edited = act.edited(job.args or {})
    try:
        encode_args(edited)
    except InvalidArgument as error:
        raise ActRefused(job.id, f"would have arguments that cannot be stored: {error.problem}") from None
    return edited


def settled(job: Standing, changes: Changes) -> Changes:
    """Return what the journal keeps of a job after a change, by which an undo sees whether anything happened since."""
    edits = changes.keys() <= {"priority", "args"}
    return changes if edits else {"status": job.status, "attempt": job.attempt} | changes


def revert(job: Standing, verb: str, before: Changes, after: Changes, now: datetime) -> Changes:
    """Return what brings a job back to what it was before an act.

    Args:
        verb: Of the act that is undone.
        before: The values of what it changed.
        after: What they were then, as `settled` returned it.

    Raises:
        ActRefused: something happened to the job since.
        InvalidTransition: its status does not allow it.
    """
    for name, value in after.items():
        present = getattr(job, name)
        # Becoming due is no change of an operator's or a consumer's.
        if present != value and not (name == "status" and {present, value} <= WAITING):
            raise ActRefused(job.id, "has changed since")
    if verb in EDITS and job.status not in EDITS[verb]:
        raise refused_by_status(verb, job)
    back = {name: value for name, value in before.items() if name in after}
    if back.get("status") == JobStatus.PROCESSING:
        back |= _waiting_again(job, before, after)
    if back.get("status") in WAITING:
        back["status"] = waiting_at(back.get("run_at", job.run_at), now)
    return back


def take_back(job: Standing, verb: str, told: Told, now: datetime) -> Changes:
    """Return what an undo changes of a job that an act has changed, thrown away or brought back.

    Raises:
        ActRefused, InvalidTransition: as for `revert`.
    """
    before, after = told
    if after is None:
        return {"status": waiting_at(job.run_at, now)} if job.status in WAITING else {}
    back = revert(job, verb, before or {}, after, now)
    if before is None and job.status not in works_on("delete"):
        raise refused_by_status("delete", job)
    return back


def restored(job: Standing, changes: Changes) -> Told:
    """Return what the journal keeps of a job that came back from the trash."""
    return None, {"status": changes.get("status", job.status), "attempt": job.attempt}


def imported(jobs: Sequence[Job]) -> tuple[dict[int, Told], dict[int, JobError]]:
    """Return what the journal keeps of jobs that an import enqueued, and by their places those that were there."""
    told: dict[int, Told] = {
        job.id: (None, {"status": job.status, "attempt": job.attempt}) for job in jobs if not job.duplicate
    }
    taken: dict[int, JobError] = {
        place: UniqueKeyTaken(job.id, job.unique_key or "") for place, job in enumerate(jobs) if job.duplicate
    }
    return told, taken


def _waiting_again(job: Standing, before: Changes, after: Changes) -> Changes:
    # Its consumer was told that it lost the job, so the job waits for another, and that attempt does not count.
    if before.get("cancel_requested"):
        raise ActRefused(job.id, "was to be cancelled")
    allowed = job.max_attempts + ("max_attempts" not in after)
    return {"status": JobStatus.PENDING, "lease_until": None, "max_attempts": allowed}


def planned(
    ids: Iterable[int],
    jobs: Mapping[int, Standing],
    change: Callable[[Standing], Changes],
    taken: set[str],
    gone: Container[int] = (),
) -> tuple[dict[int, Changes], dict[int, JobError]]:
    """Return what changes of which jobs, and why the others stay as they are.

    Args:
        jobs: How they stand, as many as there are.
        change: What changes of one; raises JobError if it stays as it is.
        taken: The unique keys of unfinished jobs, as many as matter.
        gone: Those that are in the trash.
    """
    changes: dict[int, Changes] = {}
    skipped: dict[int, JobError] = {}
    for job_id in ids:
        try:
            if job_id not in jobs:
                raise JobNotFound(job_id)
            one = change(jobs[job_id])
            check_key(jobs[job_id], one, taken, is_gone=job_id in gone)
        except JobError as error:
            skipped[job_id] = error
        else:
            changes[job_id] = one
    return changes, skipped


def check_key(job: Standing, changes: Changes, taken: set[str], *, is_gone: bool = False) -> None:
    """Note in `taken` that a job becomes unfinished with its unique key.

    Args:
        is_gone: It is in the trash, and so has no key whatever its status is.

    Raises:
        UniqueKeyTaken: the key is among the taken ones.
    """
    had_it = job.status in UNFINISHED and not is_gone
    if job.unique_key is None or had_it or changes.get("status", job.status) not in UNFINISHED:
        return
    if job.unique_key in taken:
        raise UniqueKeyTaken(job.id, job.unique_key)
    taken.add(job.unique_key)


def no_longer_matches(job_id: int) -> ActRefused:
    """Return the error for a job that the act's query does not mean any more."""
    return ActRefused(job_id, "no longer matches the query")


def check_batch(job_ids: Iterable[int]) -> list[int]:
    """Return the ids of one transaction, each once, ascending.

    Raises:
        InvalidArgument: one is none, or there are more than 500.
    """
    ids = sorted({check_id(job_id) for job_id in job_ids})
    check_int("number of ids", len(ids), 0, MAX_BATCH)
    return ids


def check_import(jobs: Sequence[NewJob], batch: int, details: Mapping[str, Any]) -> None:
    """Raise InvalidArgument if these cannot be one batch of an import."""
    check_int("number of jobs", len(jobs), 1, MAX_BATCH)
    check_int("batch", batch, 1, 2**31 - 1)
    encode_args(details, "details")


def check_next(batch: int, batches: int) -> None:
    """Raise InvalidArgument unless this is the batch that follows so many."""
    if batch != batches + 1:
        problem = (
            f"does not follow the {batches:,} that its entry has; does somebody else import the same file?"
        )
        raise InvalidArgument("batch", batch, problem)
