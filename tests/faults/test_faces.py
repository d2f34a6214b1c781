"""The faces do not grow: `python -m tests.faults.faces --minutes 60`, for some seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.faults.faces import DASHBOARD, MANAGER, Faces, Sample, Watched
from tests.faults.soak import MIB


def watched(memory: Callable[[int], float], files: Callable[[int], int] = lambda minute: 9) -> Watched:
    """What an hour looked like, a sample a minute."""
    return Watched([Sample(round(memory(n) * MIB), files(n), cpu=0.6 * n) for n in range(60)])


def test_manager_and_dashboard_go_on_beside_a_queue(tmp_path: Path) -> None:
    told: list[str] = []
    faces = Faces(tmp_path, seconds=9, jobs=300)
    faces.run(told.append)
    assert faces.complaints == [], faces.told()
    assert faces.watched.keys() == {MANAGER, DASHBOARD}
    assert all(len(one.samples) >= 3 and one.samples[-1].cpu > 0 for one in faces.watched.values())
    assert faces.written > 0
    assert told[-1].startswith("minutes ")
    assert " to 0.15: manager " in told[-1]


def test_what_is_flat_is_not_complained_of() -> None:
    rough = watched(lambda minute: 40 + 60 * (minute >= 3) + minute % 5)
    assert rough.complaints(is_settled=True) == []
    assert rough.told(3600) == "102.0 MiB, then 102.0, 9 files open, then 9, 1.0% of a core"


def test_memory_that_grows_is_seen_once_there_was_time_to_settle() -> None:
    leak = watched(lambda minute: 100 + minute)
    assert leak.complaints(is_settled=True) == ["used 109.5 MiB of memory, then 154.5"]
    assert leak.complaints(is_settled=False) == []
    assert watched(lambda minute: 100 + minute / 10).complaints(is_settled=True) == []


def test_files_that_stay_open_are_seen() -> None:
    assert watched(lambda minute: 100, lambda minute: minute).complaints(is_settled=False) == [
        "had 14 files open, then 59"
    ]
