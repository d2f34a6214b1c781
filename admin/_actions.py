"""resubmit, cancel, mark-failed and assign-job: one deed on the jobs that are named or selected."""

from __future__ import annotations

from typing import Annotated

import typer

from persistentq import Act
from persistentq.acts import MARKED_FAILED
from persistentq.checks import check_consumer
from persistentq.command_line import Refused
from persistentq.operations import Operator
from persistentq.operations.acting import MOST

from ._completers import jobs_and_consumers
from ._operator import act_on, warn_of_consumer
from ._options import JobIds, Report, Yes
from ._selection import DryRun, Every, Expect, Limit, Selection, Where, Why

Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Kept as the job's error, and in the journal.")
]


def resubmit(  # noqa: PLR0913 - one option each
    jobs: JobIds = None,
    *,
    where: Where = None,
    every: Every = False,
    limit: Limit = MOST,
    dry_run: DryRun = False,
    yes: Yes = False,
    expect: Expect = None,
    reason: Why = "",
    output: Report = "text",
) -> int:
    """Make failed or cancelled jobs pending again."""
    selection = Selection(where, every, limit, dry_run, yes, expect, reason)
    return act_on(Act("resubmit"), jobs or [], selection, output)


def cancel(  # noqa: PLR0913 - one option each
    jobs: JobIds = None,
    *,
    where: Where = None,
    every: Every = False,
    limit: Limit = MOST,
    dry_run: DryRun = False,
    yes: Yes = False,
    expect: Expect = None,
    reason: Why = "",
    output: Report = "text",
) -> int:
    """Cancel unfinished jobs. One that is processing is asked to stop."""
    selection = Selection(where, every, limit, dry_run, yes, expect, reason)
    return act_on(Act("cancel"), jobs or [], selection, output)


def mark_failed(  # noqa: PLR0913 - one option each
    jobs: JobIds = None,
    *,
    where: Where = None,
    every: Every = False,
    limit: Limit = MOST,
    dry_run: DryRun = False,
    yes: Yes = False,
    expect: Expect = None,
    reason: Reason = MARKED_FAILED,
    output: Report = "text",
) -> int:
    """Make unfinished jobs failed. One that is processing is taken from its consumer."""
    why = "" if reason == MARKED_FAILED else reason[:1000]
    selection = Selection(where, every, limit, dry_run, yes, expect, why)
    return act_on(Act("mark-failed", error=reason), jobs or [], selection, output)


JobsAndConsumer = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="JOB... CONSUMER",
        help="Ids of jobs; then the consumer's id, as `consumers` lists it.",
        autocompletion=jobs_and_consumers,
        show_default=False,
    ),
]
Anyone = Annotated[bool, typer.Option("--anyone", help="Instead of a consumer: end the reservation.")]


def assign_job(  # noqa: PLR0913 - one option each
    words: JobsAndConsumer = None,
    *,
    anyone: Anyone = False,
    where: Where = None,
    every: Every = False,
    limit: Limit = MOST,
    dry_run: DryRun = False,
    yes: Yes = False,
    expect: Expect = None,
    reason: Why = "",
    output: Report = "text",
) -> int:
    """Reserve jobs for one consumer. One that is processing is taken from the consumer that has it."""
    selection = Selection(where, every, limit, dry_run, yes, expect, reason)
    ids, consumer = list(words or []), None
    if not anyone:
        if len(ids) < 1 + selection.is_empty:
            raise Refused("assign-job needs jobs, and a consumer or --anyone", "`consumers` lists their ids")
        consumer = check_consumer(ids.pop())

    def may_go_on(operator: Operator) -> bool:
        return consumer is None or warn_of_consumer(operator.queue, consumer, output, yes=yes)

    return act_on(Act("assign", consumer=consumer), ids, selection, output, agrees=may_go_on)
