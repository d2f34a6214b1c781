"""why, attention, errors and doctor: what is wrong, and what mends it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from persistentq import PersistentQError, PersistentQInterface, load_settings, open_queue
from persistentq.insight import Check, Grade
from persistentq.operations import ago, safe
from persistentq.operations.attention import Alert
from persistentq.operations.attention import attention as look_out
from persistentq.operations.doctor import doctor as examine
from persistentq.operations.doctor import worst
from persistentq.operations.mishaps import FailureGroup
from persistentq.operations.surroundings import Surroundings
from persistentq.operations.times import read_span
from persistentq.operations.why import Fact

from ._ids import read_id
from ._operator import operating, operator_of
from ._options import Headers, JobId, Output, Report
from ._records import Record, timestamp
from ._render import SCHEMA, Listing, print_json, print_listing
from ._screen import ALERT_STYLES, cell, new_table, print_rich
from ._terminal import hint

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

UNWELL = 6
STYLES = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}

Window = Annotated[
    str, typer.Option("--window", "-w", metavar="SPAN", help="How far back, such as 90s, 10m, 1h30m or 7d.")
]
SupervisorConf = Annotated[
    Path | None,
    typer.Option(
        "--supervisor",
        metavar="FILE",
        help="Supervisor's configuration. Without it, that of this checkout.",
        show_default=False,
    ),
]


def why(job: JobId, output: Report = "text") -> None:
    """Say why a job is not running: every reason, what changes it, and when it is over."""
    job_id = read_id(job)
    with operating() as operator:
        facts, status = operator.why(job_id), operator.get_job(job_id).status
    if output == "json":
        items = [_fact_record(fact) for fact in facts]
        print_json({"schema": SCHEMA, "job": job_id, "status": str(status), "items": items})
        return
    sys.stdout.write(f"job {job_id} is {status}\n")
    sys.stdout.writelines(line + "\n" for fact in facts for line in _fact_lines(fact))


def _fact_record(fact: Fact) -> Record:
    seconds = None if fact.over_in is None else round(fact.over_in.total_seconds(), 3)
    return {"reason": str(fact.reason), "text": fact.text, "remedy": fact.remedy, "over_in_seconds": seconds}


def _fact_lines(fact: Fact) -> Iterator[str]:
    over = f" (over {ago(-fact.over_in)})" if fact.over_in else ""
    yield f"  {fact.reason}: {safe(fact.text)}{over}"
    if fact.remedy:
        yield f"    -> {safe(fact.remedy)}"


def attention(
    output: Output = None,
    *,
    window: Window = "1d",
    supervisor: SupervisorConf = None,
    no_headers: Headers = False,
) -> None:
    """List what needs a person now, the most urgent first, each with the command that shows or mends it."""
    span = read_span("window", window)
    around = surroundings(supervisor)
    with _opened() as store:
        if isinstance(store, PersistentQError):
            alerts = look_out(store, around)
        else:
            alerts = operator_of(store, load_settings()).attention(around, window=span)
    if not alerts:
        hint("nothing needs attention")
    listing = Listing(records=[*map(_alert_record, alerts)], table=lambda: _alert_table(alerts))
    print_listing(listing, output, headers=not no_headers)


def _alert_record(alert: Alert) -> Record:
    return {
        "urgency": alert.urgency.name.lower(),
        "kind": alert.kind,
        "text": alert.text,
        "remedy": alert.remedy,
        "command": alert.command,
    }


def _alert_table(alerts: Sequence[Alert]) -> Table:
    table = new_table("urgency", "kind", "what", fixed=("urgency", "kind"))
    for alert in alerts:
        urgency = cell(alert.urgency.name.lower(), ALERT_STYLES[alert.urgency])
        table.add_row(urgency, alert.kind, _what(alert))
    return table


def _what(alert: Alert) -> Text:
    from rich.text import Text

    mends = (alert.remedy, f"`{alert.command}`" if alert.command else "")
    return Text.assemble(safe(alert.text), *((f"\n  -> {safe(text)}", "dim") for text in mends if text))


def errors(output: Output = None, *, window: Window = "1d", no_headers: Headers = False) -> None:
    """Group the failed attempts: the same task, the same error, raised in the same function."""
    span = read_span("window", window)
    with operating() as operator:
        found, location = operator.errors(span), operator.queue.location
    if not found.groups:
        hint(f"no attempt failed within {window} in {location}")
    if found.is_capped:
        hint(
            f"only the latest {found.attempts:,} failed attempts were read; a shorter --window shows all of it"
        )
    listing = Listing(records=[*map(_group_record, found.groups)], table=lambda: _group_table(found.groups))
    print_listing(listing, output, headers=not no_headers)


def _group_record(group: FailureGroup) -> Record:
    return {
        "fingerprint": group.fingerprint,
        "attempts": group.attempts,
        "jobs": group.jobs,
        "task": group.task,
        "error_type": group.error_type,
        "frame": None if group.frame is None else str(group.frame),
        "error": group.error,
        "first_at": timestamp(group.first_at),
        "last_at": timestamp(group.last_at),
        "job_ids": group.job_ids,
    }


def _group_table(groups: Sequence[FailureGroup]) -> Table:
    names = ("attempts", "jobs", "task", "error", "where", "latest", "job")
    table = new_table(*names, right=("attempts", "jobs", "job"), fixed=("attempts", "jobs", "latest", "job"))
    for group in groups:
        table.add_row(
            f"{group.attempts:,}",
            f"{group.jobs:,}",
            cell(group.task),
            cell(f"{group.error_type}: {group.error}", "red"),
            cell(group.frame),
            f"{group.last_at:%m-%d %H:%M}",
            str(group.job_ids[0]),
        )
    return table


def doctor(output: Report = "text", *, supervisor: SupervisorConf = None) -> int:
    """Look at everything that is known to go wrong, and say what mends it. Ends with 6 if a check fails."""
    with _opened() as store:
        checks = examine(store, surroundings(supervisor))
    if output == "json":
        items = [one._asdict() for one in checks]
        print_json({"schema": SCHEMA, "grade": str(worst(checks)), "items": items})
    elif sys.stdout.isatty():
        print_rich(*map(_check_line, checks))
    else:
        # Rich would break the lines where a terminal ends.
        sys.stdout.writelines(f"{_check_line(check).plain}\n" for check in checks)
    return UNWELL if worst(checks) is Grade.FAIL else 0


def _check_line(check: Check) -> Text:
    from rich.text import Text

    remedy = ("\n      -> " + safe(check.remedy), "") if check.remedy else ""
    return Text.assemble(
        (f"{check.grade:<4}", STYLES[check.grade]), f"  {check.name}: {safe(check.found)}", remedy
    )


def surroundings(supervisor: Path | None) -> Surroundings:
    """Return where to look on this machine."""
    return Surroundings.here(load_settings().env_file, supervisor)


def _opened() -> AbstractContextManager[PersistentQInterface | PersistentQError]:
    try:
        return open_queue(create=False)
    except PersistentQError as error:
        return nullcontext(error)
