"""G2 on PostgreSQL: who claims passes by what others hold, and gets no more than was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from persistentq import NewJob, PersistentQSQLAlchemy, clock
from persistentq.sql import repeating
from tests.contract.conftest import emptied

CLAIMERS, JOBS = 8, 2_000


@pytest.fixture
def queue(postgres_url: str) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(postgres_url) as queue:
        yield emptied(queue)


def test_every_job_is_claimed_once(
    postgres_url: str, queue: PersistentQSQLAlchemy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 claimers, 2,000 jobs: 2,000 claims, all different, no error and no second try."""
    monkeypatch.setattr(repeating, "REPEATS", 0)
    ids = {job.id for job in queue.enqueue_many([NewJob("any.task")] * JOBS)}

    def claim(name: str) -> list[tuple[int, int, str | None]]:
        with PersistentQSQLAlchemy(postgres_url) as own:
            claims = []
            while jobs := own.dequeue(name, limit=1 + len(claims) % 7):
                claims += [(job.id, job.attempt, job.consumer) for job in jobs]
            return claims

    with ThreadPoolExecutor(CLAIMERS) as pool:
        claims = [one for own in pool.map(claim, [f"c{n}" for n in range(CLAIMERS)]) for one in own]
    assert len(claims) == JOBS
    assert {id for id, _, _ in claims} == ids
    assert {attempt for _, attempt, _ in claims} == {1}
    assert len({consumer for _, _, consumer in claims}) == CLAIMERS


def test_a_locked_job_is_passed_by(queue: PersistentQSQLAlchemy) -> None:
    """An operator who thinks in an open transaction holds up nobody: neither pending, due nor overdue jobs wait."""
    first, second = queue.enqueue_many([NewJob("any.task")] * 2)
    queue.enqueue_many([NewJob("any.task", run_at=clock.now() + timedelta(hours=1), queue="later")] * 2)
    lock = "SELECT id FROM persistentq_jobs WHERE id = {} FOR UPDATE"
    with queue.engine.begin() as operator:
        operator.execute(text(lock.format(first.id)))
        assert [job.id for job in queue.dequeue("c", limit=5)] == [second.id]
        operator.execute(text("SELECT id FROM persistentq_jobs WHERE queue = 'later' LIMIT 1 FOR UPDATE"))
        with queue.engine.begin() as connection:
            connection.execute(
                text(
                    "UPDATE persistentq_jobs SET run_at = 0 WHERE id IN"
                    " (SELECT id FROM persistentq_jobs WHERE queue = 'later' FOR UPDATE SKIP LOCKED)"
                )
            )
        assert len(queue.dequeue("c", ["later"], limit=5)) == 1
        with queue.engine.begin() as connection:
            connection.execute(
                text("UPDATE persistentq_jobs SET lease_until = 1 WHERE status = 'processing'")
            )
        operator.execute(text(lock.format(second.id)))
        assert queue.cleanup() == 1
    assert queue.cleanup() == 1
