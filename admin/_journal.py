"""journal and undo: what operators did, and taking it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from persistentq import InvalidArgument, JournalEntry
from persistentq.checks import MAX_ID, check_int
from persistentq.command_line import Refused
from persistentq.job import LONGEST_DELAY
from persistentq.journal import write_ids
from persistentq.operations import safe
from persistentq.query.fields import write

from ._completers import entries
from ._operator import operating, tell
from ._operator import undo as take_back
from ._options import Headers, Output, Report
from ._records import Record, timestamp
from ._render import Listing, plain, print_listing, to_json
from ._screen import cell, new_table
from ._selection import Why
from ._terminal import hint

if TYPE_CHECKING:
    from rich.table import Table

LONGEST_S = LONGEST_DELAY.total_seconds()
LONGEST_WHAT = 300

Entries = Annotated[
    int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="So many, the newest.")
]
OneEntry = Annotated[
    str | None,
    typer.Argument(
        metavar="ENTRY",
        help="Only this one, in full, with the ids of the jobs that it changed.",
        autocompletion=entries,
        show_default=False,
    ),
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
    entry: OneEntry = None,
    *,
    limit: Entries = 20,
    after: After = None,
    output: Output = None,
    no_headers: Headers = False,
) -> None:
    """List what operators did, the newest first: who, from where, what to how many jobs, and why."""
    if entry is None:
        listing = _newest(limit, after)
    elif after is None:
        listing = _whole(_read(entry))
    else:
        raise Refused("an entry and --after exclude one another", "give one of them")
    print_listing(listing, output, headers=not no_headers)


def _newest(limit: int, after: str | None) -> Listing:
    with operating() as operator:
        page = operator.list_journal(limit=limit, after=after)
    if not page.items:
        hint("no operator has done anything yet" if after is None else "there is nothing before that")
    records = [entry_record(entry) for entry in page.items]
    return Listing(records=records, table=lambda: _table(records), cursor=page.next)


def _whole(number: int) -> Listing:
    with operating() as operator:
        record = {**entry_record(operator.get_entry(number)), "ids": operator.queue.get_entry_ids(number)}
    return Listing(records=[record], table=lambda: _whole_table(record))


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
    from rich.text import Text

    names = ("entry", "at", "actor", "face", "verb", "jobs", "what")
    table = new_table(*names, right=("entry", "jobs"), fixed=("entry", "at", "jobs"))
    for one in records:
        undone = f" (undone by {one['undone_by']})" if one["undone_by"] else ""
        undoes = f" {one['undoes']}" if one["undoes"] else ""
        what = " · ".join(filter(None, (one["reason"], one["query"], in_words(one["details"]))))
        table.add_row(
            str(one["id"]),
            f"{one['at'][5:16].replace('T', ' ')}Z",
            cell(one["actor"]),
            cell(one["face"]),
            Text(safe(f"{one['verb']}{undoes}{undone}")),
            _jobs(one),
            Text(safe(what, LONGEST_WHAT)),
        )
    return table


def _jobs(one: Record) -> str:
    """Say how many were changed, and of how many if not of all."""
    meant = max(one["meant"], one["done"] + sum(one["skipped"].values()))
    if not meant:
        return "·"
    return f"{one['done']:,}" if one["done"] == meant else f"{one['done']:,} of {meant:,}"


def in_words(details: Mapping[str, Any]) -> str:
    """Return the details of an entry as people say them: `queue mail, for 1h`."""
    return ", ".join(_words(details))


def _words(details: Mapping[str, Any]) -> Iterator[str]:
    for name, value in details.items():
        word = name.replace("_", " ")
        if name == "seconds" and isinstance(value, int | float) and 0 < value < LONGEST_S:
            yield f"for {write(timedelta(seconds=value))}"
        elif value is True:
            yield word
        elif value is not False and value not in (None, "", [], {}):
            yield f"{word} {_said(value)}"


def _said(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(plain, value))
    return plain(value)


def _whole_table(record: Record) -> Table:
    from rich.text import Text

    table = new_table("name", "value", fixed=("name",))
    table.show_header = False
    for name, value in record.items():
        shown = write_ids(value) if name == "ids" else value
        if shown not in (None, "", {}):
            text = to_json(shown, indent=2) if isinstance(shown, dict) else safe(shown)
            table.add_row(name.replace("_", " "), Text(text))
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
