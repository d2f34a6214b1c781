"""resubmit, cancel, mark-failed and assign-job: one deed on the jobs that are named."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from persistentq import JobNotFound, PersistentQInterface, open_queue
from persistentq.checks import check_consumer
from persistentq.command_line import Refused
from persistentq.operations import ActionResult, act, ago, safe
from persistentq.operations.actions import MARKED_FAILED

from ._ids import read_id, read_ids
from ._options import JobId, JobIds, Report, ReportFormat, Yes
from ._render import SCHEMA, print_json, to_json
from ._terminal import confirmed, error_record, hint, may_talk, say

PARTLY_DONE = 3

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept as the job's error.")]


def resubmit(jobs: JobIds, output: Report = "text") -> int:
    """Make failed or cancelled jobs pending again."""
    return _act("resubmit", jobs, output)


def cancel(jobs: JobIds, output: Report = "text") -> int:
    """Cancel unfinished jobs. One that is processing is asked to stop."""
    return _act("cancel", jobs, output)


def mark_failed(jobs: JobIds, reason: Reason = MARKED_FAILED, output: Report = "text") -> int:
    """Make unfinished jobs failed. One that is processing is taken from its consumer."""
    return _act("mark-failed", jobs, output, reason=reason)


ConsumerName = Annotated[
    str | None,
    typer.Argument(
        metavar="CONSUMER", help="The consumer's id, as `consumers` lists it.", show_default=False
    ),
]
Anyone = Annotated[bool, typer.Option("--anyone", help="Instead of a consumer: end the reservation.")]


def assign_job(
    job: JobId,
    consumer: ConsumerName = None,
    *,
    anyone: Anyone = False,
    yes: Yes = False,
    output: Report = "text",
) -> int:
    """Reserve a job for one consumer. One that is processing is taken from the consumer that has it."""
    job_id = read_id(job)
    if (consumer is None) is not anyone:
        raise Refused(
            "assign-job needs a consumer or --anyone, one of the two", "`consumers` lists their ids"
        )
    with open_queue(create=False) as store:
        store.get_job(job_id)
        if consumer is not None and not _accepted(store, check_consumer(consumer), output, yes=yes):
            say("nothing was changed")
            return Refused.exit_code
        return _apply(store, "assign", [job_id], output, consumer=consumer)


def _accepted(store: PersistentQInterface, consumer: str, output: ReportFormat, *, yes: bool) -> bool:
    """Warn of a consumer that may never come for the job; an unknown one needs the operator's word."""
    known = next((one for one in store.list_consumers() if one.id == consumer), None)
    if known is not None and known.is_alive:
        return True
    if may_talk(output):
        doubt = "has never reported" if known is None else f"was last heard of {ago(known.silent_for)} ago"
        say(f"warning: consumer {consumer!r} {doubt}; until it comes, the job waits")
    return known is not None or confirmed(f"Reserve it for {consumer} all the same?", yes=yes)


def _act(verb: str, words: Sequence[str], output: ReportFormat, **details: Any) -> int:
    ids = read_ids(words)
    if not ids:
        hint("no job was named")
    with open_queue(create=False) as store:
        return _apply(store, verb, ids, output, **details)


def _apply(
    store: PersistentQInterface, verb: str, ids: Sequence[int], output: ReportFormat, **details: Any
) -> int:
    result = act(store, verb, ids, **details)
    code = _exit_code(result)
    if output == "json":
        skipped = [{"id": job_id, **error_record(error)} for job_id, error in result.skipped.items()]
        print_json({"schema": SCHEMA, "verb": verb, "done": list(result.done), "skipped": skipped})
    else:
        for job_id in result.done:
            sys.stdout.write(f"job {job_id} {_standing(store, job_id)}\n")
    _report_skipped(result, code, output)
    return code


def _exit_code(result: ActionResult) -> int:
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


def _report_skipped(result: ActionResult, code: int, output: ReportFormat) -> None:
    errors = list(result.skipped.values())
    if output == "text":
        for error in errors:
            say(f"error: {error.summary}")
        for text in dict.fromkeys(error.hint for error in errors):
            hint(text)
    elif len(errors) == 1 and not result.done:
        say(to_json(error_record(errors[0])))
    elif errors:
        summary = f"{len(errors)} of {len(errors) + len(result.done)} jobs were not changed"
        say(to_json({"error": summary, "code": code, "hint": "`skipped` on standard output says why"}))
