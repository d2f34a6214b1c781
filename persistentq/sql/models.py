"""The tables. Their constraints refuse every state that the state machine does not have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Connection,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Text,
    and_,
    bindparam,
    case,
    desc,
    event,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedColumn, column_property, mapped_column
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType, TypeDecorator

from persistentq.job import FINISHED, UNFINISHED, JobStatus

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

# SQLite's STRICT tables know INTEGER and TEXT only; its INTEGER has 64 bits.
Int64 = BigInteger().with_variant(Integer, "sqlite")


class EpochMicroseconds(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as whole microseconds since 1970; naive ones are refused."""

    impl = Int64
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return what is stored for `value`."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(f"{value!r} is a naive datetime; give it a time zone")
        return (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the datetime that `value` stands for."""
        return None if value is None else EPOCH + value * MICROSECOND


class database_now(FunctionElement[int]):  # noqa: N801 - reads as a SQL function
    """The database's clock in microseconds since 1970."""

    type = BigInteger()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(element: database_now, compiler: SQLCompiler, **kw: Any) -> str:
    # unixepoch('now', 'subsec') is NULL before SQLite 3.42, and a NULL lease would never expire.
    return "(CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000)"


@compiles(database_now, "postgresql")
def _postgresql_now(element: database_now, compiler: SQLCompiler, **kw: Any) -> str:
    # now() stands still within a transaction, and a lease must be counted from the moment it is given;
    # clock_timestamp() moves within a statement, so that no index can be searched for what is due by it.
    return "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT)"


class moment_of_transaction(FunctionElement[int]):  # noqa: N801 - reads as a SQL function
    """The database's clock in the hot statements: bound as `now_us` where it is this process's own, else asked for.

    Not a coalesce of both: SQLite would work out its own clock all the same, for a third of an insert's time.
    """

    type = BigInteger()
    inherit_cache = True

    def __init__(self) -> None:
        super().__init__(bindparam("now_us", type_=BigInteger))


@compiles(moment_of_transaction)
def _asked_now(element: moment_of_transaction, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(database_now(), **kw)


@compiles(moment_of_transaction, "sqlite")
def _bound_now(element: moment_of_transaction, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


class is_among(FunctionElement[bool]):  # noqa: N801 - reads as a SQL condition
    """Whether a column is among what a scalar subquery chose.

    On PostgreSQL the subquery runs once and its rows are found by the column's index. IN would be made a join, which
    may read the whole table, and may run a subquery that locks rows more than once.
    """

    # Not Boolean: SQLite has none, so SQLAlchemy would compare with 1, and no index serves that.
    type = NullType()  # type: ignore[assignment]
    inherit_cache = True


@compiles(is_among)
def _is_in(element: is_among, compiler: SQLCompiler, **kw: Any) -> str:
    column, chosen = (compiler.process(part, **kw) for part in element.clauses)
    return f"{column} IN {chosen}"


@compiles(is_among, "postgresql")
def _is_any_of(element: is_among, compiler: SQLCompiler, **kw: Any) -> str:
    column, chosen = (compiler.process(part, **kw) for part in element.clauses)
    return f"{column} = ANY (ARRAY{chosen})"


class Base(DeclarativeBase):
    """The root of the mapped classes."""

    __table_args__: Any = ({"sqlite_strict": True},)
    type_annotation_map: ClassVar = {str: Text, int: Integer, datetime: EpochMicroseconds}


class SchemaRow(Base):
    """One row: the version of these tables; and, while and after it moves, where the queue stands; see Mark."""

    __tablename__ = "persistentq_schema"

    version_num: Mapped[str] = mapped_column(primary_key=True)
    standing: Mapped[str | None]
    other: Mapped[str | None]
    mover: Mapped[str | None]
    seen_at: Mapped[datetime | None]


def _in(statuses: frozenset[JobStatus]) -> str:
    return ", ".join(f"'{status}'" for status in JobStatus if status in statuses)


def _of_job() -> MappedColumn[int]:
    """Return the key column of a table whose rows go with their job."""
    job = ForeignKey("persistentq_jobs.id", ondelete="CASCADE")
    return mapped_column(Int64, job, primary_key=True, autoincrement=False)


class PayloadRow(Base):
    """Large arguments of one job, where the database would write them anew at each change of the job's row."""

    __tablename__ = "persistentq_payloads"

    job_id: Mapped[int] = _of_job()
    args: Mapped[str]


class JobRow(Base):
    """One job. Large columns come last, so that the others can be read without them.

    `args` are empty where a PayloadRow has them; `whole_args` are the arguments wherever they are. `tags` stand
    between commas, as in `,vip,eu,`, so that one can be looked for; `extra` holds the job's metadata, a name that
    SQLAlchemy keeps for itself.
    """

    __tablename__ = "persistentq_jobs"

    id: Mapped[int] = mapped_column(Int64, primary_key=True)
    queue: Mapped[str]
    status: Mapped[str]
    priority: Mapped[int]
    run_at: Mapped[datetime]
    reserved_for: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    budget: Mapped[int]
    consumer: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    cancel_requested: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    task: Mapped[str]
    unique_key: Mapped[str | None]
    backoff_base_us: Mapped[int | None] = mapped_column(Int64)
    backoff_cap_us: Mapped[int | None] = mapped_column(Int64)
    tags: Mapped[str] = mapped_column(default="")
    error: Mapped[str | None]
    args: Mapped[str] = mapped_column()
    extra: Mapped[str | None] = mapped_column("metadata")
    result: Mapped[str | None]

    whole_args: Mapped[str] = column_property(
        case(
            (
                args == "",
                select(PayloadRow.args)
                .where(PayloadRow.job_id == id)
                .correlate_except(PayloadRow)
                .scalar_subquery(),
            ),
            else_=args,
        )
    )

    __table_args__ = (
        CheckConstraint(f"status IN ({_in(frozenset(JobStatus))})", "persistentq_known_status"),
        CheckConstraint(
            "attempt >= 0 AND attempt <= max_attempts AND budget >= 1", "persistentq_bounded_attempts"
        ),
        CheckConstraint(
            "(status = 'processing') = (lease_until IS NOT NULL)", "persistentq_lease_while_processing"
        ),
        CheckConstraint(
            "status <> 'processing' OR (consumer IS NOT NULL AND started_at IS NOT NULL AND attempt > 0)",
            "persistentq_processing_has_owner",
        ),
        CheckConstraint(
            f"(status IN ({_in(FINISHED)})) = (finished_at IS NOT NULL)", "persistentq_finished_at"
        ),
        CheckConstraint(
            "reserved_for IS NULL OR status IN ('scheduled', 'pending')", "persistentq_reserved_waits"
        ),
        CheckConstraint("cancel_requested = 0 OR status = 'processing'", "persistentq_cancel_of_processing"),
        # Without AUTOINCREMENT, SQLite gives a deleted job's id to the next one, and a stale consumer of the
        # first could settle the second.
        {"sqlite_strict": True, "sqlite_autoincrement": True},
    )


def has_status(status: JobStatus) -> ColumnElement[bool]:
    """Return the condition that a job has this status, with the word in the SQL itself.

    A partial index serves only a query that repeats its condition; a bound value would not be recognised.
    """
    return JobRow.status == text(f"'{status}'")


def still_has_status(status: JobStatus) -> ColumnElement[bool]:
    """Return the same condition for a job whose id is given, in a form that no index serves.

    With statistics of a moment when no job had this status, PostgreSQL would search among all that have it by now. And
    of a coalesce it expects that it holds for every other row, so that it looks up each job by its id.
    """
    return text(f"coalesce(persistentq_jobs.status = '{status}', false)")  # type: ignore[return-value]


READY, WAITING, HELD = map(has_status, (JobStatus.PENDING, JobStatus.SCHEDULED, JobStatus.PROCESSING))
UNIQUE_WHERE = text(f"unique_key IS NOT NULL AND status IN ({_in(UNFINISHED)})")
TO_CANCEL = text("persistentq_jobs.cancel_requested = 1")
READY_ORDER = (desc(JobRow.priority), JobRow.run_at, JobRow.id)


def _partial(name: str, *columns: Any, where: ColumnElement[bool] | Any, unique: bool = False) -> None:
    Index(name, *columns, unique=unique, sqlite_where=where)


@event.listens_for(Base.metadata, "before_create")
def _give_postgresql_the_conditions(metadata: MetaData, connection: Connection, **_: object) -> None:
    # Not as `postgresql_where=` above: that loads the dialect with every driver's part, a tenth of SQLAlchemy, in
    # each process that uses SQLite.
    if connection.dialect.name != "postgresql":
        return
    for index in (one for table in metadata.tables.values() for one in table.indexes):
        index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


_partial("persistentq_ready", JobRow.queue, *READY_ORDER, where=and_(READY, JobRow.reserved_for.is_(None)))
_partial(
    "persistentq_reserved",
    JobRow.reserved_for,
    JobRow.queue,
    *READY_ORDER,
    where=and_(READY, JobRow.reserved_for.is_not(None)),
)
_partial("persistentq_due", JobRow.run_at, JobRow.id, where=WAITING)
_partial("persistentq_due_of_queue", JobRow.queue, JobRow.run_at, where=WAITING)
_partial("persistentq_lease", JobRow.lease_until, where=HELD)
_partial("persistentq_cancelling", JobRow.consumer, where=text("cancel_requested = 1"))
_partial("persistentq_unique_key", JobRow.unique_key, where=UNIQUE_WHERE, unique=True)
_partial("persistentq_finished", JobRow.finished_at, JobRow.status, where=JobRow.finished_at.is_not(None))
# Always true, which no planner sees, so the next two serve only a query that says it. Otherwise PostgreSQL, whose
# statistics are of a moment when nothing was pending, would search them for what is ready; SQLite prefers them too.
LISTED = text("status || '' <> ''")
_partial("persistentq_by_status", JobRow.status, JobRow.id, where=LISTED)
_partial("persistentq_by_queue", JobRow.queue, JobRow.status, JobRow.id, where=LISTED)


class AttemptRow(Base):
    """One attempt that ended other than by completion; the job's own row holds the rest."""

    __tablename__ = "persistentq_attempts"

    job_id: Mapped[int] = _of_job()
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    consumer: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime] = mapped_column(index=True)
    outcome: Mapped[str]
    error_type: Mapped[str | None]
    error: Mapped[str | None]
    traceback: Mapped[str | None]


class PauseRow(Base):
    """One paused queue; `paused_until` is None for a pause that does not end by itself."""

    __tablename__ = "persistentq_pauses"

    queue: Mapped[str] = mapped_column(primary_key=True)
    paused_at: Mapped[datetime]
    paused_until: Mapped[datetime | None]


class ConsumerRow(Base):
    """One consumer, as it last reported itself; `queues` are joined with commas, `tasks` with spaces."""

    __tablename__ = "persistentq_consumers"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    queues: Mapped[str]
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]
    life: Mapped[str]
    trouble: Mapped[str | None]
    tasks: Mapped[str | None]


class LogRow(Base):
    """One line that a job's task logged; before it, the job's log had `starts_at` bytes of UTF-8."""

    __tablename__ = "persistentq_log_lines"

    job_id: Mapped[int] = _of_job()
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    starts_at: Mapped[int] = mapped_column(Int64)
    attempt: Mapped[int]
    at: Mapped[datetime]
    text: Mapped[str]


class ProgressRow(Base):
    """How far a job's task has come, as it last said."""

    __tablename__ = "persistentq_progress"

    job_id: Mapped[int] = _of_job()
    attempt: Mapped[int]
    at: Mapped[datetime]
    millionths: Mapped[int]
    note: Mapped[str]


class ScheduleRow(Base):
    """One schedule. `look_at` is when a tick looks at it next: `next_at`, a later try after an error, never if paused.

    `tags` are joined with commas.
    """

    __tablename__ = "persistentq_schedules"
    __table_args__ = (
        CheckConstraint("(look_at IS NULL) = (paused_at IS NOT NULL)", "persistentq_looked_at_unless_paused"),
        CheckConstraint("catch_up IN ('skip', 'one', 'all')", "persistentq_known_catch_up"),
        {"sqlite_strict": True},
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    expression: Mapped[str]
    zone: Mapped[str]
    catch_up: Mapped[str]
    catch_up_limit: Mapped[int]
    created_at: Mapped[datetime]
    next_at: Mapped[datetime]
    look_at: Mapped[datetime | None] = mapped_column(index=True)
    last_at: Mapped[datetime | None]
    last_job_id: Mapped[int | None] = mapped_column(Int64)
    paused_at: Mapped[datetime | None]
    error: Mapped[str | None]
    task: Mapped[str]
    queue: Mapped[str]
    priority: Mapped[int]
    max_attempts: Mapped[int | None]
    tags: Mapped[str]
    is_unique: Mapped[int]
    args: Mapped[str]
