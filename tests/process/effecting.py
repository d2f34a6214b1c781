"""Workers that leave one effect per job in a table beside the queue's; one is forked for each line that is read.

Usage: effecting.py URL WAY LEASE_SECONDS SOCKET

A worker tells the socket its process id, and then each place it has reached, where it waits for a byte: "." to go on
to the next one, "f" to go on without a stop.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from persistentq import Job, LeaseLost, PersistentQSQLAlchemy
from persistentq.clock import Deadline

Reached = Callable[[str, Job], None]


class Wire:
    """The worker's end of the socket."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._socket.sendall(f"{os.getpid()}\n".encode())
        self._is_free = False

    def reached(self, place: str, job: Job) -> None:
        if self._is_free:
            return
        self._socket.sendall(f"{place} {job.id} {job.attempt}\n".encode())
        word = self._socket.recv(1)
        if not word:
            os._exit(0)
        self._is_free = word == b"f"


def add_effect(session: Session, job: Job) -> None:
    values = {"id": job.id, "attempt": job.attempt}
    session.execute(text("INSERT INTO effects (job_id, attempt) VALUES (:id, :attempt)"), values)


def replace_effect(session: Session, job: Job) -> None:
    """Leave this attempt's effect and no earlier one's: what an effect that may be repeated looks like."""
    session.execute(text("DELETE FROM effects WHERE job_id = :id"), {"id": job.id})
    add_effect(session, job)


def together(queue: PersistentQSQLAlchemy, job: Job, reached: Reached) -> None:
    """The effect and the completion in one transaction."""
    with Session(queue.engine) as session, session.begin():
        add_effect(session, job)
        reached("written", job)
        queue.complete(job, session=session)
        reached("accepted", job)
    reached("committed", job)


def guarded(queue: PersistentQSQLAlchemy, job: Job, reached: Reached) -> None:
    """The effect under the guard, the completion after it."""
    with Session(queue.engine) as session, session.begin():
        queue.guard(job, session=session)
        replace_effect(session, job)
        reached("written", job)
    reached("committed", job)
    queue.complete(job)
    reached("completed", job)


def apart(queue: PersistentQSQLAlchemy, job: Job, reached: Reached) -> None:
    """The effect in a transaction that knows nothing of the queue, the completion after it."""
    with_no_guard(queue, job, reached, add_effect)


def unguarded(queue: PersistentQSQLAlchemy, job: Job, reached: Reached) -> None:
    """As `guarded`, without the guard."""
    with_no_guard(queue, job, reached, replace_effect)


def with_no_guard(
    queue: PersistentQSQLAlchemy, job: Job, reached: Reached, leave: Callable[[Session, Job], None]
) -> None:
    with Session(queue.engine) as session, session.begin():
        leave(session, job)
        reached("written", job)
    reached("committed", job)
    queue.complete(job)
    reached("completed", job)


WAYS = {way.__name__: way for way in (together, guarded, apart, unguarded)}


def work(url: str, way: str, lease: float, path: str) -> None:
    wire = Wire(path)
    queue = PersistentQSQLAlchemy(url, create=False, lease=timedelta(seconds=lease))
    while True:
        for job in queue.dequeue(f"worker-{os.getpid()}"):
            wire.reached("claimed", job)
            try:
                WAYS[way](queue, job, wire.reached)
            except LeaseLost:
                wire.reached("refused", job)
            break
        else:
            Deadline(1).pause(0.005)


if __name__ == "__main__":
    # Two hundred interpreters that load everything by themselves would take most of the test's time.
    PersistentQSQLAlchemy(sys.argv[1], create=False).close()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin.readline():
        if os.fork() == 0:
            work(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4])
