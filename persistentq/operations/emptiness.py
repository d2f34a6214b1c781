"""Why a query means no job: how many there would be without each of its terms."""

from __future__ import annotations

from typing import NamedTuple

from persistentq.interface import PersistentQInterface
from persistentq.job import Count
from persistentq.query import All, Query, unparse

COUNTED = 1000


class Removal(NamedTuple):
    """One term of a query; `without` says how many jobs it would mean if that term were left out."""

    term: str
    without: Count


def removals(queue: PersistentQInterface, where: Query) -> list[Removal]:
    """Return what each of the terms that must all hold takes away, in their order; one term alone hides every job.

    What it costs is bounded: no count goes further than 1,000.
    """
    parts = where.parts if isinstance(where, All) else (where,)
    rests = [All(parts[:place] + parts[place + 1 :]) for place in range(len(parts))]
    return [
        Removal(unparse(part), queue.count_matching(rest, up_to=COUNTED))
        for part, rest in zip(parts, rests, strict=True)
    ]
