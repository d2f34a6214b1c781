"""Who is told of what this process stores: its own doorbells at once, others' where the server passes it on."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from sqlalchemy import event
from sqlalchemy.orm import Session

from persistentq.doorbell import Doorbells, LocalDoorbell

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from persistentq.sql.doorbell_postgresql import Notifier


class Hints:
    """Tells whoever waits that something was stored; never fails, and nobody waits for it.

    Args:
        notifier: Tells other processes; None where they notice by themselves.
    """

    def __init__(self, notifier: Notifier | None) -> None:
        self._bells, self._notifier = Doorbells(), notifier

    def add(self, bell: LocalDoorbell) -> None:
        """Tell this bell too, until it is closed."""
        self._bells.add(bell)

    def give(self, queues: Collection[str]) -> None:
        """Say that something was committed in these queues."""
        self._bells.hint(queues)
        if self._notifier is not None:
            self._notifier.tell(queues)

    def give_later(self, queues: Collection[str], session: Session | Connection) -> None:
        """Say it when the caller's Session has committed; a Connection does not tell when it has."""
        if self._notifier is None or not isinstance(session, Session):
            return
        if (waiting := session.info.get(self)) is None:
            waiting = session.info[self] = set()
            event.listen(session, "after_commit", self._committed)
        waiting.update(queues)

    def _committed(self, session: Session) -> None:
        # A savepoint that is released commits nothing.
        if (waiting := session.info[self]) and not session.in_nested_transaction():
            self.give(frozenset(waiting))
            waiting.clear()

    def close(self) -> None:
        """Close every bell, and say what is still to be said. May be repeated."""
        self._bells.close()
        if self._notifier is not None:
            self._notifier.close()
