"""How each queue stands: what is in it, who serves it, and how long it would take to empty it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from persistentq.insight import LATELY_S, History
from persistentq.interface import PersistentQInterface
from persistentq.job import ConsumerInfo, JobStatus, Outcome, QueueInfo

if TYPE_CHECKING:
    from persistentq.journal import JournalEntry
    from persistentq.operations.operator import Operator

LATELY = timedelta(seconds=LATELY_S)
SPANS = 20
PAUSES_READ = 100


@dataclass(frozen=True, slots=True)
class QueueView:
    """One queue.

    Attributes:
        info: Its jobs and its pause.
        consumers: The living ones that serve it, by id.
        pace: So many of its jobs are done each second lately; 0.0 if none was.
    """

    info: QueueInfo
    consumers: tuple[ConsumerInfo, ...]
    pace: float

    @property
    def drains_in(self) -> timedelta | None:
        """How long its ready jobs take at that pace, if none is added; None if it does not move."""
        ready = self.info.counts.get(JobStatus.PENDING, 0)
        if not ready:
            return timedelta(0)
        if self.info.is_paused or not self.consumers or not self.pace:
            return None
        return timedelta(seconds=ready / self.pace)


def queues(source: PersistentQInterface) -> list[QueueView]:
    """Return every queue that has a job or a pause, or that a living consumer serves, by name. It may be repeated."""
    alive = [one for one in source.list_consumers() if one.is_alive]
    known = {info.name: info for info in source.list_queues()}
    for name in {name for one in alive for name in one.queues} - known.keys():
        known[name] = QueueInfo(name=name, counts={}, is_paused=False)
    paces = _paces(source.look_back(LATELY, SPANS))
    return [
        QueueView(known[name], tuple(one for one in alive if name in one.queues), paces.get(name, 0.0))
        for name in sorted(known)
    ]


def _paces(found: History) -> Mapping[str, float]:
    """Return how many jobs of each queue were done each second, since the first of them was."""
    done: dict[str, float] = defaultdict(float)
    since: dict[str, datetime] = {}
    for one in found.endings:
        if one.outcome is Outcome.DONE and one.ended_at is not None:
            done[one.queue] += one.weight
            since[one.queue] = min(one.ended_at, since.get(one.queue, one.ended_at))
    return {
        name: number / max((found.now - since[name]).total_seconds(), 1.0) for name, number in done.items()
    }


def last_pause(operator: Operator, queue: str) -> JournalEntry | None:
    """Return the entry of the journal that tells who paused a queue last; None if none of the latest pauses does."""
    recent = operator.list_journal(verb="pause", limit=PAUSES_READ).items
    return next((one for one in recent if one.details.get("queue") == queue), None)
