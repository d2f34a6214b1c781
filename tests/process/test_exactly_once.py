"""G2 and G6 under 200 kills: effects in the queue's database happen exactly once, and the test can see it if not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import text

from persistentq import JobStatus, PersistentQSQLAlchemy
from persistentq.clock import Deadline
from tests.process.tormenting import KILLS, Place, Torment, nursery

PLACES = {"claimed", "written", "committed"}


class Found(NamedTuple):
    """What the workers left behind.

    Attributes:
        doubled: Jobs with more than one effect.
        missing: Jobs with none.
        stale: Jobs whose effect is not of the attempt that was accepted.
    """

    doubled: int
    missing: int
    stale: int


def make_effects(queue: PersistentQSQLAlchemy) -> None:
    """Make the application's own table; nothing in it keeps a job from having two effects."""
    with queue.engine.begin() as connection:
        connection.execute(text("CREATE TABLE effects (job_id BIGINT NOT NULL, attempt BIGINT NOT NULL)"))
        connection.execute(text("CREATE INDEX effects_of_job ON effects (job_id)"))


def effects_in(queue: PersistentQSQLAlchemy) -> list[tuple[int, int]]:
    with queue.engine.connect() as connection:
        return [
            (id, attempt) for id, attempt in connection.execute(text("SELECT job_id, attempt FROM effects"))
        ]


def tormented(url: str, way: str, folder: Path) -> tuple[Torment, Found]:
    """Let workers that work in this way be killed and frozen, and see what they left."""
    with PersistentQSQLAlchemy(url) as queue, nursery(url, way, folder) as workers:
        make_effects(queue)
        torment = Torment(queue, workers)
        torment.run()
        effects = effects_in(queue)
        with queue.engine.connect() as connection:
            done = connection.execute(text("SELECT id, attempt FROM persistentq_jobs WHERE status = 'done'"))
            accepted = {row.id: row.attempt for row in done}
    assert torment.kills.total() == KILLS
    assert min(torment.kills[place] for place in {*PLACES, "anywhere"}) >= 5, torment.kills
    per_job = Counter(id for id, _ in effects)
    assert per_job.keys() <= accepted.keys()
    return torment, Found(
        doubled=sum(number > 1 for number in per_job.values()),
        missing=len(accepted) - len(per_job),
        stale=sum(accepted[id] != attempt for id, attempt in effects),
    )


@pytest.mark.parametrize("way", ["together", "guarded"])
def test_each_job_has_exactly_one_effect(own_url: str, way: str, tmp_path: Path) -> None:
    torment, found = tormented(own_url, way, tmp_path)
    assert found == Found(doubled=0, missing=0, stale=0)
    # There were zombies, and each was told.
    assert torment.refused >= 5


def test_an_effect_of_its_own_happens_twice(own_url: str, tmp_path: Path) -> None:
    """The control: what the first test does to workers is enough to show what it looks for."""
    _, found = tormented(own_url, "apart", tmp_path)
    assert found.doubled >= 5
    assert found.missing == 0


@pytest.mark.parametrize(
    ("way", "effects"), [("together", [2]), ("guarded", [2]), ("apart", [1, 2]), ("unguarded", [1])]
)
def test_a_stale_worker_wakes_up(own_url: str, way: str, effects: list[int], tmp_path: Path) -> None:
    """In the job's own transaction, and under the guard, it leaves nothing behind; the others are the control."""
    with PersistentQSQLAlchemy(own_url) as queue, nursery(own_url, way, tmp_path) as workers:
        make_effects(queue)
        job = queue.enqueue("any.task")
        with workers.worker() as stale:
            assert stale.place() == Place("claimed", job.id, 1)
            stale.freeze()
            with workers.worker() as other:
                other.run_free()
                assert Deadline(10).wait_for(lambda: queue.get_job(job.id).status == JobStatus.DONE, 0.01)
            stale.thaw()
            stale.go()
            while stale.place().name != "refused":
                stale.go()
        assert sorted(attempt for _, attempt in effects_in(queue)) == effects
        assert queue.get_job(job.id).attempt == 2
