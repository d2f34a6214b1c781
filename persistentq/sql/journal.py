"""The journal of the operators' acts, in the database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, func, select

from persistentq.acts import Told
from persistentq.acts_interface import JOURNAL_KEPT
from persistentq.checks import check_id, check_limit
from persistentq.errors import EntryNotFound, JobError
from persistentq.journal import (
    ActBatch,
    ActNote,
    JournalEntry,
    JournalPage,
    check_goes_on,
    check_verb,
    count_reasons,
    names_id,
    read_ids,
    reason_of,
    write_ids,
)
from persistentq.payload import encode_args
from persistentq.selection import read_cursor
from persistentq.sql.changes import write_changes
from persistentq.sql.journal_models import BatchRow, JournalRow
from persistentq.sql.readers import Readers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class Done(NamedTuple):
    """What came of the jobs of one transaction: what those had that were changed, and why the others were not."""

    told: Mapping[int, Told]
    skipped: Mapping[int, JobError]


class Journal(Readers):
    """What operators have done; see PersistentQInterface."""

    def write_journal(self, verb: str, note: ActNote, details: Mapping[str, Any] | None = None) -> int:
        with self._orm() as session:
            return open_entry(session, note, check_verb(verb), details or {}, self._clock(session)).id

    def list_journal(
        self,
        *,
        verb: str | None = None,
        job: int | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> JournalPage:
        newest = select(JournalRow).order_by(JournalRow.id.desc()).limit(check_limit(limit) + 1)
        if (below := read_cursor(after)) is not None:
            newest = newest.where(JournalRow.id < below)
        if verb is not None:
            newest = newest.where(JournalRow.verb == verb)
        with self._orm(read_only=True) as session:
            if job is not None:
                newest = newest.where(JournalRow.id.in_(_entries_of(session, check_id(job))))
            rows = session.scalars(newest).all()
            entries = _entries(session, rows[:limit])
        return JournalPage(entries, str(entries[-1].id) if len(rows) > limit else None)

    def get_entry(self, entry: int) -> JournalEntry:
        with self._orm(read_only=True) as session:
            (found,) = _entries(session, [entry_row(session, check_id(entry))])
            return found

    def get_entry_ids(self, entry: int) -> list[int]:
        batches = select(BatchRow.ids).where(BatchRow.entry_id == check_id(entry)).order_by(BatchRow.number)
        with self._orm(read_only=True) as session:
            entry_row(session, entry)
            return [job_id for text in session.scalars(batches) for job_id in read_ids(text)]


def _entries_of(session: Session, job: int) -> set[int]:
    """Return the entries whose acts changed a job."""
    around = select(BatchRow.entry_id, BatchRow.ids).where(BatchRow.highest >= job, BatchRow.lowest <= job)
    return {entry for entry, ids in session.execute(around) if names_id(ids, job)}


def _entries(session: Session, rows: Sequence[JournalRow]) -> tuple[JournalEntry, ...]:
    ids = [row.id for row in rows]
    undone = select(JournalRow.undoes, func.max(JournalRow.id)).where(
        JournalRow.undoes.in_(ids), JournalRow.done > 0
    )
    by = dict(session.execute(undone.group_by(JournalRow.undoes)).all())
    return tuple(
        JournalEntry(
            id=row.id,
            at=row.at,
            actor=row.actor,
            face=row.face,
            verb=row.verb,
            details=json.loads(row.details),
            query=row.query,
            reason=row.reason,
            meant=row.meant,
            done=row.done,
            skipped=json.loads(row.skipped),
            batches=row.batches,
            undoes=row.undoes,
            undone_by=by.get(row.id),
        )
        for row in rows
    )


def entry_row(session: Session, entry: int, *, lock: bool = False) -> JournalRow:
    """Return the row of an entry.

    Raises:
        EntryNotFound: there is none.
    """
    row = session.get(JournalRow, entry, with_for_update=lock or None)
    if row is None:
        raise EntryNotFound(entry)
    return row


def open_entry(
    session: Session,
    note: ActNote | int,
    verb: str,
    details: Mapping[str, Any],
    now: datetime,
    undoes: int | None = None,
) -> JournalRow:
    """Return the locked row of a new entry, or of the one that goes on."""
    kept = encode_args(details, "details")
    if not isinstance(note, ActNote):
        row = entry_row(session, check_id(note), lock=True)
        check_goes_on(note, (row.verb, json.loads(row.details), row.undoes), (verb, json.loads(kept), undoes))
        return row
    row = JournalRow(
        at=now,
        actor=note.actor,
        face=note.face,
        verb=verb,
        undoes=undoes,
        meant=note.meant,
        done=0,
        batches=0,
        skipped="{}",
        details=kept,
        reason=note.reason,
        query=note.query,
    )
    session.add(row)
    session.flush()
    return row


def tell_batch(session: Session, row: JournalRow, done: Done, now: datetime) -> ActBatch:
    """Add what one transaction did to its entry, and return it."""
    row.done, row.batches = row.done + len(done.told), row.batches + 1
    row.skipped = json.dumps(count_reasons(json.loads(row.skipped), done.skipped.values()))
    ids = tuple(sorted(done.told))
    session.add(
        BatchRow(
            entry_id=row.id,
            number=row.batches,
            at=now,
            lowest=ids[0] if ids else 0,
            highest=ids[-1] if ids else 0,
            ids=write_ids(ids),
            skipped=json.dumps({why: write_ids(those) for why, those in _by_reason(done.skipped.items())}),
            changes=write_changes(done.told, now),
        )
    )
    return ActBatch(row.id, ids, done.skipped)


def _by_reason(skipped: Iterable[tuple[int, JobError]]) -> Iterable[tuple[str, list[int]]]:
    same: dict[str, list[int]] = {}
    for job_id, error in sorted(skipped):
        same.setdefault(reason_of(error), []).append(job_id)
    return same.items()


def forget_old(session: Session, now: datetime, limit: int) -> None:
    """Drop the oldest entries that are kept no more, up to `limit` of them."""
    old = select(JournalRow.id).where(JournalRow.at < now - JOURNAL_KEPT).order_by(JournalRow.at).limit(limit)
    session.execute(delete(JournalRow).where(JournalRow.id.in_(old)))
