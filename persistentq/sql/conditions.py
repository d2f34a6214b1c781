"""Queries as conditions on the jobs' rows: bound values throughout, and as exact as SQL can say it.

A condition may mean more jobs than the query does, where SQL cannot look into what is stored; `is_exact` says so, and
`matches` tells the rest apart.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Boolean, ColumnElement, and_, func, literal, not_, or_, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from persistentq.query import All, Comparison, Either, Not, Query, Term
from persistentq.query.matching import ascii_lowered
from persistentq.sql.models import JobRow

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

INDEXED = frozenset({"id", "status", "queue"})
"""The fields that an index finds, together with the order of ids; what else is asked for is looked at job by job."""

_ORDER: Mapping[Comparison, Callable[[Any, Any], Any]] = {
    Comparison.IS: operator.eq,
    Comparison.LESS: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.MORE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
}
_TURNED = {
    Comparison.LESS: Comparison.MORE,
    Comparison.AT_MOST: Comparison.AT_LEAST,
    Comparison.MORE: Comparison.LESS,
    Comparison.AT_LEAST: Comparison.AT_MOST,
}
_ORDERED: Mapping[str, Any] = {
    "id": JobRow.id,
    "priority": JobRow.priority,
    "attempts": JobRow.attempt,
    "created": JobRow.created_at,
    "run": JobRow.run_at,
    "started": JobRow.started_at,
    "finished": JobRow.finished_at,
}
_FORMED: Mapping[str, Sequence[Any]] = {
    "status": (JobRow.status,),
    "queue": (JobRow.queue,),
    "task": (JobRow.task,),
    "consumer": (JobRow.consumer, JobRow.reserved_for),
    "key": (JobRow.unique_key,),
}


class Condition(NamedTuple):
    """A condition on a job's row, and whether it means the same jobs as the query, not more."""

    clause: ColumnElement[bool]
    is_exact: bool = True


class has_form(FunctionElement[bool]):  # noqa: N801 - reads as a SQL condition
    """Whether a text has a form in which * stands for anything; upper and lower case differ."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: Any, form: str) -> None:
        glob = "".join(f"[{one}]" if one in "[?" else one for one in form)
        escaped = form.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
        super().__init__(column, literal(glob), literal(escaped))


@compiles(has_form)
def _is_like(element: has_form, compiler: SQLCompiler, **kw: Any) -> str:
    column, _, escaped = (compiler.process(part, **kw) for part in element.clauses)
    return f"({column} LIKE {escaped} ESCAPE '\\')"


@compiles(has_form, "sqlite")
def _is_glob(element: has_form, compiler: SQLCompiler, **kw: Any) -> str:
    # Its LIKE makes no difference between upper and lower case.
    column, glob, _ = (compiler.process(part, **kw) for part in element.clauses)
    return f"({column} GLOB {glob})"


class ascii_lower(FunctionElement[str]):  # noqa: N801 - reads as a SQL function
    """A text with the letters A to Z as a to z, and no others changed, wherever the database is."""

    inherit_cache = True


@compiles(ascii_lower)
def _lower(element: ascii_lower, compiler: SQLCompiler, **kw: Any) -> str:
    return f"lower({compiler.process(element.clauses, **kw)})"


@compiles(ascii_lower, "postgresql")
def _lower_by_c(element: ascii_lower, compiler: SQLCompiler, **kw: Any) -> str:
    return f'lower({compiler.process(element.clauses, **kw)} COLLATE "C")'


def condition(query: Query, now: datetime) -> Condition:
    """Return the condition on a job's row that a query means; `now` is when that is asked, for its age."""
    match query:
        case Term():
            return _on_term(query, now)
        case Not():
            inner = condition(query.inner, now)
            return Condition(not_(inner.clause)) if inner.is_exact else Condition(true(), is_exact=False)
    parts = [condition(part, now) for part in query.parts]
    joined = and_(true(), *(part.clause for part in parts))
    if isinstance(query, Either):
        joined = or_(*(part.clause for part in parts))
    return Condition(joined, all(part.is_exact for part in parts))


def split(query: Query) -> tuple[Query, Query]:
    """Return the part of a query that an index finds, and the rest; both must hold."""
    parts = query.parts if isinstance(query, All) else (query,)
    found = tuple(part for part in parts if _is_indexed(part))
    return All(found), All(tuple(part for part in parts if part not in found))


def _is_indexed(query: Query) -> bool:
    match query:
        case Term():
            return query.field in INDEXED and "*" not in str(query.value)
        case Not():
            return False
        case All() | Either():
            return all(map(_is_indexed, query.parts))


def _on_term(term: Term, now: datetime) -> Condition:
    name, value = term.field, term.value
    if name in _ORDERED:
        return Condition(_known(_ORDERED[name], _ORDER[term.comparison](_ORDERED[name], value)))
    if name == "age" and isinstance(value, timedelta):
        return Condition(_ORDER[_TURNED[term.comparison]](JobRow.created_at, now - value))
    wanted = str(value)
    if name in _FORMED:
        return Condition(or_(*(_known(column, _has(column, wanted)) for column in _FORMED[name])))
    if name == "error":
        lowered = ascii_lower(JobRow.error).contains(ascii_lowered(wanted), autoescape=True)
        return Condition(_known(JobRow.error, lowered))
    if name == "tag":
        return Condition(_has(JobRow.tags, f"*,{wanted},*"), is_exact="*" not in wanted)
    column = JobRow.whole_args if name.startswith("args.") else JobRow.extra
    return Condition(_may_hold(column, wanted), is_exact=False)


def _known(column: Any, clause: ColumnElement[bool]) -> ColumnElement[bool]:
    # Of what is not there, SQL says neither yes nor no, and its opposite would be neither.
    return and_(column.is_not(None), clause) if column.property.columns[0].nullable else clause


def _has(column: Any, form: str) -> ColumnElement[bool]:
    return has_form(column, form) if "*" in form else column == form


def _may_hold(column: Any, form: str) -> ColumnElement[bool]:
    """Return whether the JSON text holds the longest part of a value's form, written as JSON writes it."""
    part = max(form.split("*"), key=len)
    written = json.dumps(part, ensure_ascii=False)[1:-1]
    return func.coalesce(column.contains(written, autoescape=True), False)
