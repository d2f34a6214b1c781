"""What a backup must learn from the present database before it takes its place: nothing that ran runs again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from persistentq.job import FINISHED, UNFINISHED, JobStatus
from persistentq.sql.copying import TABLES, write_batch
from persistentq.sql.models import JobRow, PauseRow, ScheduleRow

AT_ONCE = 500
TOLD = 20

WITHHELD = "the database that a backup has replaced had this job no more; resubmit it if it shall run"

_JOBS: Any = JobRow.__table__
_PAUSES: Any = PauseRow.__table__
_SCHEDULES: Any = ScheduleRow.__table__

PARTS: tuple[tuple[Table, Any], ...] = tuple(
    (table, key.parent) for table in TABLES for key in table.foreign_keys if key.column.table is _JOBS
)
"""The tables whose rows go with their job, and the column that says with which."""


class Seen(NamedTuple):
    """What one database says of a job."""

    id: int
    status: str
    attempt: int
    created_at: datetime


class Merged(NamedTuple):
    """What a backup has learnt; as Restored tells it."""

    kept: int = 0
    withheld: int = 0
    newer: int = 0
    newest: tuple[int, ...] = ()


class Merging:
    """A backup that is to take the place of a database, each in a transaction.

    Args:
        backup: May be changed.
        present: Is only read.
        before: The largest ids that the backup has given, by table.
        given: Those that the present database has given.
    """

    def __init__(
        self, backup: Connection, present: Connection, before: Mapping[str, int], given: Mapping[str, int]
    ) -> None:
        self._backup, self._present, self._before, self._given = backup, present, before, given

    def is_successor(self) -> bool:
        """Return whether the present database is the one that the backup was made of, at a later time."""
        if any(self._given[name] < last for name, last in self._before.items()):
            return False
        return all(known is None or known.created_at == one.created_at for one, known in self._both())

    def merge(self, now: datetime) -> Merged:
        """Let the backup have every job as the present database has it, if it ended or ran there since.

        A job that the present database has no more was deleted there, or ended and went: it is cancelled. Schedules
        are as they are there, so that no tick comes twice; one that is no more there comes back paused.
        """
        kept, gone = [], []
        for one, known in self._both():
            if known is None:
                gone += [one.id] if one.status in UNFINISHED else []
            elif known[:3] != one[:3] and (known.status in FINISHED or known.attempt > one.attempt):
                kept.append(known.id)
        self._withhold(gone, now)
        self._keep(kept)
        self._merge_schedules(now)
        later = _JOBS.c.id > self._before[_JOBS.name]
        newer = self._present.execute(select(func.count()).select_from(_JOBS).where(later)).scalar_one()
        newest = self._present.execute(select(_JOBS.c.id).where(later).order_by(_JOBS.c.id).limit(TOLD))
        return Merged(len(kept), len(gone), newer, tuple(newest.scalars()))

    def _both(self) -> Iterator[tuple[Seen, Seen | None]]:
        """Yield each job of the backup with what the present database says of it."""
        looked_at = select(_JOBS.c.id, _JOBS.c.status, _JOBS.c.attempt, _JOBS.c.created_at)
        last = 0
        while some := [
            Seen(*row)
            for row in self._backup.execute(
                looked_at.where(_JOBS.c.id > last).order_by(_JOBS.c.id).limit(AT_ONCE)
            )
        ]:
            last = some[-1].id
            between = looked_at.where(_JOBS.c.id.between(some[0].id, last))
            known = {row[0]: Seen(*row) for row in self._present.execute(between)}
            yield from ((one, known.get(one.id)) for one in some)

    def _withhold(self, ids: Sequence[int], now: datetime) -> None:
        ended = {
            "status": JobStatus.CANCELLED.value,
            "finished_at": now,
            "lease_until": None,
            "reserved_for": None,
            "cancel_requested": 0,
            "error": WITHHELD,
        }
        for some in _some(ids):
            self._backup.execute(update(_JOBS).where(_JOBS.c.id.in_(some)).values(ended))

    def _keep(self, ids: Sequence[int]) -> None:
        # All go before any comes: two may have changed places under one unique key.
        for some in _some(ids):
            self._backup.execute(delete(_JOBS).where(_JOBS.c.id.in_(some)))
        for some in _some(ids):
            for table, column in ((_JOBS, _JOBS.c.id), *PARTS):
                for row in self._present.execute(select(table).where(column.in_(some))):
                    write_batch(self._backup, table, [row])

    def _merge_schedules(self, now: datetime) -> None:
        backup, table = self._backup, _SCHEDULES
        known = self._present.execute(select(table)).all()
        names = [row.name for row in known]
        backup.execute(delete(table).where(table.c.name.in_(names)))
        backup.execute(update(table).where(table.c.paused_at.is_(None)).values(paused_at=now, look_at=None))
        if known:
            write_batch(backup, table, known)


def _some(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))


def pause_all(connection: Connection, now: datetime) -> tuple[str, ...]:
    """Pause every queue that has a job or a schedule, and return their names, sorted."""
    names = {
        name
        for table in (_JOBS, _SCHEDULES)
        for name in connection.execute(select(table.c.queue).distinct()).scalars()
    }
    connection.execute(delete(_PAUSES).where(_PAUSES.c.queue.in_(sorted(names))))
    if names:
        pauses = [{"queue": name, "paused_at": now, "paused_until": None} for name in sorted(names)]
        connection.execute(insert(_PAUSES), pauses)
    return tuple(sorted(names))
