"""What differs between databases, as facts; each database has one file that fills them in."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeVar

from persistentq.errors import StorageError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine, Pool, Select

    from persistentq.doorbell import LocalDoorbell
    from persistentq.insight import Check
    from persistentq.sql.doorbell_postgresql import Notifier
    from persistentq.sql.doorbell_sqlite import Sight
    from persistentq.sql.gates import Gates

Made = TypeVar("Made")

READONLY = "persistentq_readonly"
"""Execution option of our own connections: whether one will only read, so that it need not wait for writers."""


MOVED_TO = "persistentq has moved to "
"""How the error begins with which a database refuses every change after its queue has moved; then comes where to."""


def moved_to(text: str) -> str | None:
    """Return where the queue has moved, as the driver's error tells; None if it tells of something else."""
    return text.partition(MOVED_TO)[2] or None


class Fault(Enum):
    """What an error says about another try.

    LASTING: the same call would meet it again. PASSING: the transaction was undone, and a new one may well succeed.
    LOST: the connection is gone; if COMMIT had been sent, nobody here knows whether it was done.
    """

    LASTING = auto()
    PASSING = auto()
    LOST = auto()


class Progress:
    """How far a transaction has come; once it is committing, a lost connection leaves its end unknown."""

    __slots__ = ("is_committing",)

    def __init__(self) -> None:
        self.is_committing = False


class DialectFacts(ABC):
    """The facts about one kind of database.

    Attributes:
        insert: The dialect's `insert`, which knows `on_conflict_do_nothing`.
        is_local: The database works within this process: its clock is ours, and a statement costs no trip.
        joins_only_own: A session joins only if it is one of the queue's engine; known once the engine is made.
        last_id: Asks for the id of the row inserted last, where the rows of one transaction are numbered without
            gaps; else None.
        large_args: From how many characters on a job's arguments have a row of their own, as every change of a row
            writes all of it anew; None where the database keeps large values apart by itself.
        has_skip_locked: A claim passes by rows that another transaction has locked; else writers come one by one.
        has_update_returning: UPDATE … RETURNING.
        has_partial_indexes: An index may have a condition, and so may a unique one.
        has_arrays: A statement can be given the values of many rows at once, as arrays.
    """

    insert: Callable[..., Any]
    is_local: bool = False
    joins_only_own: bool = False
    last_id: Select[int] | None = None
    large_args: int | None = None
    has_skip_locked: bool
    has_update_returning: bool
    has_partial_indexes: bool
    has_arrays: bool

    @abstractmethod
    def make_engine(self, url: URL, lock_timeout: timedelta, *, create: bool) -> Engine:
        """Return an engine that keeps this dialect's rules on every connection.

        Raises:
            DatabaseMissing: there is no database, and `create` is false.
            ConfigurationError: the URL cannot be used for a queue.
        """

    @abstractmethod
    def location(self, url: URL) -> str:
        """Return where the database is, without secrets."""

    @abstractmethod
    def explain(self, location: str, error: BaseException) -> StorageError:
        """Return our error for the driver's `error`."""

    def fault(self, error: BaseException) -> Fault:  # noqa: ARG002 - for the databases that have such
        """Return what the driver's `error` says about another try."""
        return Fault.LASTING

    @abstractmethod
    def schema_change(self, engine: Engine) -> AbstractContextManager[Connection]:
        """Return a transaction in which one process at a time makes or alters tables."""

    def keeps_apart(self, args: str) -> bool:
        """Return whether these arguments, as JSON, have a row of their own."""
        return self.large_args is not None and len(args) >= self.large_args

    def now_us(self) -> int | None:
        """Return the database's time in microseconds since 1970, if that needs no question; else None."""
        return time.time_ns() // 1000 if self.is_local else None

    @abstractmethod
    def make_own(self, cursor: Any) -> bool:
        """Prepare a raw connection that the queue keeps to itself.

        Returns:
            Whether it is one session of the database for as long as it lasts, on which settings stay in force and a
            statement outside of a transaction keeps every rule by itself.
        """

    @abstractmethod
    def begin(self, cursor: Any, *, is_own: bool) -> None:
        """Begin, on a raw connection, a transaction that may write; `is_own` is what `make_own` said of it."""

    @abstractmethod
    def run_single(self, cursor: Any, attempt: Callable[[], Made]) -> Made:
        """Return what `attempt` returns: one statement on our own connection, which begins and commits by itself.

        It may be called again while other writers have the lock.
        """

    def is_closed(self, cursor: Any) -> bool:  # noqa: ARG002 - for the databases that are servers
        """Return whether the other end has closed this raw connection, as far as is known without asking."""
        return False

    @abstractmethod
    def commit(self, cursor: Any) -> None:
        """Commit the transaction of a raw connection."""

    @abstractmethod
    def after_write(self, engine: Engine) -> None:
        """Do the upkeep that is due after a committed write."""

    @abstractmethod
    def examine(self, engine: Engine, *, thorough: bool) -> list[Check]:
        """Look at the database's health through an engine that only reads; see PersistentQInterface.examine."""

    @abstractmethod
    def make_gates(self) -> Gates:
        """Return what closes this database to its producers and consumers while the queue is moved elsewhere."""

    @abstractmethod
    def make_doorbell(self, engine: Engine, queues: Collection[str] | None, sight: Sight) -> LocalDoorbell:
        """Return a bell that also hears what other processes store in these queues, None for all of them."""

    def make_notifier(self, engine: Engine) -> Notifier | None:  # noqa: ARG002 - for the databases that have such
        """Return who tells other processes of what this one stores; None if their bells hear it by themselves."""
        return None


# Pools that a forked child inherited. Kept, as the driver may close a connection that nobody refers to.
_INHERITED: list[Pool] = []


def drop_connections(engine: Engine) -> None:
    """Let this process, which was just forked, leave alone the connections it inherits, without closing them.

    One that two processes use corrupts what it carries, and closing it in the child would disturb the parent's: its
    locks on a file, its session on a server.
    """
    _INHERITED.append(engine.pool)
    engine.dispose(close=False)
