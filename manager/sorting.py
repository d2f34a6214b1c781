"""The order of the rows of a view: by what one of its columns shows, as a person reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from .snapshot import Row
from .views import Head

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "k": 1000, "M": 1_000_000}
_NUMBER = re.compile(r"(?:in )?([\d,]+(?:\.\d+)?)([smhdkM]?)")


class Sort(NamedTuple):
    """By which column rows are sorted, and whether the other way round."""

    column: int
    is_reversed: bool = False


def sorted_rows(rows: Sequence[Row], heads: Sequence[Head], sort: Sort | None) -> tuple[Row, ...]:
    """Return the rows in this order; in their own if it is None. Rows that show the same keep theirs."""
    if sort is None:
        return tuple(rows)
    is_number = heads[sort.column].is_number
    return tuple(
        sorted(rows, key=lambda row: rank(row.cells[sort.column][1], is_number), reverse=sort.is_reversed)
    )


def rank(text: str, is_number: bool) -> tuple[bool, float, str]:
    """Return what a cell is sorted by: a count or a span by its size, before words; else the text, in either case."""
    found = _NUMBER.match(text) if is_number else None
    if found is None:
        return True, 0.0, text.casefold()
    return False, float(found[1].replace(",", "")) * UNITS.get(found[2], 1), ""


def sort_text(heads: Sequence[Head], sort: Sort) -> str:
    """Return it as the heading says it: `by latest ↓`."""
    return f"by {heads[sort.column].title} {'↓' if sort.is_reversed else '↑'}"
