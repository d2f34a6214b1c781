"""Jobs that an operator imports: enqueued with their line in the journal, never twice, and taken back by an undo."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from persistentq import (
    ActNote,
    Backoff,
    EntryNotFound,
    InvalidArgument,
    JobStatus,
    NewJob,
    PayloadError,
    PersistentQInterface,
    UniqueKeyTaken,
    clock,
)
from persistentq.acts import MAX_BATCH
from persistentq.query import EVERY_JOB, parse

NOTE = ActNote("ann", "cli", "from the old queue", meant=3)
FILE = {"file": "jobs.jsonl", "sha256": "ab"}


def imported(queue: PersistentQInterface, jobs: list[NewJob], **more: Any) -> Any:
    return queue.import_jobs(jobs, **{"note": NOTE, "details": FILE} | more)


def test_jobs_are_enqueued_as_they_are_said_to_be(queue: PersistentQInterface) -> None:
    late = clock.now() + timedelta(hours=1)
    new = NewJob(
        "mail.send",
        {"to": "a", "big": "x" * 5_000},
        queue="mail",
        priority=7,
        run_at=late,
        max_attempts=9,
        unique_key="k",
        tags=("vip", "eu"),
        metadata={"source": "old"},
        backoff=Backoff(timedelta(seconds=2), timedelta(minutes=1)),
    )
    batch = imported(queue, [new, NewJob("plain")])
    stored, plain = map(queue.get_job, batch.done)
    assert (stored.task, stored.args, stored.queue, stored.priority) == (new.task, new.args, "mail", 7)
    assert (stored.status, stored.max_attempts, stored.unique_key) == (JobStatus.SCHEDULED, 9, "k")
    assert (stored.tags, stored.metadata, stored.backoff) == (new.tags, new.metadata, new.backoff)
    assert (plain.task, plain.status, plain.args) == ("plain", JobStatus.PENDING, {})


def test_the_journal_tells_of_every_batch(queue: PersistentQInterface) -> None:
    first = imported(queue, [NewJob("t")] * 2)
    second = imported(queue, [NewJob("t")], note=first.entry, batch=2)
    assert second.entry == first.entry
    entry = queue.get_entry(first.entry)
    assert (entry.verb, entry.details, entry.reason, entry.actor) == ("import", FILE, NOTE.reason, "ann")
    assert (entry.meant, entry.done, entry.batches, entry.skipped) == (3, 3, 2, {})
    assert queue.get_entry_ids(first.entry) == [*first.done, *second.done]


def test_whoever_has_the_key_already_is_told_by_the_place_in_the_batch(queue: PersistentQInterface) -> None:
    holder = queue.enqueue("t", unique_key="a")
    jobs = [NewJob("t", unique_key=key) for key in ("a", "b", "b", "a", "c")]
    batch = imported(queue, jobs)
    assert [queue.get_job(job_id).unique_key for job_id in batch.done] == ["b", "c"]
    assert list(batch.skipped) == [0, 2, 3]
    assert all(isinstance(error, UniqueKeyTaken) for error in batch.skipped.values())
    assert [error.job_id for error in batch.skipped.values()] == [holder.id, batch.done[0], holder.id]
    entry = queue.get_entry(batch.entry)
    assert (entry.done, entry.skipped) == (2, {"has a unique key that is taken": 3})


@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_that_is_not_the_next_is_refused(queue: PersistentQInterface, batch: int) -> None:
    begun = imported(queue, [NewJob("t")])
    with pytest.raises(InvalidArgument, match="does not follow the 1 that its entry has"):
        imported(queue, [NewJob("t")], note=begun.entry, batch=batch)
    assert queue.get_entry(begun.entry).batches == 1
    assert len(queue.list_jobs()) == 1


@pytest.mark.parametrize(
    ("jobs", "more", "error"),
    [
        ([], {}, InvalidArgument),
        ([NewJob("t")] * (MAX_BATCH + 1), {}, InvalidArgument),
        ([NewJob("t")], {"batch": 0}, InvalidArgument),
        ([NewJob("t")], {"batch": 2}, InvalidArgument),
        ([NewJob("t")], {"note": 99}, EntryNotFound),
        ([NewJob("t")], {"details": {"file": "\0"}}, PayloadError),
        ([NewJob("t"), NewJob("t", {"a": float("nan")})], {}, PayloadError),
    ],
)
def test_what_cannot_be_imported_changes_nothing(
    queue: PersistentQInterface, jobs: list[NewJob], more: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        imported(queue, jobs, **more)
    assert len(queue.list_jobs()) == 0
    assert queue.list_journal().items == ()


def test_undone_they_go_to_the_trash_unless_somebody_took_them(
    queue: PersistentQInterface, let_pass: Callable[[float], None]
) -> None:
    soon = clock.now() + timedelta(seconds=30)
    batch = imported(queue, [NewJob("taken", priority=1), NewJob("left"), NewJob("due", run_at=soon)])
    (taken,) = queue.dequeue("c1")
    let_pass(60)
    queue.cleanup()
    undone = queue.undo(batch.entry, 1, note=NOTE)
    assert undone.done == tuple(job_id for job_id in batch.done if job_id != taken.id)
    assert list(undone.skipped) == [taken.id]
    assert [job.id for job in queue.list_jobs()] == [taken.id]
    again = queue.undo(undone.entry, 1, note=NOTE)
    assert again.done == undone.done
    assert sorted(job.id for job in queue.list_jobs()) == list(batch.done)
    assert queue.get_entry(batch.entry).undone_by == undone.entry


def test_the_journal_can_be_asked_for_one_verb(queue: PersistentQInterface) -> None:
    numbers = [queue.write_journal(verb, NOTE) for verb in ("scale", "import", "scale", "import", "import")]
    page = queue.list_journal(verb="import", limit=2)
    assert [entry.id for entry in page.items] == [numbers[4], numbers[3]]
    rest = queue.list_journal(verb="import", limit=2, after=page.next)
    assert ([entry.id for entry in rest.items], rest.next) == ([numbers[1]], None)
    assert queue.list_journal(verb="pause").items == ()


def test_jobs_can_be_read_among_some(queue: PersistentQInterface) -> None:
    ids = [job.id for job in queue.enqueue_many([NewJob("t", queue=name) for name in "abab"])]
    assert [job.id for job in queue.find_jobs(EVERY_JOB, among=[ids[0], ids[3], 99])] == [ids[3], ids[0]]
    assert [job.id for job in queue.find_jobs(parse("queue:a"), among=ids[1:])] == [ids[2]]
    assert len(queue.find_jobs(EVERY_JOB, among=[])) == 0
    page = queue.find_jobs(parse("args.x:1 OR queue:b"), among=ids, limit=1)
    assert [job.id for job in page] == [ids[3]]
    assert [job.id for job in queue.find_jobs(EVERY_JOB, among=ids[:2], after=page.next)] == [ids[1], ids[0]]
    with pytest.raises(InvalidArgument):
        queue.find_jobs(EVERY_JOB, among=range(1, MAX_BATCH + 2))
