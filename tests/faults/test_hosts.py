"""A host is cut off for longer than its lease: others do its jobs, once, and its stale words are refused."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import text

from persistentq import JobStatus, LeaseLost, NewJob, PersistentQSQLAlchemy
from persistentq.clock import Deadline
from tests.contract.conftest import emptied
from tests.faults.hosts import hosts, why_not
from tests.sql.proxy import Cut, Proxy

HELD, OTHERS = 4, 40
PATIENCE_S = 60

TASKS = """\
from pathlib import Path
from threading import Event

from sqlalchemy import text

from persistentq import current_job, task

def leave_effect(context):
    with context.session() as session:
        values = {"id": context.job.id, "attempt": context.job.attempt}
        session.execute(text("INSERT INTO effects (job_id, attempt) VALUES (:id, :attempt)"), values)

@task("hold")
def hold():
    context = current_job()
    if context.job.attempt == 1:
        Path(f"holding-{context.job.id}").touch()
        while not Path("let go").exists():
            Event().wait(0.01)
    leave_effect(context)

@task("work")
def work():
    Event().wait(0.02)
    leave_effect(current_job())
"""


@pytest.fixture
def queue(postgres_url: str) -> Iterator[PersistentQSQLAlchemy]:
    with emptied(PersistentQSQLAlchemy(postgres_url)) as made:
        with made.engine.begin() as connection:
            connection.execute(text("DROP TABLE IF EXISTS effects"))
            connection.execute(text("CREATE TABLE effects (job_id BIGINT NOT NULL, attempt BIGINT NOT NULL)"))
        yield made
        with made.engine.begin() as connection:
            connection.execute(text("DROP TABLE effects"))


def effects(queue: PersistentQSQLAlchemy) -> list[tuple[int, int]]:
    with queue.engine.connect() as connection:
        rows = connection.execute(text("SELECT job_id, attempt FROM effects")).all()
    return sorted((id, attempt) for id, attempt in rows)


def done(queue: PersistentQSQLAlchemy) -> int:
    return sum(counts.get(JobStatus.DONE, 0) for counts in queue.count_jobs().values())


def test_three_hosts_of_which_one_is_cut_off(
    queue: PersistentQSQLAlchemy, postgres_url: str, tmp_path: Path
) -> None:
    """G2, G4."""
    if (reason := why_not()) is not None:
        pytest.skip(f"{reason}; the next test is the same with one consumer and no hosts")
    (tmp_path / "tasks.py").write_text(TASKS)
    options = ("--app", "tasks", "--concurrency", str(HELD))
    with hosts(postgres_url, tmp_path, "host_1", "host_2", "host_3") as (first, second, third):
        held = queue.enqueue_many([NewJob("hold")] * HELD)
        consumer = first.start(*options, "--queues", "default,first")
        consumer.until(lambda: len(list(tmp_path.glob("holding-*"))) == HELD)
        first.cut_off()
        queue.enqueue_many([NewJob("work")] * OTHERS)
        second.start(*options)
        third.start(*options)
        consumer.until(lambda: done(queue) == HELD + OTHERS)
        taken = [queue.get_job(job.id) for job in held]
        assert {job.consumer for job in taken} <= {"host_2", "host_3"}
        assert [job.attempt for job in taken] == [2] * HELD
        (tmp_path / "let go").touch()
        first.rejoin()
        for job in held:
            consumer.says(f"job {job.id} hold attempt 1 was lost")
        # Where it was, it goes on.
        last = queue.enqueue("work", queue="first")
        consumer.until(lambda: queue.get_job(last.id).status == JobStatus.DONE)
        assert queue.get_job(last.id).consumer == "host_1"
        assert [queue.get_job(job.id) for job in held] == taken
        assert {one.id for one in queue.list_consumers() if one.host == one.id} == {
            "host_1",
            "host_2",
            "host_3",
        }
    jobs = queue.list_jobs(limit=1000)
    assert effects(queue) == sorted((job.id, job.attempt) for job in jobs)


def test_a_consumer_whose_line_stalls(queue: PersistentQSQLAlchemy, postgres_url: str) -> None:
    """G2: what it said meanwhile comes through later, and is refused."""
    lease = timedelta(seconds=0.3)
    with Proxy(postgres_url) as line, PersistentQSQLAlchemy(line.url) as far:
        queue.enqueue_many([NewJob("any.task")] * 2)
        held = far.dequeue("far", limit=2, lease=lease)
        line.stall(True)
        taken = list[int]()

        def take() -> bool:
            taken.extend(job.id for job in queue.dequeue("near", limit=2))
            return len(taken) == 2

        with ThreadPoolExecutor(1) as pool:
            saying = pool.submit(far.complete, held[0])
            assert Deadline(PATIENCE_S).wait_for(take)
            assert not saying.done()
            line.stall(False)
            with pytest.raises(LeaseLost):
                saying.result(PATIENCE_S)
        assert far.complete_many(held) == held
        assert far.extend(held) == []
        assert {(job.status, job.consumer, job.attempt) for job in queue.list_jobs()} == {
            ("processing", "near", 2)
        }


def test_a_slow_line_that_drops_answers(queue: PersistentQSQLAlchemy, postgres_url: str) -> None:
    """P3: 100 jobs stored and completed, each exactly once."""
    chance = Random(4711)
    with Proxy(postgres_url) as line, PersistentQSQLAlchemy(line.url) as far:
        for n in range(100):
            line.lag = chance.uniform(0, 0.01)
            if chance.random() < 0.5:
                line.cut(chance.choice(list(Cut)))
            far.enqueue("any.task", {"n": n}, unique_key=f"key-{n}")
            (job,) = far.dequeue("c")
            if chance.random() < 0.5:
                line.cut(chance.choice(list(Cut)))
            far.complete(job)
        assert line.cuts > 50
    jobs = queue.list_jobs(limit=1000)
    assert sorted(job.args["n"] for job in jobs) == list(range(100))
    assert {(job.status, job.attempt) for job in jobs} == {("done", 1)}
