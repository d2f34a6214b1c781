"""The hot statements, written once against the models. Each says which guarantee it upholds."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Delete,
    Exists,
    Integer,
    Select,
    Text,
    Update,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    null,
    or_,
    select,
    text,
    type_coerce,
    union_all,
    update,
)

from persistentq.job import JobStatus
from persistentq.sql.dialect import DialectFacts
from persistentq.sql.models import (
    HELD,
    READY,
    UNIQUE_WHERE,
    WAITING,
    ConsumerRow,
    Int64,
    JobRow,
    PauseRow,
    database_now,
    has_status,
    is_among,
    moment_of_transaction,
)
from persistentq.sql.rows import JOB_COLUMNS

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute


NOW = moment_of_transaction()


def insert_job(facts: DialectFacts, *, unique: bool) -> Any:
    """G1: one row per job; with `unique`, an unfinished job that holds the unique key wins, and none is added."""
    given = [
        "task",
        "args",
        "queue",
        "priority",
        "unique_key",
        "tags",
        "extra",
        "backoff_base_us",
        "backoff_cap_us",
    ]
    added = facts.insert(JobRow).values(
        **{name: bindparam(name) for name in given},
        **_moments(facts),
        max_attempts=bindparam("attempts"),
        budget=bindparam("attempts"),
        attempt=text("0"),
        cancel_requested=text("0"),
    )
    if unique:
        added = added.on_conflict_do_nothing(index_elements=[JobRow.unique_key], index_where=UNIQUE_WHERE)
    # Where the time is given, the rest of the answer is known without asking, but for the id.
    return added if facts.is_local else added.returning(JobRow.id, JobRow.created_at)


def _moments(facts: DialectFacts) -> dict[str, Any]:
    """Return when a new job came, when it is ready, and what that makes it: given, or worked out by the database."""
    if facts.is_local:
        return {
            "created_at": NOW,
            "run_at": bindparam("run_at_us", type_=Int64),
            "status": bindparam("status"),
        }
    run_at = func.coalesce(bindparam("at", type_=Int64), NOW + bindparam("delay_us", type_=Int64))
    status = case((run_at > NOW, word(JobStatus.SCHEDULED)), else_=word(JobStatus.PENDING))
    return {"created_at": NOW, "run_at": run_at, "status": status}


def word(status: JobStatus) -> ColumnElement[str]:
    """Return a status as a word in the SQL itself: a driver takes a detour to bind a member of an enumeration."""
    return literal_column(f"'{status}'", Text)


def as_number(limit: int) -> ColumnElement[int]:
    """Return a limit with its digits in the SQL itself: a bound one makes SQLite plan the statement anew each time."""
    return literal_column(str(int(limit)), Integer)


def due(limit: int) -> Update:
    """G5: scheduled jobs whose time has come become ready, the earliest first."""
    chosen = (
        select(JobRow.id)
        .where(WAITING, _micros(JobRow.run_at) <= NOW)
        .order_by(JobRow.run_at, JobRow.id)
        .limit(as_number(limit))
        .offset(as_number(0))
        .with_for_update(skip_locked=True)
    )
    return (
        update(JobRow)
        .where(is_among(JobRow.id, chosen.scalar_subquery()), WAITING)
        .values(status=word(JobStatus.PENDING))
    )


def expired(limit: int) -> Select[int]:
    """G4: the ids of jobs whose lease ran out, locked, the longest overdue first."""
    return (
        select(JobRow.id)
        .where(HELD, _micros(JobRow.lease_until) <= NOW)
        .order_by(JobRow.lease_until)
        .limit(as_number(limit))
        .offset(as_number(0))
        .with_for_update(skip_locked=True)
    )


def claim(limit: int) -> Update:
    """G2, G3, G5: take the first ready jobs of a queue, counting the attempt in the same statement."""
    queue, consumer = bindparam("of_queue", type_=Text), bindparam("by_consumer", type_=Text)
    ready = select(JobRow.id, JobRow.priority, JobRow.run_at).where(
        READY, JobRow.queue == queue, ~is_paused(queue)
    )
    order = (JobRow.priority.desc(), JobRow.run_at, JobRow.id)
    # Two arms, each on its own index: jobs that are reserved for others are never looked at.
    arms = [
        ready.where(condition)
        .order_by(*order)
        .limit(as_number(limit))
        .offset(as_number(0))
        .with_for_update(skip_locked=True)
        .subquery()
        for condition in (JobRow.reserved_for.is_(None), JobRow.reserved_for == consumer)
    ]
    both = union_all(*(select(arm) for arm in arms)).subquery()
    first = (
        select(both.c.id)
        .order_by(both.c.priority.desc(), both.c.run_at, both.c.id)
        .limit(as_number(limit))
        .offset(as_number(0))
    )
    return (
        update(JobRow)
        .where(is_among(JobRow.id, first.scalar_subquery()), READY)
        .values(
            status=word(JobStatus.PROCESSING),
            attempt=JobRow.attempt + 1,
            consumer=consumer,
            reserved_for=null(),
            started_at=NOW,
            lease_until=NOW + bindparam("lease_us", type_=BigInteger),
        )
        .returning(*JOB_COLUMNS)
    )


def is_paused(queue: BindParameter[str]) -> Exists:
    """Whether the queue has a pause that lasts."""
    lasts = PauseRow.paused_until.is_(None) | (_micros(PauseRow.paused_until) > NOW)
    return select(PauseRow.queue).where(PauseRow.queue == queue, lasts).exists()


def complete() -> Update:
    """G2: end a job that is still held by that consumer at that attempt."""
    return (
        update(JobRow)
        .where(HELD, *_fence())
        .values(
            status=word(JobStatus.DONE),
            finished_at=NOW,
            lease_until=null(),
            cancel_requested=text("0"),
            error=null(),
            result=bindparam("outcome", type_=Text),
        )
    )


def completed() -> Select[int]:
    """The id of a job that this very attempt has completed already."""
    return select(JobRow.id).where(has_status(JobStatus.DONE), *_fence())


def guard() -> Update:
    """G2: write to the row of a held job, so that nobody can take it before the transaction ends."""
    return update(JobRow).where(HELD, *_fence()).values(lease_until=JobRow.lease_until)


def extend() -> Update:
    """G4: renew a lease that is still held, from now."""
    return (
        update(JobRow)
        .where(HELD, *_fence())
        .values(lease_until=NOW + bindparam("lease_us", type_=BigInteger))
        .returning(*JOB_COLUMNS)
    )


def forget_consumers(silent_us: int) -> Delete:
    """Drop the consumers that hold nothing and have been silent for so long."""
    busy = select(JobRow.id).where(HELD, JobRow.consumer == ConsumerRow.id).exists()
    silent = _micros(ConsumerRow.heartbeat_at) < database_now() - bindparam(None, silent_us, BigInteger)
    return delete(ConsumerRow).where(silent, ~busy)


def surplus(status: JobStatus, older_us: int | None, keep: int | None, limit: int) -> Delete:
    """Delete the finished jobs that retention no longer wants, those that finished first first."""
    ended = select(JobRow.id).where(JobRow.status == status, JobRow.finished_at.is_not(None))
    kept = ended.order_by(JobRow.finished_at.desc(), JobRow.id.desc()).limit(keep).subquery()
    unwanted: list[ColumnElement[bool]] = []
    if older_us is not None:
        unwanted.append(_micros(JobRow.finished_at) < database_now() - bindparam(None, older_us, BigInteger))
    if keep is not None:
        unwanted.append(JobRow.id.not_in(select(kept.c.id)))
    first = ended.where(or_(*unwanted)).order_by(JobRow.finished_at, JobRow.id).limit(limit)
    return delete(JobRow).where(is_among(JobRow.id, first.scalar_subquery()), JobRow.status == status)


def unfinished() -> Select[Any]:
    """The unfinished job that holds a unique key."""
    return select(*JOB_COLUMNS).where(JobRow.unique_key == bindparam("unique_key", type_=Text), UNIQUE_WHERE)


def _fence() -> list[ColumnElement[bool]]:
    """Without the attempt, a consumer that came back under its old id could settle a later attempt."""
    return [
        JobRow.id == bindparam("held_id", type_=Int64),
        JobRow.consumer == bindparam("held_by", type_=Text),
        JobRow.attempt == bindparam("held_at", type_=Integer),
    ]


def _micros(column: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]) -> Any:
    return type_coerce(column, BigInteger)
