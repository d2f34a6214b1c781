"""What a consumer tells: each attempt ends in one event, with the facts that the table promises."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from persistentq import (
    Cancel,
    Consumer,
    LeaseLost,
    NewJob,
    NoRetry,
    Outcome,
    PersistentQInterface,
    PersistentQMemory,
    PersistentQSQLAlchemy,
    Retry,
    Schedule,
    Snooze,
    StorageUnavailable,
    current_job,
)
from persistentq.settlement import Turn
from persistentq.tasks import Tasks
from persistentq.telemetry import events
from persistentq.telemetry.events import EVENTS, FACTS, Event, Facts, listening, tell
from tests.runtime.conftest import PATIENCE_S, ended, running


class Heard:
    """Everything that was told while it listened."""

    def __init__(self) -> None:
        self.told: list[tuple[Event, dict[str, Any]]] = []

    def __call__(self, event: Event, facts: Facts) -> None:
        self.told.append((event, dict(facts)))

    def of(self, event: Event) -> list[dict[str, Any]]:
        return [facts for known, facts in self.told if known is event]

    def ends(self) -> list[tuple[str, int, int]]:
        return [(event.outcome, facts["job"], facts["attempt"]) for event, facts in self.told if event.is_end]


@pytest.fixture
def heard() -> Iterator[Heard]:
    listener = Heard()
    with listening(listener):
        yield listener
    assert all(set(facts) == set(event.facts) for event, facts in listener.told), listener.told


def raising(error: BaseException) -> Any:
    def work() -> None:
        raise error

    return work


def test_the_table_is_whole() -> None:
    in_module = [value for value in vars(events).values() if isinstance(value, Event)]
    assert len(in_module) == len(EVENTS)
    assert set(in_module) == set(EVENTS)
    assert len({event.name for event in EVENTS}) == len(EVENTS)
    assert {fact for event in EVENTS for fact in event.facts} == FACTS.keys()
    assert not FACTS.keys() & {"time", "level", "logger", "message", "event", "traceback"}
    for event in EVENTS:
        # The sentence needs no fact that the event has not.
        assert event.text % dict.fromkeys(event.facts, 1)


def test_each_outcome_is_one_event(queue: PersistentQInterface, tasks: Tasks, heard: Heard) -> None:
    outcomes = {
        "done": None,
        "failed": ValueError("no"),
        "given up": NoRetry("hopeless"),
        "retried": Retry(timedelta(hours=1)),
        "snoozed": Snooze(timedelta(hours=1)),
        "cancelled": Cancel("not wanted"),
    }
    for name, error in outcomes.items():
        tasks.add(name.replace(" ", "."), (lambda: 1) if error is None else raising(error))
    jobs = {name: queue.enqueue(name.replace(" ", "."), max_attempts=2).id for name in outcomes}
    jobs["unknown"] = queue.enqueue("nobody.knows").id
    Consumer(queue, tasks=tasks, consumer_id="c_1").run(burst=True)
    assert sorted(heard.ends(), key=lambda end: end[1]) == [
        ("done", jobs["done"], 1),
        ("failed", jobs["failed"], 1),
        ("failed", jobs["given up"], 1),
        ("failed", jobs["retried"], 1),
        ("snoozed", jobs["snoozed"], 1),
        ("cancelled", jobs["cancelled"], 1),
        ("failed", jobs["unknown"], 1),
    ]
    (done,) = heard.of(events.JOB_DONE)
    assert (done["consumer"], done["task"], done["queue"]) == ("c_1", "done", "default")
    assert 0 <= done["seconds"] < PATIENCE_S
    assert 0 <= done["waited"] < PATIENCE_S
    finals = {facts["job"]: facts["final"] for facts in heard.of(events.JOB_FAILED)}
    assert [finals[jobs[name]] for name in ("failed", "given up", "retried", "unknown")] == [
        *(False, True, False, True)
    ]
    assert [facts["delay"] for facts in heard.of(events.JOB_SNOOZED)] == [3600]
    assert [facts["error"] for facts in heard.of(events.JOB_CANCELLED)] == ["not wanted"]


def test_the_last_attempt_is_final(queue: PersistentQInterface, tasks: Tasks, heard: Heard) -> None:
    tasks.add("fail", raising(Retry(timedelta(0))))
    queue.enqueue("fail", max_attempts=2)
    for _ in range(2):
        Consumer(queue, tasks=tasks).run(burst=True)
    assert [(facts["attempt"], facts["final"]) for facts in heard.of(events.JOB_FAILED)] == [
        (1, False),
        (2, True),
    ]


def test_a_timeout_is_told_apart(queue: PersistentQInterface, tasks: Tasks, heard: Heard) -> None:
    def work() -> None:
        context = current_job()
        while True:
            context.check()
            threading.Event().wait(0.01)

    tasks.add("slow", work, timeout=0.05)
    job = queue.enqueue("slow", max_attempts=1)
    Consumer(queue, tasks=tasks).run(burst=True)
    assert heard.ends() == [("timed_out", job.id, 1)]
    (facts,) = heard.of(events.JOB_TIMED_OUT)
    assert facts["final"]
    assert facts["seconds"] >= 0.05


def test_how_long_a_job_waited(tasks: Tasks, heard: Heard) -> None:
    from persistentq import clock

    moved = timedelta(0)
    queue = PersistentQMemory(now=lambda: clock.now() + moved)
    tasks.add("work", lambda: None)
    queue.enqueue("work", delay=timedelta(seconds=10))
    moved = timedelta(seconds=40)
    Consumer(queue, tasks=tasks).run(burst=True)
    (done,) = heard.of(events.JOB_DONE)
    assert done["waited"] == pytest.approx(30, abs=5)


def test_a_word_that_came_too_late_is_told_as_a_loss_only(
    queue: PersistentQInterface, tasks: Tasks, heard: Heard
) -> None:
    """G2: nothing is told as done that was not accepted."""
    tasks.add("work", lambda: queue.assign_job(current_job().job.id, "other"))
    job = queue.enqueue("work")
    Consumer(queue, tasks=tasks).run(burst=True)
    assert heard.ends() == [("lost", job.id, 1)]


@pytest.mark.parametrize("notices", [True, False])
def test_a_loss_is_told_once(queue: PersistentQInterface, tasks: Tasks, heard: Heard, notices: bool) -> None:
    started, go_on = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        assert go_on.wait(PATIENCE_S)
        if notices:
            with pytest.raises(LeaseLost):
                current_job().require_lease()
            current_job().check()

    tasks.add("work", work)
    tasks.add("next", lambda: None)
    job = queue.enqueue("work")
    with running(Consumer(queue, tasks=tasks, lease=timedelta(seconds=60))):
        assert started.wait(PATIENCE_S)
        queue.assign_job(job.id, "other")
        go_on.set()
        after = queue.enqueue("next")
        ended(queue, after)
    assert heard.ends() == [("lost", job.id, 1), ("done", after.id, 1)]


def test_what_a_session_completed_is_done(tmp_path: Any, tasks: Tasks, heard: Heard) -> None:
    def work() -> None:
        with current_job().session("kept"):
            pass
        raise ValueError("too late to matter")

    tasks.add("work", work)
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as queue:
        job = queue.enqueue("work")
        Consumer(queue, tasks=tasks).run(burst=True)
        assert queue.get_job(job.id).result == "kept"
    assert heard.ends() == [("done", job.id, 1)]


TOLD_AS = {
    Outcome.DONE: {"done"},
    Outcome.FAILED: {"failed", "timed_out"},
    Outcome.SNOOZED: {"snoozed"},
    Outcome.CANCELLED: {"cancelled"},
    Outcome.RELEASED: {"given_back"},
    Outcome.TAKEN: {"lost"},
}


def test_what_is_told_is_what_is_stored(queue: PersistentQInterface, tasks: Tasks, heard: Heard) -> None:
    """Of two consumers that are stopped while they work, every attempt of every job, once."""

    def work(fate: int) -> None:
        job = current_job().job
        match fate if job.attempt == 1 else 0:
            case 1:
                raise Retry(timedelta(0))
            case 2:
                raise Snooze(timedelta(0))
            case 3:
                raise Cancel
            case 4:
                raise NoRetry
            case 5:
                queue.assign_job(job.id, None)
            case 6:
                threading.Event().wait(0.01)

    tasks.add("work", work)
    chance = random.Random(4)
    jobs = queue.enqueue_many([NewJob("work", {"fate": chance.randrange(8)}) for _ in range(200)])
    for _ in range(3):
        with running(Consumer(queue, tasks=tasks, concurrency=4)), running(Consumer(queue, tasks=tasks)):
            threading.Event().wait(0.05)
    Consumer(queue, tasks=tasks, concurrency=4).run(burst=True)
    told = {(job, attempt): outcome for outcome, job, attempt in heard.ends()}
    assert len(told) == len(heard.ends())
    stored = {(job.id, one.attempt): one.outcome for job in jobs for one in queue.get_attempts(job.id)}
    assert told.keys() == stored.keys()
    assert [
        key for key, outcome in stored.items() if outcome is None or told[key] not in TOLD_AS[outcome]
    ] == []


def test_a_drain_tells_what_it_gives_back(queue: PersistentQInterface, tasks: Tasks, heard: Heard) -> None:
    started, let_go = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        let_go.wait(PATIENCE_S)

    tasks.add("work", work)
    job = queue.enqueue("work")
    consumer = Consumer(queue, tasks=tasks, drain=timedelta(seconds=0.1), consumer_id="c_1", concurrency=3)
    with running(consumer):
        assert started.wait(PATIENCE_S)
        assert (consumer.held, consumer.places) == (1, 3)
    let_go.set()
    assert [(event.name, facts.get("given_back")) for event, facts in heard.told] == [
        ("consumer started", None),
        ("drain begun", None),
        ("job given back", None),
        ("drain ended", 1),
        ("consumer stopped", None),
    ]
    assert [facts["running"] for facts in heard.of(events.DRAIN_BEGUN)] == [1]
    (back,) = heard.of(events.JOB_GIVEN_BACK)
    assert back["job"] == job.id
    assert back["seconds"] >= 0.1
    (started_facts,) = heard.of(events.CONSUMER_STARTED)
    assert (started_facts["queues"], started_facts["places"]) == ("default", 3)


def test_a_schedules_tick_is_told(queue: PersistentQInterface, tasks: Tasks, heard: Heard) -> None:
    tasks.add("report", lambda: None)
    queue.put_schedule(Schedule("often", "every 1s", "report"))
    with running(Consumer(queue, tasks=tasks, consumer_id="c_1")):
        assert wait_for(lambda: bool(heard.of(events.JOB_DONE)))
    facts = heard.of(events.SCHEDULE_TICKED)[0]
    assert (facts["schedule"], facts["task"], facts["queue"]) == ("often", "report", "default")
    assert facts["tick"] == queue.get_job(facts["job"]).metadata["tick"]


def wait_for(condition: Any) -> bool:
    from persistentq.clock import Deadline

    return Deadline(PATIENCE_S).wait_for(condition, every=0.01)


class Away(PersistentQMemory):
    """A queue whose database cannot be reached for the first turn."""

    is_away = True

    def turn(self, *args: Any, **more: Any) -> Turn:
        if self.is_away:
            self.is_away = False
            raise StorageUnavailable("postgresql://me:***@db/q", "cannot be reached")
        return super().turn(*args, **more)


def test_a_wait_for_the_database_is_told(tasks: Tasks, heard: Heard) -> None:
    tasks.add("work", lambda: None)
    queue = Away()
    job = queue.enqueue("work")
    with running(Consumer(queue, tasks=tasks)) as consumer:
        assert ended(queue, job)
        assert consumer.last_turn is not None
    (facts,) = heard.of(events.CONSUMER_WAITING)
    assert "cannot be reached" in facts["error"]


def test_a_listener_that_raises_hurts_neither_jobs_nor_other_listeners(
    queue: PersistentQInterface, tasks: Tasks, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Event, facts: Facts) -> None:
        raise RuntimeError(f"cannot count {event.name}")

    tasks.add("work", lambda: None)
    job = queue.enqueue("work")
    with listening(broken):
        Consumer(queue, tasks=tasks).run(burst=True)
    assert heard.ends() == [("done", job.id, 1)]
    assert queue.get_job(job.id).status == "done"
    assert "broken failed: RuntimeError: cannot count job done" in caplog.text


def test_who_listens_no_more_is_told_nothing(heard: Heard) -> None:
    first, second = Heard(), Heard()
    with listening(first):
        with listening(second):
            tell(events.CONSUMER_STOPPED, consumer="a")
        tell(events.CONSUMER_STOPPED, consumer="b")
    tell(events.CONSUMER_STOPPED, consumer="c")
    assert [len(listener.told) for listener in (second, first, heard)] == [1, 2, 3]


def test_nothing_is_put_together_for_nobody(
    queue: PersistentQInterface, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's level is above the event's, and nobody listens."""
    calls: list[str] = []
    monkeypatch.setattr(events.LOG, "level", logging.ERROR)
    events.LOG.manager._clear_cache()  # type: ignore[attr-defined]
    monkeypatch.setattr("persistentq.runtime.reports.tell", lambda event, **_: calls.append(event.name))
    tasks.add("work", lambda: None)
    queue.enqueue("work")
    Consumer(queue, tasks=tasks).run(burst=True)
    assert calls == []
    events.LOG.manager._clear_cache()  # type: ignore[attr-defined]


def test_a_record_has_the_event_and_its_facts(caplog: pytest.LogCaptureFixture) -> None:
    """For whoever handles the records of an embedded consumer in their own way."""
    with caplog.at_level(logging.INFO):
        tell(events.ENQUEUE_FAILED, error="first\nsecond \x1b[31m")
    (record,) = caplog.records
    assert record.getMessage() == r"no job was enqueued, the file is removed: first\nsecond \x1b[31m"
    assert vars(record)["event"] == "enqueue failed"
    assert vars(record)["facts"] == {"error": "first\nsecond \x1b[31m"}
    assert (record.name, record.levelno) == ("persistentq.events", logging.WARNING)
