"""Queues to measure on: each is new, and gone afterwards."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url, text

from benchmarks.raw import BULK, PAD
from persistentq import NewJob, PersistentQSQLAlchemy


@contextmanager
def sqlite_queue(synchronous: str = "FULL") -> Iterator[PersistentQSQLAlchemy]:
    """Yield a queue in a new file."""
    with (
        tempfile.TemporaryDirectory() as folder,
        PersistentQSQLAlchemy(f"sqlite:///{Path(folder)}/q.db") as queue,
    ):
        if synchronous != "FULL":
            # Only to compare with queues that give up durability; the library itself never does.
            queue._hot._ready()[0].execute(f"PRAGMA synchronous={synchronous}")
        yield queue


@contextmanager
def postgresql_queue(url: str, name: str = "queue") -> Iterator[PersistentQSQLAlchemy]:
    """Yield a queue in a new schema of the database at `url`."""
    with schema(url, name) as there, PersistentQSQLAlchemy(there) as queue:
        yield queue


@contextmanager
def schema(url: str, name: str) -> Iterator[URL]:
    """Yield the URL of a new schema of the database at `url`; nothing else there is touched.

    If another process measures in a schema of that name, it is waited for.
    """
    schema = f"persistentq_benchmark_{name}"
    with closing(connect(make_url(url))) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [schema])
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            yield make_url(url).update_query_dict({"options": f"-csearch_path={schema}"})
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


def connect(url: URL) -> Any:
    """Return a psycopg connection in autocommit."""
    import psycopg

    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def empty(queue: PersistentQSQLAlchemy) -> None:
    """Remove every job from a queue on PostgreSQL."""
    with queue.engine.begin() as connection:
        connection.execute(text("TRUNCATE persistentq_jobs, persistentq_attempts RESTART IDENTITY"))


def enqueue(queue: PersistentQSQLAlchemy, number: int) -> float:
    """Store so many jobs, one per call; return the seconds it took, as all of these do."""
    began = time.perf_counter()
    for n in range(number):
        queue.enqueue("t", {"n": n, "pad": PAD})
    return time.perf_counter() - began


def enqueue_many(queue: PersistentQSQLAlchemy, number: int) -> float:
    """Store so many jobs, a thousand per call."""
    began = time.perf_counter()
    for start in range(0, number, BULK):
        numbers = range(start, min(number, start + BULK))
        queue.enqueue_many([NewJob("t", {"n": n, "pad": PAD}) for n in numbers])
    return time.perf_counter() - began


def drain(queue: PersistentQSQLAlchemy, number: int, batch: int) -> float:
    """Dequeue and complete so many jobs, `batch` at a time."""
    left, began = number, time.perf_counter()
    while left > 0:
        jobs = queue.dequeue("c", limit=batch)
        if batch == 1:
            queue.complete(jobs[0])
        else:
            queue.complete_many(jobs)
        left -= len(jobs)
    return time.perf_counter() - began
