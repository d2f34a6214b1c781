"""Whatever is done to a database queue, in whatever order, it stands as the memory model does."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from persistentq import (
    Job,
    NewJob,
    PersistentQError,
    PersistentQInterface,
    PersistentQMemory,
    PersistentQSQLAlchemy,
    clock,
)
from tests.contract.conftest import age_everything, emptied

CONSUMERS = ("c0", "c1", "c2")
QUEUES = ("a", "b")
LEASE = timedelta(seconds=60)
VERBS: dict[str, Callable[[PersistentQInterface, int], object]] = {
    "resubmit": lambda queue, job_id: queue.resubmit(job_id),
    "cancel": lambda queue, job_id: queue.cancel(job_id),
    "mark-failed": lambda queue, job_id: queue.mark_failed(job_id, "by hand"),
    "assign": lambda queue, job_id: queue.assign_job(job_id, "c1"),
    "free": lambda queue, job_id: queue.assign_job(job_id, None),
    "delete": lambda queue, job_id: queue.delete_job(job_id),
}
WORDS: dict[str, Callable[[PersistentQInterface, Job], object]] = {
    "complete": lambda queue, job: queue.complete(job, {"by": job.consumer}),
    "complete_many": lambda queue, job: len(queue.complete_many([job])),
    "fail": lambda queue, job: queue.fail(job, "broken", delay=timedelta(0)),
    "fail later": lambda queue, job: queue.fail(job, "broken", delay=timedelta(seconds=90)),
    "give up": lambda queue, job: queue.fail(job, "hopeless", retry=False),
    "snooze": lambda queue, job: queue.snooze(job, timedelta(seconds=30)),
    "release": lambda queue, job: len(queue.release([job])),
    "extend": lambda queue, job: queue.extend([job], LEASE),
}


def shown(value: object, known_as: Mapping[int, int]) -> object:
    """Return what both must agree on.

    Not times, which differ by the moment between the two calls, nor ids, in which a database may leave gaps:
    `known_as` gives each id the place of its job.
    """
    if isinstance(value, Job):
        names = (
            "task queue priority status attempt max_attempts consumer reserved_for unique_key result error"
        )
        flags = (
            value.cancel_requested,
            value.duplicate,
            value.lease_until is None,
            value.finished_at is None,
        )
        place = known_as.get(value.id)
        return (place, *(getattr(value, name) for name in names.split()), dict(value.args), flags)
    return [shown(one, known_as) for one in value] if isinstance(value, list) else value


class SameAsMemory(RuleBasedStateMachine):
    """Two queues, one model and one database, and every word that any consumer ever had reason to say."""

    def __init__(self, database: PersistentQSQLAlchemy) -> None:
        super().__init__()
        self.database = database
        self.moved = timedelta(0)
        self.model = PersistentQMemory(now=lambda: clock.now() + self.moved)
        self.claims: list[tuple[Job, Job]] = []
        self.jobs: list[tuple[int, int]] = []

    def both(self, act: Callable[[PersistentQInterface], Any]) -> tuple[Any, Any]:
        # A second between any two acts: finer times depend on the clock's resolution.
        self.advance(1)
        mine, theirs = (self.outcome(act, queue) for queue in (self.model, self.database))
        self.agree(mine, theirs)
        return mine, theirs

    def agree(self, mine: object, theirs: object) -> None:
        first, second = ({ids[side]: place for place, ids in enumerate(self.jobs)} for side in (0, 1))
        assert shown(mine, first) == shown(theirs, second)

    @staticmethod
    def outcome(act: Callable[[PersistentQInterface], Any], queue: PersistentQInterface) -> Any:
        try:
            return act(queue)
        except PersistentQError as error:
            return type(error)

    def advance(self, seconds: int) -> None:
        self.moved += timedelta(seconds=seconds)
        age_everything(self.database, seconds)

    @rule(
        queue=st.sampled_from(QUEUES),
        priority=st.integers(-1, 1),
        delay=st.sampled_from([None, 0, 20, 100]),
        attempts=st.integers(1, 3),
        key=st.sampled_from([None, None, "k1", "k2"]),
        number=st.integers(1, 3),
    )
    def enqueue(
        self, queue: str, priority: int, delay: int | None, attempts: int, key: str | None, number: int
    ) -> None:
        wait = None if delay is None else timedelta(seconds=delay)
        new = NewJob("t", {"n": len(self.jobs)}, queue, priority, None, wait, attempts, key)
        mine, theirs = self.both(lambda store: store.enqueue_many([new] * number))
        pairs = {(one.id, other.id) for one, other in zip(mine, theirs, strict=True)}
        self.jobs += sorted(pairs - set(self.jobs))

    @rule(consumer=st.sampled_from(CONSUMERS), queues=st.permutations(QUEUES), limit=st.integers(1, 4))
    def dequeue(self, consumer: str, queues: list[str], limit: int) -> None:
        self.claims += zip(
            *self.both(lambda store: store.dequeue(consumer, queues, limit, LEASE)), strict=True
        )

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), word=st.sampled_from(sorted(WORDS)))
    def speak(self, data: st.DataObject, word: str) -> None:
        """Say a consumer's word on any claim ever made, most of them stale by now."""
        mine, theirs = data.draw(st.sampled_from(self.claims[-6:]))
        self.both(lambda store: WORDS[word](store, mine if store is self.model else theirs))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), verb=st.sampled_from(sorted(VERBS)))
    def operate(self, data: st.DataObject, verb: str) -> None:
        mine, theirs = data.draw(st.sampled_from(self.jobs))
        self.both(lambda store: VERBS[verb](store, mine if store is self.model else theirs))

    @rule(seconds=st.sampled_from([10, 61, 200]))
    def time_passes(self, seconds: int) -> None:
        self.advance(seconds)

    @rule()
    def cleanup(self) -> None:
        self.both(lambda store: store.cleanup())

    @rule(status=st.sampled_from(["done", "cancelled", "failed"]), limit=st.integers(1, 2))
    def delete_some(self, status: str, limit: int) -> None:
        self.both(lambda store: store.delete_jobs(status=status, limit=limit))

    @invariant()
    def they_stand_alike(self) -> None:
        mine, theirs = (list(store.list_jobs(limit=1000)) for store in (self.model, self.database))
        self.agree(mine, theirs)
        assert self.model.count_jobs() == self.database.count_jobs()
        for one, other in list(zip(mine, theirs, strict=True))[:3]:
            attempts = self.model.get_attempts(one.id), self.database.get_attempts(other.id)
            told, told_by_database = (
                [(a.attempt, a.consumer, a.outcome, a.error) for a in side] for side in attempts
            )
            assert told == told_by_database


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest) -> str | None:
    """Where the database is; None for a new SQLite file for each example."""
    url: str | None = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    return url


@pytest.mark.timeout(600)
def test_the_database_stands_as_the_model_does(address: str | None) -> None:
    folder = tempfile.mkdtemp(prefix="persistentq-")
    queue = PersistentQSQLAlchemy(address or f"sqlite:///{folder}/queue.db")

    def start() -> SameAsMemory:
        emptied(queue)
        return SameAsMemory(queue)

    try:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            start,
            settings=settings(
                max_examples=60,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        queue.close()
        shutil.rmtree(folder)
