"""The store's part by which people find out what is wrong; it changes nothing and reads no more than it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain, pairwise
from math import gcd
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, and_, case, func, literal, select, union_all

from persistentq.checks import check_id, check_int, check_span
from persistentq.errors import JobNotFound, SchemaMismatch
from persistentq.insight import (
    AHEAD,
    BROKEN,
    LATELY_JOBS,
    LATELY_S,
    TRACEBACK_END,
    Arrival,
    Check,
    Circumstances,
    Ending,
    Examination,
    Expired,
    Grade,
    History,
    Mishap,
    Mishaps,
    Overview,
    Waiting,
    pace,
)
from persistentq.insight_interface import LONGEST_WINDOW
from persistentq.job import FINISHED, Attempt, Job, JobStatus, Outcome
from persistentq.sql.models import (
    HELD,
    READY,
    UNIQUE_WHERE,
    WAITING,
    AttemptRow,
    Int64,
    JobRow,
    PauseRow,
    SchemaRow,
)
from persistentq.sql.readers import OLDEST, Readers
from persistentq.sql.rows import current_attempt, to_attempt, to_job
from persistentq.sql.schema import VERSION

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ROWS = 12_000
"""So many rows of each kind are read of a span's history; what is beyond is estimated from them."""

ENDED_JOBS = select(
    JobRow.queue, JobRow.task, JobRow.status, JobRow.run_at, JobRow.started_at, JobRow.finished_at
)
ENDED_ATTEMPTS = select(
    JobRow.queue, JobRow.task, AttemptRow.outcome, literal(None), AttemptRow.started_at, AttemptRow.ended_at
).join(JobRow, JobRow.id == AttemptRow.job_id)
RUNNING = select(JobRow.queue, JobRow.task, JobRow.run_at, JobRow.started_at).where(HELD).limit(ROWS)


class Insight(Readers):
    """Looks at the queue; see PersistentQInterface."""

    def explain_job(self, job_id: int) -> Circumstances:
        with self._orm(read_only=True) as session:
            row = session.get(JobRow, check_id(job_id))
            if row is None:
                raise JobNotFound(job_id)
            job, now = to_job(row), self._clock(session)
            pauses, ahead = _pauses(session, now), _count_ahead(session, job)
            return Circumstances(
                now=now,
                job=job,
                last=_last_attempt(session, job),
                is_paused=job.queue in pauses,
                paused_until=pauses.get(job.queue),
                consumers=tuple(self._consumers(session, now)),
                ahead=min(ahead, AHEAD),
                is_capped=ahead > AHEAD,
                pace=_pace(session, job.queue, now),
                rival=_rival(session, job),
            )

    def overview(self) -> Overview:
        with self._orm(read_only=True) as session:
            now = self._clock(session)
            expired = select(JobRow.id, JobRow.consumer, JobRow.lease_until).where(
                HELD, JobRow.lease_until <= now
            )
            rows = session.execute(expired.order_by(JobRow.lease_until, JobRow.id).limit(1000)).all()
            pauses = _pauses(session, now)
            due = select(JobRow.queue, func.min(JobRow.run_at)).where(WAITING, JobRow.run_at <= now)
            since: dict[str, datetime] = {}
            for oldest in (*OLDEST, due.group_by(JobRow.queue)):
                for name, moment in session.execute(oldest):
                    since[name] = min(moment, since.get(name, moment))
            return Overview(
                now=now,
                expired=tuple(_expired(*row) for row in rows),
                waiting=tuple(
                    Waiting(name, moment, name in pauses) for name, moment in sorted(since.items())
                ),
                consumers=tuple(self._consumers(session, now)),
            )

    def list_mishaps(self, window: timedelta, *, limit: int = 5000) -> Mishaps:
        check_span("window", window, timedelta(microseconds=1), LONGEST_WINDOW)
        check_int("limit", limit, 1, 20_000)
        size = func.length(AttemptRow.traceback)
        found = (
            select(
                AttemptRow.job_id,
                JobRow.task,
                JobRow.queue,
                AttemptRow.ended_at,
                AttemptRow.outcome,
                AttemptRow.error_type,
                AttemptRow.error,
                func.substr(
                    AttemptRow.traceback, case((size > TRACEBACK_END, size - TRACEBACK_END + 1), else_=1)
                ),
            )
            .join(JobRow, JobRow.id == AttemptRow.job_id)
            .where(AttemptRow.outcome.in_(BROKEN))
            .order_by(AttemptRow.ended_at.desc(), AttemptRow.job_id.desc())
            .limit(limit + 1)
        )
        with self._orm(read_only=True) as session:
            now = self._clock(session)
            rows = session.execute(found.where(AttemptRow.ended_at >= now - window)).all()
        items = tuple(_mishap(*row) for row in rows[:limit])
        return Mishaps(now, items, len(rows) > limit)

    def look_back(self, window: timedelta, buckets: int) -> History:
        check_span("window", window, timedelta(microseconds=1), LONGEST_WINDOW)
        check_int("buckets", buckets, 1, 500)
        with self._orm(read_only=True) as session:
            now = self._clock(session)
            arrivals = _arrivals(session, now - window)
            spans = _Spans(session, now - window, now, buckets)
            ended = spans.read(ENDED_JOBS, JobRow.finished_at)
            broken = spans.read(ENDED_ATTEMPTS, AttemptRow.ended_at)
            running = [Ending(*row[:2], None, *row[2:], None) for row in session.execute(RUNNING)]
        return History(
            start=now - window,
            now=now,
            arrivals=tuple(arrivals),
            endings=(*(one for one in ended if one.outcome is Outcome.DONE), *broken),
            running=tuple(running),
            scanned=len(arrivals) + len(ended) + len(broken) + len(running),
            is_sample=any(one.weight > 1.0 for one in chain[Arrival | Ending](arrivals, ended, broken)),
        )

    def examine(self, *, thorough: bool = False) -> Examination:
        with self._orm(read_only=True) as session:
            now = self._clock(session)
            found = session.scalars(select(SchemaRow.version_num)).one_or_none() or "none"
        schema = Check("schema", Grade.OK, f"version {found}")
        if found != VERSION:
            error = SchemaMismatch(self._location, found, VERSION)
            schema = Check("schema", Grade.FAIL, error.problem, error.hint)
        with self._translated():
            return Examination(now, (schema, *self._facts.examine(self._reader, thorough=thorough)))


def _pauses(session: Session, now: datetime) -> dict[str, datetime | None]:
    """Return when each pause ends that lasts; None for never."""
    rows = session.scalars(select(PauseRow))
    return {row.queue: row.paused_until for row in rows if row.paused_until is None or row.paused_until > now}


def _expired(job_id: int, consumer: Any, lease_until: Any) -> Expired:
    return Expired(job_id, consumer, lease_until)


def _mishap(*row: Any) -> Mishap:
    job_id, task, queue, at, outcome, *told = row
    return Mishap(job_id, task, queue, at, Outcome(outcome), *told)


def _last_attempt(session: Session, job: Job) -> Attempt | None:
    if running := current_attempt(job):
        return running[-1]
    ended = select(AttemptRow).where(AttemptRow.job_id == job.id).order_by(AttemptRow.attempt.desc()).limit(1)
    row = session.scalars(ended).one_or_none()
    return None if row is None else to_attempt(row)


def _count_ahead(session: Session, job: Job) -> int:
    """Count the ready jobs that leave before this one: each arm is one stretch of one index."""
    if job.status != JobStatus.PENDING:
        return 0
    sooner = (
        [JobRow.priority > job.priority],
        [JobRow.priority == job.priority, JobRow.run_at < job.run_at],
        [JobRow.priority == job.priority, JobRow.run_at == job.run_at, JobRow.id < job.id],
    )
    reserved: list[ColumnElement[bool]] = [JobRow.reserved_for.is_(None)]
    if job.reserved_for is not None:
        reserved.append(and_(JobRow.reserved_for.is_not(None), JobRow.reserved_for == job.reserved_for))
    arms = [
        select(JobRow.id).where(READY, JobRow.queue == job.queue, whose, *conditions)
        for whose in reserved
        for conditions in sooner
    ]
    found = union_all(*arms).limit(AHEAD + 1).subquery()
    return session.scalars(select(func.count()).select_from(found)).one()


def _pace(session: Session, queue: str, now: datetime) -> float:
    lately = (
        select(JobRow.finished_at, JobRow.queue)
        .where(JobRow.finished_at >= now - timedelta(seconds=LATELY_S))
        .order_by(JobRow.finished_at.desc())
        .limit(LATELY_JOBS)
    )
    rows = session.execute(lately).all()
    return pace([row[0] for row in rows if row[0]], sum(row[1] == queue for row in rows), now)


def _rival(session: Session, job: Job) -> int | None:
    if job.unique_key is None or job.status not in FINISHED:
        return None
    held = select(JobRow.id).where(UNIQUE_WHERE, JobRow.unique_key == job.unique_key)
    return session.scalars(held).one_or_none()


class _Spans:
    """Equal spans of time, of each of which the first rows are read: if it has more, each stands for several."""

    def __init__(self, session: Session, start: datetime, now: datetime, buckets: int) -> None:
        self._session, self._most = session, max(1, ROWS // buckets)
        step = (now - start) / buckets
        self._edges = [*(start + n * step for n in range(buckets)), now + timedelta(microseconds=1)]

    def read(self, rows: Any, moment: Any) -> list[Ending]:
        """Return the rows by the index on `moment`."""
        endings: list[Ending] = []
        for low, high in pairwise(self._edges):
            span = (moment >= low, moment < high)
            found = self._session.execute(rows.where(*span).order_by(moment).limit(self._most)).all()
            number = len(found)
            if number == self._most:
                number = self._session.scalars(select(func.count(moment)).where(*span)).one()
            endings += _endings(found, number / len(found) if found else 1.0)
        return endings


def _endings(rows: Sequence[Any], weight: float) -> Iterator[Ending]:
    known = {outcome.value: outcome for outcome in (Outcome.DONE, *BROKEN)}
    for queue, task, outcome, ready_at, started_at, ended_at in rows:
        # A job that became failed is told by its attempts.
        yield Ending(queue, task, known.get(outcome), ready_at, started_at, ended_at, weight)


def _arrivals(session: Session, start: datetime) -> list[Arrival]:
    """Return what was enqueued since `start`, by ids, which rise with the time: every so manieth if there are many."""
    # One by one: only so does SQLite look at the ends of the table alone.
    first, last = (session.scalars(select(end(JobRow.id))).one() or 0 for end in (func.min, func.max))
    if not last:
        return []
    low = _first_since(session, start, first, last)
    columns = select(JobRow.queue, JobRow.task, JobRow.created_at)
    step = (last - low) // ROWS + 1
    while step > 1 and gcd(step, 2 * 3 * 5 * 7) > 1:
        # Jobs that come in turns of a few would be seen in one of their places only.
        step += 1
    if step == 1:
        chosen = columns.where(JobRow.id >= low)
    else:
        numbers = select(literal(low, Int64).label("i")).cte("numbers", recursive=True)
        numbers = numbers.union_all(select(numbers.c.i + step).where(numbers.c.i + step <= last))
        chosen = columns.join(numbers, JobRow.id == numbers.c.i)
    return [Arrival(*row, float(step)) for row in session.execute(chosen.where(JobRow.created_at >= start))]


def _first_since(session: Session, start: datetime, low: int, high: int) -> int:
    """Return the lowest id of the jobs enqueued since `start`; one above the last if there are none."""
    high += 1
    while low < high:
        middle = (low + high) // 2
        later = select(JobRow.id, JobRow.created_at).where(JobRow.id >= middle).order_by(JobRow.id).limit(1)
        job_id, created_at = session.execute(later).one()
        if created_at >= start:
            high = middle
        else:
            low = job_id + 1
    return low
