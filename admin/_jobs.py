"""list-jobs: which jobs there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from persistentq import Job, JobStatus, Page, PersistentQInterface, clock
from persistentq.operations import Operator, ago
from persistentq.operations.emptiness import removals
from persistentq.query import All
from persistentq.selection import selected

from ._completers import consumer_names, task_names
from ._fields import Fields, fields_table, read_fields, records_of
from ._operator import operating
from ._options import Headers, JobOutput, QueueName, Statuses
from ._render import Listing, print_listing, to_json
from ._screen import cell, new_table, status_text
from ._selection import Where
from ._terminal import hint

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_LONGEST_PAGE = 1000

Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        "-t",
        metavar="NAME",
        help="Only jobs of this task.",
        autocompletion=task_names,
        show_default=False,
    ),
]
ConsumerId = Annotated[
    str | None,
    typer.Option(
        "--consumer",
        "-c",
        metavar="ID",
        help="Only jobs that this consumer holds, held last or has reserved.",
        autocompletion=consumer_names,
        show_default=False,
    ),
]
Limit = Annotated[
    int, typer.Option("--limit", "-n", metavar="N", min=1, max=1_000_000, help="At most this many jobs.")
]
After = Annotated[
    str | None,
    typer.Option("--after", metavar="CURSOR", help="Go on behind an earlier page.", show_default=False),
]


def list_jobs(  # noqa: PLR0913 - one for each option of the command
    *,
    status: Statuses = None,
    queue: QueueName = None,
    task: Task = None,
    consumer: ConsumerId = None,
    where: Where = None,
    limit: Limit = 100,
    after: After = None,
    fields: Fields = None,
    output: JobOutput = None,
    no_headers: Headers = False,
) -> None:
    """List jobs, newest first. With several filters, those that match all of them.

    The fields of a query: id, status, queue, task, consumer, tag, key, error, priority, attempts, age, created, run,
    started, finished, args.NAME and meta.NAME.
    """
    filters: dict[str, Any] = {"status": status or None, "queue": queue, "task": task, "consumer": consumer}
    if where is not None:
        filters["where"] = where
    names = read_fields(fields, output)
    with operating() as operator:
        page = _read(operator, filters, limit, after)
        if not page.items and page.next is None:
            _tell_why_empty(operator.queue, filters, after)
    records = records_of(page.items, names)
    print_listing(
        Listing(
            records=records,
            table=lambda: _jobs_table(page.items) if fields is None else fields_table(records, names),
            cursor=page.next,
        ),
        output,
        headers=not no_headers,
    )
    if page.next and output != "json":
        if page.scanned and len(page) < limit:
            hint(f"no index knows all of this: {page.scanned:,} jobs were looked at, and there are more")
        hint(f"there are more jobs; --after {page.next} shows the next ones")


def _read(operator: Operator, filters: Mapping[str, Any], limit: int, after: str | None) -> Page:
    jobs: list[Job] = []
    scanned: int | None = None
    while True:
        asked = min(limit - len(jobs), _LONGEST_PAGE)
        page = operator.list_jobs(**filters, limit=asked, after=after)
        jobs += page.items
        after = page.next
        if page.scanned is not None:
            scanned = (scanned or 0) + page.scanned
        # A short page with others behind it has looked at as many as one call may.
        if after is None or len(jobs) == limit or len(page) < asked:
            return Page(tuple(jobs), after, scanned)


def _tell_why_empty(store: PersistentQInterface, filters: Mapping[str, Any], after: str | None) -> None:
    total = sum(sum(statuses.values()) for statuses in store.count_jobs().values())
    if total == 0:
        hint(f"there is no job in {store.location} yet; a producer makes some")
        return
    words = " ".join(_words({**filters, "after": after}))
    hint(f"none of the {total:,} jobs in {store.location} matches {words}")
    asked = selected(**{name: value for name, value in filters.items() if value is not None})
    if after is None and isinstance(asked, All):
        for term, without in removals(store, asked):
            more = "+" if without.is_capped else ""
            hint(f"without {term}, {without.number:,}{more} would match")


def _words(filters: Mapping[str, Any]) -> Iterator[str]:
    for name, value in filters.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                yield f"--{name} {one}"


def _jobs_table(jobs: Sequence[Job]) -> Table:
    names = ("id", "status", "task", "queue", "attempt", "consumer", "since", "detail")
    table = new_table(*names, right=("id",), fixed=("id", "status", "attempt", "since"))
    now = clock.now()
    for job in jobs:
        table.add_row(
            str(job.id),
            status_text(job.status),
            cell(job.task),
            cell(job.queue),
            f"{job.attempt}/{job.max_attempts}",
            cell(f"for {job.reserved_for}" if job.reserved_for else job.consumer),
            _since(job, now),
            _detail(job),
        )
    return table


def _since(job: Job, now: datetime) -> str:
    """Return for how long the job has been where it stands; for a scheduled one, when it is due."""
    if job.status == JobStatus.SCHEDULED:
        distance = ago(now - job.run_at)
        return distance if job.run_at > now else f"due {distance}"
    began = job.started_at if job.status == JobStatus.PROCESSING else job.finished_at
    return ago(max(now - (began or job.run_at), timedelta(0)))


def _detail(job: Job) -> Text:
    if job.cancel_requested:
        return cell("cancel requested", "magenta")
    if job.error and job.status != JobStatus.DONE:
        return cell(job.error, "red")
    return cell(to_json(dict(job.args)), "dim")
