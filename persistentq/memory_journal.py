"""The journal of a queue in memory; see PersistentQInterface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from persistentq import clock
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
)
from persistentq.memory_readers import MemoryReaders
from persistentq.payload import decode_args, encode_args
from persistentq.selection import read_cursor

"""What a job had before and after. Without before, it came back from the trash; without after, it went there."""


@dataclass
class _Entry:
    told: JournalEntry
    batches: list[dict[int, Told]] = field(default_factory=list)


class MemoryJournal(MemoryReaders):
    """What operators have done to a queue in memory."""

    def __init__(
        self,
        max_attempts: int = 3,
        lease: timedelta = timedelta(seconds=60),
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        super().__init__(max_attempts, lease, now)
        self._journal: dict[int, _Entry] = {}
        self._last_entry = 0

    def _entry(self, entry: int) -> _Entry:
        if check_id(entry) not in self._journal:
            raise EntryNotFound(entry)
        return self._journal[entry]

    def _open_entry(
        self,
        note: ActNote | int,
        verb: str,
        details: Mapping[str, Any],
        now: datetime,
        undoes: int | None = None,
    ) -> _Entry:
        kept = decode_args(encode_args(details, "details")) or {}
        if not isinstance(note, ActNote):
            told = self._entry(note).told
            check_goes_on(note, (told.verb, told.details, told.undoes), (verb, kept, undoes))
            return self._entry(note)
        self._last_entry += 1
        entry = JournalEntry(
            id=self._last_entry,
            at=now,
            actor=note.actor,
            face=note.face,
            verb=verb,
            details=kept,
            query=note.query,
            reason=note.reason,
            meant=note.meant,
            undoes=undoes,
        )
        self._journal[entry.id] = made = _Entry(entry)
        return made

    def _tell_batch(self, entry: _Entry, told: dict[int, Told], skipped: Mapping[int, JobError]) -> ActBatch:
        known = entry.told
        entry.batches.append(told)
        entry.told = replace(
            known,
            done=known.done + len(told),
            skipped=count_reasons(known.skipped, skipped.values()),
            batches=known.batches + 1,
        )
        return ActBatch(known.id, tuple(sorted(told)), skipped)

    def write_journal(self, verb: str, note: ActNote, details: Mapping[str, Any] | None = None) -> int:
        with self._lock:
            return self._open_entry(note, check_verb(verb), details or {}, self._now()).told.id

    def list_journal(
        self,
        *,
        verb: str | None = None,
        job: int | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> JournalPage:
        check_limit(limit)
        if job is not None:
            check_id(job)
        below = read_cursor(after)
        with self._lock:
            found = [
                number
                for number, one in sorted(self._journal.items(), reverse=True)
                if (below is None or number < below)
                and verb in (None, one.told.verb)
                and (job is None or any(job in batch for batch in one.batches))
            ]
            page = tuple(self.get_entry(one) for one in found[:limit])
        return JournalPage(page, str(page[-1].id) if len(found) > limit else None)

    def get_entry(self, entry: int) -> JournalEntry:
        with self._lock:
            undone = [
                one.told.id for one in self._journal.values() if one.told.undoes == entry and one.told.done
            ]
            return replace(self._entry(entry).told, undone_by=max(undone, default=None))

    def get_entry_ids(self, entry: int) -> list[int]:
        with self._lock:
            return [job_id for batch in self._entry(entry).batches for job_id in sorted(batch)]

    def _forget_old(self, now: datetime) -> None:
        old = [number for number, one in self._journal.items() if one.told.at < now - JOURNAL_KEPT]
        for number in old:
            del self._journal[number]
