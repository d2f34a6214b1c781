"""Records on standard output: as a table for people, as TSV, CSV or JSON for programs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from persistentq import text
from persistentq.operations.formats import csv_cell
from persistentq.text import escaped

from ._options import JobFormat
from ._records import Record
from ._screen import print_rich

if TYPE_CHECKING:
    from rich.table import Table

to_json = text.to_json
SCHEMA = 1
"""The version of the JSON documents; it changes when a key changes its meaning or goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a command found.

    Attributes:
        records: Plain values by name, in the same order of names throughout; full and unshortened.
        table: Makes the table that a terminal shows of them.
        cursor: Where the next page starts, if there is one.
    """

    records: Sequence[Record]
    table: Callable[[], Table]
    cursor: str | None = None


def print_listing(listing: Listing, output: JobFormat | None, *, headers: bool) -> None:
    """Print the records in the format asked for; without records, only `json` prints anything."""
    chosen = output or ("table" if sys.stdout.isatty() else "tsv")
    if chosen == "json":
        print_json({"schema": SCHEMA, "items": listing.records, "next": listing.cursor})
    elif not listing.records:
        return
    elif chosen == "table":
        table = listing.table()
        table.show_header = headers
        print_rich(table)
    else:
        _print_lines(listing.records, chosen, headers=headers)


def _print_lines(records: Sequence[Record], output: JobFormat, *, headers: bool) -> None:
    if output == "ids":
        sys.stdout.writelines(f"{record['id']}\n" for record in records)
    elif output == "jsonl":
        sys.stdout.writelines(to_json(record) + "\n" for record in records)
    else:
        rows = [list(record.values()) for record in records]
        if headers:
            rows.insert(0, list(records[0]))
        if output == "csv":
            csv.writer(sys.stdout, lineterminator="\n").writerows(map(csv_cell, row) for row in rows)
        else:
            sys.stdout.writelines(tsv_line(row) for row in rows)


def tsv_line(values: Sequence[Any]) -> str:
    r"""Return one line of TSV; backslash, tab and line end become `\\`, `\t` and `\n`, other controls likewise."""
    return "\t".join(escaped(plain(value)) for value in values) + "\n"


def plain(value: Any) -> str:
    """Return a value as text: a text as it is, None as nothing, all else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else to_json(value)


def print_json(document: Record) -> None:
    """Print one JSON document: spread over lines on a terminal, else in one."""
    sys.stdout.write(to_json(document, indent=2 if sys.stdout.isatty() else None) + "\n")
