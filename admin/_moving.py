"""backup, restore and graduate: what is done with the queue's whole database."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from persistentq import load_settings
from persistentq.command_line import Refused
from persistentq.connect import open_copies
from persistentq.copies_interface import DRAIN, JOBS, Moved, OnStage, Restored, Stage, say_nothing
from persistentq.operations import safe
from persistentq.operations.moving import Caretaker
from persistentq.text import counted

from ._operator import READONLY
from ._options import Report, ReportFormat, Yes
from ._render import SCHEMA, print_json
from ._screen import progress_bar
from ._selection import DryRun, Why
from ._terminal import confirmed, hint, may_talk, say

DRAIN_S = DRAIN.total_seconds()

NewFile = Annotated[Path, typer.Argument(metavar="FILE", help="The file to make.", show_default=False)]
BackupFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="What `backup` has made.", show_default=False)
]
Target = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        help="Where to: an empty database, or a file that is made. postgresql+psycopg://… or sqlite:///….",
        show_default=False,
    ),
]
Replace = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
Refill = Annotated[bool, typer.Option("--force", help="On a server: also into a database that is not empty.")]
Drain = Annotated[
    float,
    typer.Option("--drain", metavar="SECONDS", min=0, max=86_400, help="How long to wait for jobs that run."),
]
Release = Annotated[
    bool,
    typer.Option("--release", help="Give back those that run still, uncounted, instead of giving up."),
]


def backup(file: NewFile, *, force: Replace = False, reason: Why = "", output: Report = "text") -> None:
    """Copy the queue to a file, while everybody goes on. The copy is a SQLite queue, whatever the queue is in."""
    with _shown() as tell:
        made = _caretaker().back_up(file, force=force, reason=reason, on_stage=tell)
    if output == "json":
        print_json({"schema": SCHEMA, "path": str(made.path), "bytes": made.size, "rows": dict(made.rows)})
    else:
        sys.stdout.write(f"{safe(made.path)} holds {_jobs(made.rows)}, {made.size:,} bytes\n")


def restore(
    file: BackupFile,
    *,
    force: Refill = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Why = "",
    output: Report = "text",
) -> int:
    """Put a backup in the place of the queue. What has ended or run since the backup does not run again."""
    caretaker = _caretaker()
    caretaker.may("restore")
    seen = caretaker.plan_restore(file, force=force)
    if not dry_run:
        if may_talk(output) and not yes:
            _say_restore(seen, is_done=False)
        question = f"Restore {_jobs(seen.rows)} to {seen.location}?"
        if not confirmed(question, yes=yes, count=seen.rows[JOBS]):
            return _nothing()
        with _shown() as tell:
            seen = caretaker.restore(file, force=force, reason=reason, on_stage=tell)
    if output == "json":
        print_json({"schema": SCHEMA, "dry_run": dry_run, **_record(seen)})
        return 0
    word = "would hold" if dry_run else "holds"
    sys.stdout.write(f"{safe(seen.location)} {word} {_jobs(seen.rows)} of {safe(seen.backup)}\n")
    _say_restore(seen, is_done=not dry_run)
    if not dry_run:
        _say_after_restore(seen)
    return 0


def _record(seen: Restored) -> dict[str, Any]:
    return {**asdict(seen), "backup": str(seen.backup), "rows": dict(seen.rows)}


def _say_restore(seen: Restored, *, is_done: bool) -> None:
    if seen.kept:
        say(f"  stay as they are now, having ended or run since the backup: {counted(seen.kept, 'job')}")
    if seen.withheld:
        gone = counted(seen.withheld, "job")
        say(f"  come back cancelled, being gone from the queue since the backup unfinished: {gone}")
    if seen.newer:
        ids = ", ".join(map(str, seen.newest)) + (", …" if seen.newer > len(seen.newest) else "")
        say(f"  not in the backup, being enqueued since: {counted(seen.newer, 'job')}: {ids}")
    if seen.aside is not None:
        # Foretold without the whole name, which has the time in it.
        kept = seen.aside if is_done else f"….before-restore in {Path(seen.aside).parent}"
        say(f"  what {'was' if is_done else 'is'} there is kept as {kept}")
    if seen.paused:
        say("  nobody can tell what ran since the backup: every queue is paused")


def _say_after_restore(seen: Restored) -> None:
    for name in seen.paused:
        hint(f"`resume {name}` hands its jobs out again; look first which of them ran since the backup")


def graduate(  # noqa: PLR0913 - one option each
    url: Target,
    *,
    drain: Drain = DRAIN_S,
    release: Release = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Why = "",
    output: Report = "text",
) -> int:
    """Move the queue to another database. From SQLite to PostgreSQL or back, with ids, history, schedules and pauses.

    Running jobs are waited for, and no job is lost or doubled. Until the queue is closed here, every failure leaves it
    as it was. If this was cut short, run it again.
    """
    caretaker = _caretaker()
    caretaker.may("graduate")
    if dry_run or not yes:
        plan = caretaker.plan_move(url)
        if dry_run:
            return _tell_plan(asdict(plan), output)
        if may_talk(output):
            say(f"{_jobs(plan.rows)} in {plan.source}, {plan.held:,} of them running")
        if not confirmed(f"Move them to {plan.target}?", yes=yes, count=plan.rows[JOBS]):
            return _nothing()
    with _shown() as tell:
        moved = caretaker.graduate(
            url, drain=timedelta(seconds=drain), release=release, reason=reason, on_stage=tell
        )
    return _tell_moved(moved, output)


def _tell_plan(plan: Mapping[str, Any], output: ReportFormat) -> int:
    if output == "json":
        print_json({"schema": SCHEMA, "dry_run": True, **plan})
    else:
        sys.stdout.write(
            f"graduate would move {_jobs(plan['rows'])}, {plan['held']:,} of them running,"
            f" from {safe(plan['source'])} to {safe(plan['target'])}\n"
        )
    return 0


def _tell_moved(moved: Moved, output: ReportFormat) -> int:
    if output == "json":
        print_json({"schema": SCHEMA, "dry_run": False, **asdict(moved)})
        return 0
    what = f"{_jobs(moved.rows)} moved" if moved.rows else "the queue has moved"
    sys.stdout.write(f"{what} from {safe(moved.source)} to {safe(moved.target)}\n")
    if moved.released:
        say(f"  {moved.released:,} running jobs were given back, and run again there")
    setting = "QUEUE_DB_URL" if "://" in moved.target else "QUEUE_DB_FILE"
    hint(f"set {setting} to it everywhere, and start producers and consumers again")
    return 0


def _caretaker() -> Caretaker:
    settings = load_settings()
    copies = open_copies(settings=settings)
    return Caretaker.with_settings(copies, settings, face="cli", readonly=READONLY.get())


def _nothing() -> int:
    say("nothing was changed")
    return Refused.exit_code


def _jobs(rows: Mapping[str, int]) -> str:
    return counted(rows.get(JOBS, 0), "job")


@contextmanager
def _shown() -> Iterator[OnStage]:
    """Give what tells on a terminal how far a copy has come."""
    if not sys.stderr.isatty():
        yield say_nothing
        return
    with ExitStack() as bars:
        yield _Shown(bars)


class _Shown:
    """Says each stage once, and draws a bar for those that take long."""

    def __init__(self, bars: ExitStack) -> None:
        self._bars = bars
        self._stage: Stage | None = None
        self._draw: Callable[[int], None] | None = None

    def __call__(self, stage: Stage, done: int, total: int) -> None:
        if stage is not self._stage:
            self._bars.close()
            self._stage, self._draw = stage, None
            if stage in {Stage.COPYING, Stage.CHECKING} and total:
                self._draw = self._bars.enter_context(progress_bar(total, f"{stage} "))
            else:
                say(f"  {stage}")
        if self._draw is not None:
            self._draw(done)
