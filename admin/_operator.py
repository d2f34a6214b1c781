"""Who operates the queue from here, and how what they want is asked, done and told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from persistentq import (
    Act,
    JobNotFound,
    PersistentQInterface,
    ReadOnlyMode,
    Settings,
    load_settings,
    open_queue,
)
from persistentq.command_line import Refused
from persistentq.operations import ActResult, Operator, Preview, ago, safe
from persistentq.operations.fitting import check_edit
from persistentq.tasks import Tasks
from persistentq.text import GLYPHS, counted

from ._ids import read_ids
from ._options import ReportFormat
from ._render import SCHEMA, print_json, to_json
from ._screen import progress_bar
from ._selection import Selection
from ._terminal import confirmed, error_record, hint, may_talk, say

PARTLY_DONE = 3
# One transaction sees to five hundred; fewer are done before anyone could read of progress.
_SHOWN_ABOVE = 1000

READONLY: ContextVar[bool] = ContextVar("readonly", default=False)
"""Whether the call that runs was given --readonly."""


@contextmanager
def operating() -> Iterator[Operator]:
    """Open the queue for whoever types, as the settings allow."""
    settings = load_settings()
    with open_queue(create=False, settings=settings) as queue:
        yield operator_of(queue, settings)


def operator_of(queue: PersistentQInterface, settings: Settings) -> Operator:
    """Return whoever types, as the settings allow."""
    return Operator.with_settings(queue, settings, face="cli", readonly=READONLY.get())


def allow(verb: str) -> None:
    """Do nothing if changes are allowed; for what is done before a queue is open, or without one.

    Raises:
        ReadOnlyMode: they are not.
    """
    if READONLY.get() or load_settings().is_readonly:
        raise ReadOnlyMode(verb)


def act_on(
    act: Act,
    words: Sequence[str],
    selection: Selection,
    output: ReportFormat,
    *,
    tasks: Tasks | None = None,
    agrees: Callable[[Operator], bool] | None = None,
) -> int:
    """Do it to the jobs that are named or selected; return the exit code.

    Args:
        tasks: Those whose jobs they are, which must take what the act leaves them as arguments.
        agrees: Asks what this act alone has to ask, if there is a job that it would change.
    """
    if selection.is_empty and not words:
        raise Refused("no job is named", "give ids, - for those on standard input, --where or --all")
    if not selection.is_empty and (words or (selection.where is not None and selection.every)):
        raise Refused("ids, --where and --all exclude one another", "give one of them")
    ids = read_ids(words)
    if words and not ids:
        hint("no job was named")
    with operating() as operator:
        operator.may(act.verb)
        if selection.is_empty:
            seen = operator.preview(act, ids=ids, limit=selection.limit)
        else:
            seen = operator.preview(act, where=selection.where or "", limit=selection.limit)
        if tasks is not None:
            check_edit(operator.queue, seen, tasks)
        if selection.dry_run:
            return tell_preview(seen, output)
        if agrees is not None and seen.fitting and not agrees(operator):
            say("nothing was changed")
            return Refused.exit_code
        if not selection.is_empty and not _agreed(seen, selection, output):
            return Refused.exit_code
        result = apply(operator, seen, selection)
        return tell(operator.queue, result, output, named=selection.is_empty)


def _agreed(seen: Preview, selection: Selection, output: ReportFormat) -> bool:
    if may_talk(output):
        say_preview(seen)
    if not seen.fitting:
        return True
    question = f"{seen.act.verb} {counted(seen.fitting, 'job')}?"
    if confirmed(question, yes=selection.yes, count=seen.fitting):
        return True
    say("nothing was changed")
    return False


def apply(operator: Operator, seen: Preview, selection: Selection) -> ActResult:
    """Apply a preview, telling on a terminal how far it has come."""
    with _told_if_interrupted(), progress(seen.count, "deleted " * (seen.act.verb == "delete")) as show:
        return operator.apply(seen, reason=selection.reason, expect=selection.expect, on_progress=show)


def undo(operator: Operator, entry: int, reason: str) -> ActResult:
    """Take an entry back, telling on a terminal how far it has come."""
    with _told_if_interrupted(), progress(operator.queue.get_entry(entry).done) as show:
        return operator.undo(entry, reason=reason, on_progress=show)


@contextmanager
def _told_if_interrupted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        hint("`journal` tells how much was done")
        raise


@contextmanager
def progress(total: int, word: str = "") -> Iterator[Callable[[int], None] | None]:
    """Give what tells on a terminal how many of so many jobs are seen to; None where it is not worth it.

    Args:
        word: What is done to them, before the number.
    """

    if total <= _SHOWN_ABOVE or not sys.stderr.isatty():
        yield None
        return
    with progress_bar(total, word) as show:
        yield show


def say_preview(seen: Preview) -> None:
    """Say which jobs are meant, and what would be skipped."""
    if not seen.count:
        say("no job matches")
        return
    more = " (the newest; repeat it for the rest)" if seen.is_capped else ""
    say(f"{counted(seen.count, 'job')}{more}")
    for word, job in (("oldest", seen.oldest), ("newest", seen.newest)):
        if job is not None:
            say(f"  {word} {job.id}, enqueued {job.created_at:%Y-%m-%d %H:%M:%S} UTC")
    for job in seen.sample:
        say(f"  {GLYPHS[job.status]} {job.id} {job.status} {safe(job.task, 60)}")
    for reason, number in seen.will_skip.items():
        say(f"  {number:,} would be skipped: {reason}")


def tell_preview(seen: Preview, output: ReportFormat) -> int:
    """Tell what would be done; return the exit code."""
    if output == "json":
        record = {
            "schema": SCHEMA,
            "verb": seen.act.verb,
            "query": seen.query,
            "count": seen.count,
            "is_capped": seen.is_capped,
            "fitting": seen.fitting,
            "will_skip": dict(seen.will_skip),
            "oldest": seen.oldest and seen.oldest.id,
            "newest": seen.newest and seen.newest.id,
            "sample": [job.id for job in seen.sample],
        }
        print_json(record)
        return 0
    say_preview(seen)
    sys.stdout.write(f"{seen.act.verb} would change {seen.fitting:,} of {seen.count:,} jobs\n")
    return 0


def tell(store: PersistentQInterface, result: ActResult, output: ReportFormat, *, named: bool) -> int:
    """Tell what came of an act; return the exit code."""
    code = exit_code(result)
    if output == "json":
        skipped = [{"id": job_id, **error_record(error)} for job_id, error in result.skipped.items()]
        record: dict[str, Any] = {"verb": result.verb, "done": list(result.done), "skipped": skipped}
        print_json(
            {"schema": SCHEMA, **record} if named else {"schema": SCHEMA, "entry": result.entry, **record}
        )
    elif named:
        for job_id in result.done:
            sys.stdout.write(f"job {job_id} {_standing(store, job_id)}\n")
    else:
        sys.stdout.write(f"{result.verb} changed {counted(len(result.done), 'job')}\n")
        for reason, number in result.reasons.items():
            say(f"  {number:,} skipped: {reason}")
        if result.done:
            hint(f"`undo {result.entry}` takes it back while it is safe")
    _tell_skipped(result, code, output, named=named)
    return code


def exit_code(result: ActResult) -> int:
    """Return 0 if all was done, 3 if only a part of it, else what the refusals end with."""
    if result.error is not None:
        return PARTLY_DONE
    if not result.skipped:
        return 0
    if result.done:
        return PARTLY_DONE
    # Refused says more than unknown.
    return min(error.exit_code for error in result.skipped.values())


def _standing(store: PersistentQInterface, job_id: int) -> str:
    """Say where a job stands after the deed; it may have moved on by then."""
    try:
        job = store.get_job(job_id)
    except JobNotFound:
        return "is deleted"
    if job.cancel_requested:
        return f"is still {job.status}; {safe(job.consumer)} is asked to stop"
    reserved = f", reserved for {safe(job.reserved_for)}" if job.reserved_for else ""
    return f"is {job.status}{reserved}"


def _tell_skipped(result: ActResult, code: int, output: ReportFormat, *, named: bool) -> None:
    errors = list(result.skipped.values())
    if result.error is not None and output == "text":
        say(f"error: {result.failed:,} jobs were not reached: {result.error.summary}")
    if output == "text":
        for error in errors if named else ():
            say(f"error: {error.summary}")
        for text in dict.fromkeys(error.hint for error in errors) if named else ():
            hint(text)
    elif len(errors) == 1 and not result.done:
        say(to_json(error_record(errors[0])))
    elif errors or result.error is not None:
        left = sum(result.reasons.values()) + result.failed
        summary = f"{left} of {left + len(result.done)} jobs were not changed"
        say(to_json({"error": summary, "code": code, "hint": "`skipped` on standard output says why"}))


def warn_of_consumer(store: PersistentQInterface, consumer: str, output: ReportFormat, *, yes: bool) -> bool:
    """Warn of a consumer that may never come for the job; an unknown one needs the operator's word."""
    known = next((one for one in store.list_consumers() if one.id == consumer), None)
    if known is not None and known.is_alive:
        return True
    if may_talk(output):
        doubt = "has never reported" if known is None else f"was last heard of {ago(known.silent_for)} ago"
        say(f"warning: consumer {consumer!r} {doubt}; until it comes, the job waits")
    return known is not None or confirmed(f"Reserve it for {consumer} all the same?", yes=yes)
