"""What a consumer that waits may rely on: the doorbell, and when something is due."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Timer

import pytest

from persistentq import (
    InvalidArgument,
    Job,
    NewJob,
    PersistentQInterface,
    PersistentQMemory,
    PersistentQSQLAlchemy,
)
from persistentq.clock import Deadline
from persistentq.doorbell import Doorbell

LetPass = Callable[[float], None]
QUIET_S = 0.3
LONG_S = 5.0
"""No bell polls so rarely: who is woken within it was told."""


@pytest.fixture
def other(queue: PersistentQInterface) -> Iterator[PersistentQInterface]:
    """The queue as another process has it."""
    if isinstance(queue, PersistentQMemory):
        yield queue
        return
    assert isinstance(queue, PersistentQSQLAlchemy)
    with PersistentQSQLAlchemy(queue.engine.url) as other:
        yield other


@pytest.fixture
def bell(queue: PersistentQInterface) -> Iterator[Doorbell]:
    with queue.listen("c", ["default", "mail"]) as bell:
        calm(bell)
        yield bell


def calm(bell: Doorbell) -> None:
    """Hear everything that was said up to now."""
    assert Deadline(LONG_S).wait_for(lambda: not bell.wait(QUIET_S), every=0)


def wakes(bell: Doorbell, seconds: float, *, has_room: bool = True) -> int:
    """Return how often the bell wakes whoever waits again and again for so long."""
    number, deadline = 0, Deadline(seconds)
    while not deadline.passed:
        number += bell.wait(deadline.remaining, has_room=has_room)
    return number


def test_whoever_waits_is_woken_by_a_new_job(
    queue: PersistentQInterface, other: PersistentQInterface, bell: Doorbell
) -> None:
    for name in ("default", "mail"):
        timer = Timer(0.05, other.enqueue, ["t"], {"queue": name})
        timer.start()
        assert bell.wait(LONG_S)
        timer.join()
        (job,) = queue.dequeue("c", queues=["default", "mail"])
        queue.complete(job)


def test_what_was_stored_before_the_wait_is_not_missed(other: PersistentQInterface, bell: Doorbell) -> None:
    other.enqueue_many([NewJob("t")] * 3)
    assert bell.wait(LONG_S)


def test_own_jobs_wake_too(queue: PersistentQInterface, bell: Doorbell) -> None:
    """Another thread of the process may wait."""
    queue.enqueue("t")
    assert bell.wait(LONG_S)


def _resume(queue: PersistentQInterface, _: Job) -> None:
    queue.resume_queue("mail")


ACTS: dict[str, Callable[[PersistentQInterface, Job], object]] = {
    "a cancellation": lambda queue, job: queue.cancel(job.id),
    "a job taken away": lambda queue, job: queue.assign_job(job.id, "c"),
    "a job given back": lambda queue, job: queue.release([job]),
    "a resumed queue": _resume,
    "a job with a time": lambda queue, _: queue.enqueue("t", delay=timedelta(seconds=30)),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_whoever_waits_is_woken_by(
    queue: PersistentQInterface,
    other: PersistentQInterface,
    bell: Doorbell,
    act: Callable[[PersistentQInterface, Job], object],
) -> None:
    queue.pause_queue("mail")
    queue.enqueue("t", queue="mail")
    queue.enqueue("t")
    (job,) = queue.dequeue("c")
    calm(bell)
    act(other, job)
    assert bell.wait(LONG_S)


def test_whoever_waits_is_woken_by_a_job_that_is_resubmitted_or_assigned(
    queue: PersistentQInterface, other: PersistentQInterface, bell: Doorbell
) -> None:
    queue.enqueue("t", max_attempts=1)
    (job,) = queue.dequeue("c")
    queue.fail(job, "broke")
    calm(bell)
    other.resubmit(job.id)
    assert bell.wait(LONG_S)
    other.assign_job(job.id, "d")
    calm(bell)
    other.assign_job(job.id, "c")
    assert bell.wait(LONG_S)


def test_own_turns_do_not_keep_awake(queue: PersistentQInterface, bell: Doorbell) -> None:
    jobs = queue.enqueue_many([NewJob("t")] * 3)
    held = queue.dequeue("c", limit=3)
    assert len(held) == len(jobs)
    calm(bell)
    queue.complete(held[0])
    queue.extend(held[1:])
    queue.turn("c", held=held[1:], watch=True, limit=5)
    assert wakes(bell, QUIET_S) <= 1
    for _ in range(5):
        queue.turn("c", watch=True, limit=5)
        queue.dequeue("c", queues=["default", "mail"])
        queue.next_due()
    assert wakes(bell, QUIET_S) == 0


def test_who_has_no_room_is_not_woken_for_each_job(other: PersistentQInterface, bell: Doorbell) -> None:
    other.enqueue("t")
    assert bell.wait(LONG_S, has_room=False)
    timers = [Timer(0.01 * n, other.enqueue, ["t"]) for n in range(50)]
    for timer in timers:
        timer.start()
    assert 1 <= wakes(bell, 0.6, has_room=False) <= 8
    for timer in timers:
        timer.join()
    bell.ring()
    assert bell.wait(LONG_S, has_room=False)


def test_rings_are_remembered_and_count_as_one(bell: Doorbell) -> None:
    for _ in range(3):
        bell.ring()
    assert bell.wait(LONG_S)
    assert not bell.wait(0)


def test_a_bell_may_be_rung_from_a_thread(bell: Doorbell) -> None:
    timer = Timer(0.05, bell.ring)
    timer.start()
    assert bell.wait(LONG_S)
    timer.join()


def test_a_bell_may_be_rung_by_a_signal_handler(bell: Doorbell) -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: bell.ring())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        waited = Deadline(LONG_S)
        assert bell.wait(LONG_S)
        assert not waited.passed
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_wait_ends_in_time(bell: Doorbell) -> None:
    waited = Deadline(0.1)
    assert not bell.wait(0.1)
    assert waited.passed
    assert not bell.wait(0)
    assert not bell.wait(-1)


def test_who_listens_to_all_queues_hears_of_each(
    queue: PersistentQInterface, other: PersistentQInterface
) -> None:
    with queue.listen() as bell:
        calm(bell)
        other.enqueue("t", queue="anything")
        assert bell.wait(LONG_S)


def test_a_closed_bell_is_silent(queue: PersistentQInterface) -> None:
    bell, second = queue.listen(), queue.listen()
    second.wait(0.05)
    bell.close()
    bell.close()
    bell.ring()
    queue.enqueue("t")
    queue.close()
    second.ring()
    second.close()


def test_names_are_checked(queue: PersistentQInterface) -> None:
    with pytest.raises(InvalidArgument):
        queue.listen("no consumer")
    with pytest.raises(InvalidArgument):
        queue.listen("c", ["no queue"])
    with pytest.raises(InvalidArgument):
        queue.next_due(["no queue"])


def about(seconds: float, found: timedelta | None) -> bool:
    return found is not None and abs(found.total_seconds() - seconds) < 2


def test_nothing_is_due_where_nothing_waits(queue: PersistentQInterface) -> None:
    queue.enqueue("t")
    assert queue.next_due() is None
    assert queue.next_due([]) is None


def test_what_is_due_next_is_the_first_of_ones_own_queues(queue: PersistentQInterface) -> None:
    for seconds, name in ((50, "default"), (40, "default"), (30, "mail"), (20, "other")):
        queue.enqueue("t", queue=name, delay=timedelta(seconds=seconds))
    assert about(40, queue.next_due())
    assert about(30, queue.next_due(["default", "mail"]))
    assert queue.next_due(["nowhere"]) is None


def test_the_end_of_any_lease_is_waited_for(queue: PersistentQInterface) -> None:
    queue.enqueue_many([NewJob("t"), NewJob("t", queue="other"), NewJob("t", delay=timedelta(seconds=80))])
    queue.dequeue("c", lease=timedelta(seconds=60))
    assert about(60, queue.next_due())
    queue.dequeue("d", queues=["other"], lease=timedelta(seconds=30))
    assert about(30, queue.next_due())
    assert about(30, queue.next_due([]))


def test_what_has_passed_is_due_at_once_until_it_is_taken(
    queue: PersistentQInterface, let_pass: LetPass
) -> None:
    queue.enqueue("t", delay=timedelta(seconds=30))
    let_pass(31)
    assert queue.next_due() == timedelta(0)
    (job,) = queue.dequeue("c", lease=timedelta(seconds=10))
    assert about(10, queue.next_due())
    let_pass(11)
    assert queue.next_due() == timedelta(0)
    (again,) = queue.dequeue("c")
    assert again.id == job.id
    queue.complete(again)
    assert queue.next_due() is None
