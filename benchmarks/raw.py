"""The limit: hand-written loops on the driver, with the queue's own table, pragmas and payload, and nothing else.

Each function does `number` jobs and returns the seconds it took.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

PAD = "x" * 64
BATCH = 100
BULK = 1000


class Driver(Protocol):
    """What a loop needs of a database driver; `mark` is how it writes a bound value."""

    mark: str

    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def execute(self, sql: str, values: Any = ()) -> Any: ...
    def executemany(self, sql: str, values: Any) -> None: ...


INSERT = (
    "INSERT INTO persistentq_jobs (queue, status, priority, run_at, attempt, max_attempts, budget, "
    "cancel_requested, created_at, task, args, tags) VALUES ('default', 'pending', 0, ?, 0, 3, 3, 0, ?, 't', ?, '')"
)
CLAIM = (
    "UPDATE persistentq_jobs SET status = 'processing', attempt = attempt + 1, consumer = 'c', started_at = ?, "
    "lease_until = ? WHERE id IN (SELECT id FROM persistentq_jobs WHERE status = 'pending' AND queue = 'default' "
    "AND reserved_for IS NULL ORDER BY priority DESC, run_at, id LIMIT {limit}{lock}) RETURNING id, attempt, args"
)
DONE = (
    "UPDATE persistentq_jobs SET status = 'done', finished_at = ?, lease_until = NULL "
    "WHERE id = ? AND attempt = ? AND consumer = 'c' AND status = 'processing'"
)


def payload(n: int) -> str:
    """Return the stored form of a job's arguments."""
    return json.dumps({"n": n, "pad": PAD})


def _now() -> int:
    return time.time_ns() // 1000


def enqueue(driver: Driver, number: int) -> float:
    """One job per transaction."""
    sql = INSERT.replace("?", driver.mark)
    began = time.perf_counter()
    for n in range(number):
        driver.begin()
        now = _now()
        driver.execute(sql, (now, now, payload(n)))
        driver.commit()
    return time.perf_counter() - began


def enqueue_many(driver: Driver, number: int) -> float:
    """A thousand jobs per transaction, through the driver's executemany."""
    sql = INSERT.replace("?", driver.mark)
    began = time.perf_counter()
    for start in range(0, number, BULK):
        driver.begin()
        now = _now()
        driver.executemany(sql, [(now, now, payload(n)) for n in range(start, start + BULK)])
        driver.commit()
    return time.perf_counter() - began


def drain(driver: Driver, number: int, batch: int, lock: str = "") -> float:
    """Claim and finish so many jobs, `batch` in each of two transactions, payloads decoded."""
    left, began = number, time.perf_counter()
    for done in turns(driver, batch, lock):
        left -= done
        if left <= 0:
            break
    return time.perf_counter() - began


def turns(
    driver: Driver, batch: int, lock: str = "", handle: Callable[[], None] = lambda: None
) -> Iterator[int]:
    """Claim and finish jobs until none is left; yield how many in each turn."""
    claim = CLAIM.format(limit=batch, lock=lock).replace("?", driver.mark)
    done = DONE.replace("?", driver.mark)
    while True:
        driver.begin()
        now = _now()
        rows = driver.execute(claim, (now, now + 60_000_000)).fetchall()
        driver.commit()
        if not rows:
            return
        for row in rows:
            json.loads(row[2])
            handle()
        driver.begin()
        if batch == 1:
            driver.execute(done, (_now(), rows[0][0], rows[0][1]))
        else:
            driver.executemany(done, [(_now(), row[0], row[1]) for row in rows])
        driver.commit()
        yield len(rows)
