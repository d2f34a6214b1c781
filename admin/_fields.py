"""Which values of each job a listing shows, where somebody chose."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from persistentq import Job
from persistentq.command_line import Refused
from persistentq.operations.records import COLUMNS

from ._records import Record, job_record
from ._render import plain
from ._screen import cell, new_table

if TYPE_CHECKING:
    from rich.table import Table

Fields = Annotated[
    str | None,
    typer.Option(
        "--fields",
        metavar="NAMES",
        help="Only these, as in id,task,error; in this order.",
        show_default=False,
    ),
]


def read_fields(text: str | None, output: str | None) -> Sequence[str]:
    """Return the names that `--fields` gives, each once; all of them without it.

    Raises:
        Refused: there is no such name, or ids alone are asked for.
    """
    if text is None:
        return tuple(COLUMNS)
    if output == "ids":
        raise Refused("--fields and --output ids exclude one another", "give one of them")
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in COLUMNS:
            close = get_close_matches(name, COLUMNS, 1)
            meant = f"did you mean {close[0]!r}? " if close else ""
            raise Refused(f"a job has no field {name!r}", f"{meant}there are {', '.join(COLUMNS)}")
    return names


def records_of(jobs: Sequence[Job], names: Sequence[str]) -> list[Record]:
    """Return these values of each job."""
    return [{name: record[name] for name in names} for record in map(job_record, jobs)]


def fields_table(records: Sequence[Record], names: Sequence[str]) -> Table:
    """Return a table of these values."""
    table = new_table(*names)
    for record in records:
        table.add_row(*(cell(plain(record[name])) for name in names))
    return table
