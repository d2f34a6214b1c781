"""show: one job with everything that happened to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from persistentq import Attempt, Job, JobLog, JournalEntry, Progress, clock
from persistentq.operations import ago, safe

from ._ids import read_id
from ._journal import entry_record
from ._operator import operating
from ._options import JobId
from ._records import attempt_record, job_record, log_record
from ._render import SCHEMA, print_json, to_json, tsv_line
from ._screen import cell, new_table, print_rich, span_text, status_text
from ._selection import Why

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

ACTS_SHOWN = 20
"""The latest."""

DetailOutput = Annotated[
    Literal["text", "tsv", "json"] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FORMAT",
        help="text, tsv or json. Without it: text on a terminal, else tsv.",
        show_default=False,
    ),
]

Reveal = Annotated[
    bool, typer.Option("--reveal", help="With secrets; that you looked stands in the journal.")
]


def show(job: JobId, *, reveal: Reveal = False, reason: Why = "", output: DetailOutput = None) -> None:
    """Show one job: its values, its attempts and their errors, what its task has logged, and who acted on it."""
    job_id = read_id(job)
    with operating() as operator:
        found = operator.reveal(job_id, reason=reason) if reveal else operator.get_job(job_id)
        # Whoever may see the secrets sees those in errors and in the log, too.
        source = operator.queue if reveal else operator
        attempts, log = source.get_attempts(job_id), source.get_log(job_id)
        acts = operator.list_journal(job=job_id, limit=ACTS_SHOWN).items
    chosen = output or ("text" if sys.stdout.isatty() else "tsv")
    if chosen == "json":
        tries = [attempt_record(attempt) for attempt in attempts]
        record = {"job": job_record(found), "attempts": tries, "log": log_record(log)}
        print_json({"schema": SCHEMA, **record, "acts": [entry_record(entry) for entry in acts]})
    elif chosen == "tsv":
        sys.stdout.writelines(_tsv_lines(found, attempts, log, acts))
    else:
        parts = (
            _heading(found),
            _values(found, log.progress),
            *_attempts(attempts),
            *_acts(acts),
            *_log(log),
        )
        print_rich(*parts)


def _tsv_lines(
    job: Job, attempts: Sequence[Attempt], log: JobLog, acts: Sequence[JournalEntry]
) -> Iterator[str]:
    yield from map(tsv_line, job_record(job).items())
    for attempt in attempts:
        for name, value in attempt_record(attempt).items():
            yield tsv_line((f"attempts.{attempt.attempt}.{name}", value))
    if log.progress is not None:
        yield tsv_line(("progress", log.progress.fraction))
        yield tsv_line(("progress_note", log.progress.note))
    for number, line in enumerate(log.lines, log.dropped + 1):
        yield tsv_line((f"log.{number}", line.text))
    for entry in acts:
        for name in ("at", "actor", "face", "verb", "reason"):
            yield tsv_line((f"acts.{entry.id}.{name}", entry_record(entry)[name]))


def _heading(job: Job) -> Text:
    from rich.text import Text

    asked = ", cancel requested" if job.cancel_requested else ""
    return Text.assemble((f"job {job.id}  ", "bold"), status_text(job.status), asked)


def _values(job: Job, progress: Progress | None) -> Table:
    from rich.text import Text

    now = clock.now()
    values = {
        "task": job.task,
        "queue": job.queue,
        "priority": job.priority,
        "attempt": f"{job.attempt} of at most {job.max_attempts}",
        "consumer": job.consumer,
        "reserved for": job.reserved_for,
        "unique key": job.unique_key,
        "created": _moment(job.created_at, now),
        "run at": _moment(job.run_at, now),
        "started": _moment(job.started_at, now),
        "finished": _moment(job.finished_at, now),
        "lease until": _moment(job.lease_until, now),
        "progress": progress and f"{progress.fraction:.0%} {progress.note}".rstrip(),
        "error": job.error,
    }
    table = new_table("name", "value", fixed=("name",))
    table.show_header = False
    for name, value in values.items():
        if value is not None:
            table.add_row(f"  {name}", Text(safe(value), "red" if name == "error" else ""))
    table.add_row("  args", to_json(dict(job.args), indent=2))
    if job.result is not None:
        table.add_row("  result", to_json(job.result, indent=2))
    return table


def _moment(moment: datetime | None, now: datetime) -> str | None:
    if moment is None:
        return None
    distance = ago(now - moment)
    return f"{moment:%Y-%m-%d %H:%M:%S}Z ({distance if moment > now else distance + ' ago'})"


def _attempts(attempts: Sequence[Attempt]) -> Iterator[Table | Text]:
    from rich.text import Text

    if not attempts:
        return
    table = new_table("attempt", "consumer", "started", "took", "outcome", "error", right=("attempt",))
    for attempt in attempts:
        table.add_row(
            str(attempt.attempt),
            cell(attempt.consumer),
            f"{attempt.started_at:%Y-%m-%d %H:%M:%S}Z",
            _took(attempt),
            str(attempt.outcome or "running"),
            cell(attempt.error, "red"),
        )
    yield Text()
    yield table
    for attempt in attempts:
        if attempt.traceback:
            yield Text(f"\nattempt {attempt.attempt}", "bold")
            yield Text("\n".join(f"  {safe(line)}" for line in attempt.traceback.splitlines()))


def _acts(acts: Sequence[JournalEntry]) -> Iterator[Table | Text]:
    from rich.text import Text

    if not acts:
        return
    table = new_table("entry", "at", "actor", "face", "verb", "reason", right=("entry",))
    for entry in acts:
        who = (entry.actor, entry.face, entry.verb, entry.reason)
        table.add_row(str(entry.id), f"{entry.at:%Y-%m-%d %H:%M:%S}Z", *map(cell, who))
    yield Text()
    yield table


def _log(log: JobLog) -> Iterator[Text]:
    from rich.text import Text

    if log.lines:
        yield Text(
            "\nlog" + (f" (its first {log.dropped:,} lines are not kept)" if log.dropped else ""), "bold"
        )
        yield Text(
            "\n".join(f"  {line.at:%H:%M:%S}Z  {line.attempt}  {safe(line.text)}" for line in log.lines)
        )


def _took(attempt: Attempt) -> str:
    return span_text((attempt.ended_at or clock.now()) - attempt.started_at)
