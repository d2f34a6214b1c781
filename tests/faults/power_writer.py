"""Writers that tell a ledger of everything that was acknowledged to them, until they are killed.

Each line on standard input is an Order as JSON; a writer is forked for it, and its process id printed.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from persistentq import LeaseLost, NewJob, PersistentQSQLAlchemy, StorageUnavailable
from persistentq.job import Job
from persistentq.sql import sqlite

Tell = Callable[[str, Iterable[Job]], None]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a writer is to do.

    Attributes:
        ledger: The file to which it appends, which a kill does not take from it.
        role: "write" does one of each, "enqueue" and "checkpoint" nothing but that, without a pause.
        library: "safe" for the SQLite that the queue chooses, "system" for the standard library's.
        is_guarded: Whether the queue's rule for a SQLite with the WAL-reset bug is in force where it has that bug.
        checkpoint_at: So many bytes of WAL make the guard checkpoint.
        pragmas: Set after the queue's own on each connection.
        environment: For the process.
    """

    url: str
    ledger: str
    name: str
    role: str = "write"
    library: str = "safe"
    is_guarded: bool = True
    checkpoint_at: int = sqlite.CHECKPOINT_AT
    pragmas: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


def obey(order: Order) -> None:
    """Set up this process as ordered, and work until it is killed."""
    os.environ.update(order.environment)
    if order.library == "system":
        sqlite.choose_driver = lambda: sqlite3
    if not order.is_guarded:
        sqlite.is_safe = lambda version: True
    sqlite.CHECKPOINT_AT = order.checkpoint_at
    prepare = sqlite._prepare

    def prepare_further(connection: Any, *rest: Any, **more: Any) -> None:
        prepare(connection, *rest, **more)
        for pragma in order.pragmas:
            connection.execute(f"PRAGMA {pragma}").fetchall()

    sqlite._prepare = prepare_further
    ledger = os.open(order.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def tell(what: str, jobs: Iterable[Job]) -> None:
        words = "".join(f"{what} {job.id} {job.attempt}\n" for job in jobs)
        os.write(ledger, words.encode())

    with PersistentQSQLAlchemy(order.url, lock_timeout=timedelta(seconds=30)) as queue:
        if order.role == "checkpoint":
            checkpoint(queue, is_guarded=queue._facts.joins_only_own)
        while order.role == "enqueue":
            tell("stored", [queue.enqueue("t")])
        while True:
            # PostgreSQL ends under it; what was not acknowledged is nobody's promise.
            with suppress(StorageUnavailable, LeaseLost, OperationalError, InterfaceError):
                use(queue, order.name, tell)


def use(queue: PersistentQSQLAlchemy, name: str, tell: Tell) -> None:
    """Do one of each that a producer and a consumer do."""
    tell("stored", [queue.enqueue("t", {"by": name})])
    tell("stored", queue.enqueue_many([NewJob("t", {"pad": "x" * 300}, priority=1)] * 4))
    with Session(queue.engine) as session, session.begin():
        job = queue.enqueue("joined", session=session)
        session.execute(text("INSERT INTO effects (job_id) VALUES (:id)"), {"id": job.id})
    tell("stored", [job])
    held = queue.dequeue(name, limit=5)
    tell("claimed", held)
    if not held:
        return
    queue.complete(held[0], {"by": name})
    tell("done", held[:1])
    for one in held[1:2]:
        queue.fail(one, "broke", retry=False)
        tell("failed", [one])
    refused = queue.complete_many(held[2:])
    tell("done", [job for job in held[2:] if job not in refused])


def checkpoint(queue: PersistentQSQLAlchemy, *, is_guarded: bool) -> None:
    """Checkpoint all the time, as an eager maintainer does."""
    with closing(queue.engine.raw_connection()) as connection:
        connection.detach()
        while True:
            # The other side's locks are not waited for: the next round comes at once.
            with suppress(queue.engine.dialect.loaded_dbapi.OperationalError, StorageUnavailable):
                if is_guarded:
                    sqlite.checkpoint_guarded(queue.engine)
                else:
                    connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


if __name__ == "__main__":
    # Interpreters that load everything by themselves would take most of the time between two cuts.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            obey(Order(**json.loads(line)))
        print(child, flush=True)
