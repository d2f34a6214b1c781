"""What may follow in a query that is being typed: the same offers in every face."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from persistentq.job import JobStatus
from persistentq.query.fields import FIELDS, PATHS

Offer = tuple[str, str]
"""A word, and what it is."""

Names = Callable[[str, str], Iterable[Offer]]
"""Returns the values of a field that begin so, as far as they are known: of queue, task and consumer."""

_LAST_TERM = re.compile(r"(?P<before>(?:.*[\s(])?-?)(?P<term>[^\s()]*)", re.DOTALL)
_FIELD = re.compile(r"[a-z]+(?:[:<>]=?|\.)")


def complete(incomplete: str, names: Names) -> list[Offer]:
    """Return what the query may become with its last term completed: a field, or a value whose values are known."""
    found = _LAST_TERM.fullmatch(incomplete)
    if found is None:
        return []
    field, colon, value = found["term"].partition(":")
    if not colon:
        offers = [(word, text) for word, text in _fields() if word.startswith(field)]
    elif field == "status":
        offers = [(f"status:{status}", "") for status in JobStatus if status.startswith(value)]
    else:
        offers = [(f"{field}:{word}", text) for word, text in names(field, value)]
    return [(found["before"] + word, text) for word, text in offers]


def _fields() -> Iterator[Offer]:
    for field in FIELDS.values():
        if begins := _FIELD.match(field.example):
            yield begins[0], field.help
    for name, field in PATHS.items():
        yield f"{name}.", field.help
