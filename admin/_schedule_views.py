"""Schedules and their ticks, as plain values and as a terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from persistentq import Schedule, ScheduleInfo
from persistentq.operations import ago

from ._records import Record, timestamp
from ._screen import cell, new_table

if TYPE_CHECKING:
    from rich.table import Table

_STYLES = {"active": "green", "paused": "yellow", "broken": "bold red"}


def schedule_record(info: ScheduleInfo) -> Record:
    """Return one schedule."""
    schedule = info.schedule
    return {
        "name": schedule.name,
        "state": schedule_state(info),
        "expression": schedule.expression,
        "zone": schedule.zone,
        "next_at": timestamp(info.next_at),
        "last_at": timestamp(info.last_at),
        "last_job_id": info.last_job_id,
        "paused_at": timestamp(info.paused_at),
        "created_at": timestamp(info.created_at),
        "error": info.error,
        "task": schedule.task,
        "queue": schedule.queue,
        "priority": schedule.priority,
        "max_attempts": schedule.max_attempts,
        "tags": list(schedule.tags),
        "unique": schedule.unique,
        "catch_up": str(schedule.catch_up),
        "catch_up_limit": schedule.catch_up_limit,
        "args": dict(schedule.args),
    }


def schedule_state(info: ScheduleInfo) -> str:
    """Return `active`, `paused` or `broken`: it could not be read when it was due."""
    if info.is_paused:
        return "paused"
    return "active" if info.error is None else "broken"


def schedules_table(found: Sequence[ScheduleInfo], now: datetime) -> Table:
    """Return the schedules as a terminal shows them."""
    table = new_table(
        "name",
        "state",
        "when",
        "zone",
        "next",
        "last",
        "task",
        "detail",
        fixed=("state", "when", "next", "last"),
    )
    for info in found:
        schedule, state = info.schedule, schedule_state(info)
        table.add_row(
            cell(schedule.name),
            cell(state, _STYLES[state]),
            cell(schedule.expression),
            cell(schedule.zone),
            "" if info.is_paused else _distance(info.next_at, now),
            "" if info.last_at is None else _distance(info.last_at, now),
            cell(schedule.task),
            cell(info.error, "red"),
        )
    return table


def preview_records(schedule: Schedule, ticks: Sequence[datetime]) -> list[Record]:
    """Return ticks in UTC and as the clocks of the schedule's zone show them."""
    return [{"tick": timestamp(tick), "local": schedule.local(tick).isoformat()} for tick in ticks]


def preview_table(schedule: Schedule, ticks: Sequence[datetime], now: datetime) -> Table:
    """Return ticks as a terminal shows them, with a note where the clocks are changed between two of them."""
    table = new_table("local", "utc", "in", "note", fixed=("local", "utc", "in"))
    shown = [schedule.local(tick) for tick in ticks]
    notes = ["", *(_note(one, two) for one, two in pairwise(shown))]
    for local, tick, note in zip(shown, ticks, notes, strict=True):
        table.add_row(
            f"{local:%a %Y-%m-%d %H:%M:%S %z}",
            f"{tick:%Y-%m-%d %H:%M:%S}Z",
            _distance(tick, now),
            cell(note, "yellow"),
        )
    return table


def _note(before: datetime, after: datetime) -> str:
    change = (after.utcoffset() or timedelta(0)) - (before.utcoffset() or timedelta(0))
    if not change:
        return ""
    return f"clocks {'forward' if change > timedelta(0) else 'back'} {ago(abs(change))}"


def _distance(moment: datetime, now: datetime) -> str:
    distance = ago(now - moment)
    return distance if moment > now else f"{distance} ago"
