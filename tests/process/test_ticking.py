"""Each tick of a schedule is enqueued once, however many processes tick and however they end."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from persistentq import CatchUp, JobStatus, PersistentQInterface, PersistentQSQLAlchemy, Schedule
from persistentq.clock import Deadline
from tests.contract.conftest import age_everything
from tests.process.programs import Site
from tests.process.test_many_processes import started, tell, told

TICKERS, SCHEDULES, EACH = 8, 5, 200
KILLED = 6
PATIENCE = timedelta(seconds=20)


@pytest.fixture
def queue(own_url: str) -> Iterator[PersistentQSQLAlchemy]:
    """A queue whose schedules have many ticks due, each of which is wanted."""
    with PersistentQSQLAlchemy(own_url) as opened:
        for number in range(SCHEDULES):
            every = Schedule(f"s{number}", "every 1h", "t", catch_up=CatchUp.ALL, catch_up_limit=1000)
            opened.put_schedule(every)
        age_everything(opened, EACH * 3600 + 100)
        yield opened


def expected(queue: PersistentQSQLAlchemy) -> list[str]:
    """Return the ticks that are due."""
    return [
        f"{info.schedule.name}@{(info.next_at + number * timedelta(hours=1)).isoformat()}"
        for info in queue.list_schedules()
        for number in range(EACH)
    ]


def stored(queue: PersistentQSQLAlchemy) -> list[str]:
    """Return the ticks whose jobs are in the database."""
    jobs = queue.list_jobs(limit=1000)
    assert jobs.next is None
    return [f"{job.metadata['schedule']}@{job.metadata['tick']}" for job in jobs]


def test_a_race_of_eight_processes(queue: PersistentQSQLAlchemy, own_url: str) -> None:
    due = expected(queue)
    with ExitStack() as stack:
        tickers = [stack.enter_context(started("ticking.py", own_url, "7")) for _ in range(TICKERS)]
        assert [told(process) for process in tickers] == ["ready"] * TICKERS
        for process in tickers:
            tell(process, "go")
        outputs = [process.communicate(timeout=100) for process in tickers]
        assert [process.returncode for process in tickers] == [0] * TICKERS, outputs
    assert [errors for _, errors in outputs] == [""] * TICKERS
    assert Counter(stored(queue)) == Counter(due)
    # Each of them was told to exactly one process, too.
    assert Counter(line for output, _ in outputs for line in output.split()) == Counter(due)
    assert sum(bool(output) for output, _ in outputs) > 1


def test_processes_that_are_killed_lose_and_repeat_no_tick(
    queue: PersistentQSQLAlchemy, own_url: str
) -> None:
    """Kill -9 at any moment, again and again; at the end one is left to do the rest."""
    due = expected(queue)
    with ExitStack() as stack:
        for _ in range(KILLED):
            pair = [stack.enter_context(started("ticking.py", own_url, "3")) for _ in range(2)]
            assert [told(process) for process in pair] == ["ready"] * 2
            for process in pair:
                tell(process, "go")
            for _ in range(random.randint(1, 20)):
                assert told(pair[0]), pair[0].communicate(timeout=30)
            for process in pair:
                process.kill()
                process.wait()
            done = stored(queue)
            for info in queue.list_schedules():
                mine = [line for line in due if line.startswith(f"{info.schedule.name}@")]
                found = sorted(line for line in done if line in mine)
                # The first ones, each once, and the schedule stands behind them.
                assert found == mine[: len(found)]
                assert info.next_at.isoformat() == mine[len(found)].split("@")[1]
        assert len(done) < len(due)
        last = stack.enter_context(started("ticking.py", own_url, "100"))
        assert told(last) == "ready"
        tell(last, "go")
        assert last.communicate(timeout=100)[1] == ""
    assert Counter(stored(queue)) == Counter(due)
    assert queue.tick() == []


def test_running_consumers_follow_a_schedule_that_is_changed(make_site: Callable[..., Site]) -> None:
    """Stored, edited and paused by somebody else while two consumers run, none of which is told."""
    site = make_site()
    (site.folder / "beats.py").write_text(
        "from persistentq import task\n\n\n@task('beat')\ndef beat(word: str) -> str:\n    return word\n"
    )
    consumers = [site.consumer("--app", "beats", name=f"c{number}") for number in range(2)]
    for consumer in consumers:
        consumer.until((site.folder / "queue.db").exists)
    with site.queue() as queue:
        beat = Schedule("beat", "every 1s", "beat", {"word": "one"}, catch_up=CatchUp.ALL)
        queue.put_schedule(beat)
        consumers[0].until(lambda: len(results(queue)) >= 3)
        queue.put_schedule(Schedule("beat", "every 1s", "beat", {"word": "two"}, catch_up=CatchUp.ALL))
        consumers[0].until(lambda: results(queue).count("two") >= 2)
        queue.pause_schedule("beat")
        jobs = list(queue.list_jobs())
        ticks = sorted(datetime.fromisoformat(job.metadata["tick"]) for job in jobs)
        # Each second once, and when it came.
        assert [two - one for one, two in pairwise(ticks)] == [timedelta(seconds=1)] * (len(ticks) - 1)
        assert max(job.created_at - tick for job, tick in zip(reversed(jobs), ticks, strict=True)) < PATIENCE
        Deadline(2.5).wait_for(lambda: False)
        assert len(queue.list_jobs()) == len(jobs)
        queue.resume_schedule("beat")
        consumers[0].until(lambda: len(results(queue)) > len(jobs))


def results(queue: PersistentQInterface) -> list[str]:
    """Return what the jobs that are done have returned."""
    return [job.result for job in queue.list_jobs(status=JobStatus.DONE)]
