"""Waiting until jobs stand where they are wanted, or cannot come there any more."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from persistentq.checks import check_id
from persistentq.clock import Deadline
from persistentq.errors import JobNotFound
from persistentq.interface import PersistentQInterface
from persistentq.job import FINISHED, JobStatus
from persistentq.operations.acting import batches

LOOK_S = 0.5
"""Between two looks where nobody tells that a job has ended; where somebody does, ten times a second at most."""


@dataclass(slots=True)
class Waited:
    """How the jobs stood when the waiting ended.

    Attributes:
        met: Those that came where they were wanted, with that status.
        missed: Those that ended otherwise, with their status; None for one that was deleted.
        left: Those that may still come there, as the time was over or another one is missed.
    """

    met: dict[int, JobStatus] = field(default_factory=dict)
    missed: dict[int, JobStatus | None] = field(default_factory=dict)
    left: dict[int, JobStatus] = field(default_factory=dict)

    @property
    def is_met(self) -> bool:
        """Whether every job came where it was wanted."""
        return not self.missed and not self.left

    def see(self, statuses: Mapping[int, JobStatus], wanted: Collection[JobStatus]) -> None:
        """Note how those stand that were left; who was seen where it is wanted has been there, whatever follows."""
        for job_id in list(self.left):
            status = statuses.get(job_id)
            if status in wanted and status is not None:
                self.met[job_id] = status
            elif status is None or status in FINISHED:
                self.missed[job_id] = status
            else:
                self.left[job_id] = status
                continue
            del self.left[job_id]


def wait_for(
    queue: PersistentQInterface,
    ids: Iterable[int],
    wanted: Collection[JobStatus],
    timeout: timedelta | None = None,
) -> Waited:
    """Wait until each job has had one of the statuses wanted, or until one of them has ended otherwise.

    A status that lasts for less than half a second may go unseen.

    Args:
        timeout: No longer than this; None for as long as it takes.

    Raises:
        JobNotFound: one of them does not exist.
        StorageError: the database cannot be asked.
    """
    named = sorted({check_id(job_id) for job_id in ids})
    statuses = _statuses(queue, named)
    for job_id in named:
        if job_id not in statuses:
            raise JobNotFound(job_id)
    found = Waited(left={job_id: statuses[job_id] for job_id in named})
    deadline = Deadline(math.inf if timeout is None else timeout.total_seconds())
    with queue.listen() as bell:
        while True:
            found.see(_statuses(queue, list(found.left)), wanted)
            if found.missed or not found.left or deadline.passed:
                return found
            bell.wait(min(LOOK_S, deadline.remaining), has_room=False)


def _statuses(queue: PersistentQInterface, ids: list[int]) -> dict[int, JobStatus]:
    return dict(pair for some in batches(ids) for pair in queue.find_ids(among=some).items)
