"""What a queue tells to whoever has to find out what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from persistentq import InvalidArgument, JobNotFound, NewJob, Outcome, PersistentQInterface
from persistentq.insight import Grade

LetPass = Callable[[float], None]
HOUR = timedelta(hours=1)


def test_a_job_with_all_that_decides_when_it_runs(queue: PersistentQInterface, let_pass: LetPass) -> None:
    queue.heartbeat("c_1", host="h", pid=1, queues=["mail"])
    job = queue.enqueue("t", {"n": 1}, queue="mail", delay=HOUR)
    let_pass(10)
    known = queue.explain_job(job.id)
    assert known.job == queue.get_job(job.id)
    assert (known.last, known.is_paused, known.paused_until, known.ahead) == (None, False, None, 0)
    assert (known.is_capped, known.pace, known.rival) == (False, 0.0, None)
    (consumer,) = known.consumers
    assert (consumer.id, consumer.queues) == ("c_1", ("mail",))
    assert timedelta(seconds=9) < consumer.silent_for < timedelta(seconds=60)
    assert timedelta(minutes=59) < known.job.run_at - known.now < HOUR
    with pytest.raises(JobNotFound):
        queue.explain_job(job.id + 1)


def test_its_queue_may_be_paused_for_a_while_or_for_ever(
    queue: PersistentQInterface, let_pass: LetPass
) -> None:
    job = queue.enqueue("t")
    queue.pause_queue("default", lasting=timedelta(minutes=5))
    known = queue.explain_job(job.id)
    assert known.paused_until is not None
    assert known.is_paused
    assert timedelta(minutes=4) < known.paused_until - known.now <= timedelta(minutes=5)
    let_pass(301)
    assert not queue.explain_job(job.id).is_paused
    queue.pause_queue("default")
    known = queue.explain_job(job.id)
    assert (known.is_paused, known.paused_until) == (True, None)


def test_how_many_leave_before_it(queue: PersistentQInterface, let_pass: LetPass) -> None:
    order = [
        NewJob("low", priority=-1),
        NewJob("high", priority=5),
        NewJob("first"),
        NewJob("second"),
        NewJob("elsewhere", queue="other", priority=9),
        NewJob("later", delay=HOUR, priority=9),
        NewJob("reserved", priority=7),
    ]
    jobs = {job.task: job for job in queue.enqueue_many(order)}
    queue.assign_job(jobs["reserved"].id, "c_1")
    ahead = {task: queue.explain_job(job.id).ahead for task, job in jobs.items()}
    assert ahead == {
        "low": 3,
        "high": 0,
        "first": 1,
        "second": 2,
        "elsewhere": 0,
        "later": 0,
        "reserved": 0,
    }
    queue.assign_job(jobs["second"].id, "c_1")
    # What others may not take does not stand before them, and what is for all stands before what is kept for one.
    assert queue.explain_job(jobs["low"].id).ahead == 2
    assert queue.explain_job(jobs["second"].id).ahead == 3


def test_how_fast_its_queue_moves(queue: PersistentQInterface, let_pass: LetPass) -> None:
    queue.enqueue_many([NewJob("t")] * 20)
    queue.enqueue_many([NewJob("t", queue="other")] * 10)
    queue.complete_many(queue.dequeue("c_1", ["default", "other"], limit=30))
    let_pass(20)
    job = queue.enqueue("t")
    assert queue.explain_job(job.id).pace == pytest.approx(1.0, rel=0.3)
    let_pass(601)
    assert queue.explain_job(job.id).pace == 0.0


def test_its_latest_attempt_and_who_has_its_key(queue: PersistentQInterface, let_pass: LetPass) -> None:
    job = queue.enqueue("t", unique_key="k", max_attempts=2)
    for running in (1, 2):
        (held,) = queue.dequeue("c_1")
        last = queue.explain_job(job.id).last
        assert last is not None
        assert (last.attempt, last.ended_at) == (running, None)
        queue.fail(held, ValueError("no"), delay=timedelta(0))
        last = queue.explain_job(job.id).last
        assert last is not None
        assert (last.attempt, last.outcome, last.error) == (running, Outcome.FAILED, "no")
    assert queue.explain_job(job.id).rival is None
    other = queue.enqueue("t", unique_key="k")
    assert queue.explain_job(job.id).rival == other.id
    assert queue.explain_job(other.id).rival is None


def test_what_may_need_a_person(queue: PersistentQInterface, let_pass: LetPass) -> None:
    assert queue.overview().expired == queue.overview().waiting == queue.overview().consumers == ()
    queue.heartbeat("c_1", host="h", pid=1, queues=["default"])
    lost = queue.enqueue("t")
    queue.dequeue("c_1", lease=timedelta(seconds=30))
    assert queue.overview().expired == ()
    queue.enqueue("t", queue="due", delay=timedelta(seconds=50))
    queue.enqueue("t", queue="far", delay=HOUR)
    queue.enqueue("t", queue="paused")
    queue.pause_queue("paused")
    let_pass(60)
    queue.enqueue("t")
    queue.assign_job(queue.enqueue("t", queue="kept").id, "c_2")
    found = queue.overview()
    assert [(one.job_id, one.consumer) for one in found.expired] == [(lost.id, "c_1")]
    assert timedelta(seconds=25) < found.now - found.expired[0].lease_until < timedelta(seconds=45)
    assert [(one.queue, one.is_paused) for one in found.waiting] == [
        ("default", False),
        ("due", False),
        ("kept", False),
        ("paused", True),
    ]
    ages = {one.queue: (found.now - one.since).total_seconds() for one in found.waiting}
    assert ages["default"] < 15
    assert 5 < ages["due"] < 25
    assert 55 < ages["paused"] < 80
    assert [one.id for one in found.consumers] == ["c_1"]


def test_the_attempts_that_went_wrong(queue: PersistentQInterface, let_pass: LetPass) -> None:
    first, second, third = queue.enqueue_many([NewJob("a", queue="q1"), NewJob("b"), NewJob("c")])
    (held,) = queue.dequeue("c_1", ["q1"])
    try:
        raise ValueError("x" * 3000)
    except ValueError as error:
        queue.fail(held, error)
    let_pass(10)
    held, released = queue.dequeue("c_1", ["default"], limit=2, lease=timedelta(seconds=5))
    queue.release([released])
    let_pass(10)
    queue.cleanup()
    found = queue.list_mishaps(HOUR)
    assert [(one.job_id, one.task, one.queue, one.outcome) for one in found.items] == [
        (second.id, "b", "default", Outcome.LOST),
        (first.id, "a", "q1", Outcome.FAILED),
    ]
    lost, failed = found.items
    assert (lost.error_type, lost.traceback, found.is_capped) == ("WorkerDied", None, False)
    assert (failed.error_type, failed.at < lost.at) == ("ValueError", True)
    assert failed.traceback is not None
    assert len(failed.traceback) <= 2000
    assert failed.traceback.endswith("x" * 100 + "\n")
    capped = queue.list_mishaps(HOUR, limit=1)
    assert (len(capped.items), capped.is_capped) == (1, True)
    assert [one.task for one in queue.list_mishaps(timedelta(seconds=5)).items] == ["b"]
    assert third.id == released.id


def test_what_came_ended_and_runs(queue: PersistentQInterface, let_pass: LetPass) -> None:
    queue.enqueue("too-old")
    queue.complete(queue.dequeue("c_1")[0])
    let_pass(3700)
    queue.enqueue("done", queue="mail")
    let_pass(30)
    (held,) = queue.dequeue("c_1", ["mail"])
    let_pass(5)
    queue.complete(held)
    queue.enqueue("fails")
    queue.fail(queue.dequeue("c_1")[0], "no")
    queue.enqueue("runs")
    queue.dequeue("c_1")
    queue.mark_failed(queue.enqueue("never-ran").id, "no")
    found = queue.look_back(HOUR, 60)
    assert (found.now - found.start, found.is_sample) == (HOUR, False)
    assert sorted(one.task for one in found.arrivals) == ["done", "fails", "never-ran", "runs"]
    done, failed = sorted(found.endings, key=lambda one: one.task)
    assert (done.queue, done.task, done.outcome, done.weight) == ("mail", "done", Outcome.DONE, 1.0)
    assert done.ready_at is not None
    assert done.started_at is not None
    assert done.ended_at is not None
    assert 29 < (done.started_at - done.ready_at).total_seconds() < 40
    assert 4 < (done.ended_at - done.started_at).total_seconds() < 15
    assert (failed.task, failed.outcome, failed.ready_at) == ("fails", Outcome.FAILED, None)
    assert [(one.task, one.ended_at) for one in found.running] == [("runs", None)]
    # A job that became failed without an attempt was read as well, where it takes reading to know that.
    assert 7 <= found.scanned <= 8


def test_an_empty_queue_has_no_history(queue: PersistentQInterface) -> None:
    found = queue.look_back(HOUR, 10)
    assert (found.arrivals, found.endings, found.running, found.is_sample) == ((), (), (), False)


@pytest.mark.parametrize("window", [timedelta(0), timedelta(days=367), timedelta(seconds=-1), 5])
def test_a_window_that_is_none(queue: PersistentQInterface, window: timedelta) -> None:
    for call in (lambda: queue.list_mishaps(window), lambda: queue.look_back(window, 10)):
        with pytest.raises(InvalidArgument, match="window"):
            call()
    for buckets in (0, 501):
        with pytest.raises(InvalidArgument, match="buckets"):
            queue.look_back(HOUR, buckets)


def test_a_new_database_is_well(queue: PersistentQInterface) -> None:
    for thorough in (False, True):
        checks = queue.examine(thorough=thorough).checks
        # A SQLite with the WAL-reset bug is worth a warning, and so may be this machine's disk.
        bad = [one for one in checks if one.grade is not Grade.OK and one.name not in {"library", "disk"}]
        assert bad == []
        assert len({one.name for one in checks}) == len(checks)
        assert all(one.remedy for one in checks if one.grade is not Grade.OK)
