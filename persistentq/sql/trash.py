"""Deleted jobs with all that goes with them: into the trash, and back; the transaction is the caller's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, delete, insert, select

from persistentq.sql.changes import dump_row, load_row
from persistentq.sql.journal_models import TrashRow
from persistentq.sql.models import AttemptRow, Base, JobRow, LogRow, PayloadRow, ProgressRow

if TYPE_CHECKING:
    from sqlalchemy import Connection

_JOBS: Any = JobRow.__table__
_TRASH: Any = TrashRow.__table__
_PARTS: tuple[Table, ...] = tuple(
    Base.metadata.tables[one.__tablename__] for one in (PayloadRow, AttemptRow, LogRow, ProgressRow)
)
"""The tables whose rows go with their job."""

_AT_ONCE = 50
"""So many jobs are in this process's memory at a time: each may have megabytes."""


def throw_away(
    connection: Connection, ids: Sequence[int], entry: int, now: datetime, until: datetime
) -> None:
    """Move these jobs, which the transaction holds, into the trash."""
    for some in _some(ids):
        contents = {
            job_id: json.dumps(one, ensure_ascii=False) for job_id, one in _contents(connection, some, now)
        }
        kept = {"entry_id": entry, "deleted_at": now, "until": until}
        connection.execute(
            insert(_TRASH), [{"job_id": job_id, "content": text, **kept} for job_id, text in contents.items()]
        )
        connection.execute(delete(_JOBS).where(_JOBS.c.id.in_(some)))


def _some(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def _contents(
    connection: Connection, ids: Sequence[int], now: datetime
) -> Iterator[tuple[int, dict[str, Any]]]:
    jobs = connection.execute(select(_JOBS).where(_JOBS.c.id.in_(ids))).mappings().all()
    contents: dict[int, dict[str, Any]] = {
        row["id"]: {_JOBS.name: [dump_row(_JOBS, dict(row), now)]} for row in jobs
    }
    for table in _PARTS:
        rows = select(table).where(table.c.job_id.in_(ids)).order_by(*table.primary_key)
        for row in connection.execute(rows).mappings():
            contents[row["job_id"]].setdefault(table.name, []).append(dump_row(table, dict(row), now))
    yield from contents.items()


def read_jobs(connection: Connection, ids: Sequence[int], entry: int) -> dict[int, dict[str, Any]]:
    """Return the row that each of these jobs had, as far as this entry's act has thrown it away."""
    found = select(_TRASH.c.job_id, _TRASH.c.deleted_at, _TRASH.c.content)
    rows = connection.execute(found.where(_TRASH.c.job_id.in_(ids), _TRASH.c.entry_id == entry))
    return {
        job_id: load_row(_JOBS, json.loads(content)[_JOBS.name][0], deleted_at)
        for job_id, deleted_at, content in rows
    }


def bring_back(connection: Connection, ids: Sequence[int], changes: dict[int, dict[str, Any]]) -> None:
    """Make these jobs out of the trash again, each with these changes."""
    for some in _some(ids):
        rows: dict[str, list[dict[str, Any]]] = {}
        found = connection.execute(select(_TRASH).where(_TRASH.c.job_id.in_(some))).mappings()
        for one in found:
            for table in (_JOBS, *_PARTS):
                for values in json.loads(one["content"]).get(table.name, ()):
                    row = load_row(table, values, one["deleted_at"])
                    rows.setdefault(table.name, []).append(
                        row | changes[one["job_id"]] if table is _JOBS else row
                    )
        for table in (_JOBS, *_PARTS):
            if table.name in rows:
                connection.execute(insert(table), rows[table.name])
        connection.execute(delete(_TRASH).where(_TRASH.c.job_id.in_(some)))


def empty_trash(connection: Connection, now: datetime, limit: int) -> None:
    """Drop those of the deleted jobs whose time in the trash is over, up to `limit` of them."""
    over = select(_TRASH.c.job_id).where(_TRASH.c.until <= now).order_by(_TRASH.c.until).limit(limit)
    connection.execute(delete(_TRASH).where(_TRASH.c.job_id.in_(over)))
