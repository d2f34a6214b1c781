"""The part of the contract by which people find out what is wrong: what the database must tell for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta

from persistentq.insight import Circumstances, Examination, History, Mishaps, Overview

LONGEST_WINDOW = timedelta(days=366)


class InsightInterface(ABC):
    """Short looks that change nothing; part of PersistentQInterface. Every one may be repeated.

    What they mean is said by `persistentq.operations`: why, attention, rates, errors, doctor.
    """

    @abstractmethod
    def explain_job(self, job_id: int) -> Circumstances:
        """Return a job with all that decides when it runs.

        Raises:
            JobNotFound: there is no such job.
        """

    @abstractmethod
    def overview(self) -> Overview:
        """Return what may need a person: leases that ran out, queues that wait, consumers."""

    @abstractmethod
    def list_mishaps(self, window: timedelta, *, limit: int = 5000) -> Mishaps:
        """Return the attempts that failed or were lost within the last `window`, the latest first.

        Args:
            window: More than zero, up to 366 days.
            limit: 1 to 20,000.
        """

    @abstractmethod
    def look_back(self, window: timedelta, buckets: int) -> History:
        """Return what was enqueued, what ended and what runs; a sample of it if there is too much to read.

        The time it takes is bounded whatever the queue holds: from each of `buckets` equal spans so many rows are read
        at most, and each then stands for several.

        Args:
            window: More than zero, up to 366 days.
            buckets: 1 to 500.
        """

    @abstractmethod
    def examine(self, *, thorough: bool = False) -> Examination:
        """Return what the database can be asked about its health.

        Args:
            thorough: Also look for damage in the file, for some seconds at most.
        """
