"""The part of the contract that lets a consumer wait until there is something to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta

from persistentq.doorbell import Doorbell


class WaitingInterface(ABC):
    """How to wait for work; part of PersistentQInterface."""

    @abstractmethod
    def listen(self, consumer: str | None = None, queues: Sequence[str] | None = None) -> Doorbell:
        """Return a new doorbell that wakes its waiter when there is likely something to do.

        It wakes for what other processes store as well as for this one's. The listener's own claims and settlements
        need not wake it, and never keep it awake. Closing the queue closes the bell.

        Args:
            consumer: Who listens; None for one to whom no job is assigned.
            queues: Those it serves; None for all. What is stored in others may wake it, ten times a second at most.
        """

    @abstractmethod
    def next_due(self, queues: Sequence[str] = ("default",)) -> timedelta | None:
        """Return how long it is until a `dequeue` finds what it would not find now.

        That is until the next scheduled job of these queues is due, or the next lease of any queue ends, by the
        database's clock. May be repeated.

        Returns:
            Zero if that moment has passed; None if there is none.
        """
