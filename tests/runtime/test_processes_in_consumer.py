"""Consumers whose tasks run in child processes: what becomes of jobs, leases and neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from persistentq import Backoff, Consumer, JobStatus, Outcome, PersistentQSQLAlchemy
from tests.runtime.conftest import ended, running
from tests.runtime.process_bench import APP, is_alive, pids_in, until
from tests.runtime.process_tasks import DEATHS, PROCESS_TASKS

AT_ONCE = Backoff(timedelta(0), timedelta(0))


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as made:
        yield made


def consuming(queue: PersistentQSQLAlchemy, **settings: Any) -> AbstractContextManager[Consumer]:
    """Run a consumer in a thread until the end of the block."""
    return running(Consumer(queue, **{"concurrency": 2, "tasks": PROCESS_TASKS, "app": APP, **settings}))


def test_a_task_that_holds_the_interpreter_for_longer_than_the_lease_keeps_its_job(
    queue: PersistentQSQLAlchemy,
) -> None:
    """G4: in a thread, this consumer could not renew the lease, and the other would take the job."""
    job = queue.enqueue("hold_interpreter_for", {"seconds": 5})
    lease = timedelta(seconds=1)
    with consuming(queue, lease=lease, consumer_id="one"), consuming(queue, lease=lease, consumer_id="other"):
        done = ended(queue, job)
    assert (done.status, done.attempt, done.result) == (JobStatus.DONE, 1, f"{job.id}-1")
    assert [attempt.outcome for attempt in queue.get_attempts(job.id)] == [Outcome.DONE]


def test_poison_ends_failed_with_the_reason_and_harms_no_neighbour(
    queue: PersistentQSQLAlchemy, tmp_path: Path
) -> None:
    """G3: in each of twenty attempts a child dies; the jobs beside them never notice."""
    held = queue.enqueue("hold", {"mark": str(tmp_path / "held")}, priority=1)
    poison = {
        how: queue.enqueue("die", {"how": how}, max_attempts=4, backoff=AT_ONCE) for how in [*DEATHS][:5]
    }
    with consuming(queue, concurrency=3):
        (pid,) = pids_in(tmp_path / "held")
        for how, job in poison.items():
            failed = ended(queue, job)
            assert (failed.status, failed.error) == (JobStatus.FAILED, f"the worker died: {how}")
            # Those that waited here for a place, while children started, were given back uncounted.
            counted = [one for one in queue.get_attempts(job.id) if one.outcome != Outcome.RELEASED]
            assert [one.error_type for one in counted] == ["WorkerDied"] * 4
        assert is_alive(pid)
        (tmp_path / "held.go").touch()
        assert (ended(queue, held).status, ended(queue, held).attempt) == (JobStatus.DONE, 1)


def test_a_job_that_always_meets_the_memory_limit_ends_failed(queue: PersistentQSQLAlchemy) -> None:
    """G3, for the gentlest of deaths."""
    job = queue.enqueue("take", {"mib": 2000}, max_attempts=2, backoff=AT_ONCE)
    with consuming(queue, memory_limit=2**30):
        failed = ended(queue, job)
    assert (failed.status, failed.attempt) == (JobStatus.FAILED, 2)
    assert (failed.error or "").startswith("the worker died: its memory limit of 1073741824 bytes")


def test_a_timeout_stops_the_code(queue: PersistentQSQLAlchemy, tmp_path: Path) -> None:
    job = queue.enqueue("limited", {"mark": str(tmp_path / "mark")}, max_attempts=1)
    with consuming(queue):
        failed = ended(queue, job)
    assert failed.status == JobStatus.FAILED
    assert "ran for longer than its timeout" in (failed.error or "")
    assert (tmp_path / "mark.cleaned").exists()


def test_a_cancelled_job_is_stopped(queue: PersistentQSQLAlchemy, tmp_path: Path) -> None:
    asked = queue.enqueue("hold", {"mark": str(tmp_path / "asked")})
    killed = queue.enqueue("hold_interpreter", {"mark": str(tmp_path / "killed")})
    with consuming(queue):
        (pid,) = pids_in(tmp_path / "killed")
        pids_in(tmp_path / "asked")
        for job in (asked, killed):
            queue.cancel(job.id)
        assert {ended(queue, asked).status, ended(queue, killed).status} == {JobStatus.CANCELLED}
        assert (tmp_path / "asked.cleaned").exists()
        assert not is_alive(pid)


def test_a_consumer_that_stops_waits_and_then_gives_the_job_back(
    queue: PersistentQSQLAlchemy, tmp_path: Path
) -> None:
    job = queue.enqueue("ignore", {"mark": str(tmp_path / "mark")})
    with consuming(queue, drain=timedelta(seconds=0.2)):
        (pid,) = pids_in(tmp_path / "mark")
    given_back = queue.get_job(job.id)
    assert (given_back.status, given_back.max_attempts) == (JobStatus.PENDING, job.max_attempts + 1)
    assert not is_alive(pid)


def test_effects_commit_with_the_completion_or_not_at_all(queue: PersistentQSQLAlchemy) -> None:
    with queue.engine.begin() as connection:
        connection.execute(text("CREATE TABLE effects (job INTEGER)"))
    good = queue.enqueue("effect", {"fails": False})
    bad = queue.enqueue("effect", {"fails": True}, max_attempts=1)
    with consuming(queue):
        done, failed = ended(queue, good), ended(queue, bad)
    assert (done.status, done.result) == (JobStatus.DONE, {"from": "the session"})
    assert (failed.status, failed.error) == (JobStatus.FAILED, "after the effect")
    with queue.engine.connect() as connection:
        assert [*connection.scalars(text("SELECT job FROM effects"))] == [good.id]


def test_what_a_task_enqueues_goes_where_its_job_came_from(queue: PersistentQSQLAlchemy) -> None:
    job = queue.enqueue("enqueue")
    with consuming(queue):
        assert ended(queue, queue.get_job(ended(queue, job).result)).result == 3


def test_an_app_that_no_child_can_load_costs_no_attempt(
    queue: PersistentQSQLAlchemy, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    job = queue.enqueue("add", {"a": 1, "b": 2}, max_attempts=1)
    with consuming(queue, app="tests.runtime.no_such_app"):
        assert until(lambda: "no child process can load" in caplog.text)
        assert until(lambda: queue.get_job(job.id).max_attempts > 1)
    with consuming(queue):
        assert ended(queue, job).result == 3
