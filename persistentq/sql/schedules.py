"""The schedules' part of the store. A tick moves its schedule on and stores its job in one transaction, or neither."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, and_, case, null, select, type_coerce

from persistentq.checks import check_limit, check_schedule
from persistentq.errors import InvalidArgument, ScheduleNotFound
from persistentq.failure import describe
from persistentq.job import Job, NewJob
from persistentq.journal import ActNote, schedule_details
from persistentq.payload import decode_args, encode_args
from persistentq.schedule import TRIED_AGAIN_AFTER, CatchUp, Schedule, ScheduleInfo, plan
from persistentq.sql.claiming import Claiming
from persistentq.sql.journal import open_entry
from persistentq.sql.models import MICROSECOND, ScheduleRow
from persistentq.sql.prepared import Prepared
from persistentq.sql.rows import UNDECODABLE
from persistentq.sql.statements import NOW, as_number

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.orm import Session


class Schedules(Claiming):
    """What may be done with schedules; see PersistentQInterface."""

    def put_schedule(self, schedule: Schedule, *, note: ActNote | None = None) -> ScheduleInfo:
        rhythm, values = schedule.check(), _columns(schedule)
        with self._orm() as session:
            now = self._clock(session)
            _note_schedule(session, note, "put", schedule.name, now, **schedule_details(schedule))
            next_at = rhythm.after(now)
            fresh = {**values, "created_at": now, "next_at": next_at, "look_at": next_at}
            added = self._facts.insert(ScheduleRow).values(fresh)
            same = and_(
                *(getattr(ScheduleRow, name) == added.excluded[name] for name in ("expression", "zone"))
            )
            kept_or_new = case((same, ScheduleRow.next_at), else_=added.excluded.next_at)
            put = added.on_conflict_do_update(
                index_elements=[ScheduleRow.name],
                set_={
                    **{name: added.excluded[name] for name in values},
                    "next_at": kept_or_new,
                    "look_at": case((ScheduleRow.paused_at.is_not(None), null()), else_=kept_or_new),
                    "error": None,
                },
            )
            return to_info(session.scalars(put.returning(ScheduleRow)).one())

    def get_schedule(self, name: str) -> ScheduleInfo:
        with self._orm(read_only=True) as session:
            return to_info(_found(session.get(ScheduleRow, check_schedule(name)), name))

    def list_schedules(self) -> list[ScheduleInfo]:
        with self._orm(read_only=True) as session:
            rows = session.scalars(select(ScheduleRow)).all()
        # Here, as databases differ in how they order letters.
        return sorted(map(to_info, rows), key=lambda info: info.schedule.name)

    def remove_schedule(self, name: str, *, note: ActNote | None = None) -> None:
        with self._orm() as session:
            session.delete(_locked(session, name))
            _note_schedule(session, note, "remove", name, self._clock(session))

    def pause_schedule(self, name: str, *, note: ActNote | None = None) -> ScheduleInfo:
        with self._orm() as session:
            row, now = _locked(session, name), self._clock(session)
            row.paused_at, row.look_at = row.paused_at or now, None
            _note_schedule(session, note, "pause", name, now)
            return to_info(row)

    def resume_schedule(self, name: str, *, note: ActNote | None = None) -> ScheduleInfo:
        with self._orm() as session:
            row = _locked(session, name)
            row.paused_at, row.look_at = None, row.next_at
            _note_schedule(session, note, "resume", name, self._clock(session))
            return to_info(row)

    def run_schedule(self, name: str, *, note: ActNote | None = None) -> Job:
        with self._orm() as session:
            row, now = _locked(session, name), self._clock(session)
            job = self.enqueue_many([_usable(row).new_job(now)], session=session)[0]
            _note_schedule(session, note, "run", name, now, job=job.id, duplicate=job.duplicate)
            if not job.duplicate:
                row.last_job_id = job.id
            return job

    def tick(self, limit: int = 100) -> list[Job]:
        check_limit(limit)
        # Every consumer asks, and seldom is anything due: without this look each would wait for the write lock.
        if self.next_tick() != timedelta(0):
            return []
        with self._orm() as session:
            now = self._clock(session)
            rows = session.scalars(due(now, limit)).all()
            made: list[tuple[ScheduleRow, datetime, NewJob]] = []
            for row in rows:
                if (room := limit - len(made)) > 0:
                    made += [(row, *one) for one in _move_on(row, now, room)]
            jobs = self.enqueue_many([new for _, _, new in made], session=session)
            for (row, tick, _), job in zip(made, jobs, strict=True):
                if not job.duplicate:
                    row.last_at, row.last_job_id = tick, job.id
            return [job for job in jobs if not job.duplicate]

    def next_tick(self) -> timedelta | None:
        # Asked at every turn of every consumer, so in the quickest way there is.
        rows = self._run(lambda cursor: cursor.rows(self._until_look, {}), single=True)
        return max(rows[0][0], 0) * MICROSECOND if rows else None

    @cached_property
    def _until_look(self) -> Prepared:
        return Prepared(until_look(), self._engine.dialect)


def due(now: datetime, limit: int) -> Select[Any]:
    """The schedules that must be looked at, locked until their next tick is stored; those of others are passed by."""
    chosen = select(ScheduleRow).where(ScheduleRow.look_at <= now)
    return (
        chosen.order_by(ScheduleRow.look_at, ScheduleRow.name).limit(limit).with_for_update(skip_locked=True)
    )


def until_look() -> Select[int]:
    """How long until a schedule must be looked at: in microseconds, negative if it should have been; or no row."""
    waiting = select(type_coerce(ScheduleRow.look_at, BigInteger) - NOW).where(
        ScheduleRow.look_at.is_not(None)
    )
    return waiting.order_by(ScheduleRow.look_at).limit(as_number(1)).offset(as_number(0))


def _move_on(row: ScheduleRow, now: datetime, room: int) -> list[tuple[datetime, NewJob]]:
    """Move a due schedule to its next tick, and return the ticks that are due with their jobs."""
    try:
        schedule = _usable(row)
        ticks, next_at = plan(schedule, row.next_at, now, room)
        new = [(tick, schedule.new_job(tick)) for tick in ticks]
    except Exception as error:  # whatever it is, it must not stop the other schedules
        row.error, row.look_at = describe(error).message, now + TRIED_AGAIN_AFTER
        return []
    row.next_at, row.look_at, row.error = next_at, next_at, None
    return new


def _note_schedule(
    session: Session, note: ActNote | None, deed: str, name: str, now: datetime, **details: Any
) -> None:
    if note is not None:
        open_entry(session, note, f"{deed}-schedule", {"schedule": name, **details}, now)


def _locked(session: Session, name: str) -> ScheduleRow:
    return _found(session.get(ScheduleRow, check_schedule(name), with_for_update=True), name)


def _found(row: ScheduleRow | None, name: str) -> ScheduleRow:
    if row is None:
        raise ScheduleNotFound(name)
    return row


def _usable(row: ScheduleRow) -> Schedule:
    if decode_args(row.args) is None:
        raise InvalidArgument("schedule", row.name, f"cannot be used: {UNDECODABLE}")
    return _to_schedule(row)


def _columns(schedule: Schedule) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "expression": schedule.expression,
        "zone": schedule.zone,
        "task": schedule.task,
        "args": encode_args(schedule.args),
        "queue": schedule.queue,
        "priority": schedule.priority,
        "max_attempts": schedule.max_attempts,
        "tags": ",".join(schedule.tags),
        "is_unique": int(schedule.unique),
        "catch_up": str(schedule.catch_up),
        "catch_up_limit": schedule.catch_up_limit,
    }


def _to_schedule(row: ScheduleRow) -> Schedule:
    return Schedule.restored(
        name=row.name,
        expression=row.expression,
        task=row.task,
        args=decode_args(row.args) or {},
        zone=row.zone,
        queue=row.queue,
        priority=row.priority,
        max_attempts=row.max_attempts,
        tags=tuple(filter(None, row.tags.split(","))),
        unique=bool(row.is_unique),
        catch_up=CatchUp(row.catch_up),
        catch_up_limit=row.catch_up_limit,
    )


def to_info(row: ScheduleRow) -> ScheduleInfo:
    """Return the schedule in `row`, readable or not."""
    return ScheduleInfo(
        schedule=_to_schedule(row),
        created_at=row.created_at,
        next_at=row.next_at,
        last_at=row.last_at,
        last_job_id=row.last_job_id,
        paused_at=row.paused_at,
        error=row.error,
    )
