"""The life of consumer processes: whose id it is, how they stop, how they come back, and with which codes they end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import update

from persistentq import ConsumerInfo, JobStatus, Outcome, PersistentQSQLAlchemy
from persistentq.clock import Deadline
from persistentq.job import SILENT_AFTER
from persistentq.sql.models import ConsumerRow
from tests.process.programs import Program, Site

TASKS = """\
import asyncio
from pathlib import Path
from threading import Event

from persistentq import task

def hold():
    Path("holding").touch()
    while not Path("let go").exists():
        Event().wait(0.01)
    return "held"

async def hold_async():
    Path("holding").touch()
    while not Path("let go").exists():
        await asyncio.sleep(0.01)
    return "held"

task("hold.thread")(hold)
task("hold.async")(hold_async)
task("hold.process", executor="process")(hold)

@task("greet")
def greet():
    return "hello"
"""
KINDS = ["hold.thread", "hold.async", "hold.process"]


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    made = make_site(TIMEOUT_SECONDS=3)
    (made.folder / "tasks.py").write_text(TASKS)
    return made


def until_holding(site: Site, consumer: Program) -> None:
    consumer.until((site.folder / "holding").exists)


def let_go(site: Site) -> None:
    (site.folder / "let go").touch()


def only(site: Site) -> ConsumerInfo:
    with site.queue() as queue:
        (consumer,) = queue.list_consumers()
    return consumer


def until_begun(site: Site, consumer: Program) -> None:
    consumer.until(lambda: any(each.pid == consumer.process.pid for each in site.queue().list_consumers()))


# --- whose id it is ------------------------------------------------------------------------------------------------


def test_a_second_of_the_same_id_refuses_to_start_and_says_who_has_it(site: Site) -> None:
    first = site.consumer("--app", "tasks", name="c_1")
    first.says("c_1 started")
    second = site.consumer("--app", "tasks", name="c_1")
    assert second.code() == 75
    said, hint = second.said().splitlines()
    since = only(site).started_at
    host = os.uname().nodename
    assert said == (
        f"error: consumer 'c_1' is alive: process {first.process.pid} on {host}, since {since:%Y-%m-%dT%H:%M:%SZ}"
    )
    assert hint.startswith("hint: choose another id")
    with site.queue() as queue:
        job = queue.enqueue("greet")
        first.until(lambda: queue.get_job(job.id).status == JobStatus.DONE)
        assert queue.get_job(job.id).consumer == "c_1"


def test_a_killed_one_is_followed_at_once_under_its_id(site: Site) -> None:
    with site.queue() as queue:
        for _ in range(2):
            killed = site.consumer("--app", "tasks", name="c_1")
            killed.says("c_1 started")
            # Nobody has taken note of its end when the next one starts.
            killed.send(signal.SIGKILL)
            job = queue.enqueue("greet")
            follower = site.consumer("--app", "tasks", "--burst", name="c_1")
            assert follower.code() == 0, follower.said()
            assert queue.get_job(job.id).status == JobStatus.DONE


def test_of_several_that_start_at_the_same_moment_one_lives(site: Site) -> None:
    for name in ("c_1", "c_2", "c_3"):
        rivals = [site.consumer("--app", "tasks", name=name) for _ in range(3)]
        assert Deadline(40).wait_for(lambda those=rivals: sum(one.is_over() for one in those) == 2)
        (winner,) = (one for one in rivals if not one.is_over())
        assert sorted(one.code() for one in rivals if one is not winner) == [75, 75]
        winner.says(f"{name} started")
        winner.send(signal.SIGTERM)
        assert winner.code(within=10) == 0


def test_one_that_was_frozen_and_replaced_finishes_what_it_runs_and_stops(site: Site) -> None:
    with site.queue() as queue:
        job = queue.enqueue("hold.thread")
        frozen = site.consumer("--app", "tasks", name="c_1")
        until_holding(site, frozen)
        frozen.send(signal.SIGSTOP)
        refused = site.consumer("--app", "tasks", name="c_1")
        assert refused.code() == 75
        silence = SILENT_AFTER + timedelta(seconds=1)
        with cast("PersistentQSQLAlchemy", queue).engine.begin() as connection:
            beat = only(site).heartbeat_at
            connection.execute(update(ConsumerRow).values(heartbeat_at=beat - silence))
        follower = site.consumer("--app", "tasks", name="c_1")
        follower.says("c_1 started")
        let_go(site)
        frozen.send(signal.SIGCONT)
        assert frozen.code() == 75
        assert "c_1 stops, as another has its id" in frozen.said()
        assert f"error: consumer 'c_1' is alive: process {follower.process.pid} on " in frozen.said()
        follower.until(lambda: queue.get_job(job.id).status == JobStatus.DONE)
        (left,) = queue.list_consumers()
        assert (left.pid, left.is_alive) == (follower.process.pid, True)


# --- how it stops --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", KINDS)
def test_a_stop_waits_for_what_runs(site: Site, task: str) -> None:
    with site.queue() as queue:
        job = queue.enqueue(task)
        consumer = site.consumer("--app", "tasks", name="c_1")
        until_holding(site, consumer)
        consumer.send(signal.SIGTERM)
        consumer.says("takes no more jobs; 1 still run")
        later = queue.enqueue("greet")
        # Longer than the lease.
        limit = Deadline(4)
        while not limit.passed:
            assert not consumer.is_over()
            limit.pause(0.1)
        let_go(site)
        assert consumer.code(within=10) == 0
        done = queue.get_job(job.id)
        assert (done.status, done.result, done.attempt) == (JobStatus.DONE, "held", 1)
        assert queue.get_job(later.id).status == JobStatus.PENDING
        assert only(site).stopped_at is not None


@pytest.mark.parametrize("task", KINDS)
@pytest.mark.parametrize("second", [False, True], ids=["after its limit", "at a second signal"])
def test_then_it_gives_the_job_back_uncounted(site: Site, task: str, second: bool) -> None:
    with site.queue() as queue:
        job = queue.enqueue(task, max_attempts=1)
        consumer = site.consumer("--app", "tasks", "--drain", "600" if second else "0.5", name="c_1")
        until_holding(site, consumer)
        consumer.send(signal.SIGTERM)
        consumer.says("takes no more jobs; 1 still run")
        if second:
            consumer.send(signal.SIGTERM)
        assert consumer.code(within=10) == 0
        back = queue.get_job(job.id)
        assert (back.status, back.attempt, back.max_attempts) == (JobStatus.PENDING, 1, 2)
        assert [each.outcome for each in queue.get_attempts(job.id)] == [Outcome.RELEASED]


def test_what_could_not_be_told_at_the_end_shows_in_the_exit_code(make_site: Callable[..., Site]) -> None:
    site = make_site(QUEUE_LOCK_TIMEOUT=0.2)
    (site.folder / "tasks.py").write_text(TASKS)
    with site.queue() as queue:
        job = queue.enqueue("hold.thread")
    consumer = site.consumer("--app", "tasks", "--drain", "1", name="c_1")
    until_holding(site, consumer)
    with site.locked():
        let_go(site)
        consumer.send(signal.SIGTERM)
        assert consumer.code() == 4
    assert "leaves its jobs to their leases" in consumer.said()
    assert "error: database" in consumer.said()
    with site.queue() as queue:
        assert queue.get_job(job.id).status == JobStatus.PROCESSING


# --- how it comes back ---------------------------------------------------------------------------------------------


def begins_in(consumer: Program) -> int:
    """The seconds that a start says it waits; 0 for one that says nothing."""
    first = consumer.said().partition("\n")[0]
    if not first.startswith("warning: "):
        return 0
    return int(first.rpartition("begins in ")[2].removesuffix(" s"))


def test_one_that_cannot_load_its_tasks_starts_ever_more_slowly_and_shows_why(site: Site) -> None:
    (site.folder / "broken.py").write_text("import no_such_library\n")
    waits = []
    for _ in range(3):
        consumer = site.consumer("--app", "broken", name="c_1")
        assert consumer.code() == 2
        waits.append(begins_in(consumer))
        shown = only(site)
        assert not shown.is_alive
        assert "ModuleNotFoundError: No module named 'no_such_library'" in (shown.trouble or "")
    assert waits == [0, 0, 4]
    waiting = site.consumer("--app", "broken", name="c_1")
    waiting.says("begins in 8 s")
    assert "ended 3 times in a row soon after its start; the last time: " in waiting.said()
    assert "no_such_library" in waiting.said()
    # A stop is heard at once, and what it ends was asked for: the next start does not wait.
    waiting.send(signal.SIGTERM)
    assert waiting.code(within=5) == 0
    healed = site.consumer("--app", "tasks", name="c_1")
    until_begun(site, healed)
    assert begins_in(healed) == 0
    assert (only(site).trouble, only(site).is_alive) == (None, True)


def test_one_that_dies_without_a_word_is_known_to_the_next_start(site: Site) -> None:
    (site.folder / "deadly.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    for _ in range(2):
        assert site.consumer("--app", "deadly", name="c_1").code() == -signal.SIGSEGV
    # While it waits again, and after that, people see what is wrong.
    third = site.consumer("--app", "tasks", name="c_1")
    third.says("ended 2 times in a row soon after its start; the last time: no word; this one begins in 4 s")
    until_begun(site, third)
    assert only(site).trouble == "ended 2 times in a row soon after its start; the last time: no word"


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"QUEUE_DB_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none"}, 4), ({"MAX_ATTEMPTS": "many"}, 2)],
    ids=["a database that refuses", "a setting that cannot be used"],
)
def test_so_does_one_that_never_gets_to_its_database(
    make_site: Callable[..., Site], settings: dict[str, str], code: int
) -> None:
    site = make_site(**settings)
    waits = []
    for _ in range(3):
        consumer = site.consumer(CONSUMER_ID="c_1")
        assert consumer.code() == code, consumer.said()
        waits.append(begins_in(consumer))
    assert waits == [0, 0, 4]


def test_a_refused_one_waits_too_and_takes_over_when_the_other_has_gone(site: Site) -> None:
    """As after a supervisord that was killed: the old consumers go on, and the new ones come again and again."""
    first = site.consumer("--app", "tasks", name="c_1")
    first.says("c_1 started")
    for _ in range(2):
        assert site.consumer("--app", "tasks", name="c_1").code() == 75
    heir = site.consumer("--app", "tasks", name="c_1")
    heir.says("begins in 4 s")
    first.send(signal.SIGTERM)
    assert first.code(within=10) == 0
    until_begun(site, heir)


def test_one_without_a_name_of_its_own_is_never_made_to_wait(site: Site) -> None:
    for _ in range(3):
        consumer = site.consumer("--app", "no_such_module")
        assert consumer.code() == 2
        assert begins_in(consumer) == 0
    assert not list(Path(site.folder).glob("persistentq-*/*"))
