"""Whether a job is one of those that a query means."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from persistentq.job import Job
from persistentq.query.nodes import All, Comparison, Either, Not, Query, Term

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_ORDER: Mapping[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.IS: operator.eq,
    Comparison.LESS: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.MORE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
}
_ORDERED: Mapping[str, Callable[[Job], Any]] = {
    "id": lambda job: job.id,
    "priority": lambda job: job.priority,
    "attempts": lambda job: job.attempt,
    "created": lambda job: job.created_at,
    "run": lambda job: job.run_at,
    "started": lambda job: job.started_at,
    "finished": lambda job: job.finished_at,
}
_FORMED: Mapping[str, Callable[[Job], tuple[str | None, ...]]] = {
    "status": lambda job: (job.status,),
    "queue": lambda job: (job.queue,),
    "task": lambda job: (job.task,),
    "consumer": lambda job: (job.consumer, job.reserved_for),
    "key": lambda job: (job.unique_key,),
    "tag": lambda job: job.tags,
}


def matches(query: Query, job: Job, now: datetime) -> bool:
    """Return whether `job` is one of those meant; `now` is when that is asked, for its age."""
    match query:
        case Term():
            return _holds(query, job, now)
        case Not():
            return not matches(query.inner, job, now)
        case All():
            return all(matches(part, job, now) for part in query.parts)
        case Either():
            return any(matches(part, job, now) for part in query.parts)


def _holds(term: Term, job: Job, now: datetime) -> bool:
    name, wanted = term.field, term.value
    if name in _ORDERED:
        value = _ORDERED[name](job)
        return value is not None and _ORDER[term.comparison](value, wanted)
    if name == "age":
        return _ORDER[term.comparison](now - job.created_at, wanted)
    if name == "error":
        return ascii_lowered(str(wanted)) in ascii_lowered(job.error or "")
    if name in _FORMED:
        return any(value is not None and has_form(value, str(wanted)) for value in _FORMED[name](job))
    root, *path = name.split(".")
    found = _at(job.args if root == "args" else job.metadata, path)
    return any(has_form(_written(value), str(wanted)) for value in found)


def ascii_lowered(text: str) -> str:
    """Return a text with the letters A to Z as a to z, and no others changed: that is what every database can do."""
    return text.translate(_LOWER)


def _at(value: Any, path: list[str]) -> list[Any]:
    """Return what is at a path; of a list each element, unless the path names one by its place."""
    for position, name in enumerate(path):
        if isinstance(value, Mapping):
            if name not in value:
                return []
            value = value[name]
        elif isinstance(value, list | tuple):
            if name.isdecimal():
                value = value[int(name)] if int(name) < len(value) else None
            else:
                return [found for one in value for found in _at(one, path[position:])]
        else:
            return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def has_form(text: str, form: str) -> bool:
    """Return whether a text is `form`, in which each * stands for anything."""
    return text == form if "*" not in form else _pattern(form).fullmatch(text) is not None


@lru_cache(maxsize=256)
def _pattern(form: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, form.split("*"))), re.DOTALL)
