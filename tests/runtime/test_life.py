"""A consumer among others, and what it shows of its loop; tests/process has the same with real processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import cast

import pytest

from persistentq import (
    Consumer,
    ConsumerAlive,
    JobStatus,
    PersistentQInterface,
    PersistentQMemory,
    StorageError,
    StorageUnavailable,
)
from persistentq.clock import Deadline
from persistentq.runtime import presence
from persistentq.runtime.notifier import Notifier
from persistentq.runtime.pulse import Pulse
from persistentq.runtime.watchdog import Watchdog
from persistentq.settlement import Turn
from persistentq.tasks import Tasks
from tests.runtime.conftest import PATIENCE_S, running


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consumers report at every turn."""
    monkeypatch.setattr(presence, "REPORT_S", 0.0)


# --- whose id it is


def test_a_second_consumer_of_this_process_is_refused_until_the_first_has_gone(
    queue: PersistentQInterface, tasks: Tasks
) -> None:
    with running(Consumer(queue, consumer_id="c", tasks=tasks)):
        assert Deadline(PATIENCE_S).wait_for(lambda: bool(queue.list_consumers()), every=0.01)
        with pytest.raises(ConsumerAlive):
            Consumer(queue, consumer_id="c", tasks=tasks).run(burst=True)
        with pytest.raises(ConsumerAlive):
            Consumer(queue, consumer_id="c", tasks=tasks).introduce()
        (first,) = queue.list_consumers()
        assert first.is_alive
    Consumer(queue, consumer_id="c", tasks=tasks).run(burst=True)


def test_who_fails_gives_the_id_free_all_the_same(tasks: Tasks) -> None:
    class Broken(PersistentQMemory):
        def turn(self, *args: object, **more: object) -> Turn:
            raise StorageError("broken", "is broken")

    queue = Broken()
    for _ in range(2):
        with pytest.raises(StorageError, match="is broken"):
            Consumer(queue, consumer_id="c", tasks=tasks).run()


def test_who_is_replaced_finishes_its_jobs_and_leaves_the_other_alone(
    queue: PersistentQInterface, tasks: Tasks
) -> None:
    started, let_go = threading.Event(), threading.Event()

    def work() -> str:
        started.set()
        let_go.wait(PATIENCE_S)
        return "done"

    tasks.add("work", work)
    job = queue.enqueue("work")
    consumer = Consumer(queue, consumer_id="c", tasks=tasks)
    raised: list[ConsumerAlive] = []

    def run() -> None:
        try:
            consumer.run()
        except ConsumerAlive as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(PATIENCE_S)
    # As if it had been silent for long.
    (known,) = queue.list_consumers()
    queue.retire("c")
    queue.heartbeat("c", host="elsewhere", pid=7, queues=["default"], life="another")
    assert Deadline(PATIENCE_S).wait_for(lambda: bool(consumer._stops), every=0.01)
    later = queue.enqueue("work")
    let_go.set()
    thread.join(PATIENCE_S)
    assert [error.host for error in raised] == ["elsewhere"]
    assert (queue.get_job(job.id).status, queue.get_job(job.id).result) == (JobStatus.DONE, "done")
    assert queue.get_job(later.id).status == JobStatus.PENDING
    (left,) = queue.list_consumers()
    assert (left.life, left.is_alive, known.life != left.life) == ("another", True, True)


def test_it_reports_while_it_drains(queue: PersistentQInterface, tasks: Tasks) -> None:
    started, let_go = threading.Event(), threading.Event()
    tasks.add("work", lambda: (started.set(), let_go.wait(PATIENCE_S))[1])
    queue.enqueue("work")
    with running(Consumer(queue, consumer_id="c", tasks=tasks)) as consumer:
        assert started.wait(PATIENCE_S)
        consumer.stop()
        (at_stop,) = queue.list_consumers()
        patience = Deadline(PATIENCE_S)
        assert patience.wait_for(lambda: queue.list_consumers()[0].heartbeat_at > at_stop.heartbeat_at)
        let_go.set()


def test_its_trouble_is_shown_as_long_as_there_is_any(queue: PersistentQInterface, tasks: Tasks) -> None:
    trouble: list[str | None] = ["it stumbles"]

    def shown() -> list[str | None]:
        return [each.trouble for each in queue.list_consumers()]

    with running(Consumer(queue, tasks=tasks, trouble=lambda: trouble[0])):
        assert Deadline(PATIENCE_S).wait_for(lambda: shown() == ["it stumbles"], every=0.01)
        trouble[0] = None
        assert Deadline(PATIENCE_S).wait_for(lambda: shown() == [None], every=0.01)


# --- a database that comes and goes


def test_a_database_that_goes_between_two_looks_is_waited_for(tasks: Tasks) -> None:
    class Vanishing(PersistentQMemory):
        """Turns are answered; then, now and then, the question when there is more to do is not."""

        asked = 0

        def next_due(self, *args: object) -> None:
            self.asked += 1
            if self.asked % 2:
                raise StorageUnavailable("vanishing", "is out of reach")

    queue = Vanishing()
    tasks.add("work", lambda: "done")
    with running(Consumer(queue, tasks=tasks)):
        for _ in range(5):
            job = queue.enqueue("work")
            patience = Deadline(PATIENCE_S)
            assert patience.wait_for(lambda job=job: queue.get_job(job.id).status == JobStatus.DONE)
    assert queue.asked > 1


def test_what_cannot_be_told_at_the_end_is_raised(tasks: Tasks) -> None:
    started, let_go = threading.Event(), threading.Event()

    class Lost(PersistentQMemory):
        is_lost = False

        def turn(self, *args: object, **more: object) -> Turn:
            if self.is_lost:
                raise StorageUnavailable("lost", "is out of reach")
            return super().turn(*args, **more)  # type: ignore[arg-type]

    queue = Lost()
    tasks.add("work", lambda: (started.set(), let_go.wait(PATIENCE_S))[1])
    job = queue.enqueue("work")
    consumer = Consumer(queue, tasks=tasks)
    raised: list[StorageUnavailable] = []

    def run() -> None:
        try:
            consumer.run()
        except StorageUnavailable as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(PATIENCE_S)
    queue.is_lost = True
    let_go.set()
    consumer.stop()
    consumer.stop()
    thread.join(PATIENCE_S)
    assert len(raised) == 1
    assert queue.get_job(job.id).status == JobStatus.PROCESSING


# --- its loop


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    with monkeypatch.context() as patch:
        yield Clock(patch)


class Watched:
    id, last_turn = "c", 0.0

    def __init__(self) -> None:
        self.pulse = Pulse()


def watchdog(consumer: Watched, limit: float) -> Watchdog:
    return Watchdog(cast("Consumer", consumer), limit, Notifier({}))


def test_only_time_in_which_the_process_could_run_counts(clock: Clock) -> None:
    consumer = Watched()
    dog = watchdog(consumer, 10)
    dog._is_stuck(1.0)

    def stuck_after(*steps: float) -> list[bool]:
        found = []
        for step in steps:
            clock.now += step
            found.append(dog._is_stuck(1.0))
        return found

    # Stopped by a signal, or the machine was asleep: the first look afterwards comes late.
    assert not any(stuck_after(*[1.0] * 9, 3600.0, 500.0))
    assert stuck_after(1.0) == [True]
    consumer.pulse.beat()
    assert not any(stuck_after(*[1.0] * 10))
    assert stuck_after(1.0) == [True]
    with consumer.pulse.asking:
        assert not any(stuck_after(*[1.0] * 100))
    assert not any(stuck_after(*[1.0] * 9))
    assert stuck_after(1.0) == [True]


def test_the_loop_beats_while_it_works_waits_and_drains(queue: PersistentQInterface, tasks: Tasks) -> None:
    started, let_go = threading.Event(), threading.Event()
    tasks.add("work", lambda: (started.set(), let_go.wait(PATIENCE_S))[1])
    with running(Consumer(queue, tasks=tasks)) as consumer:
        beats = 0

        def moves() -> None:
            nonlocal beats
            beats = consumer.pulse.beats
            assert Deadline(PATIENCE_S).wait_for(lambda: consumer.pulse.beats >= beats + 2, every=0.01)

        moves()
        queue.enqueue("work")
        assert started.wait(PATIENCE_S)
        moves()
        consumer.stop()
        moves()
        let_go.set()
    assert not consumer.pulse.asking.is_on


def test_nobody_watches_a_consumer_that_is_embedded(queue: PersistentQInterface, tasks: Tasks) -> None:
    with running(Consumer(queue, tasks=tasks)) as consumer:
        assert Deadline(PATIENCE_S).wait_for(lambda: consumer.pulse.beats > 1, every=0.01)
        assert "watchdog" not in {thread.name for thread in threading.enumerate()}
