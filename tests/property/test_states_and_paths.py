"""G2, G3: what holds in every state and for every act, and that SQLite goes the same ways as the model."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from pathlib import Path

import pytest

from persistentq import TRANSITIONS, Job, JobStatus, PersistentQSQLAlchemy, clock
from persistentq.job import FINISHED, UNFINISHED
from tests.contract.conftest import age_everything, emptied
from tests.property.graph_of_states import (
    JOBS,
    MOVE,
    VERBS,
    WORDS,
    Act,
    Edge,
    Graph,
    State,
    World,
    acts_on,
    explore,
    perform,
    state_of,
)

PROCESSING = JobStatus.PROCESSING
REFUSALS = {"LeaseLost", "InvalidTransition", True}
VERB_OF = {
    "complete_many": "complete",
    "fail now": "fail",
    "give up": "fail",
    "free": "assign",
    "assign c0": "assign",
    "assign c1": "assign",
    "assign c2": "assign",
}
ARROWS: dict[str, set[tuple[JobStatus, JobStatus]]] = defaultdict(set)
for transition in TRANSITIONS:
    ARROWS[transition.verb] |= {(one, other) for one in transition.before for other in transition.after}
ARROWS["clean up"] = ARROWS["due"] | ARROWS["expire"]
ARROWS["dequeue"] |= ARROWS["clean up"] | {
    (one, PROCESSING) for one, other in ARROWS["clean up"] if other == JobStatus.PENDING
}
ARROWS["extend"] = {(PROCESSING, PROCESSING)}


def check(edge: Edge) -> None:
    """Every refusal changes nothing, every change is of the job that is meant, and allowed."""
    act, before, after = edge.act, edge.before, edge.after
    changed = [job_id for job_id, job in before.items() if after.get(job_id) is not job]
    is_about_one = act.name in WORDS or act.name in VERBS
    if is_about_one:
        assert set(changed) <= {act.place + 1}, edge
    if act.name in WORDS:
        job = before[act.place + 1]
        is_theirs = act.back == 0 and act.consumer == job.consumer
        is_held = is_theirs and job.status == PROCESSING
        is_repeated = is_theirs and job.status == JobStatus.DONE and act.name.startswith("complete")
        assert (edge.outcome in REFUSALS) == (not is_held and not is_repeated), edge
        assert bool(changed) == is_held, edge
    elif is_about_one:
        assert bool(changed) == (edge.outcome not in REFUSALS), edge
    elif act.name == "dequeue":
        assert isinstance(edge.outcome, list)
        assert len(edge.outcome) <= act.limit
        assert {place + 1 for place in edge.outcome} == {
            job_id for job_id in changed if after[job_id].status == PROCESSING
        }
    for job_id in changed:
        check_change(edge, before[job_id], after.get(job_id))


def check_change(edge: Edge, was: Job, job: Job | None) -> None:
    """At most one completion is accepted, since no arrow leads away from done but deletion."""
    act, verb = edge.act, VERB_OF.get(edge.act.name, edge.act.name)
    if job is None:
        assert verb == "delete", edge
        assert was.status != PROCESSING, edge
        return
    assert (was.status, job.status) in ARROWS[verb], edge
    is_claimed = verb == "dequeue" and job.status == PROCESSING
    assert job.attempt - was.attempt == is_claimed, edge
    if is_claimed:
        assert job.consumer == act.consumer, edge
        assert was.reserved_for in (None, act.consumer), edge
    is_given_back = (
        verb in ("release", "snooze", "assign") and was.status == PROCESSING and job.status in UNFINISHED
    )
    allowance = job.attempt + 3 if verb == "resubmit" else was.max_attempts + is_given_back
    assert job.attempt <= job.max_attempts == allowance, edge
    assert (job.lease_until is not None) == (job.status == PROCESSING), edge
    assert (job.finished_at is not None) == (job.status in FINISHED), edge
    assert not job.cancel_requested or job.status == PROCESSING, edge
    assert job.reserved_for is None or job.status in UNFINISHED - {PROCESSING}, edge


def stuck_states(graph: Graph) -> set[State]:
    """Return the states from which consumers alone, with time, cannot bring every job to an end."""
    comes_from = defaultdict(set)
    for state, found in graph.unaided.items():
        for one in found:
            comes_from[one].add(state)
    line = deque(
        state for state in graph.came_by if all(one is None or one[0] in FINISHED for one in state[:2])
    )
    can_end = set(line)
    while line:
        new = comes_from[line.popleft()] - can_end
        can_end |= new
        line += new
    return set(graph.came_by) - can_end


def check_that_states_are_whole(graph: Graph, sample: int) -> None:
    """What a state leaves out, such as how often a job was claimed, makes no difference to what comes of it."""
    world = World()
    for state in random.sample(sorted(graph.others, key=repr), sample):
        ways = graph.snapshots[state], graph.others[state]
        for act in set.intersection(*(set(acts_on(map(jobs.get, world.ids))) for jobs, _ in ways)):
            found = []
            for way in ways:
                world.put(*way)
                found.append((world.perform(act), world.state()))
            assert found[0] == found[1], (state, act)


def replay(queue: PersistentQSQLAlchemy, acts: list[Act]) -> None:
    """Do it all on the database and on the model; both must come through the same states."""
    emptied(queue)
    world, ids = World(), [job.id for job in queue.enqueue_many(JOBS)]
    for act in acts:
        jobs = {job.id: job for job in queue.list_jobs()}
        expected, found = world.perform(act), None
        if act.name == "move the clock":
            age_everything(queue, MOVE.total_seconds())
        else:
            found = perform(act, queue, ids, jobs.get(ids[act.place]))
        assert found == expected, acts
        jobs = {job.id: job for job in queue.list_jobs()}
        assert state_of(map(jobs.get, ids), clock.now()) == world.state(), acts
    for mine, theirs in zip(world.ids, ids, strict=True):
        if mine in world.jobs:
            told, expected = (
                [(one.attempt, one.consumer, one.outcome, one.error) for one in store.get_attempts(job_id)]
                for store, job_id in ((queue, theirs), (world.queue, mine))
            )
            assert told == expected, acts


@pytest.mark.timeout(600)
def test_every_state_and_every_kind_of_edge(tmp_path: Path) -> None:
    """2 jobs, 3 consumers, 3 attempts: a stale word is refused everywhere, and nothing is ever stuck."""
    graph = explore(check)
    assert len(graph.came_by) >= 8_700
    assert graph.edges >= 1_300_000
    assert stuck_states(graph) == set()
    check_that_states_are_whole(graph, sample=300)
    assert len(graph.kinds) >= 1_300
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as queue:
        for state, act in graph.kinds.values():
            replay(queue, [*graph.path_to(state), act])
