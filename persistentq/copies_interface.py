"""The contract of what is done with a queue's whole database: backing it up, restoring it, moving it elsewhere.

Not part of PersistentQInterface: the database may be missing, unreadable or on the move, and then no queue opens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from persistentq.journal import ActNote

if TYPE_CHECKING:
    from sqlalchemy import URL

JOBS = "persistentq_jobs"
"""What the table of jobs is called where rows are counted by table."""

DRAIN = timedelta(seconds=30)
"""For so long a move waits for running jobs, where the caller does not say."""


class Stage(StrEnum):
    """How far a copy has come; each is told when it is reached, COPYING and CHECKING again and again."""

    STOPPED = "claims are stopped"
    DRAINED = "no job runs"
    TAKEN = "the target is taken"
    HELD = "nobody writes"
    COPYING = "copying"
    CHECKING = "comparing"
    CHECKED = "the copy is the same"
    MOVED = "the source is closed"
    PLACED = "the copy is live"


OnStage = Callable[[Stage, int, int], None]
"""Told the stage, how many rows are seen to, and how many there are; 0 and 0 where that is not the question."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of a move.

    Attributes:
        source: Where the queue was, without secrets.
        target: Where it is.
        rows: How many rows were copied, by table; empty if an earlier call had copied them.
        released: How many running jobs were given back.
    """

    source: str
    target: str
    rows: Mapping[str, int] = field(default_factory=dict)
    released: int = 0


@dataclass(frozen=True, slots=True)
class MovePlan:
    """What a move would find.

    Attributes:
        source: Where the queue is, without secrets.
        target: Where it shall go.
        rows: How many rows there are to copy, by table.
        held: How many jobs run.
    """

    source: str
    target: str
    rows: Mapping[str, int]
    held: int


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds.

    Attributes:
        path: The file.
        size: In bytes.
        rows: How many rows it has, by table.
    """

    path: Path
    size: int
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore has done, or would do.

    Attributes:
        backup: The file.
        location: The database, without secrets.
        rows: How many rows it has now, by table.
        aside: Where what was there before is kept; None if there was nothing.
        kept: How many jobs are as the present database had them, as they ended or ran there since the backup.
        withheld: How many unfinished jobs of the backup are cancelled, as the present database had them no more.
        newer: How many jobs were enqueued since the backup, and are only in `aside`.
        newest: The ids of the first of those, up to twenty, ascending.
        paused: The queues that are paused, as nobody could tell what ran since the backup.
    """

    backup: Path
    location: str
    rows: Mapping[str, int]
    aside: str | None = None
    kept: int = 0
    withheld: int = 0
    newer: int = 0
    newest: tuple[int, ...] = ()
    paused: tuple[str, ...] = ()


def say_nothing(stage: Stage, done: int, total: int) -> None:
    """Be told a stage, and tell nobody."""


class CopiesInterface(ABC):
    """The database of one queue, as a whole."""

    @property
    @abstractmethod
    def location(self) -> str:
        """Where it is, fit to be shown."""

    @abstractmethod
    def back_up(
        self, path: Path, note: ActNote | None, *, force: bool = False, on_stage: OnStage = say_nothing
    ) -> Backup:
        """Copy the queue, as it is now, to a SQLite file that only its owner may read, while everybody goes on.

        Every job that was acknowledged before the call is in it. The file is looked through before it gets its name,
        and killed at any moment this leaves no file under it. May be repeated.

        Args:
            note: Who does it, and why, for the queue's journal; None for no entry in it.
            force: Whether to replace a file that is there.

        Raises:
            CopyRefused: there is a file at `path`, and `force` is false.
            StorageError: the queue cannot be read, the copy cannot be written, or it is not whole.
        """

    @abstractmethod
    def plan_restore(self, path: Path, *, force: bool = False) -> Restored:
        """Look what `restore` would do, without doing it; raises as it does."""

    @abstractmethod
    def restore(
        self, path: Path, note: ActNote, *, force: bool = False, on_stage: OnStage = say_nothing
    ) -> Restored:
        """Put a backup in the place of the queue, but let nothing run again that has ended or run since.

        What was there before is kept as a file. If it cannot be read, every queue is paused. Killed at any moment, this
        leaves the one or the other, whole. May be repeated.

        Args:
            note: Who does it, and why; the journal of the restored queue tells of it.
            force: On a server: restore into a database that is not empty.

        Raises:
            CopyRefused: consumers are alive, other processes have the file open, or the backup cannot be used.
            StorageError: a database failed; the queue is as it was.
        """

    @abstractmethod
    def plan_move(self, target: str | URL) -> MovePlan:
        """Look what `move` would find, without doing anything; raises as it does."""

    @abstractmethod
    def move(
        self,
        target: str | URL,
        note: ActNote,
        *,
        drain: timedelta = DRAIN,
        release: bool = False,
        on_stage: OnStage = say_nothing,
    ) -> Moved:
        """Move the queue to another database, with everything that belongs to it: ids, history, schedules, pauses.

        Claims find nothing meanwhile, and running jobs are waited for. Then producers wait, up to their lock timeout,
        until every table is copied and compared, and get QueueMoving if it takes longer, QueueMoved afterwards. Until
        the queue is closed here, any failure leaves it as it was; afterwards the copy is made live, and if that could
        not be done, another call does it. May be repeated.

        Args:
            target: An empty database, or one that is made.
            note: Who does it, and why; the journal tells of it.
            drain: How long to wait for running jobs.
            release: Give those back that still run then, uncounted, instead of failing.

        Raises:
            CopyRefused: jobs still run, or the target is not empty or in use.
            QueueMoved: the queue is elsewhere already.
            StorageError: a database failed, or the copy differs.
        """
