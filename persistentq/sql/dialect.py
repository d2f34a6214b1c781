"""What differs between databases, as facts; each database has one file that fills them in."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from persistentq.errors import StorageError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

READONLY = "persistentq_readonly"
"""Execution option of a connection that will only read, so that it need not wait for writers."""


class DialectFacts(ABC):
    """The facts about one kind of database.

    Attributes:
        insert: The dialect's `insert`, which knows `on_conflict_do_nothing`.
        is_local: The database works within this process: its clock is ours, and a statement costs no trip.
    """

    insert: Callable[..., Any]
    is_local: bool = False

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

    @abstractmethod
    def lock_schema(self, connection: Connection) -> None:
        """Make sure that one process at a time creates tables, until the transaction ends."""

    def now_us(self) -> int | None:
        """Return the database's time in microseconds since 1970, if that needs no question; else None."""
        return time.time_ns() // 1000 if self.is_local else None

    @abstractmethod
    def begin(self, cursor: Any) -> None:
        """Begin, on a raw connection, a transaction that may write."""

    @abstractmethod
    def commit(self, cursor: Any) -> None:
        """Commit the transaction of a raw connection."""

    @abstractmethod
    def after_write(self, engine: Engine) -> None:
        """Do the upkeep that is due after a committed write."""
