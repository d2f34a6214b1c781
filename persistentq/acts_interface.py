"""The part of the contract by which an operator acts on many jobs, and sees and takes back what was done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from persistentq.acts import IMPORT, Act, IdPage
from persistentq.job import NewJob
from persistentq.journal import ActBatch, ActNote, JournalEntry, JournalPage
from persistentq.query import EVERY_JOB, Query

JOURNAL_KEPT = timedelta(days=365)
"""Entries of the journal that are older than this are dropped at cleanup."""

TRASH_KEPT = timedelta(days=7)
"""For so long a deleted job can be brought back, where the caller does not say."""


class ActsInterface(ABC):
    """What an operator does to many jobs; part of PersistentQInterface.

    Each transaction of an act is journalled in that very transaction. To act on more than 500 jobs, begin with an
    ActNote and go on with the `entry` of the ActBatch that was returned.
    """

    @abstractmethod
    def find_ids(
        self,
        where: Query = EVERY_JOB,
        *,
        among: Sequence[int] | None = None,
        limit: int = 10_000,
        after: str | None = None,
    ) -> IdPage:
        """Return the ids of the jobs that `where` means, the newest first.

        Args:
            among: Only these, 500 at most.
            limit: 1 to 10,000.
            after: The `next` of an earlier page; a page may be short, or empty, although there is one.
        """

    @abstractmethod
    def act(
        self,
        act: Act,
        job_ids: Sequence[int],
        *,
        note: ActNote | int,
        where: Query = EVERY_JOB,
        trash: timedelta = TRASH_KEPT,
    ) -> ActBatch:
        """Do it to these jobs, in one transaction; one that has moved on is skipped, never forced.

        Args:
            job_ids: 500 at most.
            note: Begins an entry in the journal; or the entry that tells of this batch too.
            where: A job that this does not mean any more is skipped.
            trash: For how long a deleted job, with its attempts and its log, can be brought back.

        Raises:
            EntryNotFound, InvalidArgument: the entry that `note` names does not exist, or tells of another act.
        """

    @abstractmethod
    def undo(self, entry: int, batch: int, *, note: ActNote | int, trash: timedelta = TRASH_KEPT) -> ActBatch:
        """Take back one batch of an entry, in one transaction: each of its jobs to which nothing happened since.

        A job that was taken from its consumer becomes pending. Undoing an undo does the act again.

        Args:
            entry: As `list_journal` tells it.
            batch: 1 to its number of batches.
            note: As for `act`.

        Raises:
            EntryNotFound: the journal has no such batch.
            InvalidArgument: the entry that `note` names tells of another act.
        """

    @abstractmethod
    def import_jobs(
        self,
        jobs: Sequence[NewJob],
        *,
        note: ActNote | int,
        details: Mapping[str, Any],
        verb: str = IMPORT,
        batch: int = 1,
    ) -> ActBatch:
        """Enqueue jobs for an operator, in one transaction that the journal tells of.

        Undone, those that nobody took yet go to the trash.

        Args:
            jobs: 1 to 500.
            note: Begins an entry in the journal; or the entry that tells of this batch too.
            details: What a new entry keeps of where the jobs come from.
            verb: What a new entry calls it.
            batch: Which batch of its entry this is, from 1: none is enqueued twice, whoever goes on with the entry.

        Returns:
            What was enqueued, in `done`; `skipped` tells by its place in `jobs`, from 0, each one whose unique key
            an unfinished job has already.

        Raises:
            EntryNotFound: the journal has no such entry.
            InvalidArgument: the entry has another number of batches by now.
            PayloadError: as for `enqueue_many`.
        """

    @abstractmethod
    def write_journal(self, verb: str, note: ActNote, details: Mapping[str, Any] | None = None) -> int:
        """Note an act that is not about jobs; return its entry."""

    @abstractmethod
    def list_journal(
        self,
        *,
        verb: str | None = None,
        job: int | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> JournalPage:
        """Return up to `limit` (1 to 1000) entries, the newest first.

        Args:
            verb: Only those of this act; None for all.
            job: Only those that changed this job, as long as they are kept; None for all.
            after: The `next` of an earlier page.
        """

    @abstractmethod
    def get_entry(self, entry: int) -> JournalEntry:
        """Return one entry of the journal.

        Raises:
            EntryNotFound: there is none.
        """

    @abstractmethod
    def get_entry_ids(self, entry: int) -> list[int]:
        """Return the ids of the jobs that an entry's act changed, ascending within each batch.

        Raises:
            EntryNotFound: there is none.
        """
