"""Moving a live queue to another database: nothing is lost or doubled, whenever it is cut short."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import text

from persistentq import (
    CopyRefused,
    DatabaseMissing,
    JobStatus,
    LeaseLost,
    NewJob,
    Outcome,
    PersistentQError,
    PersistentQSQLAlchemy,
    QueueIncomplete,
    QueueMoved,
    QueueMoving,
    ReadOnlyMode,
    StorageError,
    open_queue,
)
from persistentq.clock import Deadline
from persistentq.connect import open_copies
from persistentq.copies_interface import JOBS, Stage
from persistentq.operations.moving import Caretaker
from persistentq.sql import copying
from tests.operations.whole_queue import LARGE, NOTE, content, copied, dying_at, fill, working

JOBS_UNDER_LOAD = {"sqlite": 100_000, "postgresql": 20_000}
"""By where they come from."""
BEFORE = [Stage.STOPPED, Stage.DRAINED, Stage.TAKEN, Stage.HELD, Stage.COPYING, Stage.CHECKING, Stage.CHECKED]


class Way(NamedTuple):
    """From where to where a queue moves."""

    source: str
    target: str


@pytest.fixture(params=["to PostgreSQL", "to SQLite"])
def way(request: pytest.FixtureRequest, tmp_path: Path, own_postgres_url: str) -> Way:
    file = f"sqlite:///{tmp_path}/queue.db"
    return Way(file, own_postgres_url) if request.param == "to PostgreSQL" else Way(own_postgres_url, file)


@pytest.fixture
def queue(way: Way) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(way.source, lock_timeout=timedelta(seconds=0.5)) as made:
        yield made


def is_live(url: str) -> bool:
    """Return whether a producer can use the database."""
    try:
        with open_queue(url, create=False) as queue:
            queue.delete_job(queue.enqueue("probe").id)
    except (QueueMoved, QueueIncomplete, DatabaseMissing):
        return False
    return True


def test_everything_arrives_as_it_was(way: Way, queue: PersistentQSQLAlchemy) -> None:
    fill(queue)
    before, last = content(way.source), queue.enqueue("t").id
    queue.delete_job(last)
    stages: list[Stage] = []
    moved = open_copies(way.source).move(
        way.target, NOTE, on_stage=lambda stage, done, total: stages.append(stage)
    )
    assert list(dict.fromkeys(stages)) == [*BEFORE, Stage.MOVED, Stage.PLACED]
    # A server keeps large arguments apart by itself.
    assert {name for name, rows in before.items() if not rows} <= {"persistentq_payloads"}
    assert copied(content(way.target)) == copied(before)
    assert moved.rows[JOBS] == len(before[JOBS])
    with open_queue(way.target, create=False) as there:
        entry = there.list_journal().items[0]
        assert (entry.verb, entry.actor, entry.reason) == ("graduate", "ann@mail-1", "for the test")
        assert entry.details == {"from": queue.location, "to": there.location}
        assert there.enqueue("t").id == last + 1
        assert there.enqueue("t", unique_key="july").duplicate
        there.undo(there.list_journal().items[-1].id, 1, note=NOTE)
        assert not there.dequeue("c_2", ("mail",))
        there.resume_queue("mail")
        assert there.dequeue("c_2", ("mail",))
        assert next(job.args for job in there.dequeue("c_2", limit=10) if job.unique_key) == {"text": LARGE}


def test_whoever_has_the_old_queue_open_is_told(way: Way, queue: PersistentQSQLAlchemy) -> None:
    job_id = queue.enqueue("t").id
    open_copies(way.source).move(way.target, NOTE)
    calls = [
        lambda: queue.enqueue("t"),
        lambda: queue.enqueue_many([NewJob("t", unique_key="k"), NewJob("t")]),
        lambda: queue.dequeue("c_1"),
        lambda: queue.heartbeat("c_1", host="h", pid=1, queues=("default",)),
        lambda: queue.cancel(job_id),
        lambda: queue.delete_job(job_id),
        lambda: queue.pause_queue("default"),
        lambda: queue.write_journal("note", NOTE),
    ]
    for call in calls:
        with pytest.raises(QueueMoved) as caught:
            call()
        assert "start this process again" in caught.value.hint
    with queue.engine.connect() as connection, pytest.raises(QueueMoved):
        queue.enqueue("t", session=connection)
    with pytest.raises(QueueMoved):
        open_queue(way.source)
    assert queue.get_job(job_id).status is JobStatus.PENDING
    with open_queue(way.target, create=False) as there:
        assert queue.list_jobs().items == there.list_jobs().items


def test_no_password_is_shown(tmp_path: Path, own_postgres_url: str) -> None:
    source = f"sqlite:///{tmp_path}/queue.db"
    with PersistentQSQLAlchemy(source) as queue:
        secret = (
            own_postgres_url.replace("://", "://ann:hunter2%25@", 1)
            if "@" not in own_postgres_url
            else (own_postgres_url.replace("@", ":hunter2%25@", 1))
        )
        moved = open_copies(source).move(secret, NOTE)
        with pytest.raises(QueueMoved) as caught:
            queue.enqueue("t")
        assert "hunter2" not in f"{moved}{caught.value}"
        assert caught.value.target == moved.target


@pytest.mark.parametrize("stage", BEFORE)
def test_killed_before_the_source_is_closed_it_is_as_it_was(
    way: Way, queue: PersistentQSQLAlchemy, stage: Stage
) -> None:
    fill(queue)
    before = content(way.source)
    assert dying_at(stage, "move", way.source, way.target) == -9
    assert content(way.source) == before
    assert is_live(way.source)
    job = queue.enqueue("after")
    with queue.engine.begin() as connection:
        connection.execute(text("UPDATE persistentq_schema SET seen_at = seen_at - 60000000"))
    assert [one.id for one in queue.dequeue("c_2", limit=10)][-1] == job.id
    queue.release(queue.list_jobs(status="processing").items)
    if stage in BEFORE[BEFORE.index(Stage.TAKEN) :]:
        assert not is_live(way.target)
    moved = open_copies(way.source).move(way.target, NOTE)
    assert moved.rows[JOBS] == len(before[JOBS]) + 1
    assert (is_live(way.source), is_live(way.target)) == (False, True)
    assert copied(content(way.target)) == copied(content(way.source))


def test_killed_after_the_source_is_closed_the_next_call_ends_it(
    way: Way, queue: PersistentQSQLAlchemy
) -> None:
    fill(queue)
    before = content(way.source)
    assert dying_at(Stage.MOVED, "move", way.source, way.target) == -9
    assert (is_live(way.source), is_live(way.target)) == (False, False)
    with pytest.raises(QueueIncomplete, match="run it again, which finishes the move"):
        open_queue(way.target)
    for _ in range(2):
        assert open_copies(way.source).move(way.target, NOTE).rows == {}
        assert (is_live(way.source), is_live(way.target)) == (False, True)
    assert copied(content(way.source)) == copied(before)


def test_killed_at_the_end_nothing_is_left_to_do(way: Way, queue: PersistentQSQLAlchemy) -> None:
    fill(queue)
    assert dying_at(Stage.PLACED, "move", way.source, way.target) == -9
    assert (is_live(way.source), is_live(way.target)) == (False, True)


def test_it_goes_there_and_back(tmp_path: Path, own_postgres_url: str) -> None:
    first, last = f"sqlite:///{tmp_path}/queue.db", f"sqlite:///{tmp_path}/again.db"
    with PersistentQSQLAlchemy(first) as queue:
        fill(queue)
    before = content(first)
    open_copies(first).move(own_postgres_url, NOTE)
    with pytest.raises(CopyRefused, match="has held a queue that has moved on"):
        open_copies(own_postgres_url).move(first, NOTE)
    assert is_live(own_postgres_url)
    open_copies(own_postgres_url).move(last, NOTE)
    assert copied(content(last)) == copied(before)
    with pytest.raises(QueueMoved):
        open_copies(first).move(own_postgres_url, NOTE)


# --- what is in the way


def test_running_jobs_are_waited_for_and_nobody_claims_meanwhile(
    way: Way, queue: PersistentQSQLAlchemy
) -> None:
    queue.enqueue_many([NewJob("t")] * 3)
    (job,) = queue.dequeue("c_1")
    claimed: list[int] = []

    def see(stage: Stage, _done: int, _total: int) -> None:
        if stage is Stage.STOPPED and not claimed:
            claimed.append(len(queue.dequeue("c_2")))
            queue.enqueue("meanwhile")
            queue.complete(job)

    moved = open_copies(way.source).move(way.target, NOTE, on_stage=see)
    assert (claimed, moved.rows[JOBS], moved.released) == ([0], 4, 0)
    with open_queue(way.target) as there:
        assert there.get_job(job.id).status is JobStatus.DONE


def test_jobs_that_run_on_are_refused_or_given_back(way: Way, queue: PersistentQSQLAlchemy) -> None:
    job_id = queue.enqueue("t").id
    (job,) = queue.dequeue("c_1")
    copies = open_copies(way.source)
    with pytest.raises(CopyRefused, match="1 job is still running") as caught:
        copies.move(way.target, NOTE, drain=timedelta(0))
    assert "--release" in caught.value.hint
    assert queue.extend([job])
    assert queue.enqueue("t").id
    assert queue.dequeue("c_2")
    moved = copies.move(way.target, NOTE, drain=timedelta(0), release=True)
    assert moved.released == 2
    with pytest.raises((LeaseLost, QueueMoved)):
        queue.complete(job)
    with open_queue(way.target) as there:
        (again,) = there.dequeue("c_3")
        assert (again.id, again.attempt, again.max_attempts) == (job_id, 2, 4)
        assert there.get_attempts(job_id)[0].outcome is Outcome.RELEASED


def test_a_producer_waits_and_is_told_that_the_queue_is_moving(
    way: Way, queue: PersistentQSQLAlchemy
) -> None:
    said: list[PersistentQError] = []

    def see(stage: Stage, _done: int, _total: int) -> None:
        if stage is Stage.HELD:
            with pytest.raises(QueueMoving) as caught:
                queue.enqueue("t")
            said.append(caught.value)

    moved = open_copies(way.source).move(way.target, NOTE, on_stage=see)
    assert moved.rows[JOBS] == 0
    assert "is being moved to" in said[0].summary
    assert isinstance(said[0], StorageError)


def test_a_failure_leaves_the_queue_as_it_was(
    way: Way, queue: PersistentQSQLAlchemy, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(queue)
    before = content(way.source)
    with monkeypatch.context() as patch:
        numbers = iter(range(10**6))
        patch.setattr(copying, "_digest", lambda row: next(numbers))
        with pytest.raises(
            StorageError, match="has other rows in persistentq_consumers, so the copy is not taken"
        ):
            open_copies(way.source).move(way.target, NOTE)
    assert content(way.source) == before
    assert is_live(way.source)
    assert queue.dequeue("c_1")
    assert not any(content(way.target).values())


def test_targets_that_cannot_be_used(way: Way, queue: PersistentQSQLAlchemy) -> None:
    copies = open_copies(way.source)
    with pytest.raises(CopyRefused, match="is where the queue is"):
        copies.move(way.source, NOTE)
    with open_queue(way.target) as other:
        other.delete_job(other.enqueue("t").id)
        other.pause_queue("mail")
        with pytest.raises(CopyRefused, match="is not empty: persistentq_pauses has rows"):
            copies.move(way.target, NOTE)
        other.resume_queue("mail")
        assert queue.enqueue("t")
    assert dying_at(Stage.TAKEN, "move", way.source, way.target) == -9
    with pytest.raises(QueueIncomplete):
        open_copies(way.target).move(way.source, NOTE)


def test_a_second_move_waits_for_the_end_of_the_first(
    way: Way, queue: PersistentQSQLAlchemy, tmp_path: Path
) -> None:
    queue.enqueue("t")
    refused: list[str] = []

    def see(stage: Stage, _done: int, _total: int) -> None:
        if stage is Stage.TAKEN:
            for target in (way.target, f"sqlite:///{tmp_path}/other.db"):
                with pytest.raises(CopyRefused) as caught:
                    open_copies(way.source).move(target, NOTE)
                refused.append(caught.value.problem)

    open_copies(way.source).move(way.target, NOTE, on_stage=see)
    assert len(refused) == 2
    assert all("is being moved to" in problem for problem in refused)
    assert is_live(way.target)


def test_one_that_was_killed_stops_claims_for_seconds_only(way: Way, queue: PersistentQSQLAlchemy) -> None:
    queue.enqueue("t")
    assert dying_at(Stage.STOPPED, "move", way.source, way.target) == -9
    assert queue.dequeue("c_1") == []
    assert Deadline(20).wait_for(lambda: bool(queue.dequeue("c_1")), every=0.5)


def test_a_plan_changes_nothing(way: Way, queue: PersistentQSQLAlchemy, tmp_path: Path) -> None:
    fill(queue)
    before = content(way.source)
    plan = open_copies(way.source).plan_move(f"sqlite:///{tmp_path}/new.db")
    assert (plan.rows[JOBS], plan.held) == (len(before[JOBS]), 0)
    assert not (tmp_path / "new.db").exists()
    assert content(way.source) == before


def test_read_only_mode_refuses_it(way: Way, queue: PersistentQSQLAlchemy) -> None:
    caretaker = Caretaker(open_copies(way.source), readonly=True)
    with pytest.raises(ReadOnlyMode):
        caretaker.graduate(way.target)
    assert caretaker.plan_move(way.target).rows[JOBS] == 0
    assert queue.enqueue("t")


# --- under load


def test_no_job_is_lost_or_doubled_under_load(way: Way, queue: PersistentQSQLAlchemy) -> None:
    filled = JOBS_UNDER_LOAD[queue.engine.dialect.name]
    for _ in range(filled // 1000):
        queue.enqueue_many([NewJob("t", {"pad": "x" * 50})] * 1000)
    told: dict[str, list[int]] = {}
    with ExitStack() as stack:
        crew = {
            name: stack.enter_context(working(what, way.source, name))
            for what, name in (("produce", "p_1"), ("produce", "p_2"), ("consume", "c_1"), ("consume", "c_2"))
        }

        def listen(name: str) -> None:
            out = crew[name].stdout
            assert out is not None
            told[name] = []
            for line in out:
                told[name] += map(int, line.split())

        threads = [threading.Thread(target=listen, args=(name,)) for name in crew]
        for thread in threads:
            thread.start()
        assert Deadline(30).wait_for(lambda: len(told) == 4 and all(told.values()))
        moved = open_copies(way.source).move(way.target, NOTE)
        for thread in threads:
            thread.join(30)
        assert [process.wait(10) for process in crew.values()] == [0] * 4
    made, done = {*told["p_1"], *told["p_2"]}, told["c_1"] + told["c_2"]
    assert len(done) == len(set(done))
    assert moved.rows[JOBS] == filled + len(made)
    with open_queue(way.target) as there:
        assert there.count_jobs() == {
            "default": {
                JobStatus.PENDING: filled + len(made) - len(done),
                JobStatus.DONE: len(done),
            }
        }
        assert all(there.get_job(job_id).status is JobStatus.DONE for job_id in done[-50:])
        assert all(there.get_job(job_id) for job_id in sorted(made)[-50:])
