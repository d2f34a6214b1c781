"""enqueue and wait: a job by hand, and what a script does after it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from persistentq import JobStatus, NewJob
from persistentq.app import load_app
from persistentq.command_line import Refused
from persistentq.job import FINISHED
from persistentq.operations.fitting import new_job
from persistentq.operations.objects import read_object
from persistentq.operations.times import read_span
from persistentq.operations.waiting import Waited, wait_for
from persistentq.tasks import CallOptions

from ._completers import queue_names, task_names
from ._edits import At, In, read_moment
from ._ids import read_ids
from ._operator import operating
from ._options import App, JobIds, Report, ReportFormat
from ._records import job_record
from ._render import SCHEMA, print_json, to_json
from ._selection import Why
from ._terminal import say
from ._values import read_pairs

NOT_MET = 6

TaskArgument = Annotated[
    str,
    typer.Argument(metavar="TASK", help="The task's name.", autocompletion=task_names, show_default=False),
]
Argument = Annotated[
    list[str] | None,
    typer.Option("--arg", metavar="NAME=JSON", help="One argument; may be repeated.", show_default=False),
]
Arguments = Annotated[
    str | None,
    typer.Option(
        "--args",
        metavar="JSON",
        help="All arguments, a JSON object; - reads it from standard input.",
        show_default=False,
    ),
]
Queue = Annotated[
    str | None,
    typer.Option(
        "--queue",
        "-q",
        metavar="NAME",
        help="Into this queue.",
        autocompletion=queue_names,
        show_default=False,
    ),
]
Priority = Annotated[
    int | None, typer.Option("--priority", metavar="N", help="Higher leaves earlier.", show_default=False)
]
MaxAttempts = Annotated[
    int | None,
    typer.Option("--max-attempts", metavar="N", help="At this one a failure is final.", show_default=False),
]
UniqueKey = Annotated[
    str | None,
    typer.Option(
        "--unique-key",
        metavar="TEXT",
        help="Enqueue nothing while an unfinished job has the same.",
        show_default=False,
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="WORD", help="To find it by; may be repeated.", show_default=False),
]
Meta = Annotated[
    list[str] | None,
    typer.Option("--meta", metavar="NAME=JSON", help="Kept with it; may be repeated.", show_default=False),
]
For = Annotated[
    Literal["finished", "scheduled", "pending", "processing", "done", "failed", "cancelled"],
    typer.Option("--for", metavar="STATUS", help="A status, or finished: done, failed or cancelled."),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout", metavar="SPAN", help="No longer than this, such as 90s or 1h30m.", show_default=False
    ),
]


def enqueue(  # noqa: PLR0913 - one option each
    task: TaskArgument,
    *,
    arg: Argument = None,
    args: Arguments = None,
    app: App = None,
    queue: Queue = None,
    priority: Priority = None,
    at: At = None,
    delay: In = None,
    max_attempts: MaxAttempts = None,
    unique_key: UniqueKey = None,
    tag: Tags = None,
    meta: Meta = None,
    reason: Why = "",
    output: Report = "text",
) -> None:
    """Enqueue one job. With --app, as the task's own code would: by its settings, and its arguments are checked."""
    if arg and args is not None:
        raise Refused("--arg and --args exclude one another", "give one of them")
    values = read_pairs("--arg", arg or []) if args is None else read_object("--args", _text(args))
    options: dict[str, Any] = {
        "queue": queue,
        "priority": priority,
        "run_at": read_moment(at, delay),
        "max_attempts": max_attempts,
        "unique_key": unique_key,
        "tags": tuple(tag) if tag else None,
        "metadata": read_pairs("--meta", meta) if meta else None,
    }
    given = CallOptions(**{name: value for name, value in options.items() if value is not None})  # type: ignore[typeddict-item]
    new = NewJob(task, values, **given) if app is None else new_job(load_app(app), task, values, given)
    with operating() as operator:
        job = operator.enqueue(new, reason=reason)
    if output == "json":
        print_json({"schema": SCHEMA, "job": job_record(job), "duplicate": job.duplicate})
    elif job.duplicate:
        sys.stdout.write(f"job {job.id} was there already, {job.status}: it has this unique key\n")
    else:
        sys.stdout.write(f"job {job.id} is {job.status}\n")


def _text(given: str) -> str:
    return sys.stdin.read() if given == "-" else given


def wait(
    jobs: JobIds = None, *, wanted: For = "finished", timeout: Timeout = None, output: Report = "text"
) -> int:
    """Wait until each job has this status. Ends with 6 if one ends otherwise, or the time is over."""
    ids = read_ids(jobs or [])
    if not ids:
        raise Refused("no job is named", "give ids, or - for those on standard input")
    statuses = FINISHED if wanted == "finished" else {JobStatus(wanted)}
    span = None if timeout is None else read_span("--timeout", timeout)
    with operating() as operator:
        found = wait_for(operator.queue, ids, statuses, span)
    _tell(found, wanted, timeout, output)
    return 0 if found.is_met else NOT_MET


def _tell(found: Waited, wanted: str, time: str | None, output: ReportFormat) -> None:
    if output == "json":
        groups: dict[str, Mapping[int, JobStatus | None]] = {
            "met": found.met,
            "missed": found.missed,
            "left": found.left,
        }
        items = [
            {"id": job_id, "status": status and str(status), "outcome": name}
            for name, group in groups.items()
            for job_id, status in group.items()
        ]
        print_json({"schema": SCHEMA, "for": wanted, "is_met": found.is_met, "items": items})
        if not found.is_met:
            say(to_json({"error": _summary(found, wanted, time), "code": NOT_MET, "hint": ""}))
        return
    for job_id, status in found.met.items():
        sys.stdout.write(f"job {job_id} is {status}\n")
    for job_id, missed in found.missed.items():
        standing = "was deleted" if missed is None else f"is {missed}"
        say(f"error: job {job_id} {standing}, and will not be {wanted}")
    if not found.missed:
        for job_id, status in found.left.items():
            say(f"error: job {job_id} is still {status} after {time}")


def _summary(found: Waited, wanted: str, time: str | None) -> str:
    total = len(found.met) + len(found.missed) + len(found.left)
    if found.missed:
        return f"{len(found.missed)} of {total} jobs ended otherwise than {wanted}"
    return f"{len(found.left)} of {total} jobs were not {wanted} after {time}"
