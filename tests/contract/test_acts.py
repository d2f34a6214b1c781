"""Acts on many jobs, their journal, and taking them back: the same in memory and in every database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from persistentq import (
    Act,
    ActNote,
    ActRefused,
    EntryNotFound,
    InvalidArgument,
    InvalidTransition,
    Job,
    JobNotFound,
    JobStatus,
    LeaseLost,
    NewJob,
    Outcome,
    PersistentQInterface,
    Progress,
    UniqueKeyTaken,
)
from persistentq.acts import ACTED_ON, works_on
from persistentq.journal import reason_of
from persistentq.query import parse
from tests.contract.test_operating import HOUR, put

LetPass = Callable[[float], None]
NOTE = ActNote("ann", "cli", "the mail server was down")
ACTS = {verb: Act(verb, priority=7, arguments={"b": 2}, without=("a",)) for verb in ACTED_ON}


def same(job: Job, other: Job, *, but: tuple[str, ...] = ()) -> bool:
    """Whether two readings of a job tell the same, but for these fields."""
    names = [field.name for field in fields(Job) if field.name not in but]
    return [getattr(job, name) for name in names] == [getattr(other, name) for name in names]


@pytest.mark.parametrize("status", JobStatus)
@pytest.mark.parametrize("verb", ACTED_ON)
def test_an_act_does_what_it_may_and_skips_the_rest(
    queue: PersistentQInterface, verb: str, status: JobStatus
) -> None:
    job = put(queue, status, args={"a": 1})
    batch = queue.act(ACTS[verb], [job.id, 99], note=NOTE)
    assert isinstance(batch.skipped[99], JobNotFound)
    assert str(batch.skipped[99].job_id) == "99"
    if status in works_on(verb):
        assert batch.done == (job.id,)
        return
    refusal = batch.skipped[job.id]
    assert isinstance(refusal, InvalidTransition)
    assert (batch.done, refusal.status, refusal.verb) == ((), status, verb)
    assert queue.get_job(job.id) == job


SINGLE: dict[str, Callable[[PersistentQInterface, int], object]] = {
    "resubmit": lambda queue, job_id: queue.resubmit(job_id),
    "cancel": lambda queue, job_id: queue.cancel(job_id),
    "mark-failed": lambda queue, job_id: queue.mark_failed(job_id, "by hand"),
    "assign": lambda queue, job_id: queue.assign_job(job_id, "other"),
}
TIMES = ("id", "created_at", "run_at", "started_at", "finished_at", "lease_until")


@pytest.mark.parametrize("status", JobStatus)
@pytest.mark.parametrize("verb", SINGLE)
def test_an_act_on_one_job_is_the_single_verb(
    queue: PersistentQInterface, verb: str, status: JobStatus
) -> None:
    if status not in works_on(verb):
        return
    job = put(queue, status, queue="one", args={"a": 1})
    twin = put(queue, status, queue="two", args={"a": 1})
    SINGLE[verb](queue, job.id)
    queue.act(Act(verb, consumer="other", error="by hand"), [twin.id], note=NOTE)
    assert same(queue.get_job(job.id), replace(queue.get_job(twin.id), queue="one"), but=TIMES)
    ended, others = queue.get_attempts(job.id), queue.get_attempts(twin.id)
    assert [(one.outcome, one.error, one.error_type) for one in ended] == [
        (one.outcome, one.error, one.error_type) for one in others
    ]


@pytest.mark.parametrize("status", JobStatus)
@pytest.mark.parametrize("verb", ACTED_ON)
def test_undo_brings_back_what_was(
    queue: PersistentQInterface, let_pass: LetPass, verb: str, status: JobStatus
) -> None:
    if status not in works_on(verb):
        return
    job = put(queue, status, args={"a": 1}, tags=("x",), unique_key="k")
    attempts = queue.get_attempts(job.id)
    batch = queue.act(ACTS[verb], [job.id], note=NOTE)
    let_pass(60)
    undone = queue.undo(batch.entry, 1, note=ActNote("bob"))
    assert (undone.done, undone.skipped) == ((job.id,), {})
    again = queue.get_job(job.id)
    taken = status == JobStatus.PROCESSING and verb in {"mark-failed", "assign"}
    if taken:
        assert (again.status, again.attempt, again.max_attempts) == (JobStatus.PENDING, 1, 4)
        assert (again.reserved_for, again.error) == (None, None)
        return
    assert same(again, job, but=TIMES)
    assert (again.run_at <= again.created_at) == (status != JobStatus.SCHEDULED)
    assert [(one.attempt, one.outcome) for one in queue.get_attempts(job.id)] == [
        (one.attempt, one.outcome) for one in attempts
    ]


@pytest.mark.parametrize("verb", [verb for verb in ACTED_ON if verb != "resubmit"])
def test_undoing_an_undo_does_the_act_again(
    queue: PersistentQInterface, let_pass: LetPass, verb: str
) -> None:
    job = put(queue, JobStatus.PENDING, args={"a": 1})
    first = queue.act(ACTS[verb], [job.id], note=NOTE)
    acted = None if verb == "delete" else queue.get_job(job.id)
    second = queue.undo(first.entry, 1, note=NOTE)
    let_pass(60)
    assert queue.undo(second.entry, 1, note=NOTE).done == (job.id,)
    if acted is None:
        with pytest.raises(JobNotFound):
            queue.get_job(job.id)
    else:
        assert same(queue.get_job(job.id), acted, but=TIMES)
    assert queue.get_entry(second.entry).details == {"verb": verb}


def test_what_happened_since_is_not_undone(queue: PersistentQInterface) -> None:
    jobs = queue.enqueue_many([NewJob("t")] * 3)
    ids = [job.id for job in jobs]
    for job in queue.dequeue("c", limit=3):
        queue.fail(job, "broken", retry=False)
    batch = queue.act(Act("resubmit"), ids, note=NOTE)
    (taken,) = queue.dequeue("c")
    queue.cancel(ids[1])
    undone = queue.undo(batch.entry, 1, note=NOTE)
    assert undone.done == (ids[2],)
    assert {type(error) for error in undone.skipped.values()} == {ActRefused}
    assert queue.get_job(taken.id).status == JobStatus.PROCESSING
    assert queue.get_job(ids[1]).status == JobStatus.CANCELLED
    assert queue.get_job(ids[2]).status == JobStatus.FAILED
    assert queue.get_job(ids[2]).max_attempts == 3
    assert queue.undo(batch.entry, 1, note=NOTE).done == ()


def test_a_released_job_is_not_what_was_resubmitted(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.FAILED)
    batch = queue.act(Act("resubmit"), [job.id], note=NOTE)
    queue.release(queue.dequeue("c"))
    assert queue.undo(batch.entry, 1, note=NOTE).done == ()


def test_becoming_due_does_not_keep_from_undoing(queue: PersistentQInterface, let_pass: LetPass) -> None:
    job = put(queue, JobStatus.PENDING)
    batch = queue.act(Act("reschedule", run_at=job.created_at + HOUR), [job.id], note=NOTE)
    assert queue.get_job(job.id).status == JobStatus.SCHEDULED
    assert queue.dequeue("c") == []
    let_pass(HOUR.total_seconds() + 1)
    queue.cleanup()
    assert queue.get_job(job.id).status == JobStatus.PENDING
    assert queue.undo(batch.entry, 1, note=NOTE).done == (job.id,)
    assert same(queue.get_job(job.id), job, but=TIMES)


def test_a_time_that_has_passed_meanwhile_makes_the_job_ready(
    queue: PersistentQInterface, let_pass: LetPass
) -> None:
    job = put(queue, JobStatus.SCHEDULED)
    batch = queue.act(Act("cancel"), [job.id], note=NOTE)
    let_pass(HOUR.total_seconds() + 1)
    queue.undo(batch.entry, 1, note=NOTE)
    assert [one.id for one in queue.dequeue("c")] == [job.id]


def test_a_job_that_was_taken_from_its_consumer_stays_lost_to_it(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.PROCESSING)
    batch = queue.act(Act("mark-failed", error="hangs"), [job.id], note=NOTE)
    (attempt,) = queue.get_attempts(job.id)
    assert (attempt.outcome, attempt.error) == (Outcome.TAKEN, "hangs")
    queue.undo(batch.entry, 1, note=NOTE)
    with pytest.raises(LeaseLost):
        queue.complete(job)
    (again,) = queue.dequeue("d")
    assert (again.id, again.attempt) == (job.id, 2)


def test_a_requested_cancellation_outlasts_an_undo(queue: PersistentQInterface) -> None:
    job = put(queue, JobStatus.PROCESSING)
    queue.cancel(job.id)
    batch = queue.act(Act("assign", consumer="other"), [job.id], note=NOTE)
    assert queue.get_job(job.id).status == JobStatus.CANCELLED
    assert queue.undo(batch.entry, 1, note=NOTE).done == ()


def test_one_unique_key_becomes_unfinished_once(queue: PersistentQInterface) -> None:
    jobs = [put(queue, JobStatus.FAILED, unique_key="k") for _ in range(2)]
    free = put(queue, JobStatus.FAILED, unique_key="free")
    batch = queue.act(Act("resubmit"), [free.id, *(job.id for job in jobs)], note=NOTE)
    assert batch.done == (jobs[0].id, free.id)
    assert isinstance(batch.skipped[jobs[1].id], UniqueKeyTaken)
    gone = queue.act(Act("delete"), [jobs[0].id, free.id], note=NOTE)
    queue.enqueue("t", unique_key="k")
    undone = queue.undo(gone.entry, 1, note=NOTE)
    assert undone.done == (free.id,)
    assert isinstance(undone.skipped[jobs[0].id], UniqueKeyTaken)


def test_what_the_query_no_longer_means_is_skipped(queue: PersistentQInterface) -> None:
    jobs = queue.enqueue_many([NewJob("t", {"to": name}, tags=("x",)) for name in ("a", "b", "c")])
    ids = [job.id for job in jobs]
    queue.cancel(ids[0])
    for where, done in (
        ("status:pending", ids[1:]),
        ("args.to:b", [ids[1]]),
        ("status:pending -args.to:b tag:x", [ids[2]]),
    ):
        batch = queue.act(Act("set-priority", priority=3), ids, note=NOTE, where=parse(where))
        assert list(batch.done) == done
        assert [str(error) for error in batch.skipped.values()] == [
            f"job {job_id} no longer matches the query; look at the job, and decide anew"
            for job_id in ids
            if job_id not in done
        ]


def test_a_deleted_job_comes_back_whole(queue: PersistentQInterface) -> None:
    job = queue.enqueue(
        "t", {"text": "x" * 20_000, "é": None}, metadata={"m": [1]}, tags=("a", "b"), priority=-3
    )
    (held,) = queue.dequeue("c")
    queue.record(held, lines=["one", "two"], progress=Progress(0.5, "half"))
    queue.fail(held, ValueError("broken"), delay=HOUR)
    before = queue.get_job(job.id), queue.get_attempts(job.id), queue.get_log(job.id)
    batch = queue.act(Act("delete"), [job.id], note=NOTE)
    with pytest.raises(JobNotFound):
        queue.get_job(job.id)
    assert queue.enqueue("t").id > job.id
    queue.undo(batch.entry, 1, note=NOTE)
    assert (queue.get_job(job.id), queue.get_attempts(job.id), queue.get_log(job.id)) == before
    again = queue.act(Act("resubmit"), [job.id], note=NOTE)
    assert isinstance(again.skipped[job.id], InvalidTransition)


def test_the_trash_is_emptied_in_time(queue: PersistentQInterface, let_pass: LetPass) -> None:
    jobs = [put(queue, JobStatus.DONE) for _ in range(2)]
    short = queue.act(Act("delete"), [jobs[0].id], note=NOTE, trash=timedelta(minutes=1))
    long = queue.act(Act("delete"), [jobs[1].id], note=NOTE)
    let_pass(120)
    queue.cleanup()
    (refusal,) = queue.undo(short.entry, 1, note=NOTE).skipped.values()
    assert str(refusal).startswith(f"job {jobs[0].id} is not in the trash any more")
    assert queue.undo(long.entry, 1, note=NOTE).done == (jobs[1].id,)
    assert queue.undo(long.entry, 1, note=NOTE).done == ()


def test_arguments_are_edited_and_bounded(queue: PersistentQInterface) -> None:
    job = queue.enqueue("t", {"a": 1, "text": "x"})
    for text in ("y" * 20_000, "z"):
        queue.act(Act("edit-arguments", arguments={"text": text}), [job.id], note=NOTE)
        assert queue.get_job(job.id).args == {"a": 1, "text": text}
        assert [one.args for one in queue.list_jobs(where="args.a:1")] == [{"a": 1, "text": text}]
    large = queue.act(Act("edit-arguments", arguments={"more": "x" * 600_000}), [job.id], note=NOTE)
    assert large.done == (job.id,)
    refused = queue.act(Act("edit-arguments", arguments={"still": "x" * 600_000}), [job.id], note=NOTE)
    assert isinstance(refused.skipped[job.id], ActRefused)
    queue.undo(large.entry, 1, note=NOTE)
    (taken,) = queue.dequeue("c")
    assert taken.args == {"a": 1, "text": "z"}
    assert queue.undo(refused.entry, 1, note=NOTE).done == ()


def test_the_journal_tells_who_did_what(queue: PersistentQInterface, let_pass: LetPass) -> None:
    jobs = queue.enqueue_many([NewJob("t")] * 5)
    note = ActNote("ann", "cli", "because", "status:pending", 5)
    first = queue.act(Act("assign", consumer="c1"), [jobs[0].id, jobs[1].id, jobs[3].id], note=note)
    queue.act(Act("assign", consumer="c1"), [jobs[4].id, 77, 78], note=first.entry)
    other = queue.write_journal("scale", ActNote("bob", "dashboard"), {"to": 4})
    newest, entry = queue.list_journal(limit=5).items
    assert (newest.id, newest.verb, newest.details, newest.actor) == (other, "scale", {"to": 4}, "bob")
    assert (entry.id, entry.actor, entry.face, entry.reason) == (first.entry, "ann", "cli", "because")
    assert (entry.verb, entry.query, entry.details) == ("assign", "status:pending", {"consumer": "c1"})
    assert (entry.meant, entry.done, entry.skipped) == (5, 4, {"does not exist": 2})
    assert (entry.batches, entry.undoes, entry.undone_by) == (2, None, None)
    assert queue.get_entry_ids(entry.id) == [jobs[place].id for place in (0, 1, 3, 4)]
    undo = queue.undo(entry.id, 2, note=NOTE)
    queue.undo(entry.id, 1, note=undo.entry)
    assert queue.get_entry(entry.id).undone_by == undo.entry
    assert queue.undo(entry.id, 1, note=NOTE).done == ()
    assert queue.get_entry(entry.id).undone_by == undo.entry
    taken_back = queue.get_entry(undo.entry)
    assert (taken_back.undoes, taken_back.done, taken_back.batches) == (entry.id, 4, 2)
    assert {job.reserved_for for job in queue.list_jobs()} == {None}
    let_pass(timedelta(days=366).total_seconds())
    queue.cleanup()
    assert queue.list_journal() == ((), None)


def test_pages_of_the_journal(queue: PersistentQInterface) -> None:
    entries = [queue.write_journal("look", NOTE) for _ in range(5)]
    first = queue.list_journal(limit=2)
    second = queue.list_journal(limit=2, after=first.next)
    third = queue.list_journal(limit=2, after=second.next)
    assert [entry.id for page in (first, second, third) for entry in page.items] == entries[::-1]
    assert third.next is None


def test_the_journal_of_one_job(queue: PersistentQInterface) -> None:
    ids = [job.id for job in queue.enqueue_many([NewJob("t")] * 6)]
    first = queue.act(Act("cancel"), [ids[0], ids[1], ids[4]], note=NOTE)
    queue.act(Act("cancel"), [ids[5], 77], note=first.entry)
    # Of those two this one is between the others, and is skipped.
    queue.act(Act("resubmit"), [ids[1], ids[2], ids[4]], note=NOTE)
    queue.act(Act("cancel"), [78, 79], note=NOTE)
    undo = queue.undo(first.entry, 1, note=NOTE)
    queue.write_journal("look", NOTE)

    def told(job_id: int, **more: Any) -> list[str]:
        return [entry.verb for entry in queue.list_journal(job=job_id, **more).items]

    assert told(ids[0]) == ["undo", "cancel"]
    assert told(ids[1]) == told(ids[4]) == ["resubmit", "cancel"]
    assert told(ids[2]) == told(ids[3]) == told(77) == told(78) == []
    assert told(ids[5]) == ["cancel"]
    assert told(ids[0], verb="cancel") == ["cancel"]
    page = queue.list_journal(job=ids[0], limit=1)
    assert [entry.id for entry in page.items] == [undo.entry]
    assert told(ids[0], after=page.next) == ["cancel"]
    with pytest.raises(InvalidArgument):
        queue.list_journal(job=0)


def test_ids_are_found_by_query_and_by_name(queue: PersistentQInterface) -> None:
    jobs = queue.enqueue_many([NewJob("t", {"n": number % 2}) for number in range(6)])
    ids = [job.id for job in jobs][::-1]
    queue.cancel(ids[0])
    page = queue.find_ids(limit=4)
    assert page.items[0] == (ids[0], JobStatus.CANCELLED)
    rest = queue.find_ids(limit=4, after=page.next)
    assert [job_id for job_id, _ in page.items + rest.items] == ids
    assert rest.next is None
    pending = queue.find_ids(parse("status:pending"), among=ids[:3])
    assert [job_id for job_id, _ in pending.items] == ids[1:3]
    odd = queue.find_ids(parse("args.n:1"))
    assert [job_id for job_id, _ in odd.items] == [job.id for job in jobs[::-1] if job.args["n"]]


def test_unknown_entries_and_bad_values_are_refused(queue: PersistentQInterface) -> None:
    job = queue.enqueue("t")
    batch = queue.act(Act("cancel"), [], note=NOTE)
    assert (batch.done, batch.skipped) == ((), {})
    for call in (
        lambda: queue.undo(99, 1, note=NOTE),
        lambda: queue.undo(batch.entry, 2, note=NOTE),
        lambda: queue.get_entry(99),
        lambda: queue.get_entry_ids(99),
        lambda: queue.act(Act("cancel"), [job.id], note=99),
    ):
        with pytest.raises(EntryNotFound):
            call()
    assert queue.get_job(job.id) == job
    for bad in (
        lambda: queue.act(Act("cancel"), range(1, 502), note=NOTE),
        lambda: queue.act(Act("cancel"), [0], note=NOTE),
        lambda: queue.undo(batch.entry, 0, note=NOTE),
        lambda: queue.find_ids(limit=0),
        lambda: queue.list_journal(limit=0),
        lambda: queue.write_journal("", NOTE),
    ):
        with pytest.raises(InvalidArgument):
            bad()


BAD: list[dict[str, Any]] = [
    {"verb": "burn"},
    {"verb": "assign", "consumer": "no spaces"},
    {"verb": "set-priority", "priority": 10**9},
    {"verb": "reschedule", "run_at": "now"},
    {"verb": "edit-arguments"},
    {"verb": "edit-arguments", "arguments": {"a": float("nan")}},
]


@pytest.mark.parametrize("bad", BAD)
def test_bad_acts_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        Act(**bad)


@pytest.mark.parametrize(
    "bad", [{"actor": ""}, {"actor": "a", "face": "\0"}, {"actor": "a", "reason": "x" * 1001}]
)
def test_bad_notes_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        ActNote(**bad)


def test_an_entry_goes_on_with_its_own_act_only(queue: PersistentQInterface) -> None:
    first, second, third = (put(queue, JobStatus.PENDING) for _ in range(3))
    reserve = Act("assign", consumer="c1")
    entry = queue.act(reserve, [first.id], note=NOTE).entry
    assert queue.act(reserve, [second.id], note=entry).entry == entry
    for other in (Act("assign", consumer="c2"), Act("cancel")):
        with pytest.raises(InvalidArgument, match="another act"):
            queue.act(other, [third.id], note=entry)
    with pytest.raises(InvalidArgument, match="another act"):
        queue.undo(entry, 1, note=entry)
    assert queue.get_job(third.id) == third
    assert queue.get_entry(entry).batches == 2


def test_a_job_that_ended_since_is_not_asked_to_stop_by_an_undo_of_an_undo(
    queue: PersistentQInterface,
) -> None:
    job = put(queue, JobStatus.PROCESSING)
    cancelling = queue.act(Act("cancel"), [job.id], note=NOTE).entry
    undoing = queue.undo(cancelling, 1, note=NOTE).entry
    failed = queue.mark_failed(job.id, "by hand")
    batch = queue.undo(undoing, 1, note=NOTE)
    assert (batch.done, reason_of(batch.skipped[job.id])) == ((), "has changed since")
    assert queue.get_job(job.id) == failed
