"""schedules: what is enqueued again and again; looked at, changed and tried out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

import typer

from persistentq import (
    CatchUp,
    Schedule,
    ScheduleInfo,
    clock,
    open_queue,
)
from persistentq.command_line import Refused
from persistentq.operations import ago, safe
from persistentq.operations.objects import read_object

from ._completers import schedule_names
from ._operator import operating
from ._options import Headers, Output, Report, ReportFormat, Yes
from ._records import job_record
from ._render import SCHEMA, Listing, print_json, print_listing
from ._schedule_views import preview_records, preview_table, schedule_record, schedules_table
from ._selection import Why
from ._terminal import confirmed, hint, may_talk, say

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The schedule's name.", autocompletion=schedule_names, show_default=False
    ),
]


def _option(flag: str, metavar: str | None, text: str, **more: Any) -> Any:
    return typer.Option(flag, metavar=metavar, help=text, show_default=False, **more)


Expression = Annotated[
    str | None,
    _option(
        "--expression",
        "TEXT",
        "Five fields of cron, @hourly, @daily and so on, or an interval such as 'every 90s'.",
    ),
]
TaskName = Annotated[str | None, _option("--task", "NAME", "The task of its jobs.")]
Args = Annotated[str | None, _option("--args", "JSON", "The arguments of its jobs, a JSON object.")]
Zone = Annotated[
    str | None, _option("--zone", "ZONE", "The time zone, as Europe/Berlin; UTC if it is not said.")
]
Queue = Annotated[str | None, _option("--queue", "NAME", "The queue of its jobs.")]
Priority = Annotated[
    int | None, _option("--priority", "N", "The priority of its jobs; higher leaves earlier.")
]
MaxAttempts = Annotated[
    int | None, _option("--max-attempts", "N", "Of its jobs; 0 for what the settings say.", min=0)
]
Tags = Annotated[list[str] | None, _option("--tag", "WORD", "A tag of its jobs; may be repeated.")]
Unique = Annotated[
    bool | None,
    _option("--unique/--no-unique", None, "Enqueue nothing while the job of an earlier tick is unfinished."),
]
CatchUpRule = Annotated[
    CatchUp | None, _option("--catch-up", "RULE", "What becomes of missed ticks: skip, one or all.")
]
CatchUpLimit = Annotated[
    int | None, _option("--catch-up-limit", "N", "How many missed ticks may be made up for, with all.")
]
Count = Annotated[int, typer.Option("--count", "-n", metavar="N", min=1, max=1000, help="So many ticks.")]


def list_schedules(output: Output = None, *, no_headers: Headers = False) -> None:
    """List the schedules. Each is active, paused, or broken: it could not be read when it was due."""
    with operating() as operator:
        found, location = operator.list_schedules(), operator.queue.location
    if not found:
        hint(f"there is no schedule in {location} yet; `schedules add` stores one")
    listing = Listing(
        records=[*map(schedule_record, found)], table=lambda: schedules_table(found, clock.now())
    )
    print_listing(listing, output, headers=not no_headers)


def add(  # noqa: PLR0913 - one for each option of the command
    name: Name,
    expression: Annotated[
        str, typer.Argument(metavar="EXPRESSION", help="When: as for --expression of `edit`.")
    ],
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task of its jobs.")],
    *,
    args: Args = None,
    zone: Zone = None,
    queue: Queue = None,
    priority: Priority = None,
    max_attempts: MaxAttempts = None,
    tag: Tags = None,
    unique: Unique = None,
    catch_up: CatchUpRule = None,
    catch_up_limit: CatchUpLimit = None,
    reason: Why = "",
    output: Report = "text",
) -> None:
    """Store a new schedule: when, and which job."""
    given = _given(
        args=args, zone=zone, queue=queue, priority=priority, max_attempts=max_attempts, tag=tag, unique=unique,
        catch_up=catch_up, catch_up_limit=catch_up_limit,
    )  # fmt: skip
    schedule = Schedule(name, expression, task, **given)
    with operating() as operator:
        if operator.has_schedule(name):
            raise Refused(f"schedule {name!r} exists already", "`schedules edit` changes it")
        _tell(operator.put_schedule(schedule, reason=reason), output)


def edit(  # noqa: PLR0913 - one for each option of the command
    name: Name,
    *,
    expression: Expression = None,
    task: TaskName = None,
    args: Args = None,
    zone: Zone = None,
    queue: Queue = None,
    priority: Priority = None,
    max_attempts: MaxAttempts = None,
    tag: Tags = None,
    unique: Unique = None,
    catch_up: CatchUpRule = None,
    catch_up_limit: CatchUpLimit = None,
    reason: Why = "",
    output: Report = "text",
) -> None:
    """Change a schedule. What is not named stays; consumers need not be restarted.

    With another expression or zone its next tick is found anew, from now.
    """
    changes = _given(
        args=args, zone=zone, queue=queue, priority=priority, max_attempts=max_attempts, tag=tag, unique=unique,
        catch_up=catch_up, catch_up_limit=catch_up_limit, expression=expression, task=task,
    )  # fmt: skip
    if not changes:
        raise Refused("nothing to change was named", "`schedules edit --help` shows what can be")
    with operating() as operator:
        changed = replace(operator.queue.get_schedule(name).schedule, **changes)
        _tell(operator.put_schedule(changed, reason=reason), output)


def remove(name: Name, *, yes: Yes = False, reason: Why = "", output: Report = "text") -> int:
    """Remove a schedule for ever. The jobs that it has enqueued stay."""
    with operating() as operator:
        operator.may("remove-schedule")
        info = operator.queue.get_schedule(name)
        if not confirmed(f"Remove schedule {name} of {info.schedule.task}?", yes=yes):
            say("nothing was removed")
            return Refused.exit_code
        operator.remove_schedule(name, reason=reason)
    _print({"removed": name}, f"schedule {name} is removed", output)
    return 0


def pause(name: Name, *, reason: Why = "", output: Report = "text") -> None:
    """Let a schedule enqueue nothing until it is resumed."""
    with operating() as operator:
        _tell(operator.pause_schedule(name, reason=reason), output)


def resume(name: Name, *, reason: Why = "", output: Report = "text") -> None:
    """Let a paused schedule tick again. Its catch-up rule says what becomes of the ticks since."""
    with operating() as operator:
        _tell(operator.resume_schedule(name, reason=reason), output)


def run_now(name: Name, *, reason: Why = "", output: Report = "text") -> None:
    """Enqueue a schedule's job now, besides its ticks."""
    with operating() as operator:
        job = operator.run_schedule(name, reason=reason)
    standing = (
        f"was there already, {job.status}: its last run is unfinished"
        if job.duplicate
        else f"is {job.status}"
    )
    _print({"job": job_record(job), "duplicate": job.duplicate}, f"job {job.id} {standing}", output)


def preview(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A stored schedule.", show_default=False)
    ] = None,
    *,
    expression: Expression = None,
    zone: Zone = None,
    count: Count = 10,
    output: Output = None,
    no_headers: Headers = False,
) -> None:
    """Show the next ticks of a schedule, or of an expression. In UTC and by the clocks of its zone."""
    if (name is None) is (expression is None):
        raise Refused(
            "preview needs a schedule's name or --expression, one of the two",
            "`schedules list` shows the names",
        )
    if name is None:
        schedule = Schedule("preview", expression or "", "preview", zone=zone or "UTC")
        ticks = schedule.preview(clock.now(), count)
    elif zone is not None:
        raise Refused(
            "--zone is the schedule's own", "give --zone with --expression, or `schedules edit` the schedule"
        )
    else:
        with open_queue(create=False) as store:
            info = store.get_schedule(name)
        schedule, ticks = info.schedule, info.preview(clock.now(), count)
    if may_talk(output or "text"):
        say(f"{schedule.in_words()}:")
    listing = Listing(
        records=preview_records(schedule, ticks), table=lambda: preview_table(schedule, ticks, clock.now())
    )
    print_listing(listing, output, headers=not no_headers)


SCHEDULE_COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "list": (list_schedules, "list"),
    "add": (
        add,
        "add nightly '30 2 * * mon-fri' report.make --zone Europe/Berlin --args '{{\"kind\": \"long\"}}'",
    ),
    "edit": (edit, "edit hourly --expression 'every 30m' --catch-up skip"),
    "remove": (remove, "remove hourly --yes"),
    "pause": (pause, "pause hourly"),
    "resume": (resume, "resume hourly"),
    "run-now": (run_now, "run-now hourly"),
    "preview": (preview, "preview --expression '30 2 * * *' --zone Europe/Berlin --count 5"),
}


def _given(**options: Any) -> dict[str, Any]:
    """Return what was typed, under the names of a schedule's fields."""
    found = {name: value for name, value in options.items() if value not in (None, [])}
    if "args" in found:
        found["args"] = read_object("args", found["args"])
    if "tag" in found:
        found["tags"] = tuple(found.pop("tag"))
    if found.get("max_attempts") == 0:
        found["max_attempts"] = None
    return found


def _tell(info: ScheduleInfo, output: ReportFormat) -> None:
    if info.is_paused:
        standing = "is paused"
    elif (left := info.next_at - clock.now()).total_seconds() > 0:
        standing = f"ticks next at {info.next_at:%Y-%m-%d %H:%M:%S}Z ({ago(-left)})"
    else:
        standing = "is due now"
    _print({"schedule": schedule_record(info)}, f"schedule {safe(info.schedule.name)} {standing}", output)


def _print(record: Mapping[str, Any], sentence: str, output: ReportFormat) -> None:
    if output == "json":
        print_json({"schema": SCHEMA, **record})
    else:
        sys.stdout.write(f"{sentence}\n")
