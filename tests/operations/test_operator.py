"""Preview and apply, read-only, redaction and undo, as every face has them: in memory and on SQLite."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from persistentq import (
    Act,
    CountDiffers,
    InvalidQuery,
    JobStatus,
    NewJob,
    NothingToUndo,
    PersistentQInterface,
    ReadOnlyMode,
    Schedule,
    StorageUnavailable,
    load_settings,
)
from persistentq.acts import MAX_BATCH
from persistentq.operations.acting import FIRST_BATCH
from persistentq.operations.actor import user_and_host
from persistentq.operations.operator import Operator
from persistentq.query import parse
from persistentq.redaction import REDACTED, Redaction


def fill(queue: PersistentQInterface, number: int, **more: Any) -> list[int]:
    return [job.id for job in queue.enqueue_many([NewJob("t", **more)] * number)]


def test_a_preview_tells_what_would_be_done_and_changes_nothing(
    queue: PersistentQInterface, operator: Operator
) -> None:
    ids = fill(queue, 8)
    queue.cancel(ids[0])
    queue.cancel(ids[7])
    before = list(queue.list_jobs())
    seen = operator.preview(Act("cancel"), where="task:t id<8")
    assert (seen.count, seen.fitting, seen.will_skip) == (7, 6, {"is cancelled": 1})
    assert [job.id for job in seen.sample] == ids[6:1:-1]
    assert seen.oldest is not None
    assert seen.newest is not None
    assert (seen.oldest.id, seen.newest.id, seen.is_capped) == (ids[0], ids[6], False)
    assert seen.query == "task:t id<8"
    few = operator.preview(Act("cancel"), where="task:t", limit=3)
    assert (list(few.ids), few.is_capped) == (ids[5:], False)
    assert list(queue.list_jobs()) == before
    assert queue.list_journal().items == ()


def test_named_jobs_that_do_not_exist_are_told(queue: PersistentQInterface, operator: Operator) -> None:
    ids = fill(queue, 2)
    seen = operator.preview(Act("cancel"), ids=[*ids, 99, ids[0]])
    assert (seen.count, seen.will_skip, seen.query) == (3, {"does not exist": 1}, "")
    result = operator.apply(seen)
    assert (result.done, result.reasons, list(result.skipped)) == (tuple(ids), {"does not exist": 1}, [99])


def test_the_set_is_frozen(queue: PersistentQInterface, operator: Operator) -> None:
    ids = fill(queue, 4)
    seen = operator.preview(Act("cancel"), where="status:pending")
    late = fill(queue, 1)
    queue.mark_failed(ids[1], "by hand")
    result = operator.apply(seen, reason="wrong queue")
    assert result.done == (ids[0], ids[2], ids[3])
    assert result.reasons == {"no longer matches the query": 1}
    assert queue.get_job(late[0]).status == JobStatus.PENDING
    (entry,) = queue.list_journal().items
    assert (entry.id, entry.actor, entry.face, entry.reason) == (result.entry, "ann", "cli", "wrong queue")
    assert (entry.query, entry.meant, entry.done) == ("status:pending", 4, 3)


def test_many_jobs_take_several_transactions_and_one_entry(
    queue: PersistentQInterface, operator: Operator
) -> None:
    number = 2 * MAX_BATCH + 1
    ids = fill(queue, number)
    told: list[int] = []
    seen = operator.preview(Act("assign", consumer="c1"), where="queue:default")
    result = operator.apply(seen, expect=number, on_progress=told.append)
    assert (result.done, told) == (tuple(ids), sorted(told))
    assert max(after - before for before, after in zip([0, *told], told, strict=False)) <= MAX_BATCH
    (entry,) = queue.list_journal().items
    assert (entry.batches, entry.done, entry.meant) == (len(told), number, number)
    assert result.entry == entry.id
    undone = operator.undo(entry.id, on_progress=told.append)
    assert (len(undone.done), undone.reasons, told[-1]) == (number, {}, number)
    assert queue.find_ids(parse("consumer:c1")).items == ()
    again = operator.undo(undone.entry or 0)
    assert len(again.done) == number
    assert operator.queue.get_entry(entry.id).undone_by == undone.entry


def test_what_changed_no_job_cannot_be_undone(queue: PersistentQInterface, operator: Operator) -> None:
    operator.pause_queue("mail")
    operator.act(Act("cancel"), [77])
    for entry in operator.list_journal().items:
        with pytest.raises(NothingToUndo, match=f"entry {entry.id}, {entry.verb!r}, changed no job"):
            operator.undo(entry.id)
    assert len(queue.list_journal().items) == 2


def test_another_number_than_expected_is_refused(queue: PersistentQInterface, operator: Operator) -> None:
    ids = fill(queue, 3)
    with pytest.raises(CountDiffers) as caught:
        operator.apply(operator.preview(Act("delete"), where=""), expect=2)
    assert (caught.value.expected, caught.value.found) == (2, 3)
    assert [job.id for job in queue.list_jobs()] == ids[::-1]
    operator.apply(operator.preview(Act("delete"), where=""), expect=3)
    assert len(queue.list_jobs()) == 0


def test_nothing_meant_is_nothing_done(queue: PersistentQInterface, operator: Operator) -> None:
    result = operator.apply(operator.preview(Act("delete"), where="status:failed"))
    assert (result.done, result.entry, result.reasons) == ((), None, {})
    assert queue.list_journal().items == ()
    with pytest.raises(InvalidQuery):
        operator.preview(Act("delete"), where="status:")
    with pytest.raises(ValueError, match="one of the two"):
        operator.preview(Act("delete"))


def test_a_database_that_fails_midway_is_told(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(operator.queue, MAX_BATCH + 5)
    seen = operator.preview(Act("cancel"), where="")
    real, calls = operator.queue.act, 0

    def failing(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise StorageUnavailable("queue.db", "is gone")
        return real(*args, **more)

    monkeypatch.setattr(operator.queue, "act", failing)
    result = operator.apply(seen)
    assert (len(result.done), result.failed, type(result.error)) == (
        FIRST_BATCH,
        MAX_BATCH + 5 - FIRST_BATCH,
        StorageUnavailable,
    )
    entry = operator.queue.list_journal().items[0]
    assert (entry.done, entry.meant) == (FIRST_BATCH, MAX_BATCH + 5)
    calls = 1
    with pytest.raises(StorageUnavailable):
        operator.apply(seen)


def test_read_only_means_that_nothing_changes(queue: PersistentQInterface) -> None:
    ids = fill(queue, 1)
    reader = Operator(queue, readonly=True)
    seen = reader.preview(Act("delete"), ids=ids)
    assert seen.fitting == 1
    for change in (
        lambda: reader.apply(seen),
        lambda: reader.act(Act("cancel"), ids),
        lambda: reader.undo(1),
        lambda: reader.pause_queue("default"),
        lambda: reader.resume_queue("default"),
        lambda: reader.write_journal("scale"),
        lambda: reader.reveal(ids[0]),
    ):
        with pytest.raises(ReadOnlyMode, match="read-only"):
            change()
    assert queue.get_job(ids[0]).status == JobStatus.PENDING
    assert queue.list_journal().items == ()


def test_secrets_are_hidden_until_they_are_revealed(queue: PersistentQInterface) -> None:
    job = queue.enqueue("t", {"to": "a", "auth": {"password": "hunter2"}})
    operator = Operator(queue, actor="ann", redaction=Redaction(("password",)))
    seen = operator.preview(Act("cancel"), ids=[job.id])
    for one in (*seen.sample, seen.oldest, seen.newest, operator.redaction.job(job)):
        assert one is not None
        assert one.args == {"to": "a", "auth": {"password": REDACTED}}
    assert operator.reveal(job.id, reason="the customer asks").args == job.args
    (entry,) = queue.list_journal().items
    assert (entry.verb, entry.details, entry.reason) == ("reveal", {"job": job.id}, "the customer asks")
    edit = operator.act(Act("edit-arguments", arguments={"password": "hunter3"}), [job.id])
    assert "hunter" not in str(queue.get_entry(edit.entry or 0))


def test_pauses_are_noted(queue: PersistentQInterface, operator: Operator) -> None:
    assert operator.pause_queue("mail", lasting=timedelta(minutes=5), reason="too many").is_paused
    assert not operator.resume_queue("mail").is_paused
    queue.pause_queue("mail")
    resumed, paused = queue.list_journal().items
    assert (paused.verb, paused.details) == ("pause", {"queue": "mail", "seconds": 300.0})
    assert (paused.actor, paused.reason, resumed.verb) == ("ann", "too many", "resume")


def test_the_settings_make_an_operator(queue: PersistentQInterface, tmp_path: Path) -> None:
    settings = load_settings({"QUEUE_READONLY": "1", "REDACT": "iban", "TRASH_DAYS": "2"}, tmp_path)
    made = Operator.with_settings(queue, settings, face="manager")
    assert (made.is_readonly, made.trash, made.redaction.patterns) == (True, timedelta(days=2), ("iban",))
    assert (made.note().actor, made.note().face) == (user_and_host(), "manager")
    free = load_settings({}, tmp_path)
    assert not Operator.with_settings(queue, free, face="cli").is_readonly
    assert Operator.with_settings(queue, free, face="cli", readonly=True).is_readonly


def test_schedules_are_put_and_run_under_a_name(queue: PersistentQInterface, operator: Operator) -> None:
    info = operator.put_schedule(Schedule("s", "@daily", "t", {"password": "x", "n": 1}), reason="new")
    assert info.schedule.args == {"password": REDACTED, "n": 1}
    assert queue.get_schedule("s").schedule.args == {"password": "x", "n": 1}
    assert operator.pause_schedule("s").is_paused
    assert not operator.resume_schedule("s").is_paused
    assert operator.run_schedule("s").args == {"password": REDACTED, "n": 1}
    operator.remove_schedule("s", reason="old")
    entries = queue.list_journal().items
    assert [(entry.verb.removesuffix("-schedule"), entry.reason) for entry in entries] == [
        ("remove", "old"),
        *(("run", ""), ("resume", ""), ("pause", ""), ("put", "new")),
    ]
    assert {entry.actor for entry in entries} == {"ann"}


def test_a_job_that_is_enqueued_by_hand_can_be_taken_back(
    queue: PersistentQInterface, operator: Operator
) -> None:
    job = operator.enqueue(NewJob("t", {"token": "x"}, unique_key="k"), reason="by hand")
    assert (job.status, job.args, job.duplicate) == (JobStatus.PENDING, {"token": REDACTED}, False)
    again = operator.enqueue(NewJob("t", unique_key="k"))
    assert (again.id, again.duplicate) == (job.id, True)
    second, first = queue.list_journal().items
    assert (first.verb, first.reason, first.done, dict(first.details)) == (
        "enqueue",
        "by hand",
        1,
        {"task": "t", "queue": "default"},
    )
    assert (second.done, sum(second.skipped.values())) == (0, 1)
    assert [entry.id for entry in queue.list_journal(job=job.id).items] == [first.id]
    assert operator.undo(first.id).done == (job.id,)
    assert len(queue.list_jobs()) == 0


def test_secrets_in_texts_are_kept_from_view(queue: PersistentQInterface, operator: Operator) -> None:
    queue.enqueue("t")
    (held,) = queue.dequeue("c")
    queue.record(held, lines=["token=hunter2"])
    try:
        raise ValueError("password=hunter2")
    except ValueError as error:
        queue.fail(held, error, retry=False)
    seen = [
        operator.get_job(held.id).error,
        operator.list_jobs().items[0].error,
        operator.get_attempts(held.id),
        operator.get_log(held.id),
        operator.why(held.id),
        operator.errors().groups,
        operator.attention(),
        operator.preview(Act("resubmit"), ids=[held.id]),
    ]
    assert all(REDACTED in repr(one) for one in seen)
    assert "hunter2" not in repr(seen)
    assert operator.reveal(held.id).error == "password=hunter2"


def test_a_reader_changes_neither_schedules_nor_jobs(queue: PersistentQInterface) -> None:
    reader = Operator(queue, readonly=True)
    queue.put_schedule(Schedule("s", "@daily", "t"))
    deeds: list[Callable[[], object]] = [
        lambda: reader.put_schedule(Schedule("s", "@hourly", "t")),
        lambda: reader.pause_schedule("s"),
        lambda: reader.resume_schedule("s"),
        lambda: reader.run_schedule("s"),
        lambda: reader.remove_schedule("s"),
        lambda: reader.enqueue(NewJob("t")),
    ]
    for deed in deeds:
        with pytest.raises(ReadOnlyMode):
            deed()
    assert [info.schedule.expression for info in queue.list_schedules()] == ["@daily"]
    assert (len(queue.list_jobs()), queue.list_journal().items) == (0, ())
