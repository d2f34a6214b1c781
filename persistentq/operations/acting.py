"""Acts on many jobs in two steps: a preview freezes which jobs are meant, and applying it does it to those."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from persistentq.acts import MAX_BATCH, Act, works_on
from persistentq.acts_interface import TRASH_KEPT
from persistentq.checks import check_id, check_int
from persistentq.clock import Deadline
from persistentq.errors import CountDiffers, JobError, JobNotFound, NothingToUndo, StorageError
from persistentq.interface import PersistentQInterface
from persistentq.job import Job, JobStatus
from persistentq.journal import ActBatch, ActNote, reason_of
from persistentq.query import EVERY_JOB, Query, parse, unparse

MOST = 1_000_000
"""So many jobs are meant by one preview; whoever means more applies another afterwards."""

FIRST_BATCH = 100
PATIENCE_S = 0.02
"""So long should one transaction of an act last at most: on SQLite nobody else writes meanwhile."""

SAMPLE = 5
TOLD_ERRORS = 10_000

OnProgress = Callable[[int], None]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Preview:
    """What an act would do, and to which jobs; nothing has been changed yet.

    Attributes:
        act: What.
        query: Which jobs, in the query language; empty if they were named.
        ids: The jobs, ascending. Those that are enqueued later are not among them.
        is_capped: There are more; these are the newest.
        statuses: How many there are in each status; statuses without jobs are absent.
        will_skip: How many would be skipped now, by reason.
        sample: Up to five of them, the newest first.
        oldest: The oldest of them; None if there is none.
        newest: The newest of them; None if there is none.
    """

    act: Act
    query: str = ""
    ids: Sequence[int] = ()
    is_capped: bool = False
    statuses: Mapping[JobStatus, int] = field(default_factory=dict)
    will_skip: Mapping[str, int] = field(default_factory=dict)
    sample: tuple[Job, ...] = ()
    oldest: Job | None = None
    newest: Job | None = None

    @property
    def count(self) -> int:
        """How many jobs are meant."""
        return len(self.ids)

    @property
    def fitting(self) -> int:
        """How many of them would be changed now."""
        return self.count - sum(self.will_skip.values())

    @property
    def where(self) -> Query:
        """The query; it means every job if the jobs were named."""
        return parse(self.query) if self.query else EVERY_JOB


@dataclass(frozen=True, slots=True)
class ActResult:
    """What came of an act, or of its undoing.

    Attributes:
        verb: Which.
        entry: The journal's entry that tells of it; None if there was no job to act on.
        done: The ids of the jobs that were changed.
        skipped: Why others were not, for up to ten thousand of them.
        reasons: How many were not, by reason: of all.
        failed: How many were not reached, as the database failed.
        error: That failure.
    """

    verb: str
    entry: int | None = None
    done: tuple[int, ...] = ()
    skipped: Mapping[int, JobError] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    failed: int = 0
    error: StorageError | None = None

    def plus(self, batch: ActBatch) -> ActResult:
        """Return what came of it with one more batch."""
        room = max(0, TOLD_ERRORS - len(self.skipped))
        more = dict(list(batch.skipped.items())[:room])
        reasons = Counter(self.reasons)
        reasons.update(map(reason_of, batch.skipped.values()))
        return replace(
            self,
            entry=batch.entry,
            done=self.done + batch.done,
            skipped={**self.skipped, **more},
            reasons=dict(reasons),
        )


def preview(
    queue: PersistentQInterface,
    act: Act,
    *,
    ids: Iterable[int] | None = None,
    where: Query | str | None = None,
    limit: int = MOST,
) -> Preview:
    """Look which jobs are meant, by their ids or by a query, and what the act would do to them.

    Args:
        limit: Of those that the query means, only so many of the newest, 1 to 1,000,000.

    Raises:
        InvalidArgument: a bad id, or both or neither of `ids` and `where`.
        InvalidQuery: `where` cannot be read.
    """
    check_int("limit", limit, 1, MOST)
    if (ids is None) == (where is None):
        raise ValueError("give ids or where, one of the two")
    if ids is not None:
        named = sorted({check_id(job_id) for job_id in ids})
        known = {
            job_id: status for some in batches(named) for job_id, status in queue.find_ids(among=some).items
        }
        return _looked_at(queue, Preview(act, "", named), known)
    asked = parse(where) if isinstance(where, str) else where
    text = unparse(asked) if asked is not None else ""
    found: dict[int, JobStatus] = {}
    for job_id, status in _meant(queue, asked or EVERY_JOB):
        if len(found) == limit:
            return _looked_at(queue, Preview(act, text, sorted(found), limit == MOST), found)
        found[job_id] = status
    return _looked_at(queue, Preview(act, text, sorted(found)), found)


def _meant(queue: PersistentQInterface, where: Query) -> Iterator[tuple[int, JobStatus]]:
    after: str | None = None
    while True:
        page = queue.find_ids(where, after=after)
        yield from page.items
        if (after := page.next) is None:
            return


def _looked_at(queue: PersistentQInterface, of: Preview, statuses: Mapping[int, JobStatus]) -> Preview:
    counts = Counter(statuses.values())
    fits = works_on(of.act.verb)
    unfit = {f"is {status}": number for status, number in counts.items() if status not in fits}
    if missing := of.count - len(statuses):
        unfit["does not exist"] = missing
    jobs = {job_id: job for job_id in {*of.ids[-SAMPLE:], *of.ids[:1]} if (job := _find(queue, job_id))}
    newest = [jobs[job_id] for job_id in reversed(of.ids[-SAMPLE:]) if job_id in jobs]
    return replace(
        of,
        statuses={status: counts[status] for status in JobStatus if counts[status]},
        will_skip=unfit,
        sample=tuple(newest),
        oldest=jobs.get(of.ids[0]) if of.ids else None,
        newest=newest[0] if newest else None,
    )


def _find(queue: PersistentQInterface, job_id: int) -> Job | None:
    try:
        return queue.get_job(job_id)
    except JobNotFound:
        return None


def apply(
    queue: PersistentQInterface,
    chosen: Preview,
    note: ActNote,
    *,
    expect: int | None = None,
    on_progress: OnProgress | None = None,
    trash: timedelta = TRASH_KEPT,
) -> ActResult:
    """Do it to the jobs of a preview, in transactions of up to 500 jobs; one that has moved on is skipped.

    Where 500 jobs take long, a transaction has fewer, and others may write between two of them.

    If the database fails midway, the jobs that were not reached are counted as failed.

    Args:
        note: Who does it, and why; query and number are filled in.
        expect: Change nothing unless so many jobs are meant.
        on_progress: Called after each transaction with the number of jobs seen to.
        trash: For how long deleted jobs can be brought back.

    Raises:
        CountDiffers: another number of jobs than expected is meant.
        StorageError: the database failed before any job was reached.
    """
    if expect is not None and (expect != chosen.count or chosen.is_capped):
        raise CountDiffers(expect, chosen.count)
    told = replace(note, query=chosen.query, meant=chosen.count)
    where = chosen.where

    def change(some: Sequence[int], entry: ActNote | int) -> ActBatch:
        return queue.act(chosen.act, some, note=entry, where=where, trash=trash)

    pace = Pace()
    return _in_batches(ActResult(chosen.act.verb), pace.parts(chosen.ids), change, told, pace, on_progress)


def undo(
    queue: PersistentQInterface,
    entry: int,
    note: ActNote,
    *,
    on_progress: OnProgress | None = None,
    trash: timedelta = TRASH_KEPT,
) -> ActResult:
    """Take back what an entry of the journal tells of, for each of its jobs to which nothing happened since.

    Raises:
        EntryNotFound: there is none.
        NothingToUndo: it tells of no job that was changed.
        StorageError: the database failed before any job was reached.
    """
    known = queue.get_entry(entry)
    if not known.done:
        raise NothingToUndo(entry, known.verb)
    told = replace(note, meant=known.done)

    def take_back(number: int, mine: ActNote | int) -> ActBatch:
        return queue.undo(entry, number, note=mine, trash=trash)

    numbers = range(known.batches, 0, -1)
    return _in_batches(ActResult("undo"), numbers, take_back, told, Pace(), on_progress)


class Pace:
    """How many jobs one transaction has: so many that nobody who wants to write meanwhile has to wait for long."""

    def __init__(self) -> None:
        self._size = FIRST_BATCH

    def parts(self, ids: Sequence[int]) -> Iterator[Sequence[int]]:
        """Yield the ids in parts, each as large as the last transaction allows."""
        start = 0
        while start < len(ids):
            part = ids[start : start + self._size]
            start += len(part)
            yield part

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Take the time of one transaction, and then leave others half as much for theirs."""
        begun = time.monotonic()
        yield
        took = time.monotonic() - begun
        wanted = round(self._size * PATIENCE_S / max(took, 0.001))
        self._size = max(FIRST_BATCH, min(MAX_BATCH, wanted, 2 * self._size))
        Deadline(took).pause(took / 2)


def _in_batches(
    result: ActResult,
    parts: Iterable[Item],
    change: Callable[[Item, ActNote | int], ActBatch],
    note: ActNote,
    pace: Pace,
    on_progress: OnProgress | None,
) -> ActResult:
    seen = 0
    for part in parts:
        try:
            with pace.kept():
                batch = change(part, note if result.entry is None else result.entry)
        except StorageError as error:
            if result.entry is None:
                raise
            return replace(result, failed=note.meant - seen, error=error)
        result = result.plus(batch)
        seen += len(batch.done) + len(batch.skipped)
        if on_progress is not None:
            on_progress(seen)
    return result


def batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the ids in parts of up to 500."""
    return (ids[start : start + MAX_BATCH] for start in range(0, len(ids), MAX_BATCH))
