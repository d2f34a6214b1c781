"""The hot statements, compiled once: by the store, for the driver that it uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from persistentq.sql import statements
from persistentq.sql.dialect import DialectFacts

if TYPE_CHECKING:
    from sqlalchemy import Dialect, Executable

BATCH = 1000
"""How many jobs one transaction takes back or makes ready."""

ANY_LIMIT = 987_654_321
"""Stands for the limit where a claim is compiled, in digits that are nowhere else in it."""


class Prepared:
    """A statement of the ORM models, compiled once for one dialect; its rows are the driver's own."""

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self.sql: str = str(compiled)
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        # Two names more, so that what is picked is a tuple for any number of names.
        names = compiled.positiontup
        self._pick = None if names is None else itemgetter("now_us", "now_us", *names)

    def limited_to(self, limit: int) -> Prepared:
        """Return the same statement with a limit instead of `ANY_LIMIT`: compiling it again takes 8 ms."""
        limited = copy(self)
        limited.sql = self.sql.replace(str(ANY_LIMIT), str(int(limit)))
        return limited

    def bind(self, values: dict[str, Any], now_us: int | None = None) -> Any:
        """Return what the driver wants for these values, with the statement's own constants and the time.

        `values` name all else that the statement binds, and come back with the time in them.
        """
        values["now_us"] = now_us
        known = {**self._constants, **values} if self._constants else values
        return known if self._pick is None else self._pick(known)[2:]


class Statements:
    """The hot statements, each compiled once."""

    def __init__(self, facts: DialectFacts, dialect: Dialect) -> None:
        self._inserts: dict[tuple[str, ...], Prepared] = {}
        self._facts = facts
        self.insert_payload = Prepared(statements.insert_payload(facts), dialect)
        self.payload = Prepared(statements.payload(), dialect)
        self.unfinished = Prepared(statements.unfinished(), dialect)
        self.expired = Prepared(statements.expired(1), dialect)
        self.beckoning = Prepared(statements.beckoning(), dialect)
        self.due = Prepared(statements.due(BATCH), dialect)
        self.next_moments = Prepared(statements.next_moments(), dialect)
        self.complete = Prepared(statements.complete(), dialect)
        self.complete_listed = Prepared(statements.complete_listed(), dialect) if facts.is_local else None
        self.completed = Prepared(statements.completed(), dialect)
        self.extend = Prepared(statements.extend(), dialect)
        self.cancelling = Prepared(statements.cancelling(), dialect)
        self.guard = Prepared(statements.guard(), dialect)
        self.last_id = None if facts.last_id is None else Prepared(facts.last_id, dialect)
        self.insert_all, self.complete_all, self.extend_all = (
            Prepared(statement, dialect) if facts.has_arrays else None
            for statement in (
                statements.insert_jobs(facts),
                statements.complete_all(),
                statements.extend_all(),
            )
        )
        self._claims: dict[tuple[int, bool], Prepared] = {}
        self._dialect = dialect

    def insert(self, given: tuple[str, ...]) -> Prepared:
        """Return the insert of a job with these optional values, compiled when it is first asked for."""
        known = self._inserts.get(given)
        if known is None:
            known = Prepared(statements.insert_job(self._facts, given), self._dialect)
            self._inserts[given] = known
        return known

    def claim(self, limit: int, *, calm: bool = False) -> Prepared:
        """Return the claim of up to `limit` jobs, 1 to 1000, compiled when one is first asked for."""
        known = self._claims.get((limit, calm))
        if known is None:
            for_any = self._claims.get((ANY_LIMIT, calm)) or Prepared(
                statements.claim(ANY_LIMIT, calm=calm), self._dialect
            )
            known = for_any.limited_to(limit)
            self._claims[ANY_LIMIT, calm], self._claims[limit, calm] = for_any, known
        return known


def as_arrays(
    many: Sequence[dict[str, Any]], names: Iterable[str], absent: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return one list of values for each name, from rows of values; `absent` says what one has that lacks a name."""
    missing = absent or {}
    return {
        name: [one.get(name, missing[name]) for one in many]
        if name in missing
        else [one[name] for one in many]
        for name in names
    }
