"""A consumer's turn: what it says, what it renews and what it claims, in one transaction."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from persistentq import (
    InvalidArgument,
    Job,
    JobStatus,
    LeaseLost,
    NewJob,
    Outcome,
    PersistentQInterface,
    PersistentQMemory,
    PersistentQSQLAlchemy,
)
from persistentq.settlement import Settlement
from tests.contract.conftest import Subject

HOUR = timedelta(hours=1)


def held(queue: PersistentQInterface, number: int) -> list[Job]:
    queue.enqueue_many(NewJob("t", {"n": n}) for n in range(number))
    return queue.dequeue("c", limit=number)


def test_every_word_is_heard_at_once_and_the_next_jobs_come(queue: PersistentQInterface) -> None:
    jobs = held(queue, 6)
    waiting = queue.enqueue_many(NewJob("t", {"n": n}) for n in range(3))
    turn = queue.turn(
        "c",
        settled=[
            Settlement.complete(jobs[0]),
            Settlement.complete(jobs[1], {"answer": 42}),
            Settlement.fail(jobs[2], ValueError("broke"), delay=HOUR),
            Settlement.fail(jobs[3], "hopeless", retry=False),
            Settlement.snooze(jobs[4], HOUR),
            Settlement.cancel(jobs[5], "not wanted any more"),
        ],
        limit=2,
    )
    assert (turn.refused, turn.lost) == ([], [])
    assert [job.id for job in turn.claimed] == [job.id for job in waiting[:2]]
    now = [queue.get_job(job.id) for job in jobs]
    assert [job.status for job in now] == [
        JobStatus.DONE,
        JobStatus.DONE,
        JobStatus.SCHEDULED,
        JobStatus.FAILED,
        JobStatus.SCHEDULED,
        JobStatus.CANCELLED,
    ]
    assert now[1].result == {"answer": 42}
    assert [job.error for job in now[2:]] == ["broke", "hopeless", None, "not wanted any more"]
    assert now[4].max_attempts == jobs[4].max_attempts + 1
    last = [queue.get_attempts(job.id)[-1].outcome for job in jobs]
    assert last == [
        Outcome.DONE,
        Outcome.DONE,
        Outcome.FAILED,
        Outcome.FAILED,
        Outcome.SNOOZED,
        Outcome.CANCELLED,
    ]


def test_a_word_on_a_job_that_was_lost_is_refused_and_the_others_are_heard(subject: Subject) -> None:
    queue = subject.queue
    first, second, third = held(queue, 3)
    subject.let_pass(61)
    again = queue.dequeue("d", limit=3)
    assert len(again) == 3
    queue.enqueue("t")
    (mine,) = queue.dequeue("c")
    turn = queue.turn(
        "c",
        settled=[
            Settlement.complete(first),
            Settlement.fail(second, "too late"),
            Settlement.complete(mine),
            Settlement.cancel(third, "too late"),
        ],
    )
    assert {job.id for job in turn.refused} == {first.id, second.id, third.id}
    assert queue.get_job(mine.id).status == JobStatus.DONE
    assert {queue.get_job(job.id).consumer for job in (first, second, third)} == {"d"}


def test_a_completion_that_was_heard_already_is_accepted(queue: PersistentQInterface) -> None:
    first, second = held(queue, 2)
    words = [Settlement.complete(first), Settlement.complete(second)]
    assert queue.turn("c", settled=words).refused == []
    assert queue.turn("c", settled=words).refused == []


def test_it_renews_tells_what_is_lost_and_what_is_to_be_cancelled(subject: Subject) -> None:
    queue = subject.queue
    kept, called_off, lost = held(queue, 3)
    queue.cancel(called_off.id)
    queue.assign_job(lost.id, None)
    subject.let_pass(50)
    turn = queue.turn("c", held=[kept, called_off, lost], watch=True)
    assert [job.id for job in turn.lost] == [lost.id]
    assert turn.cancelling == {called_off.id}
    assert queue.turn("d", watch=True).cancelling == frozenset()
    assert queue.turn("c", held=[kept]).cancelling == frozenset()
    subject.let_pass(50)
    assert [job.id for job in queue.dequeue("d", limit=3)] == [lost.id]
    ended = queue.turn("c", settled=[Settlement.cancel(called_off, "by hand")], watch=True)
    assert (ended.refused, ended.cancelling) == ([], frozenset())
    assert queue.get_job(called_off.id).status == JobStatus.CANCELLED


def test_claims_come_from_the_queues_in_order_and_overdue_jobs_come_back_first(subject: Subject) -> None:
    queue = subject.queue
    (mine,) = held(queue, 1)
    queue.enqueue("t", {"n": "b"}, queue="b")
    queue.enqueue("t", {"n": "a"}, queue="a")
    queue.enqueue("t", {"n": "later"}, queue="a", delay=timedelta(seconds=30))
    turn = queue.turn("c", held=[mine], queues=("a", "b"), limit=5)
    assert [job.args["n"] for job in turn.claimed] == ["a", "b"]
    subject.let_pass(59)
    turn = queue.turn("c", settled=[Settlement.complete(mine)], queues=("a", "b"), limit=5)
    assert [job.args["n"] for job in turn.claimed] == ["later"]
    assert queue.get_job(mine.id).status == JobStatus.DONE


def test_nothing_said_and_nothing_asked_changes_nothing(queue: PersistentQInterface) -> None:
    queue.enqueue("t")
    turn = queue.turn("c")
    assert (turn.refused, turn.lost, turn.cancelling, turn.claimed) == ([], [], frozenset(), [])
    with pytest.raises(InvalidArgument):
        queue.turn("no such name !", limit=1)
    with pytest.raises(InvalidArgument):
        queue.turn("c", limit=1001)


def test_effects_are_kept_with_the_completion_or_not_at_all(subject: Subject) -> None:
    queue = subject.queue
    if isinstance(queue, PersistentQMemory):
        (job,) = held(queue, 1)
        with pytest.raises(InvalidArgument, match="not in a database"), queue.completing(job):
            pass
        return
    assert isinstance(queue, PersistentQSQLAlchemy)
    add = text("INSERT INTO effects VALUES (:job)")
    returning = text(f"{add} RETURNING job")
    with queue.engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS effects"))
        connection.execute(text("CREATE TABLE effects (job INTEGER)"))
    first, second, third = held(queue, 3)
    with queue.completing(first, {"sum": 3}) as session:
        session.execute(add, {"job": first.id})
    assert queue.get_job(first.id).result == {"sum": 3}
    with pytest.raises(ZeroDivisionError), queue.completing(second) as session:
        assert session.execute(returning, {"job": second.id}).scalars().one() / 0
    queue.assign_job(third.id, None)
    with pytest.raises(LeaseLost), queue.completing(third) as session:
        session.execute(add, {"job": third.id})
    with queue.engine.connect() as connection:
        assert connection.execute(text("SELECT job FROM effects")).scalars().all() == [first.id]
        connection.rollback()
    assert queue.get_job(second.id).status == JobStatus.PROCESSING
    with queue.engine.begin() as connection:
        connection.execute(text("DROP TABLE effects"))


def test_a_second_word_on_the_same_attempt_is_refused(queue: PersistentQInterface) -> None:
    (job,) = held(queue, 1)
    turn = queue.turn("c", settled=[Settlement.release(job), Settlement.fail(job, "too late")])
    assert turn.refused == [job]
    assert queue.get_job(job.id).status == JobStatus.PENDING
    assert [one.outcome for one in queue.get_attempts(job.id)] == [Outcome.RELEASED]
