"""Flatness: dequeue and complete in a database that holds a lot, beside one that holds only the jobs to be drained.

One million jobs are pending, future-dated or finished, a hundred thousand are assigned to a consumer that is not there.
On SQLite each run has a file of its own, a copy of one that was filled once; on PostgreSQL each run leaves the filling
as it was, and VACUUM follows it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fills import FILLS, Rows, fill, fill_file
from benchmarks.queues import connect, drain, enqueue_many, postgresql_queue
from benchmarks.report import Benchmark, Case, Options, Row
from persistentq import PersistentQSQLAlchemy

TARGET = 0.83
JOBS = {1: 1000, 100: 10_000}
TURNS = 20

Queues = AbstractContextManager[Sequence[PersistentQSQLAlchemy]]


def benchmarks(options: Options) -> list[Benchmark]:
    """Return one benchmark for each kind of filling, with a row for each size of claim."""
    url = options.postgresql
    return [
        *(OnSQLite(f"flat: {name}", kinds) for name, kinds in FILLS.items()),
        *(OnPostgreSQL(f"PostgreSQL: flat: {name}", kinds, url) for name, kinds in FILLS.items() if url),
    ]


@dataclass(frozen=True)
class OnSQLite:
    """A filled file, and an empty one."""

    name: str
    kinds: tuple[Rows, ...]

    def rows(self, rounds: int) -> Iterator[Row]:
        """Fill the file, and yield a row for each size of claim."""
        with tempfile.TemporaryDirectory() as folder:
            filled, empty = Path(folder, "filled.db"), Path(folder, "empty.db")
            for path, kinds in ((filled, self.kinds), (empty, ())):
                fill_file(path, kinds)
            yield from _rows(self.name, lambda: _copies(filled, empty), rounds)


@contextmanager
def _copies(*originals: Path) -> Iterator[list[PersistentQSQLAlchemy]]:
    """Yield a queue on a copy of each file."""
    with ExitStack() as stack:
        queues = []
        for original in originals:
            copy = original.with_suffix(".copy")
            shutil.copyfile(original, copy)
            stack.callback(copy.unlink)
            # Otherwise the disk would still be busy with the copy while the queue waits for it.
            descriptor = os.open(copy, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
            queues.append(stack.enter_context(PersistentQSQLAlchemy(f"sqlite:///{copy}")))
        yield queues


@dataclass(frozen=True)
class OnPostgreSQL:
    """A filled schema, and an empty one."""

    name: str
    kinds: tuple[Rows, ...]
    url: str

    def rows(self, rounds: int) -> Iterator[Row]:
        """Fill the schema, and yield a row for each size of claim."""
        with postgresql_queue(self.url, "filled") as filled, postgresql_queue(self.url, "empty") as empty:
            with closing(connect(filled.engine.url)) as connection:
                fill(connection.execute, "postgresql", self.kinds)
                connection.execute("VACUUM (ANALYZE)")
            yield from _rows(self.name, lambda: _tidied(filled, empty), rounds)


@contextmanager
def _tidied(*queues: PersistentQSQLAlchemy) -> Iterator[tuple[PersistentQSQLAlchemy, ...]]:
    """Yield the queues, and remove afterwards what was drained."""
    yield queues
    for queue in queues:
        with closing(connect(queue.engine.url)) as connection:
            connection.execute("DELETE FROM persistentq_jobs WHERE status = 'done' AND consumer = 'c'")
            connection.execute("VACUUM (ANALYZE) persistentq_jobs")


def _rows(name: str, opened: Callable[[], Queues], rounds: int) -> Iterator[Row]:
    for batch, jobs in JOBS.items():

        def both(number: int, batch: int = batch) -> tuple[float, float]:
            with opened() as (filled, empty):
                return _drained(filled, empty, number, batch)

        row = f"{name}: dequeue({batch}), complete"
        yield from Case(row, jobs, TARGET, both, "next to empty").rows(rounds)


def _drained(
    filled: PersistentQSQLAlchemy, empty: PersistentQSQLAlchemy, number: int, batch: int
) -> tuple[float, float]:
    """Drain so many jobs in each, some here and then some there: a busy disk slows both."""
    for queue in (filled, empty):
        enqueue_many(queue, number + batch)
        # Connection, statements and caches are there before the clock starts.
        drain(queue, batch, batch)
    here, there, some = 0.0, 0.0, max(batch, number // TURNS)
    for _ in range(number // some):
        here += drain(filled, some, batch)
        there += drain(empty, some, batch)
    return here, there
