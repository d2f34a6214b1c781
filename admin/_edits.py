"""reschedule, set-priority and edit-arguments: what jobs that wait may have changed about them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from persistentq import Act, clock
from persistentq.app import load_app
from persistentq.command_line import Refused
from persistentq.operations.acting import MOST
from persistentq.operations.times import read_span, read_time

from ._operator import act_on
from ._options import App, JobIds, Report, Yes
from ._selection import DryRun, Every, Expect, Limit, Selection, Where, Why
from ._values import read_pairs

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="Not before this, such as 2026-11-24T18:30:00+01:00; UTC if no zone is said.",
        show_default=False,
    ),
]
In = Annotated[
    str | None,
    typer.Option(
        "--in", metavar="SPAN", help="Not before so long from now, such as 90s or 1h30m.", show_default=False
    ),
]
Now = Annotated[bool, typer.Option("--now", help="At once.")]
Number = Annotated[
    int,
    typer.Argument(
        metavar="N",
        help="-1,000,000 to 1,000,000; higher leaves earlier. A negative one stands behind --.",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=JSON",
        help="Put this value in the place of what there was; may be repeated.",
        show_default=False,
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option("--drop", metavar="NAME", help="Take this one away; may be repeated.", show_default=False),
]


def read_moment(at: str | None, delay: str | None) -> datetime | None:
    """Return the time that --at or --in means; None if neither is given.

    Raises:
        Refused: both are given.
        InvalidArgument: it cannot be read.
    """
    if at is not None and delay is not None:
        raise Refused("--at and --in exclude one another", "give one of them")
    if delay is not None:
        return clock.now() + read_span("--in", delay)
    return None if at is None else read_time("--at", at)


def reschedule(  # noqa: PLR0913 - one option each
    jobs: JobIds = None,
    *,
    at: At = None,
    delay: In = None,
    now: Now = False,
    where: Where = None,
    every: Every = False,
    limit: Limit = MOST,
    dry_run: DryRun = False,
    yes: Yes = False,
    expect: Expect = None,
    reason: Why = "",
    output: Report = "text",
) -> int:
    """Let jobs that wait become ready at another time."""
    moment = read_moment(at, delay)
    if (moment is None) is not now:
        raise Refused("reschedule needs a time", "give --at, --in or --now, one of the three")
    selection = Selection(where, every, limit, dry_run, yes, expect, reason)
    return act_on(Act("reschedule", run_at=moment), jobs or [], selection, output)


def set_priority(  # noqa: PLR0913 - one option each
    jobs: JobIds = None,
    *,
    priority: Number,
    where: Where = None,
    every: Every = False,
    limit: Limit = MOST,
    dry_run: DryRun = False,
    yes: Yes = False,
    expect: Expect = None,
    reason: Why = "",
    output: Report = "text",
) -> int:
    """Let jobs leave their queue earlier or later than others. Those that run or are done stay as they are."""
    selection = Selection(where, every, limit, dry_run, yes, expect, reason)
    return act_on(Act("set-priority", priority=priority), jobs or [], selection, output)


def edit_arguments(  # noqa: PLR0913 - one option each
    jobs: JobIds = None,
    *,
    values: Set = None,
    drop: Drop = None,
    app: App = None,
    where: Where = None,
    every: Every = False,
    limit: Limit = MOST,
    dry_run: DryRun = False,
    yes: Yes = False,
    expect: Expect = None,
    reason: Why = "",
    output: Report = "text",
) -> int:
    """Change arguments of jobs. Those that run or are done stay as they are.

    With --app, nothing is changed unless the tasks take what the jobs then have.
    """
    act = Act("edit-arguments", arguments=read_pairs("--set", values or []), without=tuple(drop or ()))
    selection = Selection(where, every, limit, dry_run, yes, expect, reason)
    return act_on(act, jobs or [], selection, output, tasks=None if app is None else load_app(app))
