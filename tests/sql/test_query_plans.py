"""G8: each hot statement is answered from its index, whatever else the table holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from persistentq import PersistentQSQLAlchemy
from persistentq.query import parse
from persistentq.sql import statements
from persistentq.sql.prepared import Prepared

FENCED = ["persistentq_jobs USING INTEGER PRIMARY KEY (rowid=?)"]
OVERDUE = ["persistentq_lease (lease_until<?)", "persistentq_due (run_at<?)"]
BOUND = dict.fromkeys(
    ["of_queue", "by_consumer", "lease_us", "held_id", "held_by", "held_at", "outcome", "unique_key", "held"]
)
PLANS: dict[str, tuple[Any, list[str]]] = {
    "due": (statements.due(10), ["persistentq_due (run_at<?)"]),
    "expired": (statements.expired(10), ["persistentq_lease (lease_until<?)"]),
    "claim": (
        statements.claim(10),
        ["persistentq_ready (queue=?)", "persistentq_reserved (reserved_for=? AND queue=?)"],
    ),
    "calm claim": (
        statements.claim(10, calm=True),
        [
            "persistentq_ready (queue=?)",
            "persistentq_lease (lease_until<?)",
            "persistentq_due (run_at<?)",
        ],
    ),
    "beckoning": (
        statements.beckoning(),
        [*OVERDUE, "persistentq_ready (queue=?)", "persistentq_reserved (reserved_for=? AND queue=?)"],
    ),
    "next_moments": (
        statements.next_moments(),
        ["persistentq_lease (lease_until>?)", "persistentq_due_of_queue (queue=?)"],
    ),
    "cancelling": (statements.cancelling(), ["persistentq_cancelling (consumer=?)"]),
    "complete": (statements.complete(), FENCED),
    "complete_listed": (statements.complete_listed(), FENCED),
    "completed": (statements.completed(), FENCED),
    "extend": (statements.extend(), FENCED),
    "guard": (statements.guard(), FENCED),
    "unfinished": (statements.unfinished(), ["persistentq_unique_key (unique_key=?)"]),
}


@pytest.mark.parametrize("name", PLANS)
def test_plan(name: str, tmp_path: Path) -> None:
    statement, indexes = PLANS[name]
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as queue:
        prepared = Prepared(statement, queue.engine.dialect)
        with queue.engine.connect() as connection:
            plan = [
                row[3]
                for row in connection.exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {prepared.sql}", prepared.bind(BOUND.copy())
                )
            ]
    for index in indexes:
        assert any(index in step for step in plan), plan
    scans = [step for step in plan if step.startswith("SCAN persistentq")]
    assert scans == []
    # The claim may sort the few candidates of its two arms; nothing may sort a table.
    assert sum("TEMP B-TREE" in step for step in plan) <= ("claim" in name)


@pytest.mark.parametrize("calm", [False, True])
def test_a_claim_of_any_limit_is_what_it_would_be_compiled_for_that_limit(calm: bool, tmp_path: Path) -> None:
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as queue:
        for limit in (1, 17, 1000):
            compiled = Prepared(statements.claim(limit, calm=calm), queue.engine.dialect)
            assert queue._sql.claim(limit, calm=calm).sql == compiled.sql


@pytest.mark.parametrize("query", ["queue:default", "queue:default age>1s"])
def test_a_page_of_a_queue_sorts_no_more_than_a_page_of_each_status(query: str, tmp_path: Path) -> None:
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as queue:
        asked: list[tuple[str, Any]] = []

        def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
            if "persistentq_jobs" in statement and "ORDER BY" in statement:
                asked.append((statement, parameters))

        event.listen(queue.engine, "before_cursor_execute", note)
        queue.find_jobs(parse(query), limit=20)
        event.remove(queue.engine, "before_cursor_execute", note)
        with queue.engine.connect() as connection:
            plans = [
                [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
                for statement, parameters in asked
            ]
    found = [step for plan in plans for step in plan if "persistentq_by_queue" in step]
    assert found
    assert all("(queue=? AND status=?" in step for step in found)
    assert not [step for plan in plans for step in plan if step.startswith("SCAN persistentq")]
