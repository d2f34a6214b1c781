"""G8 on PostgreSQL: each hot statement is answered from its index, and reads nothing that it does not want."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from persistentq import PersistentQSQLAlchemy
from persistentq.sql import statements
from persistentq.sql.prepared import Prepared
from tests.contract.conftest import emptied


@pytest.fixture(scope="module")
def crowded(postgres_url: str) -> Iterator[PersistentQSQLAlchemy]:
    """A queue with ten thousand jobs of each kind, whose statistics are known."""
    fill = """
        INSERT INTO persistentq_jobs (id, queue, status, priority, run_at, reserved_for, attempt, max_attempts, budget,
            consumer, lease_until, cancel_requested, created_at, started_at, finished_at, task, tags, args, unique_key)
        SELECT n * 10 + slot, CASE WHEN n %% 10 = 0 THEN 'other' ELSE 'default' END, status, n %% 3,
            n + (CASE status WHEN 'scheduled' THEN 9e15 ELSE 0 END)::bigint, CASE WHEN kind = 1 THEN 'absent' END,
            attempt, 3, 3, CASE WHEN attempt > 0 THEN 'busy' END,
            CASE status WHEN 'processing' THEN 9000000000000000 + n END, 0, n, CASE WHEN attempt > 0 THEN n END,
            CASE status WHEN 'done' THEN n END, 'any.task', '', '{}', status || kind || '-' || n
        FROM generate_series(1, 10000) AS n, (VALUES (0, 'pending', 0, 0), (1, 'pending', 0, 1),
            (2, 'scheduled', 0, 0), (3, 'processing', 1, 0), (4, 'done', 1, 0)) AS k (slot, status, attempt, kind)
    """
    with emptied(PersistentQSQLAlchemy(postgres_url)) as queue:
        with queue.engine.begin() as connection:
            connection.exec_driver_sql(fill)
            connection.exec_driver_sql("ANALYZE persistentq_jobs")
        yield queue
        emptied(queue)


FENCE = {"held_id": 773, "held_by": "busy", "held_at": 1}
CLAIM = {"of_queue": "default", "by_consumer": "c", "lease_us": 1}
PLANS: dict[str, tuple[Any, dict[str, Any], set[str]]] = {
    "due": (statements.due(1000), {}, {"persistentq_due", "persistentq_jobs_pkey"}),
    "expired": (statements.expired(1), {}, {"persistentq_lease"}),
    "claim 1": (
        statements.claim(1),
        CLAIM,
        {"persistentq_ready", "persistentq_reserved", "persistentq_jobs_pkey"},
    ),
    "claim 1000": (
        statements.claim(1000),
        CLAIM,
        {"persistentq_ready", "persistentq_reserved", "persistentq_jobs_pkey"},
    ),
    "calm claim": (
        statements.claim(100, calm=True),
        CLAIM,
        {
            "persistentq_ready",
            "persistentq_reserved",
            "persistentq_jobs_pkey",
            "persistentq_lease",
            "persistentq_due",
        },
    ),
    "beckoning": (
        statements.beckoning(),
        CLAIM | {"of_queue": "nowhere"},
        {"persistentq_lease", "persistentq_due", "persistentq_ready", "persistentq_reserved"},
    ),
    "next_moments": (
        statements.next_moments(),
        {"of_queue": "other"},
        {"persistentq_lease", "persistentq_due_of_queue"},
    ),
    "cancelling": (statements.cancelling(), {"by_consumer": "busy"}, {"persistentq_cancelling"}),
    "complete_all": (
        statements.complete_all(),
        {name: [value] * 100 for name, value in (FENCE | {"outcome": None}).items()},
        {"persistentq_jobs_pkey"},
    ),
    "extend_all": (
        statements.extend_all(),
        {name: [value] * 100 for name, value in (FENCE | {"lease_us": 1}).items()},
        {"persistentq_jobs_pkey"},
    ),
    "complete": (statements.complete(), FENCE | {"outcome": None}, {"persistentq_jobs_pkey"}),
    "completed": (statements.completed(), FENCE | {"held_id": 774}, {"persistentq_jobs_pkey"}),
    "extend": (statements.extend(), FENCE | {"lease_us": 1}, {"persistentq_jobs_pkey"}),
    "guard": (statements.guard(), FENCE, {"persistentq_jobs_pkey"}),
    "unfinished": (statements.unfinished(), {"unique_key": "pending0-77"}, {"persistentq_unique_key"}),
}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


@pytest.mark.parametrize("name", PLANS)
def test_plan(name: str, crowded: PersistentQSQLAlchemy) -> None:
    statement, values, indexes = PLANS[name]
    prepared = Prepared(statement, crowded.engine.dialect)
    with crowded.engine.connect() as connection:
        explained = connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {prepared.sql}", prepared.bind(dict(values))
        ).scalar_one()
        connection.rollback()
    steps = list(nodes(explained[0]["Plan"]))
    jobs = [
        step
        for step in steps
        if step.get("Relation Name") == "persistentq_jobs" and "Scan" in step["Node Type"]
    ]
    assert {step.get("Index Name") for step in jobs} == indexes
    assert {step["Node Type"] for step in jobs} <= {"Index Scan", "Index Only Scan"}
    # Nothing is read to be thrown away.
    assert sum(step.get("Rows Removed by Filter", 0) for step in steps) == 0
    assert sum(step["Node Type"] == "Sort" for step in steps) <= ("claim" in name)
