"""A consumer among the others: it introduces itself, reports that it is alive, and says goodbye."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence

from persistentq.clock import Deadline
from persistentq.errors import ConsumerAlive
from persistentq.interface import PersistentQInterface
from persistentq.life import begin_life, end_life

REPORT_S = 5.0


class Presence:
    """Keeps a consumer's id its own, from the first report to the last.

    Args:
        queue: Where to report.
        consumer: The id.
        trouble: Asked at each report: what is wrong, in one line; None for nothing.
    """

    def __init__(self, queue: PersistentQInterface, consumer: str, trouble: Callable[[], str | None]) -> None:
        self._queue, self._consumer, self._trouble = queue, consumer, trouble
        self._life: str | None = None
        self._next = Deadline(0)
        self._is_replaced = False

    def report(self, queues: Sequence[str], tasks: Sequence[str] | None) -> None:
        """Report that the consumer is alive, if it is time to; replaced, it has nothing to say.

        Args:
            queues: Those it serves.
            tasks: Those it can run; None if they are not known yet.

        Raises:
            ConsumerAlive: another has the id.
        """
        if not self._next.passed or self._is_replaced:
            return
        # Not before: a Consumer may be made in one process and run in another.
        self._life = self._life or begin_life()
        try:
            self._queue.heartbeat(
                self._consumer,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=queues,
                life=self._life,
                trouble=self._trouble(),
                tasks=tasks,
            )
        except ConsumerAlive:
            self._is_replaced = True
            raise
        self._next = Deadline(REPORT_S)

    def retire(self) -> None:
        """Say goodbye, unless the id is another's by now."""
        if self._life is not None and not self._is_replaced:
            self._queue.retire(self._consumer, life=self._life)

    def end(self) -> None:
        """Let go of the id, even if nobody could be told. May be repeated."""
        if self._life is not None:
            end_life(self._life)
