"""Jobs out of files: looked at as a whole before anything is written, then enqueued batch by batch.

Each batch is enqueued in one transaction with its line in the journal, which knows the file by its digest. So an import
that was broken off goes on where it stopped, and one that is finished is not done again by accident.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from persistentq.acts import IMPORT, MAX_BATCH
from persistentq.backoff import Backoff
from persistentq.errors import InvalidArgument, StorageError
from persistentq.interface import PersistentQInterface
from persistentq.job import FINISHED, JobStatus, NewJob
from persistentq.journal import ActBatch, ActNote, JournalEntry
from persistentq.operations.formats import Format, Row, reading
from persistentq.operations.records import COLUMNS
from persistentq.payload import encode_args
from persistentq.redaction import REDACTED

TOLD_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class ImportPreview:
    """What an import would do; nothing has been changed yet.

    Attributes:
        path: The file.
        form: What it is written in.
        again: Whether its finished jobs are meant too.
        digest: What tells the file's content from every other.
        count: How many jobs of it are to be enqueued.
        finished: How many are not, as they are finished, by status.
        problems: What is wrong with it, up to twenty lines of it; without any, it can be imported.
        bad: How many lines have a problem.
        entry: The journal's entry of an earlier import of the same file; None if there is none in force.
    """

    path: Path
    form: Format
    again: bool
    digest: str
    count: int = 0
    finished: Mapping[JobStatus, int] = field(default_factory=dict)
    problems: tuple[InvalidArgument, ...] = ()
    bad: int = 0
    entry: JournalEntry | None = None

    @property
    def begun(self) -> int:
        """How many of the jobs to enqueue an earlier import has seen to."""
        return 0 if self.entry is None else min(self.count, self.entry.batches * MAX_BATCH)

    @property
    def details(self) -> dict[str, Any]:
        """What the journal keeps of the import."""
        name = self.path.name.encode("utf-8", "replace").decode("utf-8")
        return {"file": name, "sha256": self.digest, "again": self.again}


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What came of an import.

    Attributes:
        entry: The journal's entry that tells of it; None if there was nothing to enqueue.
        enqueued: How many jobs were enqueued now.
        existing: How many were not, as an unfinished job has their unique key.
        before: How many an earlier import of the same file had seen to.
        failed: How many were not reached, as the database failed; importing the file again goes on with them.
        error: That failure.
    """

    entry: int | None = None
    enqueued: int = 0
    existing: int = 0
    before: int = 0
    failed: int = 0
    error: StorageError | None = None

    @property
    def seen_to(self) -> int:
        """How many are enqueued, or exist already."""
        return self.before + self.enqueued + self.existing

    def plus(self, batch: ActBatch) -> ImportResult:
        """Return what came of it with one more batch."""
        enqueued, existing = self.enqueued + len(batch.done), self.existing + len(batch.skipped)
        return replace(self, entry=batch.entry, enqueued=enqueued, existing=existing)


def preview_import(
    queue: PersistentQInterface, path: Path, form: Format, *, again: bool = False, repeat: bool = False
) -> ImportPreview:
    """Read a file as a whole, and say what importing it would do.

    Args:
        again: Enqueue also what is finished, as the file says; otherwise that is passed over.
        repeat: Whether it was imported before does not matter.

    Raises:
        InvalidArgument: it is no file, is not in this format, or was imported with another `again`.
        ExtraMissing: the format needs a package that is not installed.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise InvalidArgument("file", str(path), "is not a file")
    digest = _digest(path)
    entry = None if repeat else _earlier(queue, digest)
    if entry is not None and entry.details.get("again") is not again:
        problem = f"was imported {'without' if again else 'with'} its finished jobs, as entry {entry.id} of the journal"
        raise InvalidArgument("file", str(path), problem)
    count, bad, finished = 0, 0, Counter[JobStatus]()
    problems: list[InvalidArgument] = []
    for row in reading(form, path):
        try:
            if (status := _left_out(row, again=again)) is not None:
                finished[status] += 1
            else:
                new_job(row)
                count += 1
        except InvalidArgument as error:
            bad += 1
            if len(problems) < TOLD_PROBLEMS:
                problems.append(error)
    return ImportPreview(path, form, again, digest, count, finished, tuple(problems), bad, entry)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _earlier(queue: PersistentQInterface, digest: str) -> JournalEntry | None:
    """Return the latest entry of an import of this content that is in force."""
    after: str | None = None
    while True:
        page = queue.list_journal(verb=IMPORT, limit=1000, after=after)
        for entry in page.items:
            if entry.details.get("sha256") == digest and _is_in_force(queue, entry):
                return entry
        if (after := page.next) is None:
            return None


def _is_in_force(queue: PersistentQInterface, entry: JournalEntry) -> bool:
    return entry.undone_by is None or not _is_in_force(queue, queue.get_entry(entry.undone_by))


def apply_import(
    queue: PersistentQInterface,
    seen: ImportPreview,
    note: ActNote,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> ImportResult:
    """Enqueue the jobs of a file, 500 in one transaction.

    If the database fails midway, the jobs that were not reached are counted as failed. A preview of the same file then
    knows what is enqueued already, and applying that goes on behind it.

    Args:
        on_progress: Called after each transaction with the number of jobs seen to.

    Raises:
        InvalidArgument: the file has a problem, or has changed since it was looked at.
        StorageError: the database failed before any job was reached.
    """
    for problem in seen.problems:
        raise problem
    if _digest(seen.path) != seen.digest:
        raise InvalidArgument("file", str(seen.path), "has changed since it was looked at")
    told: ActNote | int = replace(note, meant=seen.count) if seen.entry is None else seen.entry.id
    result = ImportResult(None if seen.entry is None else seen.entry.id, before=seen.begun)
    number = 0 if seen.entry is None else seen.entry.batches
    jobs = islice(_new_jobs(seen), seen.begun, None)
    while batch := list(islice(jobs, MAX_BATCH)):
        number += 1
        try:
            done = queue.import_jobs(batch, note=told, details=seen.details, batch=number)
        except StorageError as error:
            if result.seen_to == seen.begun:
                raise
            return replace(result, failed=seen.count - result.seen_to, error=error)
        told, result = done.entry, result.plus(done)
        if on_progress is not None:
            on_progress(result.seen_to)
    return result


def _new_jobs(seen: ImportPreview) -> Iterator[NewJob]:
    for row in reading(seen.form, seen.path):
        if _left_out(row, again=seen.again) is None:
            yield new_job(row)


def _left_out(row: Row, *, again: bool) -> JobStatus | None:
    """Return the status for which a row's job is not to be enqueued; None if it is to be."""
    status = row.record.get("status")
    return JobStatus(status) if isinstance(status, str) and status in FINISHED and not again else None


def new_job(row: Row) -> NewJob:
    """Return the job that a row of a file tells of.

    Raises:
        InvalidArgument: it tells of none; the error names the place and the field.
    """
    if row.problem is not None:
        raise row.problem
    try:
        return _new_job(row.record)
    except InvalidArgument as error:
        raise InvalidArgument(f"{row.place}: {error.name}", error.value, error.problem) from None


def _new_job(record: Mapping[str, Any]) -> NewJob:
    for name in record.keys() - set(COLUMNS):
        close = get_close_matches(name, FIELDS, 1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise InvalidArgument("field", name, f"is none of a job{meant}")
    if (status := record.get("status")) not in (None, *JobStatus):
        raise InvalidArgument("status", status, f"is not one of {', '.join(JobStatus)}")
    values = {name: read(record[name]) for name, read in FIELDS.items() if record.get(name) not in (None, "")}
    if "task" not in values:
        raise InvalidArgument("task", record.get("task"), "is missing")
    return NewJob(**values)


def _as_is(value: Any) -> Any:
    return value


def _number(value: Any) -> Any:
    # Where some are missing, pandas makes floats of whole numbers.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(value: Any) -> Any:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise InvalidArgument("run_at", value, "is not a time such as 2026-11-24T18:30:00Z") from None


def _named_values(name: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        encode_args(value, name)
        if _is_redacted(value):
            problem = f"holds {REDACTED!r} where a secret was; export with --reveal what is to be imported"
            raise InvalidArgument(name, value, problem)
        return value

    return read


def _is_redacted(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_redacted, value.values()))
    return any(map(_is_redacted, value)) if isinstance(value, list) else value == REDACTED


def _tags(value: Any) -> Any:
    if not isinstance(value, list):
        raise InvalidArgument("tags", value, "is not a list of words")
    return tuple(value)


def _backoff(value: Any) -> Any:
    try:
        return Backoff(**{name: timedelta(seconds=value[name]) for name in ("base", "cap")})
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise InvalidArgument("backoff", value, f"is not base and cap in seconds: {error}") from None


FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "task": _as_is,
    "args": _named_values("args"),
    "queue": _as_is,
    "priority": _number,
    "run_at": _moment,
    "max_attempts": _number,
    "unique_key": _as_is,
    "tags": _tags,
    "metadata": _named_values("metadata"),
    "backoff": _backoff,
}
"""What a new job takes from a file, and how; the other columns of an exported file tell what became of the old one."""
