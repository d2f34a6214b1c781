"""Every state that two jobs, three consumers and three attempts can come to, by every act, and what holds in all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from persistentq import TRANSITIONS, Job, JobStatus, LeaseLost, NewJob, PersistentQMemory
from persistentq.errors import InvalidTransition

CONSUMERS = ("c0", "c1", "c2")
ATTEMPTS = 3
MOST_GIVEN_BACK = 1
"""An attempt that is given back raises the allowance; without a bound there would be no end of states."""

HAVE_AN_OWNER = (JobStatus.PROCESSING, JobStatus.DONE)
LEASE = timedelta(seconds=60)
VERBS_OF = {
    "advance": {"due", "expire"},
    "dequeue": {"dequeue", "due", "expire"},
    "give up": {"fail"},
    "mark_failed": {"mark-failed"},
    "free": {"assign"},
}
WORDS: dict[str, Callable[[PersistentQMemory, Job], object]] = {
    "complete": lambda queue, job: queue.complete(job),
    "fail": lambda queue, job: queue.fail(job, "broke", delay=timedelta(seconds=30)),
    "give up": lambda queue, job: queue.fail(job, "broke", retry=False),
    "snooze": lambda queue, job: queue.snooze(job, timedelta(seconds=30)),
    "release": lambda queue, job: raised(queue.release([job])),
    "extend": lambda queue, job: raised([] if queue.extend([job], LEASE) else [job]),
}
ACTS: dict[str, Callable[[PersistentQMemory, int], object]] = {
    "cancel": lambda queue, job_id: queue.cancel(job_id),
    "mark_failed": lambda queue, job_id: queue.mark_failed(job_id, "by hand"),
    "resubmit": lambda queue, job_id: queue.resubmit(job_id),
    "free": lambda queue, job_id: queue.assign_job(job_id, None),
}


def raised(refused: list[Job]) -> None:
    for job in refused:
        raise LeaseLost(job.id, job.consumer or "", job.attempt)


class Snapshot(NamedTuple):
    """All that the model knows."""

    jobs: dict[int, Job]
    attempts: dict[int, list[Any]]
    budgets: dict[int, int]
    moment: datetime


class World:
    """The model, whose whole state can be taken and put back."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)
        self.queue = PersistentQMemory(now=lambda: self.moment, lease=LEASE)
        self.queue.enqueue_many([NewJob("t", max_attempts=ATTEMPTS)] * 2)

    def take(self) -> Snapshot:
        queue = self.queue
        histories = {job_id: list(history) for job_id, history in queue._history.items()}
        return Snapshot(dict(queue._jobs), histories, dict(queue._budgets), self.moment)

    def put(self, snapshot: Snapshot) -> None:
        self.queue._jobs = dict(snapshot.jobs)
        self.queue._history.clear()
        self.queue._history.update({job_id: list(one) for job_id, one in snapshot.attempts.items()})
        self.queue._budgets = dict(snapshot.budgets)
        self.moment = snapshot.moment

    def key(self) -> tuple[Any, ...]:
        """What matters of a state: who holds what, no matter under which name; what is due; which job is first."""
        first, second = self.queue._jobs.values()
        names: dict[str | None, int] = {None: -1}
        seen = [
            (
                job.status,
                job.attempt,
                job.max_attempts,
                names.setdefault(job.consumer, len(names)) if job.status in HAVE_AN_OWNER else -1,
                job.cancel_requested,
                job.lease_until is not None and job.lease_until <= self.moment,
                job.status == JobStatus.SCHEDULED and job.run_at <= self.moment,
            )
            for job in (first, second)
        ]
        both_wait = {first.status, second.status} <= {JobStatus.SCHEDULED, JobStatus.PENDING}
        return (*seen, both_wait and first.run_at > second.run_at)


def edges(world: World) -> Iterator[tuple[str, int | None, Callable[[], object]]]:
    """Every act that may be tried now: its name, the job it is about, and the act."""
    queue = world.queue
    for consumer in CONSUMERS:
        yield "dequeue", None, lambda consumer=consumer: queue.dequeue(consumer, limit=1)
    yield "advance", None, queue.cleanup
    for job in list(queue._jobs.values()):
        if job.status == JobStatus.PROCESSING:
            for name, word in WORDS.items():
                if name in ("snooze", "release") and job.max_attempts >= ATTEMPTS + MOST_GIVEN_BACK:
                    continue
                yield name, job.id, lambda word=word, job=job: word(queue, job)
        for name, act in ACTS.items():
            if name == "free" and job.max_attempts >= ATTEMPTS + MOST_GIVEN_BACK:
                continue
            if name == "resubmit" and (job.attempt > 1 or job.max_attempts > ATTEMPTS):
                continue
            yield name, job.id, lambda act=act, job=job: act(queue, job.id)


def stale_words_change_nothing(world: World) -> int:
    """Whoever does not hold a job at its very attempt is refused, whatever it says; return how often."""
    tried = 0
    before = dict(world.queue._jobs)
    for job in before.values():
        for consumer in CONSUMERS:
            for attempt in range(1, job.attempt + 1):
                holds = (job.status, job.consumer, job.attempt) == (JobStatus.PROCESSING, consumer, attempt)
                has_done = (job.status, job.consumer, job.attempt) == (JobStatus.DONE, consumer, attempt)
                stale = replace(job, status=JobStatus.PROCESSING, consumer=consumer, attempt=attempt)
                for name, word in WORDS.items():
                    if holds or (has_done and name == "complete"):
                        continue
                    try:
                        word(world.queue, stale)
                    except LeaseLost:
                        tried += 1
                    else:
                        pytest.fail(f"{name} of {stale} was accepted in the place of {job}")
    assert world.queue._jobs == before
    return tried


def is_sound(name: str, about: int | None, before: dict[int, Job], after: dict[int, Job]) -> None:
    """One step keeps the state machine, counts no attempt twice or down, and touches nobody else."""
    verbs = VERBS_OF.get(name, {name})
    for job_id, job in after.items():
        was = before[job_id]
        if about is not None and job_id != about:
            assert job == was
        assert was.attempt <= job.attempt <= was.attempt + (name == "dequeue")
        assert job.attempt <= job.max_attempts
        allowed = {
            (start, end)
            for transition in TRANSITIONS
            if transition.verb in verbs
            for start in transition.before
            for end in transition.after
        }
        steps = {(was.status, job.status)} if was.status != job.status else set()
        if name == "dequeue" and steps - allowed:
            # Taken back or come due, and taken, in one call.
            steps = {(was.status, JobStatus.PENDING), (JobStatus.PENDING, job.status)}
        assert steps <= allowed, (name, was, job)
        assert (job.status == JobStatus.PROCESSING) == (job.lease_until is not None)


def explore() -> tuple[dict[Any, set[Any]], dict[str, int], int]:
    """Return which states lead to which, how often each act did something, and how many stale words were refused."""
    world = World()
    start = world.take()
    leads: dict[Any, set[Any]] = {world.key(): set()}
    line, acts, refused = (
        deque([(world.key(), start)]),
        dict.fromkeys((*WORDS, *ACTS, "dequeue", "advance"), 0),
        0,
    )
    while line:
        key, snapshot = line.popleft()
        world.put(snapshot)
        refused += stale_words_change_nothing(world)
        for name, about, act in list(edges(world)):
            world.put(snapshot)
            if name == "advance":
                world.moment += timedelta(seconds=61)
            before = dict(world.queue._jobs)
            try:
                act()
            except InvalidTransition:
                assert world.queue._jobs == before
                continue
            is_sound(name, about, before, world.queue._jobs)
            acts[name] += 1
            found = world.key()
            leads[key].add(found)
            if found not in leads:
                leads[found] = set()
                line.append((found, world.take()))
    return leads, acts, refused


@pytest.mark.timeout(300)
def test_every_state() -> None:
    """G2, G3: in each a stale word is refused and changes nothing; from each, both jobs can come to an end."""
    leads, acts, refused = explore()
    assert len(leads) > 2_000
    assert sum(map(len, leads.values())) > 10_000
    assert refused > 100_000
    assert min(acts.values()) > 300, acts
    ends = {JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED}
    comes_from: dict[Any, set[Any]] = {key: set() for key in leads}
    for key, found in leads.items():
        for one in found:
            comes_from[one].add(key)
    line = deque(key for key in leads if key[0][0] in ends and key[1][0] in ends)
    can_end = set(line)
    while line:
        for key in comes_from[line.popleft()] - can_end:
            can_end.add(key)
            line.append(key)
    assert can_end == set(leads)
