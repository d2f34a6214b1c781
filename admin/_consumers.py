"""consumers and stats: who works, and how many jobs stand where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from persistentq import ConsumerInfo, JobStatus, open_queue
from persistentq.errors import InvalidArgument
from persistentq.operations import ago
from persistentq.operations.rates import rates
from persistentq.operations.times import read_span

from ._options import Headers, ListFormat, Output
from ._rates import BUCKETS, By, Lately, rate_records, rates_table
from ._records import Record, consumer_record, consumer_state
from ._render import Listing, print_listing
from ._screen import STATE_STYLES, STYLES, cell, new_table
from ._terminal import hint

if TYPE_CHECKING:
    from rich.table import Table


def consumers(output: Output = None, *, no_headers: Headers = False) -> None:
    """List the consumers. Each is alive, stopped or silent, and holds so many jobs; its trouble is said, if it has any.

    One that ends again and again soon after its start is in trouble, for example as its tasks cannot be imported.
    """
    with open_queue(create=False) as store:
        found, location = store.list_consumers(), store.location
    if not found:
        hint(f"no consumer has reported to {location} yet")
    if unwell := [one.id for one in found if one.trouble or consumer_state(one) == "silent"]:
        hint(f"`logs {unwell[0]}` shows the log of one that is unwell, if supervisord keeps it here")
    listing = Listing(
        records=[consumer_record(consumer) for consumer in found], table=lambda: consumers_table(found)
    )
    print_listing(listing, output, headers=not no_headers)


def consumers_table(found: Sequence[ConsumerInfo]) -> Table:
    """Return the consumers as a terminal shows them."""
    names = ["consumer", "state", "held", "heartbeat", "host", "pid", "queues"]
    if any(consumer.trouble for consumer in found):
        names.append("trouble")
    table = new_table(*names, right=("held", "pid"), fixed=("state", "held", "heartbeat", "pid"))
    for consumer in found:
        state = consumer_state(consumer)
        table.add_row(
            cell(consumer.id),
            cell(state, STATE_STYLES[state]),
            str(consumer.held),
            f"{ago(consumer.silent_for)} ago",
            cell(consumer.host),
            str(consumer.pid),
            cell(", ".join(consumer.queues)),
            *([cell(consumer.trouble, "bold red")] if "trouble" in names else ()),
        )
    return table


def stats(
    output: Output = None, *, by: By = "status", window: Lately = None, no_headers: Headers = False
) -> None:
    """Count the jobs of each queue by status; or tell what came and ended lately, and how long jobs wait and run."""
    if by != "status":
        _print_rates(by, read_span("window", window or "1h"), output, headers=not no_headers)
        return
    if window is not None:
        raise InvalidArgument("--window", window, "needs --by queue, --by task or --by time")
    with open_queue(create=False) as store:
        counts, location = store.count_jobs(), store.location
    if not counts:
        hint(f"there is no job in {location} yet; a producer makes some")
    records = [_count_record(queue, numbers) for queue, numbers in counts.items()]
    print_listing(
        Listing(records=records, table=lambda: _stats_table(records)), output, headers=not no_headers
    )


def _print_rates(by: str, window: timedelta, output: ListFormat | None, *, headers: bool) -> None:
    with open_queue(create=False) as store:
        found, location = rates(store, window, BUCKETS), store.location
    if found.is_sample:
        hint(f"there is much in {location}: these are estimates from {found.scanned:,} rows")
    records = rate_records(found, by)
    if not records:
        hint(f"nothing happened in {location} within that time; --window looks further back")
    print_listing(Listing(records=records, table=lambda: rates_table(records)), output, headers=headers)


def _count_record(queue: str, numbers: Mapping[JobStatus, int]) -> Record:
    by_status = {str(status): numbers.get(status, 0) for status in JobStatus}
    return {"queue": queue, **by_status, "total": sum(numbers.values())}


def _stats_table(records: Sequence[Record]) -> Table:
    from rich.text import Text

    table = new_table("queue")
    for status in JobStatus:
        table.add_column(Text(status.upper(), STYLES[status]), justify="right", no_wrap=True)
    table.add_column("TOTAL", justify="right")
    numbers = [name for name in records[0] if name != "queue"]
    rows = [*records, {"queue": "all", **{name: sum(row[name] for row in records) for name in numbers}}]
    for row in rows if len(records) > 1 else records:
        table.add_row(cell(row["queue"]), *(f"{row[name]:,}" if row[name] else "·" for name in numbers))
    return table
