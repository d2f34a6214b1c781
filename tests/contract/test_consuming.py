"""What consumers may rely on: claims, fences, leases, attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from persistentq import (
    Backoff,
    InvalidArgument,
    Job,
    JobStatus,
    LeaseLost,
    NewJob,
    Outcome,
    PayloadError,
    PersistentQInterface,
)

LetPass = Callable[[float], None]
LEASE = timedelta(seconds=60)


def take(queue: PersistentQInterface, consumer: str = "c", **more: Any) -> Job:
    (job,) = queue.dequeue(consumer, lease=LEASE, **more)
    return job


def outcomes(queue: PersistentQInterface, job: Job) -> list[Outcome | None]:
    return [attempt.outcome for attempt in queue.get_attempts(job.id)]


def test_a_dequeued_job_is_leased_and_counted(queue: PersistentQInterface) -> None:
    """G3: the attempt is counted by the claim."""
    queued = queue.enqueue("t", {"n": 1})
    job = take(queue)
    assert (job.id, job.status, job.consumer, job.attempt) == (queued.id, JobStatus.PROCESSING, "c", 1)
    assert job.started_at is not None
    assert job.lease_until == job.started_at + LEASE
    assert queue.get_job(job.id) == job
    assert queue.dequeue("c") == []


def test_jobs_leave_by_priority_then_time_then_id(queue: PersistentQInterface, let_pass: LetPass) -> None:
    """G5."""
    late = queue.enqueue("late", delay=timedelta(seconds=5))
    first, second = queue.enqueue_many([NewJob("first"), NewJob("second")])
    urgent = queue.enqueue("urgent", priority=1)
    idle = queue.enqueue("idle", priority=-1)
    let_pass(10)
    order = [first.id, second.id, late.id]
    queue.cleanup()
    assert [job.id for job in queue.get_pending_jobs()] == [urgent.id, *order, idle.id]
    assert [job.id for job in queue.dequeue("c", limit=2)] == [urgent.id, first.id]
    assert [job.id for job in queue.dequeue("c", limit=9)] == [second.id, late.id, idle.id]


def test_queues_are_served_in_the_order_given(queue: PersistentQInterface) -> None:
    a, b = queue.enqueue("t", queue="a"), queue.enqueue("t", queue="b", priority=9)
    queue.enqueue("t", queue="other")
    assert [job.id for job in queue.dequeue("c", ["a", "b", "a"], limit=5)] == [a.id, b.id]
    assert queue.dequeue("c", ["a", "b"]) == []
    assert queue.dequeue("c", []) == []


def test_the_limit_is_kept(queue: PersistentQInterface) -> None:
    queue.enqueue_many([NewJob("t")] * 30)
    assert len(queue.dequeue("c", limit=7)) == 7
    assert len(queue.dequeue("c", limit=1000)) == 23


@pytest.mark.parametrize(
    "bad",
    [
        {"limit": 0},
        {"limit": 1001},
        {"limit": "1"},
        {"lease": timedelta(0) - LEASE},
        {"lease": timedelta(days=8)},
    ],
)
def test_bad_claims_are_refused(queue: PersistentQInterface, bad: dict[str, Any]) -> None:
    queue.enqueue("t")
    with pytest.raises(InvalidArgument):
        queue.dequeue("c", **bad)
    with pytest.raises(InvalidArgument):
        queue.dequeue("no spaces")
    assert queue.get_pending_jobs()[0].attempt == 0


def test_complete_keeps_the_result(queue: PersistentQInterface) -> None:
    queue.enqueue("t")
    job = take(queue)
    queue.complete(job, {"sum": [1, 2.5, None, "ü"]})
    done = queue.get_job(job.id)
    assert (done.status, done.result) == (JobStatus.DONE, {"sum": [1, 2.5, None, "ü"]})
    assert done.finished_at is not None
    assert done.lease_until is None
    (attempt,) = queue.get_attempts(job.id)
    assert (attempt.consumer, attempt.outcome, attempt.ended_at) == ("c", Outcome.DONE, done.finished_at)


def test_complete_may_be_repeated(queue: PersistentQInterface) -> None:
    queue.enqueue("t")
    job = take(queue)
    queue.complete(job, 1)
    queue.complete(job, 2)
    assert queue.complete_many([job]) == []
    assert queue.get_job(job.id).result == 1


def test_a_bad_result_is_refused_and_the_job_stays_held(queue: PersistentQInterface) -> None:
    queue.enqueue("t")
    job = take(queue)
    with pytest.raises(PayloadError):
        queue.complete(job, {1, 2})
    assert queue.get_job(job.id) == job


def stale_words(queue: PersistentQInterface) -> list[Callable[[Job], object]]:
    return [
        queue.complete,
        lambda job: queue.fail(job, "late"),
        lambda job: queue.snooze(job, LEASE),
    ]


def forged(job: Job) -> list[Job]:
    return [
        replace(job, consumer="other"),
        replace(job, attempt=job.attempt + 1),
        replace(job, attempt=job.attempt - 1),
        replace(job, id=job.id + 1000),
    ]


def test_only_the_holder_at_its_attempt_is_heard(queue: PersistentQInterface) -> None:
    """G2: the fence is id, status, owner and attempt; a refused word changes nothing."""
    queue.enqueue("t")
    job = take(queue)
    for stranger in forged(job):
        for word in stale_words(queue):
            with pytest.raises(LeaseLost):
                word(stranger)
        assert queue.complete_many([stranger]) == [stranger]
        assert queue.release([stranger]) == [stranger]
        assert queue.extend([stranger]) == []
    assert queue.get_job(job.id) == job
    assert outcomes(queue, job) == [None]


def test_a_stale_consumer_with_a_reused_id_is_refused(queue: PersistentQInterface, let_pass: LetPass) -> None:
    """G2: without the attempt in the fence the old process's word would end the new process's attempt."""
    queue.enqueue("t")
    old = take(queue)
    let_pass(61)
    new = take(queue)
    assert (new.id, new.consumer, new.attempt) == (old.id, old.consumer, 2)
    for word in stale_words(queue):
        with pytest.raises(LeaseLost) as caught:
            word(old)
        assert (caught.value.job_id, caught.value.attempt) == (old.id, 1)
    assert queue.get_job(new.id) == new
    queue.complete(new)


def test_a_settled_job_cannot_be_settled_otherwise(queue: PersistentQInterface) -> None:
    queue.enqueue("t")
    job = take(queue)
    queue.complete(job)
    for word in stale_words(queue)[1:]:
        with pytest.raises(LeaseLost):
            word(job)
    assert queue.get_job(job.id).status == JobStatus.DONE


def test_complete_many_settles_what_is_held(queue: PersistentQInterface) -> None:
    queue.enqueue_many([NewJob("t")] * 1200)
    jobs = queue.dequeue("c", limit=1000)
    stranger = replace(jobs[3], attempt=9)
    assert queue.complete_many([*jobs[:3], stranger, *jobs[4:]]) == [stranger]
    assert queue.count_jobs() == {
        "default": {JobStatus.PENDING: 200, JobStatus.PROCESSING: 1, JobStatus.DONE: 999}
    }
    assert queue.complete_many([]) == []


def test_a_failed_attempt_is_retried_after_a_pause(queue: PersistentQInterface, let_pass: LetPass) -> None:
    queue.enqueue("t")
    job = take(queue)
    waiting = queue.fail(job, ValueError("no luck"))
    assert (waiting.status, waiting.error, waiting.attempt) == (JobStatus.SCHEDULED, "no luck", 1)
    assert timedelta(0) < waiting.run_at - job.created_at < timedelta(seconds=5)
    assert queue.get_job(job.id) == waiting
    assert queue.dequeue("c") == []
    let_pass(5)
    assert take(queue).attempt == 2


def test_a_job_may_have_a_backoff_of_its_own(queue: PersistentQInterface, let_pass: LetPass) -> None:
    queue.enqueue("t", max_attempts=9, backoff=Backoff(timedelta(hours=1), timedelta(hours=3)))
    for longest in (1, 2, 3, 3):
        job = take(queue)
        waiting = queue.fail(job, "no")
        wait = waiting.run_at - (job.started_at or job.created_at)
        assert timedelta(hours=longest) / 2 <= wait <= timedelta(hours=longest, seconds=5)
        let_pass(3 * 3600 + 5)


def test_after_the_last_attempt_a_job_is_failed_with_every_error_kept(queue: PersistentQInterface) -> None:
    """G3."""
    queue.enqueue("t", max_attempts=3)
    for number in (1, 2, 3):
        job = take(queue)
        try:
            raise ValueError(f"reason {number}")
        except ValueError as error:
            ended = queue.fail(job, error, delay=timedelta(0))
    assert (ended.status, ended.error, ended.attempt) == (JobStatus.FAILED, "reason 3", 3)
    assert ended.finished_at is not None
    attempts = queue.get_attempts(ended.id)
    assert [attempt.error for attempt in attempts] == ["reason 1", "reason 2", "reason 3"]
    assert {attempt.error_type for attempt in attempts} == {"ValueError"}
    assert {attempt.outcome for attempt in attempts} == {Outcome.FAILED}
    assert all("raise ValueError" in (attempt.traceback or "") for attempt in attempts)
    assert queue.dequeue("c") == []


def test_a_failure_without_retry_is_final(queue: PersistentQInterface) -> None:
    queue.enqueue("t")
    assert queue.fail(take(queue), "hopeless", retry=False).status == JobStatus.FAILED


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("broken")


@pytest.mark.parametrize("error", ["x" * 10_000, "nul\0", "\ud800", "", Unprintable(), KeyError()])
def test_any_error_can_be_kept(queue: PersistentQInterface, error: BaseException | str) -> None:
    queue.enqueue("t", max_attempts=1)
    kept = queue.get_job(queue.fail(take(queue), error).id).error
    assert kept is not None
    assert len(kept) <= 2_000


def test_a_long_traceback_keeps_its_end(queue: PersistentQInterface) -> None:
    def recurse(depth: int) -> None:
        if depth:
            recurse(depth - 1)
        else:
            raise ValueError("x" * 30_000)

    queue.enqueue("t", max_attempts=1)
    job = take(queue)
    try:
        recurse(200)
    except ValueError as error:
        queue.fail(job, error)
    (attempt,) = queue.get_attempts(job.id)
    assert attempt.traceback is not None
    assert len(attempt.traceback) <= 20_000
    assert attempt.traceback.rstrip().endswith("xxx")


def test_an_expired_lease_returns_the_job(queue: PersistentQInterface, let_pass: LetPass) -> None:
    """G4: at the next dequeue, with nobody else's help."""
    queue.enqueue("t")
    first = take(queue, "dead")
    let_pass(59)
    assert queue.dequeue("c") == []
    let_pass(2)
    second = take(queue, "c")
    assert (second.id, second.attempt) == (first.id, 2)
    assert outcomes(queue, first) == [Outcome.LOST, None]
    lost = queue.get_attempts(first.id)[0]
    assert lost.error_type == "WorkerDied"
    assert "dead" in (lost.error or "")


def test_a_job_that_kills_its_worker_each_time_ends_failed(
    queue: PersistentQInterface, let_pass: LetPass
) -> None:
    """G3."""
    queue.enqueue("t", max_attempts=3)
    for _ in range(3):
        job = take(queue)
        let_pass(61)
    assert queue.dequeue("c") == []
    ended = queue.get_job(job.id)
    assert (ended.status, ended.attempt) == (JobStatus.FAILED, 3)
    assert "the worker died" in (ended.error or "")
    assert outcomes(queue, job) == [Outcome.LOST] * 3


def test_a_renewed_lease_is_kept_however_long(queue: PersistentQInterface, let_pass: LetPass) -> None:
    """G4: a slow but living job is never given away."""
    queue.enqueue("t")
    job = take(queue)
    for _ in range(5):
        let_pass(50)
        (renewed,) = queue.extend([job], LEASE)
        assert renewed.lease_until is not None
        assert job.lease_until is not None
        assert queue.dequeue("other") == []
    queue.complete(job)
    assert queue.get_job(job.id).attempt == 1


def test_extend_tells_what_was_lost(queue: PersistentQInterface, let_pass: LetPass) -> None:
    queue.enqueue_many([NewJob("t")] * 3)
    a, b, c = queue.dequeue("c", limit=3, lease=LEASE)
    queue.complete(b)
    assert [job.id for job in queue.extend([c, b, a])] == [c.id, a.id]
    let_pass(61)
    queue.cleanup()
    assert queue.extend([a, c]) == []
    assert queue.extend([]) == []


def test_released_jobs_return_at_once_uncounted(queue: PersistentQInterface) -> None:
    queue.enqueue("t", max_attempts=1)
    for number in range(1, 5):
        job = take(queue)
        assert job.attempt == number
        assert queue.release([job]) == []
        assert queue.release([job]) == [job]
    job = take(queue)
    assert queue.fail(job, "now it counts").status == JobStatus.FAILED
    assert outcomes(queue, job) == [Outcome.RELEASED] * 4 + [Outcome.FAILED]


def test_snoozed_jobs_return_later_uncounted(queue: PersistentQInterface, let_pass: LetPass) -> None:
    queue.enqueue("t", max_attempts=1)
    waiting = queue.snooze(take(queue), timedelta(seconds=30))
    assert waiting.status == JobStatus.SCHEDULED
    assert queue.dequeue("c") == []
    let_pass(31)
    job = take(queue)
    assert (job.attempt, job.max_attempts) == (2, 2)
    assert outcomes(queue, job) == [Outcome.SNOOZED, None]


def test_consumers_report_and_say_goodbye(queue: PersistentQInterface, let_pass: LetPass) -> None:
    queue.heartbeat("c1", host="h", pid=7, queues=["a", "b"])
    queue.heartbeat("c0", host="h", pid=8, queues=["a"])
    queue.enqueue("t")
    take(queue, "c1")
    c0, c1 = queue.list_consumers()
    assert (c0.id, c0.held, c1.id, c1.held) == ("c0", 0, "c1", 1)
    assert (c1.host, c1.pid, c1.queues) == ("h", 7, ("a", "b"))
    assert c1.is_alive
    let_pass(31)
    assert not queue.list_consumers()[1].is_alive
    queue.heartbeat("c1", host="h", pid=7, queues=["a"])
    again = queue.list_consumers()[1]
    assert again.is_alive
    assert again.heartbeat_at - again.started_at >= timedelta(seconds=30)
    queue.retire("c1")
    queue.retire("nobody")
    gone = queue.list_consumers()[1]
    assert gone.stopped_at is not None
    assert not gone.is_alive
    queue.heartbeat("c1", host="h", pid=9, queues=["a"])
    anew = queue.list_consumers()[1]
    assert anew.is_alive
    assert anew.started_at == anew.heartbeat_at


def test_long_gone_consumers_are_forgotten(queue: PersistentQInterface, let_pass: LetPass) -> None:
    for name in ("idle", "busy"):
        queue.heartbeat(name, host="h", pid=1, queues=["default"])
    queue.enqueue("t")
    queue.dequeue("busy", lease=timedelta(days=3))
    let_pass(90_000)
    queue.cleanup()
    assert [one.id for one in queue.list_consumers()] == ["busy"]
