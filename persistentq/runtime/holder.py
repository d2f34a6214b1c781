"""What a handler's context may ask of the queue, for handlers that run in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from persistentq.context import Notes
from persistentq.interface import PersistentQInterface
from persistentq.job import Job
from persistentq.job_log import Progress

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class LocalHolder:
    """Asks the queue directly, from whichever thread the handler runs in; see `context.Holder`.

    Args:
        queue: Where the job comes from.
        job: As it was claimed.
        lease: How long a renewal lasts; None for the queue's default.
        on_note: Called, in the handler's thread, when there is something to write to the job's log.
    """

    __slots__ = ("_lease", "_notes", "_on_note", "job", "queue")

    def __init__(
        self,
        queue: PersistentQInterface,
        job: Job,
        lease: timedelta | None,
        on_note: Callable[[LocalHolder], None],
    ) -> None:
        self.queue, self.job, self._lease, self._on_note = queue, job, lease, on_note
        self._notes: Notes | None = None

    def extend(self) -> bool:
        """Renew the lease; return whether the job is still held."""
        return bool(self.queue.extend([self.job], self._lease))

    def record(self, lines: Sequence[str], progress: Progress | None) -> None:
        """Keep log lines and progress until the consumer's next turn writes them."""
        if self._notes is None:
            self._notes = Notes()
        had_any = bool(self._notes)
        self._notes.add(lines, progress)
        if not had_any:
            self._on_note(self)

    def write_notes(self) -> None:
        """Write what was recorded; for the thread that takes the consumer's turns."""
        if self._notes:
            lines, progress = self._notes.take()
            self.queue.record(self.job, lines=lines, progress=progress)

    def completing(self, result: Any) -> AbstractContextManager[Session]:
        """Give a Session whose effects commit with the job's completion."""
        return self.queue.completing(self.job, result)
