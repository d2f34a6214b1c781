"""Schedules: what is to be enqueued again and again, and what each moment makes of them. Plain data, pure rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Self

from persistentq.checks import MAX_LIMIT, check_int, check_schedule
from persistentq.errors import InvalidArgument
from persistentq.job import NewJob
from persistentq.payload import decode_args, encode_args
from persistentq.rhythm import Rhythm, find_zone, read_rhythm

ON_TIME = timedelta(minutes=1)
"""How late a tick may be without being taken for missed."""

TRIED_AGAIN_AFTER = timedelta(minutes=1)
"""Of a schedule that could not be read; another machine may know its zone, or this one by then."""


class CatchUp(StrEnum):
    """What becomes of ticks that were missed, because no consumer ran or the schedule was paused.

    Attributes:
        SKIP: Nothing: a tick that is seen more than a minute late enqueues no job.
        ONE: The latest of them enqueues a job, those before it do not.
        ALL: Each enqueues a job, oldest first, as far as there are no more than `catch_up_limit`; else the latest.
    """

    SKIP = "skip"
    ONE = "one"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job to enqueue at each tick of a rhythm. Bad values are refused here, before anything is written.

    Attributes:
        name: 1 to 100 of A-Z a-z 0-9 _ . : - ; two schedules cannot have the same.
        expression: Five fields of cron (`*/5 9-17 * * mon-fri`), or `@hourly`, `@daily`, `@weekly`, `@monthly`,
            `@yearly`, or an interval of a second to a year (`every 90s`, `every 1h30m`), first when that has passed.
        task: As for `NewJob`, like `args`, `queue`, `priority`, `max_attempts` and `tags`.
        zone: The time zone by whose clocks a cron expression goes.
        unique: No second unfinished run: a tick enqueues nothing while the job of an earlier one is unfinished.
        catch_up: What becomes of missed ticks.
        catch_up_limit: 1 to 1000; how many missed ticks may be made up for, with CatchUp.ALL.

    Raises:
        InvalidArgument: a value is outside these bounds.
        PayloadError: the arguments are not bounded JSON.
    """

    name: str
    expression: str
    task: str
    args: Mapping[str, Any] = field(default_factory=dict)
    _: KW_ONLY
    zone: str = "UTC"
    queue: str = "default"
    priority: int = 0
    max_attempts: int | None = None
    tags: tuple[str, ...] = ()
    unique: bool = False
    catch_up: CatchUp = CatchUp.ONE
    catch_up_limit: int = 100

    def __post_init__(self) -> None:
        # A copy of its own, as it will be stored.
        object.__setattr__(self, "args", decode_args(encode_args(self.args)))
        object.__setattr__(self, "tags", tuple(self.tags))
        self.check()
        object.__setattr__(self, "catch_up", CatchUp(self.catch_up))

    @classmethod
    def restored(cls, **values: Any) -> Self:
        """Return a schedule as it was stored, be it readable by now or not; `values` are all of its fields."""
        made = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made

    def check(self) -> Rhythm:
        """Return the rhythm of its ticks, if everything about it can be used.

        Raises:
            InvalidArgument: a value cannot, or cannot any more.
        """
        check_schedule(self.name)
        check_int("catch_up_limit", self.catch_up_limit, 1, MAX_LIMIT)
        if self.catch_up not in list(CatchUp):
            raise InvalidArgument("catch_up", self.catch_up, f"is not one of {', '.join(CatchUp)}")
        encode_args(self.args)
        self.new_job(datetime(1970, 1, 1, tzinfo=UTC))
        return read_rhythm(self.expression, self.zone)

    def new_job(self, tick: datetime) -> NewJob:
        """Return the job that a tick enqueues; its metadata name the schedule and the time that was meant."""
        return NewJob(
            self.task,
            self.args,
            self.queue,
            self.priority,
            max_attempts=self.max_attempts,
            unique_key=f"schedule:{self.name}" if self.unique else None,
            tags=self.tags,
            metadata={"schedule": self.name, "tick": tick.astimezone(UTC).isoformat()},
        )

    def in_words(self) -> str:
        """Say in English when it ticks.

        Raises:
            InvalidArgument: its expression or zone cannot be read any more.
        """
        return f"{read_rhythm(self.expression, self.zone).in_words()}, {self.zone}"

    def local(self, tick: datetime) -> datetime:
        """Return a moment as the clocks of its zone show it.

        Raises:
            InvalidArgument: its zone is not known any more.
        """
        return tick.astimezone(find_zone(self.zone))

    def preview(self, after: datetime, count: int = 10) -> list[datetime]:
        """Return the next `count` ticks after a moment, 1 to 1000 of them, in UTC.

        Raises:
            InvalidArgument: its expression or zone cannot be read any more.
        """
        rhythm, ticks = read_rhythm(self.expression, self.zone), [after.astimezone(UTC)]
        for _ in range(check_int("count", count, 1, MAX_LIMIT)):
            ticks.append(rhythm.after(ticks[-1]))
        return ticks[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleInfo:
    """A stored schedule as it was when it was read.

    Attributes:
        schedule: What was put; it may be unreadable here by now, see `error`.
        created_at: When it was put first.
        next_at: The time of the next tick; in the past for one that waits to be made up for, or is paused.
        last_at: The time that was meant by the tick that last enqueued something; None before the first.
        last_job_id: The job that it enqueued last, by itself or on request; None before the first.
        paused_at: Since when it is paused; None if it is not.
        error: Why it could not tick when it was due; it is tried again each minute, and by any consumer.
    """

    schedule: Schedule
    created_at: datetime
    next_at: datetime
    last_at: datetime | None = None
    last_job_id: int | None = None
    paused_at: datetime | None = None
    error: str | None = None

    @property
    def is_paused(self) -> bool:
        """Whether it does not tick now."""
        return self.paused_at is not None

    def preview(self, after: datetime, count: int = 10) -> list[datetime]:
        """Return the `count` ticks after a moment, 1 to 1000 of them, in UTC, as if it were not paused.

        Raises:
            InvalidArgument: its expression or zone cannot be read any more.
        """
        if after < self.next_at:
            return [self.next_at, *self.schedule.preview(self.next_at, count)][:count]
        # Overdue or paused for long: an interval goes on from where it was.
        rhythm = read_rhythm(self.schedule.expression, self.schedule.zone)
        return self.schedule.preview(rhythm.latest(self.next_at, after, 1)[-1], count)


class Plan(NamedTuple):
    """What is due of a schedule: the ticks that enqueue a job each, and the tick after all that are done with."""

    ticks: list[datetime]
    next_at: datetime


def plan(schedule: Schedule, next_at: datetime, now: datetime, room: int) -> Plan:
    """Return what is due of a schedule whose next tick has come.

    Args:
        next_at: Its next tick, not later than `now`.
        room: How many jobs may be enqueued, at least one; ticks beyond that stay due.

    Raises:
        InvalidArgument: it cannot be read.
    """
    rhythm = schedule.check()
    ticks = rhythm.latest(next_at, now, schedule.catch_up_limit if schedule.catch_up == CatchUp.ALL else 1)
    following = rhythm.after(ticks[-1])
    if schedule.catch_up == CatchUp.SKIP and now - ticks[-1] > ON_TIME:
        return Plan([], following)
    return Plan(ticks[:room], ticks[room] if len(ticks) > room else following)
