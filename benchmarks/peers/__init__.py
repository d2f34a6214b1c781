"""This queue, the hand-written loop and other queues, each a small module that is driven in the same way.

A place is a folder for those that keep a file, and the URL of a schema of its own for those on a server. A module loads
what it needs within its functions, so that it can be asked about where that is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol, cast


class Handled(Protocol):
    """What a task that does nothing calls; one that takes its time says before that it begins."""

    def begin(self) -> None: ...
    def __call__(self) -> None: ...


class Peer(Protocol):
    """What each module has.

    Attributes:
        NAME: What it is called.
        NEEDS: The distributions it needs, its own first; none for what this checkout has anyway.
        ON_SERVER: Whether it keeps its jobs on PostgreSQL.
    """

    NAME: str
    NEEDS: tuple[str, ...]
    ON_SERVER: bool

    def prepare(self, place: str) -> None:
        """Make the tables; called once for a new place, before anything else."""

    def durability(self, place: str) -> str:
        """Say what of a commit survives a power cut, as its own connection answers."""

    def store(self, place: str, number: int) -> None:
        """Store so many jobs, as fast as it can."""

    def producer(self, place: str) -> AbstractContextManager[Callable[[int], object]]:
        """Give what stores one job, with this number, as its users do."""

    def consume(self, place: str, handled: Handled, ready: Callable[[], None]) -> None:
        """Call `ready` when all is open, and then `handled` within the task of each job; need not return."""

    def counter(self, place: str) -> AbstractContextManager[Callable[[], int]]:
        """Give what counts the jobs that are not done."""


OTHERS = ("huey", "litequeue", "persist_queue", "procrastinate", "pgqueuer")


def find(module: str) -> Peer:
    """Return the peer in this module."""
    return cast("Peer", import_module(f"benchmarks.peers.{module}"))


def find_version(peer: Peer) -> str | None:
    """Return the version that is installed; None if something it needs is not."""
    try:
        own, *_ = [version(name) for name in peer.NEEDS]
    except PackageNotFoundError:
        return None
    return own


def store_each(producer: AbstractContextManager[Callable[[int], object]], number: int) -> None:
    """Store so many jobs, one after the other, for want of a way to store them at once."""
    with producer as enqueue:
        for n in range(number):
            enqueue(n)


def sqlite_durability(execute: Callable[[str], Any]) -> str:
    """Return the journal and how a commit is synced, as a connection to SQLite answers."""
    journal, synced = (execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous"))
    return f"{journal}/{('OFF', 'NORMAL', 'FULL', 'EXTRA')[synced]}"


def postgresql_durability(execute: Callable[[str], Any]) -> str:
    """Return how a commit is synced, as a connection to PostgreSQL answers."""
    names = ("fsync", "synchronous_commit")
    return " ".join(f"{name}={execute(f'SHOW {name}').fetchone()[0]}" for name in names)
