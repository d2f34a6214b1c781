"""How the journal's and the trash's JSON tell what jobs had: times count from the moment of the act."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from persistentq.acts import Changes, Told
from persistentq.journal import read_ids, write_ids
from persistentq.sql.models import MICROSECOND, EpochMicroseconds, JobRow
from persistentq.sql.rows import STATUSES

if TYPE_CHECKING:
    from sqlalchemy import Table

_TIMES = frozenset(
    column.name for column in JobRow.__table__.columns if isinstance(column.type, EpochMicroseconds)
)


def write_changes(told: Mapping[int, Told], at: datetime) -> str:
    """Return as JSON what each job had before and after; jobs with the same changes share one line of it."""
    same: dict[str, list[int]] = {}
    for job_id, both in sorted(told.items()):
        text = json.dumps([_relative(one, at) for one in both], ensure_ascii=False, sort_keys=True)
        same.setdefault(text, []).append(job_id)
    return json.dumps([[write_ids(ids), *json.loads(text)] for text, ids in same.items()], ensure_ascii=False)


def read_changes(text: str, at: datetime) -> Iterator[tuple[int, Told]]:
    """Yield what `write_changes` wrote, job by job."""
    for ids, before, after in json.loads(text):
        for job_id in read_ids(ids):
            yield job_id, (_absolute(before, at), _absolute(after, at))


def _relative(values: Changes | None, at: datetime) -> Changes | None:
    if values is None:
        return None
    return {
        name: (value - at) // MICROSECOND if name in _TIMES and value is not None else value
        for name, value in values.items()
    }


def _absolute(values: Changes | None, at: datetime) -> Changes | None:
    if values is None:
        return None
    found = {
        name: at + value * MICROSECOND if name in _TIMES and value is not None else value
        for name, value in values.items()
    }
    return found | {"status": STATUSES[found["status"]]} if "status" in found else found


def dump_row(table: Table, row: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """Return a row as JSON values."""
    return {
        name: (value - at) // MICROSECOND if isinstance(value, datetime) else value
        for name in table.columns.keys()  # noqa: SIM118 - a collection of columns iterates over the columns
        if (value := row[name]) is not None
    }


def load_row(table: Table, values: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """Return the row that `dump_row` wrote, every column of it."""
    return {
        name: at + values[name] * MICROSECOND
        if name in values and isinstance(column.type, EpochMicroseconds)
        else values.get(name)
        for name, column in table.columns.items()
    }
