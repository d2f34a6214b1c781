"""What a query is once it is read: plain data, the same for every implementation of the queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias


class Comparison(StrEnum):
    """How a term compares.

    Attributes:
        IS: The value is this, or has this form where it has a `*`; an error contains it; a tag is one of the job's.
        LESS, AT_MOST, MORE, AT_LEAST: For numbers, times and spans.
    """

    IS = ":"
    AT_MOST = "<="
    AT_LEAST = ">="
    LESS = "<"
    MORE = ">"


Value: TypeAlias = str | int | datetime | timedelta


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a field, as in `attempts>=3`; see `fields` for which there are.

    Attributes:
        field: Its name; of arguments and metadata with the path, as in `args.to`.
    """

    field: str
    comparison: Comparison
    value: Value


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a query."""

    inner: Query


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; without parts it means every job."""

    parts: tuple[Query, ...] = ()


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part holds, of two or more."""

    parts: tuple[Query, ...]


Query: TypeAlias = Term | Not | All | Either
EVERY_JOB = All()
