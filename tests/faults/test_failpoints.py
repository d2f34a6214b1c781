"""Each place is in the code, and ordinary work passes it: one that was renamed away would never strike anybody."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

import pytest

from persistentq import Consumer, NewJob, PersistentQSQLAlchemy
from persistentq.clock import Deadline
from persistentq.connect import open_copies
from persistentq.sql import sqlite
from tests.faults.failpoints import Act, Arm, Place, find, places, wrap
from tests.faults.ledger import Ledger, Reader
from tests.faults.plans import FAILED_AT, PLANS, ZOMBIES_AT, Plan, deal
from tests.faults.scene import Scene, prepare
from tests.faults.working import PLACES_OF_CONSUMER, make_tasks

LEASE = timedelta(seconds=0.3)


@contextmanager
def counted(known: dict[str, Place]) -> Iterator[Counter[str]]:
    """Count the passages of each place."""
    passed: Counter[str] = Counter()
    with ExitStack() as stack:
        for name, place in known.items():
            stack.callback(wrap(place, partial(passed.update, [name])))
        yield passed


@pytest.fixture(params=["sqlite", "system", "postgresql"])
def scene(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    url = f"sqlite:///{tmp_path}/queue.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("own_postgres_url")
    if request.param == "system":
        # As on a machine with nothing but a library that has the WAL-reset bug.
        monkeypatch.setattr(sqlite, "choose_driver", lambda: sqlite3)
        monkeypatch.setattr(sqlite, "is_safe", lambda version: False)
        monkeypatch.setattr(sqlite, "CHECKPOINT_AT", 1)
    return Scene(request.param, url, tmp_path, seed=1, poison=0, bad=0)


def test_ordinary_work_passes_every_place(scene: Scene) -> None:
    known = places(scene.engine)
    with counted(known) as passed, PersistentQSQLAlchemy(scene.url) as queue:
        prepare(queue, scene)
        queue.enqueue("lost.task")
        queue.dequeue("who_dies", lease=timedelta(milliseconds=1))
        Deadline(1).pause(0.01)
        queue.enqueue_many(
            [
                NewJob("plain", {"seconds": LEASE.total_seconds()}, delay=timedelta(milliseconds=50)),
                NewJob("exact", {"seconds": 0.0}),
            ]
        )
        Deadline(1).pause(0.06)
        tasks = make_tasks(Ledger(scene.folder))
        Consumer(queue, concurrency=PLACES_OF_CONSUMER, consumer_id="c_1", tasks=tasks, lease=LEASE).run(
            burst=True
        )
        open_copies(scene.url).back_up(scene.folder / "copy.db", None)
    assert known.keys() - passed.keys() == set()
    worked = [entry for entry in Reader(scene.folder).look() if entry.what == "worked"]
    assert len(worked) == 2


def test_nothing_is_left_wrapped(scene: Scene) -> None:
    known = places(scene.engine)
    before = functions(known)
    with counted(known):
        during = functions(known)
    assert functions(known) == before
    assert not [name for name in known if during[name] is before[name]]


def functions(known: dict[str, Place]) -> dict[str, object]:
    found = {name: find(place.target) for name, place in known.items()}
    return {name: vars(owner)[called] for name, (owner, called) in found.items()}


@pytest.mark.parametrize("engine", ["sqlite", "system", "postgresql"])
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_plan_strikes_at_places_that_its_workers_pass(plan: Plan, engine: str) -> None:
    killed = set()
    for role in ("producer", "consumer"):
        dealt = deal(plan, engine, role, Random(1))
        aimed = [fate for fate in dealt if isinstance(fate, Arm)]
        assert {one.place for one in aimed} <= places(engine, role).keys()
        assert any(fate is None for fate in dealt)
        killed |= {one.place for one in aimed if one.act is Act.KILL}
    assert len(killed) >= 12
    assert set(ZOMBIES_AT) <= places(engine, "consumer").keys()
    assert set(FAILED_AT) <= places(engine).keys()


def test_a_torn_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    ledger, reader = Ledger(tmp_path), Reader(tmp_path)
    ledger.note("begun", 1, 1)
    (path,) = tmp_path.glob("*.ledger")
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(whole[:5])
    assert [entry.facts for entry in reader.look()] == [(1, 1)]
    assert reader.look() == []
    with path.open("ab") as file:
        file.write(whole[5:])
    assert [entry.facts for entry in reader.look()] == [(1, 1)]
    assert [entry.pid for entry in reader.entries] == [os.getpid()] * 2
