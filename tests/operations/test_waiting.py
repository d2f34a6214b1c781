"""Waiting for jobs: until they are there, cannot be any more, or the time is over."""

from __future__ import annotations

from datetime import timedelta
from threading import Timer

import pytest

from persistentq import (
    InvalidArgument,
    JobNotFound,
    JobStatus,
    PersistentQInterface,
)
from persistentq.clock import Deadline
from persistentq.job import FINISHED
from persistentq.operations.waiting import wait_for

SOON = timedelta(seconds=0.2)
LONG = timedelta(seconds=20)
DONE = {JobStatus.DONE}


# Also by a bell that is on a server.
pytestmark = pytest.mark.parametrize("queue", ["memory", "sqlite", "postgresql"], indirect=True)


def test_what_is_there_already_is_not_waited_for(queue: PersistentQInterface) -> None:
    job = queue.enqueue("t")
    queue.complete(queue.dequeue("c")[0])
    found = wait_for(queue, [job.id, job.id], DONE)
    assert (found.is_met, found.met, found.missed, found.left) == (True, {job.id: JobStatus.DONE}, {}, {})


def test_what_comes_is_waited_for(queue: PersistentQInterface) -> None:
    ids = [queue.enqueue("t").id for _ in range(3)]
    jobs = queue.dequeue("c", limit=3)
    timers = [Timer(0.1 * (place + 1), queue.complete, [job]) for place, job in enumerate(jobs)]
    for timer in timers:
        timer.start()
    found = wait_for(queue, ids, FINISHED, LONG)
    for timer in timers:
        timer.join()
    assert (found.is_met, found.met) == (True, dict.fromkeys(ids, JobStatus.DONE))


def test_what_cannot_come_any_more_ends_it_at_once(queue: PersistentQInterface) -> None:
    waits, ends = queue.enqueue("t"), queue.enqueue("t")
    queue.cancel(ends.id)
    found = wait_for(queue, [waits.id, ends.id], DONE, LONG)
    assert not found.is_met
    assert found.missed == {ends.id: JobStatus.CANCELLED}
    assert found.left == {waits.id: JobStatus.PENDING}


def test_a_job_that_is_deleted_meanwhile_cannot_come(queue: PersistentQInterface) -> None:
    job = queue.enqueue("t")
    timer = Timer(0.1, queue.delete_job, [job.id])
    timer.start()
    found = wait_for(queue, [job.id], DONE, LONG)
    timer.join()
    assert (found.missed, found.left) == ({job.id: None}, {})


def test_the_time_is_over(queue: PersistentQInterface) -> None:
    job = queue.enqueue("t")
    deadline = Deadline(10)
    found = wait_for(queue, [job.id], DONE, SOON)
    assert 10 - deadline.remaining >= SOON.total_seconds()
    assert (found.is_met, found.left) == (False, {job.id: JobStatus.PENDING})


def test_what_has_been_there_counts_whatever_follows(queue: PersistentQInterface) -> None:
    first, second = queue.enqueue("t"), queue.enqueue("t", priority=-1)
    (held,) = queue.dequeue("c")
    timers = [Timer(0.1, queue.complete, [held]), Timer(0.3, queue.dequeue, ["c"])]
    for timer in timers:
        timer.start()
    found = wait_for(queue, [first.id, second.id], {JobStatus.PROCESSING}, LONG)
    for timer in timers:
        timer.join()
    assert found.met == {first.id: JobStatus.PROCESSING, second.id: JobStatus.PROCESSING}


def test_an_unknown_job_is_told(queue: PersistentQInterface) -> None:
    job = queue.enqueue("t")
    with pytest.raises(JobNotFound) as caught:
        wait_for(queue, [job.id, 99], DONE)
    assert caught.value.job_id == 99
    with pytest.raises(InvalidArgument):
        wait_for(queue, [0], DONE)
