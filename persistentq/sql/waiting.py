"""How consumers of a queue in a database wait; see PersistentQInterface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from persistentq.checks import check_consumer, check_queue
from persistentq.doorbell import Doorbell
from persistentq.sql.claiming import Claiming
from persistentq.sql.models import MICROSECOND
from persistentq.sql.prepared import Prepared, Statements

Peek = Callable[[Prepared, dict[str, Any]], list[Any]]


class Waiting(Claiming):
    """The doorbell, and the next moment that comes by itself."""

    def listen(self, consumer: str | None = None, queues: Sequence[str] | None = None) -> Doorbell:
        name = None if consumer is None else check_consumer(consumer)
        names = None if queues is None else tuple(check_queue(one) for one in dict.fromkeys(queues))
        bell = self._facts.make_doorbell(self._engine, names, _Sight(self._peek, self._sql, name, names))
        self._hints.add(bell)
        return bell

    def next_due(self, queues: Sequence[str] = ("default",)) -> timedelta | None:
        names = [check_queue(name) for name in dict.fromkeys(queues)] or [""]
        rows = [row for name in names for row in self._peek(self._sql.next_moments, {"of_queue": name})]
        return max(min(left for (left,) in rows), 0) * MICROSECOND if rows else None

    def _peek(self, statement: Prepared, values: dict[str, Any]) -> list[Any]:
        """Return the rows of a statement that only reads."""
        return self._run(lambda cursor: cursor.rows(statement, values), single=True, reads=True)


class _Sight:
    """What a doorbell sees of the database, by reading on the connection that the queue writes with.

    So its own writes are no change.
    """

    def __init__(
        self, peek: Peek, sql: Statements, consumer: str | None, queues: Sequence[str] | None
    ) -> None:
        self.peek, self._sql, self._consumer, self._queues = peek, sql, consumer, queues

    def is_wanted(self) -> bool:
        if self._queues is None:
            return True
        named = {"by_consumer": self._consumer}
        if any(self.peek(self._sql.beckoning, {"of_queue": name, **named}) for name in self._queues):
            return True
        return bool(self.peek(self._sql.cancelling, named))
