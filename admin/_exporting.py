"""export and import: jobs into files, and new jobs out of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from persistentq import InvalidArgument
from persistentq.command_line import Refused
from persistentq.operations import safe
from persistentq.operations.formats import Format, format_of
from persistentq.operations.importing import ImportPreview, ImportResult
from persistentq.text import counted

from ._operator import PARTLY_DONE, operating, progress
from ._options import Report, ReportFormat
from ._render import SCHEMA, print_json, to_json
from ._selection import DryRun, Every, Where, Why
from ._show import Reveal
from ._terminal import hint, say

STDOUT = Path("-")

Target = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="The new file; - for standard output.", show_default=False),
]
Source = Annotated[
    Path, typer.Argument(metavar="FILE", help="As `export` writes it, or made by hand.", show_default=False)
]
Form = Annotated[
    Format | None,
    typer.Option(
        "--format",
        "-f",
        metavar="FORMAT",
        help="jsonl, csv or parquet. Without it: what the file's name ends with, else jsonl.",
        show_default=False,
    ),
]
Newest = Annotated[
    int | None,
    typer.Option(
        "--limit",
        "-n",
        metavar="N",
        min=1,
        max=2**31 - 1,
        help="Only so many, the newest.",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file of that name.")]
Again = Annotated[bool, typer.Option("--again", help="Also those that are done, failed or cancelled.")]
Repeat = Annotated[bool, typer.Option("--repeat", help="Although the same file was imported before.")]


def export(  # noqa: PLR0913 - one option each
    file: Target = STDOUT,
    *,
    where: Where = None,
    every: Every = False,
    limit: Newest = None,
    form: Form = None,
    force: Force = False,
    reveal: Reveal = False,
    reason: Why = "",
    output: Report = "text",
) -> None:
    """Write jobs to a file, the oldest first. Secrets are left out, and such a file cannot be imported."""
    if (where is None) is not every:
        raise Refused("no job is named", "give --where or --all, one of the two")
    chosen_form = form or format_of(file)
    to_stdout = file == STDOUT
    if to_stdout and chosen_form is Format.PARQUET and sys.stdout.isatty():
        raise Refused("Parquet is not for a terminal", "name a file, or send it down a pipe")
    with operating() as operator:
        chosen = operator.choose(where or "", limit=limit)
        is_seen = to_stdout and sys.stdout.isatty()
        with nullcontext(None) if is_seen else progress(len(chosen.ids), "exported ") as show:
            number = operator.export(
                chosen,
                sys.stdout.buffer if to_stdout else file,
                chosen_form,
                force=force,
                reveal=reveal,
                reason=reason,
                on_progress=show,
            )
    if not number:
        hint("no job matches")
    if to_stdout:
        return
    if output == "json":
        print_json({"schema": SCHEMA, "file": str(file), "format": str(chosen_form), "exported": number})
    else:
        sys.stdout.write(f"exported {counted(number, 'job')} to {safe(file)}\n")


def import_(  # noqa: PLR0913 - one option each
    file: Source,
    *,
    form: Form = None,
    again: Again = False,
    repeat: Repeat = False,
    dry_run: DryRun = False,
    reason: Why = "",
    output: Report = "text",
) -> int:
    """Enqueue the jobs of a file as new ones, those that are not finished. Nothing is enqueued if a line is wrong."""
    with operating() as operator:
        operator.may("import")
        seen = operator.preview_import(file, form or format_of(file), again=again, repeat=repeat)
        if seen.problems:
            _tell_problems(seen, output)
            return InvalidArgument.exit_code
        if dry_run:
            left = seen.count - seen.begun
            _tell(
                seen,
                {"would_enqueue": left},
                f"import would enqueue {counted(left, 'job')} from {safe(file)}",
                output,
            )
            return 0
        with progress(seen.count, "imported ") as show:
            result = operator.import_jobs(seen, reason=reason, on_progress=show)
    record = {"entry": result.entry, "enqueued": result.enqueued, "existing": result.existing}
    _tell(seen, record, f"imported {counted(result.enqueued, 'job')} from {safe(file)}", output)
    return _tell_result(result, output)


def _tell(seen: ImportPreview, record: Mapping[str, Any], sentence: str, output: ReportFormat) -> None:
    if output == "json":
        finished = {str(status): number for status, number in seen.finished.items()}
        print_json({"schema": SCHEMA, "verb": "import", **record, "before": seen.begun, "finished": finished})
        return
    sys.stdout.write(f"{sentence}\n")
    if seen.finished:
        counts = ", ".join(f"{number:,} {status}" for status, number in seen.finished.items())
        say(f"  passed over, being finished: {counts}")
        hint("--again imports those too, and they run again")
    if seen.begun and seen.entry is not None:
        say(f"  {seen.begun:,} were imported before, as entry {seen.entry.id} of the journal tells")
    if seen.begun and seen.begun == seen.count:
        hint("--repeat imports them once more")


def _tell_result(result: ImportResult, output: ReportFormat) -> int:
    if output == "text":
        if result.existing:
            say(f"  {result.existing:,} exist already: an unfinished job has their unique key")
        if result.enqueued:
            hint(f"`undo {result.entry}` takes it back while it is safe")
    if result.error is None:
        return 0
    summary = f"{counted(result.failed, 'job')} were not reached: {result.error.summary}"
    remedy = "import the same file again: it goes on where it stopped"
    if output == "json":
        say(to_json({"error": summary, "code": PARTLY_DONE, "hint": remedy}))
    else:
        say(f"error: {summary}")
        hint(remedy)
    return PARTLY_DONE


def _tell_problems(seen: ImportPreview, output: ReportFormat) -> None:
    lines = [problem.summary for problem in seen.problems]
    remedy = "nothing was imported; mend these lines first"
    if output == "json":
        record = {"error": lines[0], "code": InvalidArgument.exit_code, "hint": remedy}
        say(to_json({**record, "problems": lines, "lines": seen.bad}))
        return
    for line in _problem_lines(lines, seen.bad):
        say(line)
    hint(remedy)


def _problem_lines(lines: list[str], bad: int) -> Iterator[str]:
    yield from (f"error: {line}" for line in lines)
    if bad > len(lines):
        yield f"error: and {bad - len(lines):,} more lines"
