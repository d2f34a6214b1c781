"""journal and undo: what operators did, and taking it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from persistentq import InvalidArgument, JournalEntry
from persistentq.checks import MAX_ID, check_int

from ._completers import entries
from ._operator import operating, tell
from ._operator import undo as take_back
from ._options import Headers, Output, Report
from ._records import Record, timestamp
from ._render import Listing, print_listing, to_json
from ._screen import cell, new_table
from ._selection import Why
from ._terminal import hint

if TYPE_CHECKING:
    from rich.table import Table

Entries = Annotated[
    int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="So many, the newest.")
]
EntryId = Annotated[
    str,
    typer.Argument(
        metavar="ENTRY", help="As `journal` lists it.", autocompletion=entries, show_default=False
    ),
]


After = Annotated[
    str | None,
    typer.Option("--after", metavar="CURSOR", help="The entries before those.", show_default=False),
]


def journal(
    limit: Entries = 20, after: After = None, output: Output = None, *, no_headers: Headers = False
) -> None:
    """List what operators did, the newest first: who, from where, what to how many jobs, and why."""
    with operating() as operator:
        page = operator.list_journal(limit=limit, after=after)
    if not page.items:
        hint("no operator has done anything yet" if after is None else "there is nothing before that")
    records = [entry_record(entry) for entry in page.items]
    listing = Listing(records=records, table=lambda: _table(records), cursor=page.next)
    print_listing(listing, output, headers=not no_headers)


def entry_record(entry: JournalEntry) -> Record:
    """Return one entry."""
    return {
        "id": entry.id,
        "at": timestamp(entry.at),
        "actor": entry.actor,
        "face": entry.face,
        "verb": entry.verb,
        "details": dict(entry.details),
        "query": entry.query,
        "meant": entry.meant,
        "done": entry.done,
        "skipped": dict(entry.skipped),
        "reason": entry.reason,
        "undoes": entry.undoes,
        "undone_by": entry.undone_by,
    }


def _table(records: Sequence[Record]) -> Table:
    table = new_table(
        "entry", "at", "actor", "face", "verb", "done", "skipped", "what", right=("entry", "done")
    )
    for one in records:
        undone = f" (undone by {one['undone_by']})" if one["undone_by"] else ""
        undoes = f" {one['undoes']}" if one["undoes"] else ""
        details = to_json(one["details"]) if one["details"] else ""
        what = " · ".join(filter(None, (one["query"], details, one["reason"])))
        table.add_row(
            str(one["id"]),
            f"{one['at'][:19]}Z",
            cell(one["actor"]),
            cell(one["face"]),
            cell(f"{one['verb']}{undoes}{undone}"),
            f"{one['done']:,}",
            f"{sum(one['skipped'].values()):,}",
            cell(what),
        )
    return table


def undo(entry: EntryId, *, reason: Why = "", output: Report = "text") -> int:
    """Take back what an entry of the journal tells of, for each job to which nothing happened since."""
    number = _read(entry)
    with operating() as operator:
        operator.may("undo")
        return tell(operator.queue, take_back(operator, number, reason), output, named=False)


def _read(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise InvalidArgument("entry", word, f"is not a whole number from 1 to {MAX_ID}")
    return check_int("entry", int(word), 1, MAX_ID)
