"""How fast a queue moves, which failures are the same, what needs attention; exact, and as a sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from persistentq import Job, NewJob, PersistentQMemory, PersistentQSQLAlchemy, clock
from persistentq.operations import Operator
from persistentq.operations.attention import Urgency, attention
from persistentq.operations.mishaps import errors, top_frame
from persistentq.operations.rates import Spread, rates
from persistentq.sql import insight

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Moved:
    def __init__(self) -> None:
        self.now = clock.now()
        self.queue = PersistentQMemory(now=lambda: self.now)

    def take(self, queue: str = "default") -> Job:
        (job,) = self.queue.dequeue("c_1", [queue])
        return job


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> Moved:
    made = Moved()
    monkeypatch.setattr(clock, "now", lambda: made.now)
    return made


def test_rates(moved: Moved) -> None:
    for n in range(20):
        moved.queue.enqueue("mail", queue="fast" if n % 2 else "slow")
        moved.now += n * SECOND
        job = moved.take("fast" if n % 2 else "slow")
        moved.now += SECOND
        moved.queue.complete(job)
    moved.queue.enqueue("report")
    moved.queue.fail(moved.take(), "no")
    found = rates(moved.queue, 10 * MINUTE, 10)
    assert (found.total.enqueued, found.total.started, found.total.done, found.total.failed) == (
        21,
        21,
        20,
        1,
    )
    assert found.total.wait == Spread(9 * SECOND, 18 * SECOND)
    assert found.total.run == Spread(SECOND, SECOND)
    assert list(found.queues) == ["default", "fast", "slow"]
    assert list(found.tasks) == ["mail", "report"]
    assert found.queues["fast"].wait == Spread(9 * SECOND, 19 * SECOND)
    assert (found.tasks["report"].failed, found.tasks["report"].run) == (1, Spread())
    assert not found.is_sample
    assert sum(bucket.done for bucket in found.buckets) == 20
    assert found.buckets[-1].failed == 1
    waits = [bucket.wait.p95 for bucket in found.buckets]
    assert (waits[-1], max(wait for wait in waits if wait is not None)) == (19 * SECOND, 19 * SECOND)
    assert found.buckets[0].wait == Spread()
    assert [bucket.start for bucket in found.buckets] == [found.start + n * MINUTE for n in range(10)]
    assert rates(moved.queue, 10 * MINUTE, 10, queue="fast").total == found.queues["fast"]
    assert rates(moved.queue, 10 * MINUTE, 10, task="report").total == found.tasks["report"]
    assert rates(moved.queue, 10 * MINUTE, 10, task="none").total.enqueued == 0


@pytest.fixture
def stored(own_url: str) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(own_url) as queue:
        yield queue


def test_beyond_the_bound_a_sample_stands_for_all(
    stored: PersistentQSQLAlchemy, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.enqueue_many([NewJob("a" if n % 4 else "b", queue="q") for n in range(800)])
    taken = stored.dequeue("c_1", ["q"], limit=800)
    stored.complete_many(taken[:600])
    for job in taken[600:640]:
        stored.fail(job, "no", retry=False)
    exact = rates(stored, MINUTE, 4)
    assert not exact.is_sample
    assert (exact.total.done, exact.total.failed, exact.total.started) == (600, 40, 800)
    monkeypatch.setattr(insight, "ROWS", 80)
    sample = rates(stored, MINUTE, 4)
    assert sample.is_sample
    assert sample.scanned < exact.scanned / 2
    assert sample.total.enqueued == pytest.approx(800, rel=0.1)
    assert sample.total.failed == pytest.approx(40, abs=25)
    assert sample.total.done == pytest.approx(600, rel=0.1)
    # They came in turns of four, and are not taken for one kind alone.
    assert sample.tasks["a"].enqueued == pytest.approx(600, rel=0.2)


def test_what_is_read_is_bounded_by_indexes(stored: PersistentQSQLAlchemy) -> None:
    if stored.engine.dialect.name != "sqlite":
        return
    asked: list[str] = []
    with closing(stored.engine.raw_connection()) as connection:
        connection.dbapi_connection.set_trace_callback(asked.append)  # type: ignore[union-attr]
    stored.look_back(MINUTE, 2)
    stored.overview()
    stored.list_mishaps(MINUTE)
    stored.explain_job(stored.enqueue("t").id)
    selects = [one for one in asked if one.startswith("SELECT") and "persistentq_jobs" in one]
    assert len(selects) > 8
    with stored.engine.connect() as connection:
        for one in selects:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}")]
            bare = [step for step in plan if step.startswith("SCAN persistentq_jobs") and "INDEX" not in step]
            assert bare == [], one


def raised(message: str) -> Exception:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def test_failures_that_are_the_same_are_one(moved: Moved) -> None:
    moved.queue.enqueue_many([NewJob("mail"), NewJob("mail"), NewJob("news"), NewJob("mail"), NewJob("mail")])
    one, two, other_task, other_type, text = moved.queue.dequeue("c_1", limit=5)
    for job, error in (
        (one, raised("a@example.org")),
        (two, raised("b@example.org")),
        (other_task, raised("a@example.org")),
        (other_type, OSError("never raised")),
        (text, "gave up after 5 s"),
    ):
        moved.now += SECOND
        moved.queue.fail(job, error, delay=timedelta(0))
    found = errors(moved.queue)
    first = found.groups[0]
    assert (len(found.groups), found.attempts, found.is_capped, found.poison) == (4, 5, False, [])
    assert (first.task, first.error_type, first.error, first.attempts) == (
        "mail",
        "ValueError",
        "b@example.org",
        2,
    )
    assert (first.jobs, first.job_ids) == (2, [two.id, one.id])
    assert first.last_at - first.first_at == SECOND
    assert first.frame is not None
    assert (first.frame.file, first.frame.function) == (__file__, "raised")
    numbers = {group.error: group.fingerprint for group in found.groups}
    (again,) = moved.queue.dequeue("c_1", limit=1)
    moved.queue.fail(again, raised("c@example.org"), delay=timedelta(0))
    again_found = {group.fingerprint: group for group in errors(moved.queue).groups}
    assert again_found[numbers["b@example.org"]].attempts == 3
    moved.now += timedelta(hours=25)
    assert errors(moved.queue).groups == []


@pytest.mark.parametrize(
    ("text", "function"),
    [
        (None, None),
        ("ValueError: no", None),
        (
            '…: cut\n  File "/a/b.py", line 7, in f\n    x()\n  File "/a/c.py", line 9, in <module>\n',
            "<module>",
        ),
        ('  | Traceback\n  |   File "/a/b.py", line 7, in g\n  |     x()\n', "g"),
    ],
)
def test_the_innermost_line_of_a_traceback(text: str | None, function: str | None) -> None:
    frame = top_frame(text)
    assert (frame and frame.function) == function


def test_what_needs_attention_the_most_urgent_first(moved: Moved) -> None:
    assert attention(moved.queue) == []
    moved.queue.enqueue("crashes", max_attempts=5)
    for _ in range(2):
        moved.take()
        moved.now += 2 * MINUTE
        moved.queue.cleanup()
    moved.queue.heartbeat("c_1", host="box", pid=1, queues=["default"])
    moved.take()
    moved.queue.enqueue("waits", queue="mail")
    moved.now += 6 * MINUTE
    found = attention(moved.queue)
    assert [(alert.urgency, alert.kind, alert.command) for alert in found] == [
        (Urgency.SOON, "lease", "why 1"),
        (Urgency.SOON, "consumer", "consumers"),
        (Urgency.SOON, "queue", "queues"),
        (Urgency.SOON, "poison", "show 1"),
        (Urgency.LATER, "failures", "show 1"),
    ]
    assert all(alert.remedy for alert in found)
    assert "job 1 (crashes) was lost with its worker 2 times" in found[3].text


def test_jobs_that_killed_their_workers_are_told_of_once_and_less_once_none_is_left(moved: Moved) -> None:
    moved.queue.enqueue_many([NewJob("crashes", max_attempts=2)] * 3)
    for _ in range(2):
        moved.take()
        moved.take()
        moved.take()
        moved.now += 2 * MINUTE
        moved.queue.cleanup()
        alerts = [alert for alert in attention(moved.queue) if alert.kind == "poison"]
    (alert,) = alerts
    assert alert.urgency is Urgency.LATER
    assert "was lost with its worker 2 times, and 2 other jobs of its task more than once" in alert.text
    assert alert.remedy.startswith("none of them is left to run")


def test_jobs_for_a_consumer_that_is_gone_are_told_of(moved: Moved) -> None:
    moved.queue.heartbeat("c_2", host="box", pid=1, queues=["default"])
    job = moved.queue.enqueue("t")
    moved.queue.assign_job(job.id, "c_2")
    assert attention(moved.queue) == []
    moved.now += MINUTE
    (alert,) = [alert for alert in attention(moved.queue) if alert.kind == "reserved"]
    assert alert.text == "1 job may be taken by c_2 only, which is silent"
    assert alert.command == "assign-job --anyone --where 'status:pending consumer:c_2'"


def test_failures_say_how_many_jobs_are_failed_for_good(moved: Moved) -> None:
    moved.queue.enqueue_many([NewJob("t", max_attempts=2), NewJob("t", max_attempts=1)])
    for job in moved.queue.dequeue("c_1", limit=2):
        moved.queue.fail(job, ValueError("no such file"), delay=timedelta(0))
    (alert,) = [alert for alert in attention(moved.queue) if alert.kind == "failures"]
    assert "t: 2 attempts failed in 1d, and 1 job for good: ValueError: no such file" in alert.text
    assert alert.command == "list-jobs --where 'status:failed task:t error:\"no such file\"'"
    moved.queue.complete(*moved.queue.dequeue("c_1"))
    moved.queue.resubmit(2)
    (alert,) = [alert for alert in attention(moved.queue) if alert.kind == "failures"]
    assert "and no job for good" in alert.text


def test_a_group_of_failures_has_a_query_that_means_its_failed_jobs() -> None:
    queue = PersistentQMemory()
    queue.enqueue_many([NewJob("t"), NewJob("t"), NewJob("t"), NewJob("other")])
    for number, job in enumerate(queue.dequeue("c", limit=4)):
        message = f'order {number} of "17" is not known' if number != 2 else "quite different"
        queue.fail(job, ValueError(message), retry=False)
    groups = {group.error: group for group in errors(queue).groups if group.task == "t"}
    known = next(group for error, group in groups.items() if "is not known" in error)
    assert known.query == 'status:failed task:t error:"\\" is not known"'
    assert sorted(job.id for job in queue.list_jobs(where=known.query)) == [1, 2]


def test_a_secret_in_an_error_does_not_hide_the_jobs_of_its_group() -> None:
    queue = PersistentQMemory()
    queue.enqueue("t")
    (job,) = queue.dequeue("c")
    queue.fail(job, ValueError("password=hunter is wrong"), retry=False)
    (group,) = Operator(queue).errors().groups
    assert "hunter" not in group.query
    assert [one.id for one in queue.list_jobs(where=group.query)] == [job.id]
