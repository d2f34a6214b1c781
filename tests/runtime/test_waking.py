"""What a consumer's doorbell is worth: a start at once with it, and within the poll interval without it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import pytest

from persistentq import Consumer, PersistentQSQLAlchemy
from persistentq.clock import Deadline
from persistentq.doorbell import Doorbell, LocalDoorbell
from persistentq.runtime import consumer as runtime
from persistentq.tasks import Tasks
from tests.runtime.conftest import running

POLL_S = runtime.POLL_S
LATE_S = 0.7
"""For what a busy machine adds."""


@pytest.fixture
def queue(own_url: str) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(own_url) as queue:
        yield queue


@pytest.fixture
def starts() -> list[float]:
    return []


@pytest.fixture
def tasks(starts: list[float]) -> Tasks:
    tasks = Tasks()
    tasks.add("start", lambda: starts.append(time.monotonic()))
    return tasks


@contextmanager
def asleep(queue: PersistentQSQLAlchemy, tasks: Tasks) -> Iterator[None]:
    """Run a consumer that has had the time to fall asleep."""
    with running(Consumer(queue, tasks=tasks)):
        Deadline(POLL_S).pause(POLL_S)
        yield


def lateness(other: PersistentQSQLAlchemy, starts: list[float], pause: float) -> float:
    """Return how long after the return of `enqueue` the handler began, having slept for so long before."""
    Deadline(pause).pause(pause)
    number = len(starts)
    other.enqueue("start")
    returned = time.monotonic()
    assert Deadline(10).wait_for(lambda: len(starts) > number, every=0.001)
    return starts[-1] - returned


def test_a_job_of_another_process_starts_at_once(
    queue: PersistentQSQLAlchemy, tasks: Tasks, starts: list[float]
) -> None:
    """Were its bell deaf, one of ten would start so early by chance."""
    with PersistentQSQLAlchemy(queue.engine.url) as other, asleep(queue, tasks):
        late = sorted(lateness(other, starts, 0.03 * n) for n in range(15))
    assert late[10] < POLL_S / 10, late


def test_without_a_doorbell_a_job_starts_within_the_poll_interval(
    queue: PersistentQSQLAlchemy, tasks: Tasks, starts: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """P8: what wakes a consumer is a hint; when every one of them is lost, jobs are late, and none is stuck."""

    def deaf(
        self: PersistentQSQLAlchemy, consumer: str | None = None, queues: Sequence[str] | None = None
    ) -> Doorbell:
        return LocalDoorbell(queues)

    monkeypatch.setattr(PersistentQSQLAlchemy, "listen", deaf)
    with PersistentQSQLAlchemy(queue.engine.url) as other, asleep(queue, tasks):
        late = [lateness(other, starts, 0.17 * n) for n in range(4)]
    assert max(late) < POLL_S + LATE_S, late
    assert max(late) > 0.1, "somebody told it after all"


def test_a_scheduled_job_starts_when_its_time_comes(
    queue: PersistentQSQLAlchemy, tasks: Tasks, starts: list[float]
) -> None:
    """A consumer that sleeps hears of the new time, and wakes for it by itself."""
    with PersistentQSQLAlchemy(queue.engine.url) as other, asleep(queue, tasks):
        late = []
        for n in range(5):
            due = time.monotonic() + 0.3
            other.enqueue("start", delay=timedelta(seconds=0.3))
            assert Deadline(10).wait_for(lambda n=n: len(starts) > n, every=0.001)  # type: ignore[misc]
            late.append(starts[-1] - due)
    assert sorted(late)[2] < 0.2, late
