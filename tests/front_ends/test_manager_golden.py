"""Whole screens, cell by cell, of a queue that stands still: `WRITE_GOLDEN=1 pytest` on this file writes them anew."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from manager import refresh
from manager.around import Around
from persistentq import Act, NewJob, PersistentQMemory, Schedule, clock
from persistentq.clock import Deadline
from persistentq.operations import Operator
from persistentq.operations.surroundings import Surroundings
from tests.front_ends.manager_kit import LONG, NOW, Running, Terminal, running

GOLDEN = Path(__file__).with_name("golden")

SCENES: dict[str, tuple[tuple[int, int], tuple[str, ...]]] = {
    "jobs": ((80, 24), ()),
    "jobs_wide": ((120, 40), ("Down", "Down", "Down", "Down")),
    "jobs_all_columns": ((120, 40), ("w",)),
    "too_small": ((50, 10), ()),
    "details": ((80, 24), ("End", "Enter")),
    "query_completion": ((80, 24), ("/", *"queue:")),
    "query_error": ((80, 24), ("/", *"task:mail.* AND (status:faild", "Enter")),
    "query_without_hits": ((80, 24), ("/", *"task:mail.* status:done age>1d", "Enter")),
    "confirm": ((80, 24), ("Down", "C")),
    "say_why": ((80, 24), ("Down", "C", "r", *"not wanted")),
    "type_the_number": ((80, 24), ("A", "D")),
    "pick_a_consumer": ((80, 24), ("M",)),
    "attention": ((80, 24), ("2",)),
    "failures": ((120, 40), ("3",)),
    "queues": ((80, 24), ("4", " ")),
    "consumers": ((120, 40), ("5",)),
    "consumers_sorted": ((80, 24), ("5", "s", "s", "S")),
    "schedules": ((80, 24), ("6", " ")),
    "add_a_schedule": ((80, 24), ("6", "A", *"nightly", "Tab", *"30 2 * * *", "Tab")),
    "activity": ((120, 40), ("7",)),
    "journal": ((80, 24), ("8", " ")),
    "help": ((80, 24), ("?",)),
    "read_only": ((80, 24), ("R",)),
    "ascii_jobs": ((120, 40), ("Down", "C")),
    "ascii_activity": ((80, 24), ("7",)),
}


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> PersistentQMemory:
    """A queue with something of everything, at a moment that does not pass."""
    moment = NOW - timedelta(hours=1)

    def now() -> datetime:
        return moment

    monkeypatch.setattr(clock, "now", now)
    queue = PersistentQMemory(now=now)
    queue.heartbeat("consumer_01", host="box", pid=8, queues=["mail"])
    queue.retire("consumer_01")
    tasks = ["report.build", "image.scale", "file.stamp", "mail.send"]
    queue.enqueue_many([NewJob(task, {"number": n, "password": "hunter2"}) for n, task in enumerate(tasks)])
    queue.enqueue_many([NewJob("mail.send", {"to": "日本@example.org"}, queue="mail")] * 3)
    queue.enqueue("mail.later", delay=timedelta(hours=3))
    queue.put_schedule(Schedule("nightly", "30 2 * * *", "report.build", zone="Europe/Berlin"))
    moment += timedelta(minutes=20)
    report, image, stamp = queue.dequeue("consumer_00", limit=3, lease=timedelta(hours=2))
    queue.record(stamp, lines=["read 12 lines", "wrote half of them"])
    moment += timedelta(seconds=90)
    queue.complete(image, {"pixels": 640})
    queue.fail(report, ValueError("order 17 has no days"), retry=False)
    ann = Operator(queue, actor="ann@box", face="cli")
    ann.act(Act("cancel"), [4], reason="not wanted any more")
    ann.pause_queue("mail", lasting=timedelta(hours=3), reason="the server is down")
    moment = NOW
    queue.heartbeat("consumer_00", host="box", pid=7, queues=["default", "mail"])
    monkeypatch.setattr(refresh, "open_queue", lambda **_: _kept_open(queue))
    monkeypatch.setattr(refresh, "Around", lambda _: _around_nothing())
    return queue


def _kept_open(queue: PersistentQMemory) -> PersistentQMemory:
    queue.close = lambda: None  # type: ignore[method-assign]
    return queue


def _around_nothing() -> Around:
    around = Around(None)
    around.surroundings, around.conf = Surroundings(), None
    return around


@pytest.mark.parametrize("scene", SCENES)
def test_the_screen_is_as_it_is_kept(scene: str, standing: PersistentQMemory, tmp_path: Path) -> None:
    size, keys = SCENES[scene]
    file = GOLDEN / f"{scene}.txt"
    how = {"readonly": scene == "read_only", "is_ascii": scene.startswith("ascii")}
    with running(tmp_path, Terminal(*size), **how) as manager:
        manager.wait(lambda: manager.state.snapshot is not None)
        for key in keys:
            manager.press(key)
            manager.wait(lambda: is_settled(manager))
        manager.wait(lambda: is_settled(manager))
        if os.environ.get("WRITE_GOLDEN"):
            Deadline(1.0).pause(1.0)
            file.write_text(manager.text() + "\n", encoding="utf-8")
        wanted = file.read_text(encoding="utf-8").removesuffix("\n")
        Deadline(LONG / 4).wait_for(lambda: manager.text() == wanted)
        assert manager.text() == wanted


def is_settled(manager: Running) -> bool:
    """Whether what is on the screen was read for it."""
    state = manager.state
    return (
        state.snapshot is not None
        and state.snapshot.request == state.request
        and getattr(state.dialog, "is_ready", True)
    )
