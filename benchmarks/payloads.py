"""Large payloads: what a job's way from one status to the next costs with arguments of 1 MiB, beside 100 bytes.

A row is one call for one job, as its caller sees it, the commit included. What dequeue must do for any queue, read the
arguments from the database and decode them once, is measured by itself on the same jobs and left out of its row; the
other calls are measured whole, with whatever they read, decode and write. The text does not compress.
"""

from __future__ import annotations

import base64
import json
import random
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import text

from benchmarks.queues import postgresql_queue, sqlite_queue
from benchmarks.report import Case, Options
from persistentq import Job, PersistentQSQLAlchemy

TARGET = 0.83
JOBS = 20
SMALL, LARGE = 100, 1024 * 1024 - 32
PADDING = base64.b64encode(random.Random(1).randbytes(LARGE)).decode()[:LARGE]
DAY = timedelta(days=1)

Opened = Callable[[], AbstractContextManager[PersistentQSQLAlchemy]]
Act = Callable[[PersistentQSQLAlchemy, Job], object]
Prepare = Callable[[PersistentQSQLAlchemy, list[Job]], list[Job]]


@dataclass(frozen=True)
class Transition:
    """A call that is measured, and what makes stored jobs ready for it."""

    name: str
    act: Act
    prepare: Prepare = lambda _, jobs: jobs
    hands_over: bool = False


def _claimed(queue: PersistentQSQLAlchemy, jobs: list[Job]) -> list[Job]:
    return [queue.dequeue("c")[0] for _ in jobs]


def _overdue(queue: PersistentQSQLAlchemy, jobs: list[Job]) -> list[Job]:
    with queue.engine.begin() as connection:
        connection.execute(text("UPDATE persistentq_jobs SET status = 'scheduled'"))
    return jobs


def _cancelled(queue: PersistentQSQLAlchemy, jobs: list[Job]) -> list[Job]:
    return [queue.cancel(job.id) for job in jobs]


TRANSITIONS = (
    Transition("due", lambda queue, _: queue.cleanup(limit=1), _overdue),
    Transition("dequeue", lambda queue, _: queue.dequeue("c"), hands_over=True),
    Transition("extend", lambda queue, job: queue.extend([job]), _claimed),
    Transition("complete", lambda queue, job: queue.complete(job), _claimed),
    Transition("fail", lambda queue, job: queue.fail(job, "no", delay=DAY), _claimed),
    Transition("release", lambda queue, job: queue.release([job]), _claimed),
    Transition("snooze", lambda queue, job: queue.snooze(job, DAY), _claimed),
    Transition("cancel", lambda queue, job: queue.cancel(job.id)),
    Transition("resubmit", lambda queue, job: queue.resubmit(job.id), _cancelled),
)


def benchmarks(options: Options) -> list[Case]:
    """Return a pair for each call."""
    opened: dict[str, tuple[Opened, Opened]] = {"": (sqlite_queue, sqlite_queue)}
    if url := options.postgresql:
        opened["PostgreSQL: "] = (
            partial(postgresql_queue, url, "large"),
            partial(postgresql_queue, url, "small"),
        )
    return [
        Case(f"{where}1 MiB: {one.name}", JOBS, TARGET, partial(_both, *both, one), "100 bytes", "calls")
        for where, both in opened.items()
        for one in TRANSITIONS
    ]


def _both(large: Opened, small: Opened, transition: Transition, number: int) -> tuple[float, float]:
    """Make the calls in turn, here and there: a busy disk slows both."""
    with large() as here, small() as there:
        queues = {here: LARGE, there: SMALL}
        jobs = {queue: _ready(queue, transition, size, number) for queue, size in queues.items()}
        calls: dict[PersistentQSQLAlchemy, list[float]] = {here: [], there: []}
        for n in range(number):
            for queue in queues:
                began = time.perf_counter()
                transition.act(queue, jobs[queue][n])
                calls[queue].append(time.perf_counter() - began)
                if transition.hands_over:
                    calls[queue][n] -= _handing_over(queue, jobs[queue][n])
        # A difference of two times may be far off in a single call; of the others, rare slow calls count as well.
        middle = statistics.median if transition.hands_over else statistics.fmean
        return middle(calls[here]) * number, middle(calls[there]) * number


def _ready(queue: PersistentQSQLAlchemy, transition: Transition, size: int, number: int) -> list[Job]:
    """Store and prepare so many jobs, and one more, so that connection and statements are there before the clock."""
    stored = [queue.enqueue("t", {"pad": PADDING[:size]}) for _ in range(number + 1)]
    jobs = transition.prepare(queue, stored)
    transition.act(queue, jobs.pop(0))
    return jobs


def _handing_over(queue: PersistentQSQLAlchemy, job: Job) -> float:
    """Return the seconds that reading a job's arguments, on the queue's own connection, and decoding them takes."""
    cursor = queue._hot._ready()[0]
    began = time.perf_counter()
    kept_apart = queue.engine.dialect.name == "sqlite" and len(job.args["pad"]) > SMALL
    table, key = ("persistentq_payloads", "job_id") if kept_apart else ("persistentq_jobs", "id")
    cursor.execute(f"SELECT args FROM {table} WHERE {key} = {int(job.id)}")  # noqa: S608
    json.loads(cursor.fetchall()[0][0])
    return time.perf_counter() - began
