"""Jobs into files: which are meant is frozen first, then they are read and written some at a time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from persistentq.checks import check_int
from persistentq.errors import InvalidArgument
from persistentq.interface import PersistentQInterface
from persistentq.job import Job
from persistentq.operations.formats import Format, writing
from persistentq.operations.new_file import new_file
from persistentq.operations.records import job_record
from persistentq.query import EVERY_JOB, Query

PART, ID_PART = 250, 2_000
"""So many jobs, and so many ids with their statuses, are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The jobs to export, as they were meant at one moment.

    Attributes:
        where: What was asked for. A job that it does not mean any more when it is read is left out.
        ids: Theirs, the oldest first; eight bytes for each.
    """

    where: Query = EVERY_JOB
    ids: Sequence[int] = field(default_factory=lambda: array("q"))


def choose(queue: PersistentQInterface, where: Query, limit: int | None = None) -> Chosen:
    """Freeze which jobs are meant: those that are enqueued later are not, so that an export of a live queue ends.

    Args:
        limit: Only so many of the newest; None for all.
    """
    if limit is not None:
        check_int("limit", limit, 1, 2**31 - 1)
    ids = array("q", islice(_meant(queue, where), limit))
    ids.reverse()
    return Chosen(where, ids)


def _meant(queue: PersistentQInterface, where: Query) -> Iterator[int]:
    after: str | None = None
    while True:
        page = queue.find_ids(where, limit=ID_PART, after=after)
        yield from (job_id for job_id, _ in page.items)
        if (after := page.next) is None:
            return


@contextmanager
def opened(queue: PersistentQInterface, target: Path | BinaryIO, *, force: bool) -> Iterator[BinaryIO]:
    """Give the file to write to: a new one, or the one given, which stays open.

    Raises:
        InvalidArgument: see `new_file`; or it is the queue's own.
    """
    if not isinstance(target, Path):
        yield target
        return
    own = Path(queue.location)
    if target.name in {own.name + end for end in ("", "-wal", "-shm", "-journal")} and _are_one_folder(
        target, own
    ):
        raise InvalidArgument("file", str(target), "is the queue's own")
    with new_file(target, force=force) as file:
        yield file


def _are_one_folder(path: Path, other: Path) -> bool:
    return path.absolute().parent.resolve() == other.absolute().parent.resolve()


def export(
    queue: PersistentQInterface,
    chosen: Chosen,
    file: BinaryIO,
    form: Format,
    *,
    show: Callable[[Job], Job],
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Write the jobs to `file`, the oldest first, and return how many they were.

    Args:
        show: What may be seen of a job.
        on_progress: Called now and then with the number of jobs seen to.

    Raises:
        ExtraMissing: the format needs a package that is not installed.
    """
    number = 0
    with writing(form, file) as write:
        for start in range(0, len(chosen.ids), PART):
            jobs = _read(queue, chosen.where, chosen.ids[start : start + PART])
            write([job_record(show(job)) for job in jobs])
            number += len(jobs)
            if on_progress is not None:
                on_progress(min(start + PART, len(chosen.ids)))
    return number


def _read(queue: PersistentQInterface, where: Query, ids: Sequence[int]) -> list[Job]:
    jobs: list[Job] = []
    after: str | None = None
    while True:
        page = queue.find_jobs(where, among=ids, limit=len(ids), after=after)
        jobs += page
        if (after := page.next) is None:
            return jobs[::-1]
