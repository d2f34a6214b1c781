"""How queues stand: who serves them, and how long they take to be empty."""

from __future__ import annotations

from datetime import timedelta

from persistentq import JobStatus, NewJob, PersistentQMemory, clock
from persistentq.operations.queues import queues


def test_each_queue_with_its_consumers_and_its_pace() -> None:
    now = clock.now()
    store = PersistentQMemory(now=lambda: now)
    assert queues(store) == []
    store.heartbeat("c1", host="h", pid=1, queues=["default", "idle"])
    store.heartbeat("gone", host="h", pid=2, queues=["mail"])
    store.retire("gone")
    store.enqueue_many([NewJob("t")] * 30 + [NewJob("t", queue="mail")])
    for job in store.dequeue("c1", limit=10):
        store.complete(job)
    now += timedelta(seconds=20)
    default, idle, mail = queues(store)
    assert [view.info.name for view in (default, idle, mail)] == ["default", "idle", "mail"]
    assert [[one.id for one in view.consumers] for view in (default, idle, mail)] == [["c1"], ["c1"], []]
    assert default.info.counts == {JobStatus.PENDING: 20, JobStatus.DONE: 10}
    assert (default.pace, default.drains_in) == (0.5, timedelta(seconds=40))
    assert (idle.info.counts, idle.pace, idle.drains_in) == ({}, 0.0, timedelta(0))
    assert (mail.pace, mail.drains_in) == (0.0, None)


def test_a_queue_that_nobody_empties_drains_never() -> None:
    now = clock.now()
    store = PersistentQMemory(now=lambda: now)
    store.heartbeat("c1", host="h", pid=1, queues=["default"])
    store.enqueue_many([NewJob("t")] * 2)
    store.complete(store.dequeue("c1")[0])
    now += timedelta(seconds=10)
    assert queues(store)[0].drains_in == timedelta(seconds=10)
    store.pause_queue("default")
    assert queues(store)[0].drains_in is None
    store.resume_queue("default")
    now += timedelta(minutes=1)
    # Its consumer has fallen silent.
    assert queues(store)[0].drains_in is None
