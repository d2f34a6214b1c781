"""The hot statements, written once against the models. Each says which guarantee it upholds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    Exists,
    Integer,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
    type_coerce,
    union_all,
    update,
)

from persistentq.job import JobStatus
from persistentq.sql.dialect import DialectFacts
from persistentq.sql.models import (
    HELD,
    READY,
    READY_ORDER,
    TO_CANCEL,
    UNIQUE_WHERE,
    WAITING,
    Int64,
    JobRow,
    PauseRow,
    PayloadRow,
    is_among,
    moment_of_transaction,
    still_has_status,
)
from persistentq.sql.rows import CLAIMED, JOB_COLUMNS

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute


NOW = moment_of_transaction()
STILL_READY, STILL_WAITING, STILL_HELD = map(
    still_has_status, (JobStatus.PENDING, JobStatus.SCHEDULED, JobStatus.PROCESSING)
)


GIVEN = ("task", "args", "queue", "priority")
OPTIONAL = {"unique_key": None, "tags": "", "extra": None, "backoff_base_us": None, "backoff_cap_us": None}
"""What few new jobs have, and what the others have instead: each bound value takes a tenth of an insert's time."""


def insert_job(facts: DialectFacts, given: Collection[str]) -> Any:
    """G1: one row per job, with these of the optional values.

    With a unique key, an unfinished job that holds it wins, and none is added.
    """
    if facts.is_local:
        moments = {
            "created_at": NOW,
            "run_at": bindparam("run_at_us", type_=Int64),
            "status": bindparam("status"),
        }
    else:
        moments = _moments(bindparam("at", type_=Int64), bindparam("delay_us", type_=Int64))
    added = facts.insert(JobRow).values(
        {"tags": literal_column("''")}
        | {name: bindparam(name) for name in (*GIVEN, *given)}
        | moments
        | FRESH
        | {name: bindparam("attempts") for name in ("max_attempts", "budget")}
    )
    if "unique_key" in given:
        added = added.on_conflict_do_nothing(index_elements=[JobRow.unique_key], index_where=UNIQUE_WHERE)
    # Where the time is given, the rest of the answer is known without asking, but for the id.
    return added if facts.is_local else added.returning(JobRow.id, JobRow.created_at)


def insert_payload(facts: DialectFacts) -> Any:
    """G1: the arguments of a job that was just inserted without them."""
    return facts.insert(PayloadRow).values(job_id=bindparam("job_id"), args=bindparam("payload"))


def payload() -> Select[str]:
    """The arguments of a job that has them in a row of their own."""
    return select(PayloadRow.args).where(PayloadRow.job_id == bindparam("job_id", type_=Int64))


def _moments(at: ColumnElement[int], delay_us: ColumnElement[int]) -> dict[str, Any]:
    """Return when a new job came, when it is ready, and what that makes it, as the database works it out."""
    run_at = func.coalesce(at, NOW + delay_us)
    status = case((run_at > NOW, word(JobStatus.SCHEDULED)), else_=word(JobStatus.PENDING))
    return {"created_at": NOW, "run_at": run_at, "status": status}


def word(status: JobStatus) -> ColumnElement[str]:
    """Return a status as a word in the SQL itself: a driver takes a detour to bind a member of an enumeration."""
    return literal_column(f"'{status}'", Text)


def as_number(number: int) -> ColumnElement[int]:
    """Return a number with its digits in the SQL itself: a bound limit makes SQLite plan the statement each time."""
    return literal_column(str(int(number)), Integer)


FRESH = {"attempt": as_number(0), "cancel_requested": as_number(0)}

JOB_TYPES: dict[str, Any] = {
    **dict.fromkeys(("task", "args", "queue", "unique_key", "tags", "extra"), Text()),
    **dict.fromkeys(("priority", "attempts"), Integer()),
    **dict.fromkeys(("at", "delay_us", "backoff_base_us", "backoff_cap_us"), BigInteger()),
}
"""What a new job's row is made of."""


def insert_jobs(facts: DialectFacts) -> Any:
    """G1: as `insert_job`, for many jobs at once; their ids ascend in the order given."""
    given = arrays(JOB_TYPES)
    chosen = {
        **{getattr(JobRow, name).name: given[name] for name in (*GIVEN, *OPTIONAL)},
        **_moments(given.at, given.delay_us),
        **FRESH,
        "max_attempts": given.attempts,
        "budget": given.attempts,
    }
    return (
        facts.insert(JobRow)
        .from_select(list(chosen), select(*chosen.values()).order_by(given.place))
        .on_conflict_do_nothing(index_elements=[JobRow.unique_key], index_where=UNIQUE_WHERE)
        .returning(JobRow.id, JobRow.unique_key, JobRow.created_at)
    )


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
        .where(is_among(JobRow.id, chosen.scalar_subquery()), STILL_WAITING)
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


def next_moments() -> Select[int]:
    """Microseconds until the first lease ends and until a queue's first scheduled job is due: none to two rows."""
    queue = bindparam("of_queue", type_=Text)
    coming = [
        select((_micros(column) - NOW).label("left"))
        .where(condition)
        .order_by(column)
        .limit(as_number(1))
        .offset(as_number(0))
        .subquery()
        for column, condition in (
            # Its condition says nothing, but tells SQLite where to begin.
            (JobRow.lease_until, and_(HELD, _micros(JobRow.lease_until) > as_number(0))),
            (JobRow.run_at, and_(WAITING, JobRow.queue == queue)),
        )
    ]
    both = union_all(*(select(one) for one in coming)).subquery()
    return select(both.c.left)


def beckoning() -> Select[int]:
    """Say, with one row or none, whether a lease ran out, a scheduled job's time has come, or a job is ready.

    One that is ready was missed by a claim if it was stored while other transactions were taking those before it.
    """
    queue, consumer = bindparam("of_queue", type_=Text), bindparam("by_consumer", type_=Text)
    ready = [
        select(JobRow.id)
        .where(READY, JobRow.queue == queue, condition, ~is_paused(queue))
        .order_by(*READY_ORDER)
        .limit(as_number(1))
        .offset(as_number(0))
        .scalar_subquery()
        .is_not(None)
        for condition in _open_to(consumer)
    ]
    return select(literal_column("1", Integer)).where(or_(*_overdue(), *ready))


def _open_to(consumer: BindParameter[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return what a job is that this consumer may take. Each condition has an index of its own."""
    return JobRow.reserved_for.is_(None), JobRow.reserved_for == consumer


def _overdue() -> list[ColumnElement[bool]]:
    # Not EXISTS: PostgreSQL drops its order, and then may prefer to read the whole table.
    times = ((JobRow.lease_until, HELD), (JobRow.run_at, WAITING))
    return [
        select(_micros(column))
        .where(condition, _micros(column) <= NOW)
        .order_by(column)
        .limit(as_number(1))
        .offset(as_number(0))
        .scalar_subquery()
        .is_not(None)
        for column, condition in times
    ]


def claim(limit: int, *, calm: bool = False) -> Update:
    """G2, G3, G5: take the first ready jobs of a queue, counting the attempt in the same statement.

    Args:
        calm: Take none if anything is overdue: that must be made ready first, and may come before.
    """
    queue, consumer = bindparam("of_queue", type_=Text), bindparam("by_consumer", type_=Text)
    ready = select(JobRow.id, JobRow.priority, JobRow.run_at).where(
        READY, JobRow.queue == queue, ~is_paused(queue)
    )
    # Two arms, each on its own index: jobs that are reserved for others are never looked at.
    arms = [
        ready.where(condition)
        .order_by(*READY_ORDER)
        .limit(as_number(limit))
        .offset(as_number(0))
        .with_for_update(skip_locked=True)
        .subquery()
        for condition in _open_to(consumer)
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
        .where(
            is_among(JobRow.id, first.scalar_subquery()),
            STILL_READY,
            *(~is_so for is_so in _overdue() if calm),
        )
        .values(
            status=word(JobStatus.PROCESSING),
            attempt=JobRow.attempt + as_number(1),
            consumer=consumer,
            reserved_for=null(),
            started_at=NOW,
            lease_until=NOW + bindparam("lease_us", type_=BigInteger),
        )
        .returning(*CLAIMED)
    )


def is_paused(queue: BindParameter[str]) -> Exists:
    """Whether the queue has a pause that lasts."""
    lasts = PauseRow.paused_until.is_(None) | (_micros(PauseRow.paused_until) > NOW)
    return select(PauseRow.queue).where(PauseRow.queue == queue, lasts).exists()


def complete() -> Update:
    """G2: end a job that is still held by that consumer at that attempt."""
    return update(JobRow).where(STILL_HELD, *_fence()).values(**DONE, result=bindparam("outcome", type_=Text))


DONE = {
    "status": word(JobStatus.DONE),
    "finished_at": NOW,
    "lease_until": null(),
    "cancel_requested": as_number(0),
    "error": null(),
}


def complete_all() -> Update:
    """As `complete`, for many jobs at once."""
    held = arrays(SETTLED_TYPES)
    return update(JobRow).where(STILL_HELD, *_fence(held)).values(**DONE, result=held.outcome)


def complete_listed() -> Update:
    """As `complete`, for many jobs without results, whose proofs are bound as one list in JSON, for SQLite.

    A driver lets other threads go on between any two statements, and comes back late if they are busy.
    """
    listed = func.json_each(bindparam("held", type_=Text)).table_valued("value", name="listed")
    proofs = (
        func.json_extract(listed.c.value, literal_column(f"'$[{place}]'")) for place in range(len(HELD_TYPES))
    )
    held = dict(zip(HELD_TYPES, proofs, strict=True))
    return update(JobRow).where(STILL_HELD, *_fence(held)).values(**DONE, result=null())


def completed() -> Select[int]:
    """The id of a job that this very attempt has completed already."""
    return select(JobRow.id).where(still_has_status(JobStatus.DONE), *_fence())


def cancelling() -> Select[int]:
    """The ids of a consumer's jobs that are to be cancelled."""
    return select(JobRow.id).where(TO_CANCEL, JobRow.consumer == bindparam("by_consumer", type_=Text))


def guard() -> Update:
    """G2: write to the row of a held job, so that nobody can take it before the transaction ends."""
    return update(JobRow).where(STILL_HELD, *_fence()).values(lease_until=JobRow.lease_until)


def extend() -> Update:
    """G4: renew a lease that is still held, from now."""
    return _extended(_fence(), bindparam("lease_us", type_=BigInteger))


def extend_all() -> Update:
    """As `extend`, for many jobs at once."""
    held = arrays({**HELD_TYPES, "lease_us": BigInteger()})
    return _extended(_fence(held), held.lease_us)


def _extended(fence: list[ColumnElement[bool]], lease_us: ColumnElement[int]) -> Update:
    return (
        update(JobRow)
        .where(STILL_HELD, *fence)
        .values(lease_until=NOW + lease_us)
        .returning(JobRow.id, JobRow.lease_until, JobRow.cancel_requested)
    )


def unfinished() -> Select[Any]:
    """The unfinished job that holds a unique key."""
    return select(*JOB_COLUMNS.values()).where(
        JobRow.unique_key == bindparam("unique_key", type_=Text), UNIQUE_WHERE
    )


HELD_TYPES: dict[str, Any] = {"held_id": BigInteger(), "held_by": Text(), "held_at": Integer()}
"""What proves that a job is held."""

SETTLED_TYPES = {**HELD_TYPES, "outcome": Text()}
"""That, and the job's result as JSON."""


def _fence(held: Any = None) -> list[ColumnElement[bool]]:
    """Without the attempt, a consumer that came back under its old id could settle a later attempt.

    Args:
        held: Rows with the proofs of many jobs; None for those of one, bound each by itself.
    """
    job_id, consumer, attempt = (
        bindparam(name, type_=kind) if held is None else held[name] for name, kind in HELD_TYPES.items()
    )
    return [JobRow.id == job_id, JobRow.consumer == consumer, JobRow.attempt == attempt]


def arrays(types: Mapping[str, Any]) -> Any:
    """Return the columns of a table whose rows are bound as one array for each column, and `place`, their order."""
    given = func.unnest(*(bindparam(name, type_=ARRAY(kind)) for name, kind in types.items()))
    return given.table_valued(*types, with_ordinality="place").render_derived().c


def _micros(column: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]) -> Any:
    return type_coerce(column, BigInteger)
