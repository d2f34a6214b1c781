"""The part of the contract that is about what running tasks tell of themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from persistentq.job import Job
from persistentq.job_log import JobLog, Progress


class LogInterface(ABC):
    """Log lines and progress, which are kept with their job and deleted with it; part of PersistentQInterface."""

    @abstractmethod
    def record(self, job: Job, *, lines: Sequence[str] = (), progress: Progress | None = None) -> bool:
        """Keep what a job's task has logged since the last call, and how far it has come.

        Args:
            job: As `dequeue` returned it.
            lines: Oldest first. A text of several lines is as many; one of more than 2,000 characters is cut.
            progress: Takes the place of an earlier one; None leaves that.

        Returns:
            Whether it was kept. It is not if the job was claimed again since, or is deleted.
        """

    @abstractmethod
    def get_log(self, job_id: int) -> JobLog:
        """Return what the job's tasks have told; empty if nothing.

        Raises:
            JobNotFound: there is no such job.
        """
