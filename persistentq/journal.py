"""The journal of the operators' acts: who did what, from where, why, and what came of it; plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from persistentq.checks import check_int, check_text
from persistentq.errors import (
    ActRefused,
    InvalidArgument,
    InvalidTransition,
    JobError,
    JobNotFound,
    UniqueKeyTaken,
)

if TYPE_CHECKING:
    from persistentq.schedule import Schedule


@dataclass(frozen=True, slots=True)
class ActNote:
    """Who acts, from where and why, as the journal keeps it.

    Attributes:
        actor: Who, 1 to 200 characters.
        face: From where: cli, manager, dashboard, library; 1 to 50 characters.
        reason: Why; up to 1,000 characters, empty if it was not said.
        query: What was asked for, in the query language; empty if the jobs were named.
        meant: How many jobs the whole act is about.

    Raises:
        InvalidArgument: a value that cannot be stored.
    """

    actor: str
    face: str = "library"
    reason: str = ""
    query: str = ""
    meant: int = 0

    def __post_init__(self) -> None:
        check_text("actor", self.actor, 200)
        check_text("face", self.face, 50)
        if self.reason:
            check_text("reason", self.reason, 1_000)
        if self.query:
            check_text("query", self.query, 20_000)
        check_int("meant", self.meant, 0, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class ActBatch:
    """What one transaction of an act has done.

    Attributes:
        entry: The journal's entry that tells of it.
        done: The ids that were changed, ascending.
        skipped: Each other one with the error that says why.
    """

    entry: int
    done: tuple[int, ...] = ()
    skipped: Mapping[int, JobError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One act of an operator.

    Attributes:
        id: Ascending; later acts have higher ones.
        at: When it began.
        actor: Who.
        face: From where.
        verb: What: a verb of an Act, undo, or what else was noted, such as pause.
        details: What belongs to the verb, such as the consumer of assign, or the verb that an undo took back.
        query: What was asked for; empty if the jobs were named.
        reason: Why; empty if it was not said.
        meant: How many jobs it was about; more than `done` and `skipped` together if it was broken off.
        done: How many were changed.
        skipped: How many were not, by reason.
        batches: How many transactions it took; each is undone by itself.
        undoes: Of an undo: the entry that it took back.
        undone_by: The last undo of this entry that changed a job; None if there is none.
    """

    id: int
    at: datetime
    actor: str
    face: str
    verb: str
    details: Mapping[str, Any]
    query: str = ""
    reason: str = ""
    meant: int = 0
    done: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    batches: int = 0
    undoes: int | None = None
    undone_by: int | None = None


class JournalPage(NamedTuple):
    """Some entries, the newest first; `next` is the cursor for those before them, None at the end."""

    items: tuple[JournalEntry, ...]
    next: str | None


def pause_details(queue: str, lasting: timedelta | None) -> dict[str, Any]:
    """Return what the journal keeps of a pause."""
    return {"queue": queue, "seconds": None if lasting is None else lasting.total_seconds()}


def schedule_details(schedule: Schedule) -> dict[str, Any]:
    """Return what the journal keeps of a schedule that is put, besides its name; arguments may be secret."""
    return {
        "expression": schedule.expression,
        "zone": schedule.zone,
        "task": schedule.task,
        "queue": schedule.queue,
    }


def reason_of(error: JobError) -> str:
    """Return why a job was skipped, without its id, so that those skipped for one reason can be counted."""
    match error:
        case InvalidTransition():
            return f"is {error.status}"
        case JobNotFound():
            return "does not exist"
        case UniqueKeyTaken():
            return "has a unique key that is taken"
        case ActRefused():
            return error.problem
    return error.summary


def count_reasons(known: Mapping[str, int], errors: Iterable[JobError]) -> dict[str, int]:
    """Return how many jobs were skipped for each reason, these and those that are known."""
    counts = Counter(known)
    counts.update(map(reason_of, errors))
    return dict(counts)


def check_goes_on(entry: int, known: tuple[object, ...], given: tuple[object, ...]) -> None:
    """Make sure that an entry tells of the act that goes on.

    Args:
        known: What the entry has as verb, details and the entry that it undoes.
        given: What the act has.

    Raises:
        InvalidArgument: it tells of another one, which could then not be taken back.
    """
    if known != given:
        raise InvalidArgument("note", entry, "is the entry of another act; begin one with an ActNote")


def check_verb(verb: object) -> str:
    """Return what an act that is not about jobs is called, 1 to 50 characters, else raise InvalidArgument."""
    return check_text("verb", verb, 50)


def write_ids(ids: Sequence[int]) -> str:
    """Return ascending ids as text, as in `1-500,502`."""
    parts: list[list[int]] = []
    for job_id in ids:
        if parts and job_id == parts[-1][-1] + 1:
            parts[-1][1:] = [job_id]
        else:
            parts.append([job_id])
    return ",".join("-".join(map(str, part)) for part in parts)


def read_ids(text: str) -> Iterator[int]:
    """Yield the ids that `write_ids` wrote."""
    for span in _spans(text):
        yield from span


def names_id(text: str, job_id: int) -> bool:
    """Return whether an id is among those that `write_ids` wrote."""
    return any(job_id in span for span in _spans(text))


def _spans(text: str) -> Iterator[range]:
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield range(int(first), int(last or first) + 1)
