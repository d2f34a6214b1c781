"""What operators may rely on: every arrow of the state machine, every refusal, stable pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from persistentq import (
    InvalidArgument,
    InvalidTransition,
    Job,
    JobNotFound,
    JobStatus,
    LeaseLost,
    NewJob,
    Outcome,
    PersistentQInterface,
    UniqueKeyTaken,
)
from persistentq.job import statuses_before

LetPass = Callable[[float], None]
HOUR = timedelta(hours=1)


def put(store: PersistentQInterface, status: JobStatus, **more: Any) -> Job:
    """Bring a new job into a status by the ordinary ways."""
    job = store.enqueue("t", delay=HOUR if status == JobStatus.SCHEDULED else None, **more)
    if status == JobStatus.CANCELLED:
        return store.cancel(job.id)
    if status in (JobStatus.SCHEDULED, JobStatus.PENDING):
        return job
    (taken,) = store.dequeue("c", [job.queue], lease=HOUR)
    assert taken.id == job.id
    if status == JobStatus.DONE:
        store.complete(taken)
    elif status == JobStatus.FAILED:
        store.fail(taken, "broken", retry=False)
    return store.get_job(job.id)


VERBS: dict[str, Callable[[PersistentQInterface, int], object]] = {
    "resubmit": lambda queue, job_id: queue.resubmit(job_id),
    "cancel": lambda queue, job_id: queue.cancel(job_id),
    "mark-failed": lambda queue, job_id: queue.mark_failed(job_id, "by hand"),
    "assign": lambda queue, job_id: queue.assign_job(job_id, "other"),
    "delete": lambda queue, job_id: queue.delete_job(job_id),
}


@pytest.mark.parametrize("status", JobStatus)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_works_where_the_state_machine_has_an_arrow(
    queue: PersistentQInterface, verb: str, status: JobStatus
) -> None:
    """G7: from every status, each verb either works or is refused and changes nothing."""
    job = put(queue, status)
    if status in statuses_before(verb):
        VERBS[verb](queue, job.id)
        return
    with pytest.raises(InvalidTransition) as caught:
        VERBS[verb](queue, job.id)
    assert (caught.value.job_id, caught.value.status, caught.value.verb) == (job.id, status, verb)
    assert queue.get_job(job.id) == job


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_job_is_named(queue: PersistentQInterface, verb: str) -> None:
    with pytest.raises(JobNotFound) as caught:
        VERBS[verb](queue, 99)
    assert caught.value.job_id == 99
    for read in (queue.get_job, queue.get_attempts):
        with pytest.raises(JobNotFound):
            read(99)


@pytest.mark.parametrize("bad", [0, -1, 2**63, "1", 1.0, True, None])
def test_bad_ids_are_refused(queue: PersistentQInterface, bad: Any) -> None:
    for verb in VERBS.values():
        with pytest.raises(InvalidArgument):
            verb(queue, bad)


def test_resubmit_grants_the_attempts_anew(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.FAILED, max_attempts=2)
    again = queue.resubmit(job.id)
    assert (again.status, again.attempt, again.max_attempts) == (JobStatus.PENDING, 1, 3)
    assert again.finished_at is None
    assert again.error == "broken"
    for expected in (JobStatus.SCHEDULED, JobStatus.FAILED):
        (taken,) = queue.dequeue("c")
        assert queue.fail(taken, "again", delay=timedelta(0)).status == expected
    assert len(queue.get_attempts(job.id)) == 3


def test_resubmit_refuses_when_the_unique_key_is_taken(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.FAILED, unique_key="k")
    queue.enqueue("t", unique_key="k")
    with pytest.raises(UniqueKeyTaken):
        queue.resubmit(job.id)
    assert queue.get_job(job.id) == job


def test_cancelling_a_processing_job_is_a_request(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.PROCESSING)
    asked = queue.cancel(job.id)
    assert (asked.status, asked.cancel_requested) == (JobStatus.PROCESSING, True)
    (seen,) = queue.extend([job])
    assert seen.cancel_requested


def end_by_failing(queue: PersistentQInterface, job: Job, let_pass: LetPass) -> None:
    queue.fail(job, "stopped")


def end_by_releasing(queue: PersistentQInterface, job: Job, let_pass: LetPass) -> None:
    queue.release([job])


def end_by_snoozing(queue: PersistentQInterface, job: Job, let_pass: LetPass) -> None:
    queue.snooze(job, HOUR)


def end_by_dying(queue: PersistentQInterface, job: Job, let_pass: LetPass) -> None:
    let_pass(HOUR.total_seconds() + 1)
    queue.cleanup()


def end_by_assigning(queue: PersistentQInterface, job: Job, let_pass: LetPass) -> None:
    queue.assign_job(job.id, "other")


@pytest.mark.parametrize(
    "end", [end_by_failing, end_by_releasing, end_by_snoozing, end_by_dying, end_by_assigning]
)
def test_a_requested_cancel_takes_effect_when_the_attempt_ends(
    queue: PersistentQInterface, let_pass: LetPass, end: Callable[[PersistentQInterface, Job, LetPass], None]
) -> None:
    job = put(queue, JobStatus.PROCESSING)
    queue.cancel(job.id)
    end(queue, job, let_pass)
    ended = queue.get_job(job.id)
    assert (ended.status, ended.cancel_requested) == (JobStatus.CANCELLED, False)
    assert ended.finished_at is not None


def test_completion_wins_over_a_requested_cancel(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.PROCESSING)
    queue.cancel(job.id)
    queue.complete(job)
    assert (queue.get_job(job.id).status, queue.get_job(job.id).cancel_requested) == (JobStatus.DONE, False)


def test_mark_failed_takes_a_processing_job_from_its_consumer(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.PROCESSING)
    failed = queue.mark_failed(job.id, "hangs")
    assert (failed.status, failed.error) == (JobStatus.FAILED, "hangs")
    with pytest.raises(LeaseLost):
        queue.complete(job)
    (attempt,) = queue.get_attempts(job.id)
    assert (attempt.outcome, attempt.error) == (Outcome.TAKEN, "hangs")


def test_an_assigned_job_waits_for_its_consumer(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.PENDING, priority=9)
    other = put(queue, JobStatus.PENDING)
    assert queue.assign_job(job.id, "chosen").reserved_for == "chosen"
    assert [taken.id for taken in queue.dequeue("c", limit=5)] == [other.id]
    (taken,) = queue.dequeue("chosen", limit=5)
    assert (taken.id, taken.reserved_for) == (job.id, None)


def test_a_reserved_job_keeps_its_place_among_the_others(queue: PersistentQInterface) -> None:
    """G5 holds across the reserved and the free."""
    jobs = queue.enqueue_many(NewJob("t", priority=priority) for priority in (1, 3, 2))
    queue.assign_job(jobs[2].id, "chosen")
    taken = queue.dequeue("chosen", limit=2) + queue.dequeue("chosen", limit=2)
    assert [job.priority for job in taken] == [3, 2, 1]


def test_a_scheduled_job_can_be_assigned_and_freed(queue: PersistentQInterface, let_pass: LetPass) -> None:
    job = put(queue, JobStatus.SCHEDULED)
    assert queue.assign_job(job.id, "chosen").status == JobStatus.SCHEDULED
    let_pass(HOUR.total_seconds() + 1)
    assert queue.dequeue("c") == []
    assert queue.assign_job(job.id, None).reserved_for is None
    assert [taken.id for taken in queue.dequeue("c")] == [job.id]


def test_assigning_takes_a_processing_job_from_its_consumer(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.PROCESSING, max_attempts=1)
    moved = queue.assign_job(job.id, "chosen")
    assert (moved.status, moved.reserved_for) == (JobStatus.PENDING, "chosen")
    with pytest.raises(LeaseLost):
        queue.complete(job)
    assert queue.dequeue("c") == []
    (taken,) = queue.dequeue("chosen")
    assert (taken.id, taken.attempt, taken.max_attempts) == (job.id, 2, 2)
    queue.complete(taken)


def test_bad_consumers_are_refused(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.PENDING)
    for bad in ("", "no spaces", "x" * 129, "nul\0"):
        with pytest.raises(InvalidArgument):
            queue.assign_job(job.id, bad)


def test_update_status_is_the_operators_verbs(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.PENDING)
    assert queue.update_status(job.id, "failed").status == JobStatus.FAILED
    assert queue.update_status(job.id, JobStatus.PENDING).status == JobStatus.PENDING
    assert queue.update_status(job.id, "cancelled").status == JobStatus.CANCELLED
    with pytest.raises(InvalidTransition):
        queue.update_status(job.id, "failed")
    for bad in ("done", "processing", "scheduled", "nonsense"):
        with pytest.raises(InvalidArgument):
            queue.update_status(job.id, bad)


def test_a_deleted_job_is_gone_with_its_attempts(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.FAILED)
    queue.delete_job(job.id)
    with pytest.raises(JobNotFound):
        queue.get_attempts(job.id)
    assert queue.enqueue("t").id > job.id


def test_delete_jobs_leaves_processing_ones(queue: PersistentQInterface) -> None:
    held = put(queue, JobStatus.PROCESSING)
    for status in (JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.SCHEDULED):
        put(queue, status, queue="mail")
    assert queue.delete_jobs(status=["done", "failed"], queue="other") == 0
    assert queue.delete_jobs(status="done", queue="mail") == 1
    assert queue.delete_jobs(status=JobStatus.PROCESSING) == 0
    assert queue.delete_jobs(limit=2) == 2
    assert queue.delete_jobs(limit=2) == 1
    assert queue.delete_jobs() == 0
    assert [job.id for job in queue.list_jobs()] == [held.id]


def test_delete_jobs_up_to_an_id(queue: PersistentQInterface) -> None:
    jobs = queue.enqueue_many([NewJob("t")] * 4)
    assert queue.delete_jobs(up_to=jobs[1].id) == 2
    assert [job.id for job in queue.list_jobs()] == [jobs[3].id, jobs[2].id]
    with pytest.raises(InvalidArgument):
        queue.delete_jobs(up_to=0)


def test_list_jobs_filters(queue: PersistentQInterface) -> None:
    a = queue.enqueue("mail.send", queue="a")
    b = queue.enqueue("mail.send", queue="b")
    c = queue.enqueue("other", queue="b")
    (taken,) = queue.dequeue("c1", ["a"])
    queue.assign_job(c.id, "c1")

    def ids(**filters: Any) -> list[int]:
        return [job.id for job in queue.list_jobs(**filters)]

    assert ids() == [c.id, b.id, a.id]
    assert ids(status="pending") == [c.id, b.id]
    assert ids(status=["processing", JobStatus.DONE]) == [taken.id]
    assert ids(queue="b") == [c.id, b.id]
    assert ids(task="mail.send") == [b.id, a.id]
    assert ids(task="mail.send", queue="b", status="pending") == [b.id]
    assert ids(consumer="c1") == [c.id, a.id]
    assert ids(consumer="nobody") == []


@pytest.mark.parametrize(
    "bad",
    [
        {"status": "nope"},
        {"limit": 0},
        {"limit": 1001},
        {"after": "x"},
        {"queue": "a b"},
        {"task": "a b"},
        {"tag": ","},
        {"error": ""},
        {"min_attempts": -1},
        {"created_from": 5},
    ],
)
def test_bad_filters_are_refused(queue: PersistentQInterface, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        queue.list_jobs(**bad)


def test_pages_are_stable_while_jobs_come_and_go(queue: PersistentQInterface) -> None:
    jobs = queue.enqueue_many([NewJob("t")] * 25)
    first = queue.list_jobs(limit=10)
    queue.enqueue("new")
    queue.delete_job(jobs[20].id)
    second = queue.list_jobs(limit=10, after=first.next)
    third = queue.list_jobs(limit=10, after=second.next)
    assert len(first) == 10
    seen = [job.id for page in (first, second, third) for job in page]
    assert seen == [job.id for job in reversed(jobs)]
    assert third.next is None
    exact = queue.list_jobs(limit=25)
    assert (len(exact), exact.next is None) == (25, True)


def test_counts_by_queue_and_status(queue: PersistentQInterface) -> None:
    assert queue.count_jobs() == {}
    for status in reversed(JobStatus):
        put(queue, status, queue="all")
    put(queue, JobStatus.PENDING, queue="mail")
    assert queue.count_jobs() == {"all": dict.fromkeys(JobStatus, 1), "mail": {JobStatus.PENDING: 1}}


def test_a_queue_tells_how_long_its_oldest_ready_job_waits(
    queue: PersistentQInterface, let_pass: LetPass
) -> None:
    """Whatever its priority, and whoever it is reserved for."""

    def oldest(name: str) -> float | None:
        (info,) = [info for info in queue.list_queues() if info.name == name]
        return None if info.oldest_pending is None else info.oldest_pending.total_seconds()

    first = queue.enqueue("t", queue="a")
    queue.enqueue("t", queue="later", delay=timedelta(hours=1))
    let_pass(30)
    second = queue.enqueue("t", queue="a", priority=9)
    let_pass(10)
    queue.enqueue("t", queue="b")
    assert oldest("a") == pytest.approx(40, abs=5)
    assert oldest("b") == pytest.approx(0, abs=5)
    assert oldest("later") is None
    queue.cancel(first.id)
    assert oldest("a") == pytest.approx(10, abs=5)
    queue.assign_job(second.id, "c")
    assert oldest("a") == pytest.approx(10, abs=5)
    assert queue.pause_queue("a").oldest_pending == pytest.approx(
        timedelta(seconds=10), abs=timedelta(seconds=5)
    )
    (job,) = queue.resume_queue("a") and queue.dequeue("c", ["a"])
    queue.complete(job)
    assert oldest("a") is None
    assert queue.resume_queue("nobody.s").oldest_pending is None


def test_activity_counts_what_ended(queue: PersistentQInterface, let_pass: LetPass) -> None:
    put(queue, JobStatus.DONE)
    put(queue, JobStatus.FAILED)
    let_pass(600)
    put(queue, JobStatus.DONE)
    put(queue, JobStatus.CANCELLED)
    buckets = queue.activity(timedelta(minutes=20), 20)
    assert len(buckets) == 20
    assert [bucket.start for bucket in buckets] == sorted(bucket.start for bucket in buckets)
    assert [(bucket.done, bucket.failed) for bucket in buckets if bucket.done or bucket.failed] == [
        (1, 1),
        (1, 0),
    ]
    assert sum(bucket.done for bucket in queue.activity(timedelta(minutes=5), 5)) == 1
    with pytest.raises(InvalidArgument):
        queue.activity(timedelta(minutes=5), 0)


def test_a_queue_is_a_context_manager_and_may_be_closed_twice(queue: PersistentQInterface) -> None:
    with queue as same:
        assert same is queue
        assert queue.location
    queue.close()
