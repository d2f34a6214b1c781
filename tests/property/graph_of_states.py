"""Two jobs of three attempts and three consumers: every state that any acts can lead to, found breadth first.

A state is what decides what may come of it. How often a job was claimed does not, but how many attempts are left
does; nor when a lease ends, but whether it has. So there is an end of states, though not of histories.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from persistentq import Job, JobStatus, NewJob, PersistentQError, PersistentQInterface, PersistentQMemory
from persistentq.job import UNFINISHED

CONSUMERS = ("c0", "c1", "c2")
JOBS = [NewJob("t", max_attempts=3)] * 2
LASTING = timedelta(seconds=50)
"""A lease and a delay: over when the clock has been moved once, however slow the machine is."""
MOVE = timedelta(seconds=100)
MOMENT = timedelta(milliseconds=1)

Word = Callable[[PersistentQInterface, Job], object]
WORDS: dict[str, Word] = {
    "complete": lambda queue, job: queue.complete(job),
    "complete_many": lambda queue, job: bool(queue.complete_many([job])),
    "fail": lambda queue, job: queue.fail(job, "broken", delay=LASTING),
    "fail now": lambda queue, job: queue.fail(job, "broken", delay=timedelta(0)),
    "give up": lambda queue, job: queue.fail(job, "hopeless", retry=False),
    "snooze": lambda queue, job: queue.snooze(job, LASTING),
    "release": lambda queue, job: bool(queue.release([job])),
    "extend": lambda queue, job: not queue.extend([job], LASTING),
}
"""What a consumer may say of a claim; those about many jobs say whether this one was refused."""

VERBS: dict[str, Word] = {
    "cancel": lambda queue, job: queue.cancel(job.id),
    "mark-failed": lambda queue, job: queue.mark_failed(job.id, "by hand"),
    "resubmit": lambda queue, job: queue.resubmit(job.id),
    "delete": lambda queue, job: queue.delete_job(job.id),
    "free": lambda queue, job: queue.assign_job(job.id, None),
    "assign c0": lambda queue, job: queue.assign_job(job.id, "c0"),
    "assign c1": lambda queue, job: queue.assign_job(job.id, "c1"),
    "assign c2": lambda queue, job: queue.assign_job(job.id, "c2"),
}


class Act(NamedTuple):
    """One act.

    Attributes:
        name: A word, a verb, or dequeue, clean up, move the clock.
        place: Which job it is about.
        consumer: Who says the word, or dequeues.
        back: Of which claim the word is: of the job's latest, of so many before it, or, at -1, of one yet to come.
        limit: How many to dequeue.
    """

    name: str
    place: int = 0
    consumer: str = ""
    back: int = 0
    limit: int = 1


HOUSE = [
    Act("move the clock"),
    Act("clean up"),
    *(Act("dequeue", consumer=name, limit=limit) for name in CONSUMERS for limit in (1, 2)),
]


def acts_on(jobs: Iterable[Job | None]) -> Iterator[Act]:
    """Yield everything that can be tried with these jobs, most of it in vain."""
    yield from HOUSE
    for place, job in enumerate(jobs):
        if job is None:
            continue
        yield from (Act(name, place) for name in VERBS)
        for back in range(-1, min(3, job.attempt)):
            yield from (Act(name, place, who, back) for who in CONSUMERS for name in WORDS)


def claim_of(job: Job, act: Act) -> Job:
    """Return the job as the consumer knows it by that claim, whether it ever had it or not."""
    return replace(job, consumer=act.consumer, attempt=job.attempt - act.back)


def perform(act: Act, queue: PersistentQInterface, ids: list[int], job: Job | None) -> object:
    """Return what comes of the act in a form that does not depend on ids and times.

    Args:
        ids: The ids of the jobs by place.
        job: The one that the act is about, as it is now.
    """
    try:
        if act.name == "dequeue":
            taken = queue.dequeue(act.consumer, limit=act.limit, lease=LASTING)
            return [ids.index(one.id) for one in taken]
        if act.name == "clean up":
            return queue.cleanup()
        assert job is not None
        done = (
            WORDS[act.name](queue, claim_of(job, act)) if act.name in WORDS else VERBS[act.name](queue, job)
        )
    except PersistentQError as error:
        return type(error).__name__
    return str(done.status) if isinstance(done, Job) else done


State = tuple[Any, ...]


def state_of(jobs: Iterable[Job | None], now: datetime) -> State:
    """Return what decides what may come of these jobs; None for one that is deleted."""
    pair = list(jobs)
    first, second = (job.run_at if job is not None and job.status in UNFINISHED else None for job in pair)
    return (*(_standing(job, now) for job in pair), not first or not second or first <= second)


def _standing(job: Job | None, now: datetime) -> State | None:
    if job is None:
        return None
    over = {JobStatus.PROCESSING: job.lease_until, JobStatus.SCHEDULED: job.run_at}.get(job.status)
    return (
        job.status,
        # A resubmitted job gets its whole budget anew.
        job.max_attempts - job.attempt if job.status in UNFINISHED else None,
        job.consumer if job.status in (JobStatus.PROCESSING, JobStatus.DONE) else None,
        job.reserved_for,
        job.cancel_requested,
        over is not None and over <= now,
    )


class World:
    """The model, whose jobs can be put back to what they were."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)
        self.queue = PersistentQMemory(now=lambda: self.moment)
        self.ids = [job.id for job in self.queue.enqueue_many(JOBS)]

    @property
    def jobs(self) -> dict[int, Job]:
        return self.queue._jobs

    def state(self) -> State:
        return state_of(map(self.jobs.get, self.ids), self.moment)

    def put(self, snapshot: dict[int, Job], moment: datetime) -> None:
        self.queue._jobs, self.moment = dict(snapshot), moment
        self.queue._history.clear()
        self.queue._budgets.update(dict.fromkeys(self.ids, 3))

    def perform(self, act: Act) -> object:
        self.moment += MOVE if act.name == "move the clock" else MOMENT
        if act.name == "move the clock":
            return None
        return perform(act, self.queue, self.ids, self.jobs.get(self.ids[act.place]))


class Edge(NamedTuple):
    """One act in one state."""

    act: Act
    outcome: object
    before: dict[int, Job]
    after: dict[int, Job]


@dataclass
class Graph:
    """All states, and how they hang together.

    Attributes:
        came_by: How each state was first reached: from which one, by which act. The beginning has none.
        snapshots: The jobs and the time as of then.
        others: The same for another way to the state, if there is one.
        unaided: Which states lead to which without an operator, and without any misfortune.
        kinds: One edge for each kind of edge there is: its state and its act.
        edges: How many there are.
    """

    came_by: dict[State, tuple[State, Act] | None] = field(default_factory=dict)
    snapshots: dict[State, tuple[dict[int, Job], datetime]] = field(default_factory=dict)
    others: dict[State, tuple[dict[int, Job], datetime]] = field(default_factory=dict)
    unaided: dict[State, set[State]] = field(default_factory=dict)
    kinds: dict[tuple[Any, ...], tuple[State, Act]] = field(default_factory=dict)
    edges: int = 0

    def path_to(self, state: State) -> list[Act]:
        """Return the acts that lead to the state from the beginning."""
        acts: list[Act] = []
        while (step := self.came_by[state]) is not None:
            state, act = step
            acts.append(act)
        return acts[::-1]


def explore(check: Callable[[Edge], None]) -> Graph:
    """Return every state there is; `check` is called with every edge."""
    world, graph = World(), Graph()
    start = world.state()
    graph.came_by[start], graph.snapshots[start] = None, (dict(world.jobs), world.moment)
    line = deque([start])
    while line:
        state = line.popleft()
        snapshot, moment = graph.snapshots[state]
        graph.unaided[state] = set()
        for act in acts_on(map(snapshot.get, world.ids)):
            world.put(snapshot, moment)
            edge = Edge(act, world.perform(act), snapshot, world.jobs)
            check(edge)
            graph.edges += 1
            found = world.state()
            graph.kinds.setdefault(kind_of(edge, state, found), (state, act))
            if act.name in ("move the clock", "dequeue", "complete"):
                graph.unaided[state].add(found)
            if found not in graph.came_by:
                graph.came_by[found], graph.snapshots[found] = (state, act), (world.jobs, world.moment)
                line.append(found)
            elif found != state:
                graph.others[found] = world.jobs, world.moment
    return graph


def kind_of(edge: Edge, before: State, after: State) -> tuple[Any, ...]:
    """Return what makes an edge like another: the act, and what it does to which kind of job."""
    act = edge.act
    place = act.place if act.name in WORDS or act.name in VERBS else slice(0, 2)
    return act.name, act.back, str(edge.outcome), _statuses(before[place]), _statuses(after[place])


def _statuses(standing: Any) -> Any:
    if standing is None or isinstance(standing[0], str):
        return standing and (standing[0], standing[1], standing[4], standing[5])
    return tuple(one and (one[0], one[5]) for one in standing)
