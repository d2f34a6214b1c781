"""Databases that hold a lot, each filled by a few large statements."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.raw import payload
from persistentq import PersistentQSQLAlchemy

MILLION = 1_000_000
HOUR_US = 3_600_000_000


class Rows(NamedTuple):
    """Many jobs of one kind; each text is an SQL expression in which `i` counts them from 1 and `now` is the time."""

    status: str
    number: int
    run_at: str
    reserved_for: str = "NULL"
    attempt: str = "0"
    consumer: str = "NULL"
    ended_at: str = "NULL"


PENDING = Rows("pending", MILLION, "now - {hour} + i * 1000")
FUTURE = Rows("scheduled", MILLION, "now + {hour} + i * 1000")
FINISHED = Rows(
    "done",
    MILLION,
    "now - {hour} + i * 1000",
    attempt="1",
    consumer="'gone'",
    ended_at="now - {hour} + i * 1000 + 500",
)
ABSENT = Rows("pending", 100_000, "now - {hour} + i * 1000", reserved_for="'absent'")

FILLS = {
    "1 M pending": (PENDING,),
    "1 M future-dated": (FUTURE,),
    "1 M finished": (FINISHED,),
    "100 k for an absent consumer": (ABSENT,),
    "all of these": (FINISHED, FUTURE, ABSENT, PENDING),
}

INSERT = """
INSERT INTO persistentq_jobs (queue, status, priority, run_at, reserved_for, attempt, max_attempts, budget, consumer,
    cancel_requested, created_at, started_at, finished_at, task, args, tags)
SELECT 'default', '{rows.status}', 0, {run_at}, {rows.reserved_for}, {rows.attempt}, 3, 3, {rows.consumer},
    0, now - {hour} + i * 1000, {ended_at}, {ended_at}, 't', '{args}', ''
FROM counted CROSS JOIN (SELECT CAST({now} AS BIGINT) AS now) AS moment
"""
COUNTED = {
    "sqlite": "WITH RECURSIVE counted(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counted WHERE i < {number}) ",
    "postgresql": "WITH counted(i) AS (SELECT generate_series(CAST(1 AS BIGINT), {number})) ",
}


def fill(execute: Any, dialect: str, kinds: tuple[Rows, ...]) -> None:
    """Add the jobs of each kind through `execute`, which runs one statement on the driver."""
    for rows in kinds:
        run_at, ended_at = (one.format(hour=HOUR_US) for one in (rows.run_at, rows.ended_at))
        insert = INSERT.format(
            rows=rows,
            run_at=run_at,
            ended_at=ended_at,
            hour=HOUR_US,
            now=time.time_ns() // 1000,
            args=payload(1),
        )
        execute(COUNTED[dialect].format(number=rows.number) + insert)


def fill_file(path: Path, kinds: tuple[Rows, ...]) -> None:
    """Make a SQLite queue there that holds the jobs of each kind."""
    with (
        PersistentQSQLAlchemy(f"sqlite:///{path}") as queue,
        closing(queue.engine.raw_connection()) as connection,
    ):
        cursor: Any = connection.cursor()
        cursor.execute("PRAGMA synchronous=OFF")
        fill(cursor.execute, "sqlite", kinds)
