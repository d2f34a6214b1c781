"""delete-db-jobs and delete-job-files: what cannot be taken back, so the numbers are said before the question."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from persistentq import JobStatus, PersistentQError, PersistentQInterface, open_queue
from persistentq.command_line import Refused
from persistentq.operations import (
    ACTIONS,
    GLYPHS,
    FilesToDelete,
    delete_all,
    find_job_files,
)
from persistentq.operations import delete_job_files as delete_files

from ._actions import PARTLY_DONE
from ._options import QueueName, Report, ReportFormat, Statuses, Yes
from ._render import SCHEMA, print_json
from ._terminal import confirmed, may_talk, say

# One transaction deletes a thousand; fewer are gone before anyone could read of progress.
_SHOWN_ABOVE = 1000

Directory = Annotated[
    Path,
    typer.Option("--directory", "-d", metavar="DIR", help="Look in and below this one.", show_default=False),
]


def delete_db_jobs(
    *,
    status: Statuses = None,
    queue: QueueName = None,
    yes: Yes = False,
    output: Report = "text",
) -> int:
    """Delete jobs from the database for ever. All that match, except those that are processing."""
    with open_queue(create=False) as store:
        counts, newest = _matching(store, status, queue), _newest(store)
        total = sum(number for name, number in counts.items() if name in ACTIONS["delete"].works_on)
        if may_talk(output):
            _say_counts(counts, store.location)
        if total and not confirmed(f"Delete {_many(total, 'job')} for ever?", yes=yes, count=total):
            return _nothing()
        deleted = _delete(store, status, queue, newest, total) if total else 0
    _report({"deleted": deleted}, f"deleted {_many(deleted, 'job')}", output)
    return 0


def _matching(
    store: PersistentQInterface, status: Sequence[JobStatus] | None, queue: str | None
) -> Mapping[JobStatus, int]:
    counts: Counter[JobStatus] = Counter()
    for name, numbers in store.count_jobs().items():
        if queue in (None, name):
            counts.update(numbers)
    return {one: counts[one] for one in JobStatus if counts[one] and one in (status or JobStatus)}


def _newest(store: PersistentQInterface) -> int | None:
    """Return the id of the newest job: later ones are not what the operator is asked about."""
    page = store.list_jobs(limit=1)
    return page.items[0].id if page.items else None


def _say_counts(counts: Mapping[JobStatus, int], location: str) -> None:
    say(f"jobs in {location} that match:" if counts else f"no job in {location} matches")
    for status, number in counts.items():
        stays = "" if status in ACTIONS["delete"].works_on else "  stays: a consumer has it"
        say(f"  {GLYPHS[status]} {status:<10} {number:>9,}{stays}")


def _delete(
    store: PersistentQInterface,
    status: Sequence[JobStatus] | None,
    queue: str | None,
    newest: int | None,
    total: int,
) -> int:
    def show(deleted: int) -> None:
        sys.stderr.write(f"\rdeleted {deleted:,} of {total:,}")
        sys.stderr.flush()

    if total <= _SHOWN_ABOVE or not sys.stderr.isatty():
        return delete_all(store, status, queue, newest)
    try:
        return delete_all(store, status, queue, newest, show)
    finally:
        say("")


def delete_job_files(directory: Directory, *, yes: Yes = False, output: Report = "text") -> int:
    """Delete the producer's files. Those in and below a directory that no unfinished job needs."""
    with open_queue(create=False) as store:
        found = find_job_files(store, directory)
        count, size = len(found.paths), _size(found.total_bytes)
        if may_talk(output):
            say(f"job files in and below {directory.resolve()}: {count:,}, {size}")
            _say_kept(found)
        if count and not confirmed(f"Delete {_many(count, 'file')}, {size}?", yes=yes, count=count):
            return _nothing()
        gone = delete_files(store, directory, found) if count else found
    record = {
        "deleted": len(gone.paths),
        "bytes": gone.total_bytes,
        "in_use": gone.in_use,
        "fresh": gone.fresh,
        "refused": len(gone.refused),
    }
    _report(record, f"deleted {_many(len(gone.paths), 'file')}, {_size(gone.total_bytes)}", output)
    for path, reason in gone.refused:
        say(f"error: {path} was not deleted: {reason}")
    return 0 if not gone.refused else PARTLY_DONE if gone.paths else PersistentQError.exit_code


def _say_kept(found: FilesToDelete) -> None:
    if found.in_use:
        say(f"  and {_many(found.in_use, 'file')} kept: an unfinished job names them")
    if found.fresh:
        say(
            f"  and {_many(found.fresh, 'file')} kept: younger than a minute, a job for them may be on its way"
        )


def _nothing() -> int:
    say("nothing was deleted")
    return Refused.exit_code


def _report(record: Mapping[str, int], sentence: str, output: ReportFormat) -> None:
    if output == "json":
        print_json({"schema": SCHEMA, **record})
    else:
        sys.stdout.write(f"{sentence}\n")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + "s" * (count != 1)


def _size(number_of_bytes: int) -> str:
    size, unit = float(number_of_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
