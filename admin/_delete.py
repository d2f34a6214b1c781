"""delete-db-jobs and delete-job-files: what goes out of sight, so the numbers are said before the question."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from persistentq import Act, PersistentQError
from persistentq.command_line import Refused
from persistentq.operations import ACTIONS, GLYPHS, ActResult, FilesToDelete, Preview, find_job_files
from persistentq.operations import delete_job_files as delete_files
from persistentq.operations.acting import MOST
from persistentq.selection import selected
from persistentq.text import counted

from ._ids import read_ids
from ._operator import PARTLY_DONE, apply, operating, tell, tell_preview
from ._options import JobIds, QueueName, Report, ReportFormat, Statuses, Yes
from ._render import SCHEMA, print_json
from ._selection import DryRun, Every, Expect, Limit, Selection, Where, Why
from ._terminal import confirmed, hint, may_talk, say

Directory = Annotated[
    Path,
    typer.Option(
        "--directory",
        "-d",
        metavar="DIR",
        help="Look in and below this one; not one that holds your home.",
        show_default=False,
    ),
]


def delete_db_jobs(  # noqa: PLR0913 - one option each
    jobs: JobIds = None,
    *,
    status: Statuses = None,
    queue: QueueName = None,
    where: Where = None,
    every: Every = False,
    limit: Limit = MOST,
    dry_run: DryRun = False,
    yes: Yes = False,
    expect: Expect = None,
    reason: Why = "",
    output: Report = "text",
) -> int:
    """Delete jobs from the database. Those named, else all that match, but none that is processing.

    `undo` brings them back.
    """
    words = jobs or []
    if bool(words) + every + bool(status or queue or where is not None) > 1:
        raise Refused("ids, --all and --status, --queue or --where exclude one another", "give one of them")
    ids = read_ids(words)
    with operating() as operator:
        operator.may("delete")
        if words:
            seen = operator.preview(Act("delete"), ids=ids, limit=limit)
        else:
            asked = selected(status=status or None, queue=queue, where=where or "")
            seen = operator.preview(Act("delete"), where=asked, limit=limit)
        if dry_run:
            return tell_preview(seen, output)
        if may_talk(output):
            _say_counts(seen, operator.queue.location)
        total = seen.fitting
        if total and not confirmed(f"Delete {counted(total, 'job')}?", yes=yes, count=total):
            return _nothing()
        result = apply(operator, seen, Selection(reason=reason, expect=expect))
        if words:
            return tell(operator.queue, result, output, named=True)
    return _tell_deleted(result, output)


def _tell_deleted(result: ActResult, output: ReportFormat) -> int:
    _report({"deleted": len(result.done)}, f"deleted {counted(len(result.done), 'job')}", output)
    if result.error is not None:
        say(f"error: {counted(result.failed, 'job')} were not reached: {result.error.summary}")
        return PARTLY_DONE
    if result.done and output == "text" and sys.stderr.isatty():
        hint(f"`undo {result.entry}` brings them back")
    return 0


def _say_counts(seen: Preview, location: str) -> None:
    say(f"jobs in {location} that match:" if seen.count else f"no job in {location} matches")
    for status, number in seen.statuses.items():
        stays = "" if status in ACTIONS["delete"].works_on else "  stays: a consumer has it"
        say(f"  {GLYPHS[status]} {status:<10} {number:>9,}{stays}")


def delete_job_files(directory: Directory, *, yes: Yes = False, output: Report = "text") -> int:
    """Delete the producer's files. Those in and below a directory that no unfinished job needs."""
    with operating() as operator:
        operator.may("delete-job-files")
        found = find_job_files(operator.queue, directory)
        count, size = len(found.paths), _size(found.total_bytes)
        if may_talk(output):
            say(f"job files in and below {directory.resolve()}: {count:,}, {size}")
            _say_kept(found)
        if count and not confirmed(f"Delete {counted(count, 'file')}, {size}?", yes=yes, count=count):
            return _nothing()
        gone = delete_files(operator.queue, directory, found) if count else found
        if gone.paths and count:
            told = {
                "directory": str(directory.resolve()),
                "files": len(gone.paths),
                "bytes": gone.total_bytes,
            }
            operator.write_journal("delete-job-files", told)
    record = {
        "deleted": len(gone.paths),
        "bytes": gone.total_bytes,
        "in_use": gone.in_use,
        "fresh": gone.fresh,
        "refused": len(gone.refused),
    }
    _report(record, f"deleted {counted(len(gone.paths), 'file')}, {_size(gone.total_bytes)}", output)
    for path, reason in gone.refused:
        say(f"error: {path} was not deleted: {reason}")
    return 0 if not gone.refused else PARTLY_DONE if gone.paths else PersistentQError.exit_code


def _say_kept(found: FilesToDelete) -> None:
    if found.in_use:
        say(f"  and {counted(found.in_use, 'file')} kept: an unfinished job names them")
    if found.fresh:
        say(
            f"  and {counted(found.fresh, 'file')} kept: younger than a minute, a job for them may be on its way"
        )


def _nothing() -> int:
    say("nothing was deleted")
    return Refused.exit_code


def _report(record: Mapping[str, int], sentence: str, output: ReportFormat) -> None:
    if output == "json":
        print_json({"schema": SCHEMA, **record})
    else:
        sys.stdout.write(f"{sentence}\n")


def _size(number_of_bytes: int) -> str:
    size, unit = float(number_of_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
