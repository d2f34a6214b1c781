"""Arguments of any allowed size come back whole, whatever is done with their job, and go with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from persistentq import NewJob, PersistentQInterface, PersistentQSQLAlchemy

# Just below and just above what SQLite keeps in a job's own row, and nearly all that is allowed.
SIZES = [0, 1_988, 1_989, 1_990, 5_000, 1_000_000]


def sized(size: int) -> dict[str, Any]:
    return {"pad": "ä" + "x" * size} if size else {}


@pytest.mark.parametrize("size", SIZES)
def test_they_come_back_whole_at_every_step(queue: PersistentQInterface, size: int) -> None:
    args = sized(size)
    assert queue.enqueue("t", args, unique_key="k").args == args
    repeated = queue.enqueue("t", {"other": "y" * 3_000}, unique_key="k")
    assert (repeated.args, repeated.duplicate) == (args, True)
    for end in range(3):
        (held,) = queue.dequeue("c")
        assert held.args == args
        if end == 0:
            assert queue.fail(held, "broke", delay=timedelta(0)).args == args
        elif end == 1:
            assert queue.snooze(held, timedelta(0)).args == args
    assert [job.args for job in queue.extend([held])] == [args]
    queue.complete(held)
    assert queue.get_job(held.id).args == args
    assert [job.args for job in queue.list_jobs()] == [args]


def test_many_at_once_keep_their_own(queue: PersistentQInterface) -> None:
    every = [sized(size) for size in SIZES]
    stored = queue.enqueue_many(NewJob("t", args) for args in every)
    assert [job.args for job in stored] == every
    assert [job.args for job in queue.dequeue("c", limit=10)] == every
    assert [queue.get_job(job.id).args for job in stored] == every


def test_they_go_with_their_job(queue: PersistentQInterface) -> None:
    jobs = queue.enqueue_many(NewJob("t", sized(size)) for size in SIZES)
    for job in jobs[:3]:
        queue.delete_job(job.id)
    assert queue.delete_jobs(limit=10) == len(SIZES) - 3
    if isinstance(queue, PersistentQSQLAlchemy):
        with queue.engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM persistentq_payloads")).scalar_one() == 0


def test_a_transition_does_not_write_them_again(queue: PersistentQInterface) -> None:
    """Of a megabyte of arguments, SQLite's own row holds nothing."""
    queue.enqueue("t", sized(1_000_000))
    if isinstance(queue, PersistentQSQLAlchemy) and queue.engine.dialect.name == "sqlite":
        with queue.engine.connect() as connection:
            assert connection.execute(text("SELECT args FROM persistentq_jobs")).scalar_one() == ""
    (held,) = queue.dequeue("c")
    assert len(held.args["pad"]) == 1_000_001
