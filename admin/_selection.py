"""Which jobs a command means beside those that are named, and how carefully: the same options everywhere."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import typer

from persistentq.operations.acting import MOST

from ._completers import query_terms

Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        "-w",
        metavar="QUERY",
        help="The jobs that this query means, such as 'status:failed age>1h'; docs/manager.md explains them.",
        autocompletion=query_terms,
        show_default=False,
    ),
]
Every = Annotated[bool, typer.Option("--all", help="Every job.")]
Limit = Annotated[
    int,
    typer.Option(
        "--limit", "-n", metavar="N", min=1, max=MOST, help="Only so many, the newest.", show_default=False
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Expect = Annotated[
    int | None,
    typer.Option(
        "--expect", metavar="N", min=0, help="Change nothing unless it is about N jobs.", show_default=False
    ),
]
Why = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Kept in the journal.", show_default=False)
]


class Selection(NamedTuple):
    """What those options say.

    Attributes:
        where: A query; None if there is none.
        every: Every job is meant.
    """

    where: str | None = None
    every: bool = False
    limit: int = MOST
    dry_run: bool = False
    yes: bool = False
    expect: int | None = None
    reason: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether no job is selected, so that they must be named."""
        return self.where is None and not self.every
