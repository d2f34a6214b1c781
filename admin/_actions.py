"""resubmit, cancel, mark-failed and assign-job: one deed on the jobs that are named or selected."""

from __future__ import annotations

from typing import Annotated

import typer

from persistentq import Act
from persistentq.acts import MARKED_FAILED
from persistentq.checks import check_consumer
from persistentq.command_line import Refused
from persistentq.operations.acting import MOST

from ._completers import consumer_names
from ._ids import read_id
from ._operator import act_on, operating, tell, warn_of_consumer
from ._options import JobId, JobIds, Report, Yes
from ._selection import DryRun, Every, Expect, Limit, Selection, Where, Why
from ._terminal import say

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


ConsumerName = Annotated[
    str | None,
    typer.Argument(
        metavar="CONSUMER",
        help="The consumer's id, as `consumers` lists it.",
        autocompletion=consumer_names,
        show_default=False,
    ),
]
Anyone = Annotated[bool, typer.Option("--anyone", help="Instead of a consumer: end the reservation.")]


def assign_job(
    job: JobId,
    consumer: ConsumerName = None,
    *,
    anyone: Anyone = False,
    yes: Yes = False,
    reason: Why = "",
    output: Report = "text",
) -> int:
    """Reserve a job for one consumer. One that is processing is taken from the consumer that has it."""
    job_id = read_id(job)
    if (consumer is None) is not anyone:
        raise Refused(
            "assign-job needs a consumer or --anyone, one of the two", "`consumers` lists their ids"
        )
    with operating() as operator:
        operator.may("assign")
        operator.queue.get_job(job_id)
        if consumer is not None and not warn_of_consumer(
            operator.queue, check_consumer(consumer), output, yes=yes
        ):
            say("nothing was changed")
            return Refused.exit_code
        result = operator.act(Act("assign", consumer=consumer), [job_id], reason=reason)
        return tell(operator.queue, result, output, named=True)
