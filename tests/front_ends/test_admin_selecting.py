"""Acts on the jobs that a query means, from the command line; undo, the journal, and read-only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from persistentq import ActBatch, JobStatus, NewJob, PersistentQInterface, PersistentQSQLAlchemy, Schedule
from persistentq.operations.actor import user_and_host
from tests.front_ends.admin_kit import a_store, run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


@pytest.fixture
def failed(store: PersistentQInterface) -> list[int]:
    jobs = store.enqueue_many([NewJob("mail.send", queue="mail")] * 4 + [NewJob("other")])
    return [store.mark_failed(job.id, "timed out").id for job in jobs]


def counts(store: PersistentQInterface) -> dict[JobStatus, int]:
    found: dict[JobStatus, int] = {}
    for numbers in store.count_jobs().values():
        for status, number in numbers.items():
            found[status] = found.get(status, 0) + number
    return found


def test_a_query_is_previewed_confirmed_done_and_journalled(
    store: PersistentQInterface, failed: list[int]
) -> None:
    where = 'task:mail.* error:"timed out"'
    code, out, err = run("resubmit", "--where", where, "--dry-run")
    assert (code, out) == (0, "resubmit would change 4 of 4 jobs\n")
    assert err.splitlines()[0] == "4 jobs"
    assert counts(store) == {JobStatus.FAILED: 5}

    code, out, err = run("resubmit", "--where", where)
    assert (code, out) == (2, "")
    assert "there is no terminal to ask on: resubmit 4 jobs?" in err
    assert counts(store) == {JobStatus.FAILED: 5}

    code, out, err = run("resubmit", "--where", where, "--yes", "--expect", "5")
    assert (code, out) == (2, "")
    assert "5 jobs were expected, and it is about 4" in err

    code, out, err = run(
        "resubmit", "--where", where, "--yes", "--expect", "4", "--reason", "the server is back"
    )
    assert (code, out) == (0, "resubmit changed 4 jobs\n")
    assert counts(store) == {JobStatus.PENDING: 4, JobStatus.FAILED: 1}
    (entry,) = store.list_journal().items
    assert f"`undo {entry.id}` takes it back" in err
    assert (entry.actor, entry.face, entry.reason) == (user_and_host(), "cli", "the server is back")
    assert (entry.query, entry.done, entry.meant) == (where, 4, 4)

    code, out, _ = run("undo", entry.id)
    assert (code, out) == (0, "undo changed 4 jobs\n")
    assert counts(store) == {JobStatus.FAILED: 5}


def test_the_journal_tells_how_far_an_interrupted_act_came(
    store: PersistentQInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.enqueue_many([NewJob("x")] * 300)
    act, calls = PersistentQSQLAlchemy.act, iter(range(9))

    def interrupted(*arguments: Any, **options: Any) -> ActBatch:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return act(*arguments, **options)

    monkeypatch.setattr(PersistentQSQLAlchemy, "act", interrupted)
    code, out, err = run("cancel", "--all", "--yes")
    assert (code, out) == (130, "")
    assert err.endswith("hint: `journal` tells how much was done\n")
    (entry,) = store.list_journal().items
    assert (entry.meant, entry.done) == (300, counts(store)[JobStatus.CANCELLED])
    assert 0 < entry.done < 300


def test_all_and_limit(store: PersistentQInterface, failed: list[int]) -> None:
    assert run("resubmit", "--all", "--limit", "2", "--yes").out == "resubmit changed 2 jobs\n"
    assert [job.id for job in store.list_jobs(status="pending")] == failed[:2:-1]
    code, out, err = run("cancel", "--all", "--yes", "-o", "json")
    document = json.loads(out)
    assert (code, document["verb"], document["done"]) == (3, "cancel", failed[3:])
    assert [one["id"] for one in document["skipped"]] == failed[:3]
    assert json.loads(err)["error"] == "3 of 5 jobs were not changed"


def test_a_dry_run_as_json(store: PersistentQInterface, failed: list[int]) -> None:
    shown = json.loads(run("cancel", "--where", "queue:mail", "--dry-run", "-o", "json").out)
    assert {name: shown[name] for name in ("verb", "query", "count", "fitting", "will_skip")} == {
        "verb": "cancel",
        "query": "queue:mail",
        "count": 4,
        "fitting": 0,
        "will_skip": {"is failed": 4},
    }
    assert (shown["oldest"], shown["newest"], shown["sample"]) == (failed[0], failed[3], failed[3::-1])
    named = json.loads(run("resubmit", failed[0], 99, "--dry-run", "-o", "json").out)
    assert (named["count"], named["will_skip"]) == (2, {"does not exist": 1})


@pytest.mark.parametrize(
    "arguments",
    [
        ["resubmit"],
        ["cancel", "7", "--all"],
        ["cancel", "--all", "--where", ""],
        ["cancel", "--where", "statu:x"],
    ],
)
def test_what_is_meant_must_be_said_once(store: PersistentQInterface, arguments: list[str]) -> None:
    store.enqueue_many([NewJob("x")] * 7)
    assert run(*arguments, "--yes").code == 2
    assert counts(store) == {JobStatus.PENDING: 7}


def test_what_was_deleted_comes_back(store: PersistentQInterface, failed: list[int]) -> None:
    code, out, _ = run("delete-db-jobs", "--where", "queue:mail", "--limit", "3", "--dry-run")
    assert (code, out) == (0, "delete would change 3 of 3 jobs\n")
    assert run("delete-db-jobs", "--where", "queue:mail", "--yes").out == "deleted 4 jobs\n"
    assert counts(store) == {JobStatus.FAILED: 1}
    entry = store.list_journal().items[0].id
    assert run("undo", entry, "--reason", "too many").out == "undo changed 4 jobs\n"
    assert counts(store) == {JobStatus.FAILED: 5}
    code, out, err = run("undo", entry)
    assert (code, out) == (2, "undo changed 0 jobs\n")
    assert "4 skipped: is not in the trash any more" in err
    assert run("undo", 99).code == 5
    assert run("undo", "x").code == 2
    assert run("undo", 0).err.startswith("error: entry 0 is not a whole number from 1 to ")


def test_the_journal_is_listed(store: PersistentQInterface, failed: list[int]) -> None:
    assert run("journal") == (0, "", "hint: no operator has done anything yet\n")
    run("resubmit", failed[0], "--reason", "=one\x1b[31m")
    run("undo", 1)
    run("assign-job", failed[0], "nobody", "--yes")
    listed = json.loads(run("journal", "--limit", 2, "-o", "json").out)
    assert [(one["id"], one["verb"], one["done"]) for one in listed["items"]] == [
        (3, "assign", 0),
        (2, "undo", 1),
    ]
    (first,) = json.loads(run("journal", "--after", listed["next"], "-o", "json").out)["items"]
    assert (first["verb"], first["undone_by"], first["reason"]) == ("resubmit", 2, "=one\x1b[31m")
    assert "\x1b" not in run("journal").out
    assert "'=one" in run("journal", "-o", "csv").out


def test_secrets_are_shown_to_those_who_say_so(store: PersistentQInterface) -> None:
    job = store.enqueue("x", {"to": "a", "login": {"password": "hunter2"}})
    for arguments in (
        ("show", job.id),
        ("show", job.id, "-o", "json"),
        ("list-jobs",),
        ("list-jobs", "-o", "json"),
    ):
        code, out, _ = run(*arguments)
        assert code == 0
        assert "[redacted]" in out
        assert "hunter2" not in out
    assert store.list_journal().items == ()
    assert "hunter2" in run("show", job.id, "--reveal", "--reason", "a customer asks").out
    (entry,) = store.list_journal().items
    assert (entry.verb, entry.details, entry.reason) == ("reveal", {"job": job.id}, "a customer asks")


def change_nothing(*arguments: Any) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert "this is read-only" in err


@pytest.mark.parametrize("how", ["setting", "option"])
def test_read_only(
    store: PersistentQInterface, failed: list[int], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "setting":
        monkeypatch.setenv("QUEUE_READONLY", "1")
    first = ("--readonly",) if how == "option" else ()
    store.put_schedule(Schedule("s", "@daily", "t"))
    for arguments in (
        ("resubmit", failed[0]),
        ("cancel", "--all", "--yes"),
        ("mark-failed", failed[0]),
        ("assign-job", failed[0], "--anyone"),
        ("delete-db-jobs", "--yes"),
        ("delete-job-files", "--directory", ".", "--yes"),
        ("undo", 1),
        ("reschedule", failed[0], "--now"),
        ("set-priority", failed[0], 3),
        ("edit-arguments", failed[0], "--set", "n=1"),
        ("pause", "mail"),
        ("resume", "mail"),
        ("enqueue", "t"),
        ("show", failed[0], "--reveal"),
        ("schedules", "add", "new", "@daily", "t"),
        ("schedules", "edit", "s", "--queue", "q"),
        ("schedules", "pause", "s"),
        ("schedules", "resume", "s"),
        ("schedules", "run-now", "s"),
        ("schedules", "remove", "s", "--yes"),
        ("scale", 3),
        ("migrate",),
    ):
        change_nothing(*first, *arguments)
    assert counts(store) == {JobStatus.FAILED: 5}
    assert store.list_journal().items == ()
    assert [info.schedule.queue for info in store.list_schedules()] == ["default"]
    assert run(*first, "list-jobs").code == 0


def test_read_only_is_for_one_call(store: PersistentQInterface, failed: list[int]) -> None:
    assert run("--readonly", "resubmit", failed[0]).code == 2
    assert run("resubmit", failed[0]).code == 0


def test_who_acted_on_a_job_is_shown_with_it(store: PersistentQInterface, failed: list[int]) -> None:
    run("resubmit", *failed[:2], "--reason", "the server is back")
    run("cancel", failed[0])
    document = json.loads(run("show", failed[0], "-o", "json").out)
    assert [(act["verb"], act["reason"]) for act in document["acts"]] == [
        ("cancel", ""),
        ("resubmit", "the server is back"),
    ]
    assert {act["actor"] for act in document["acts"]} == {user_and_host()}
    assert "acts.1.reason\tthe server is back\n" in run("show", failed[1]).out
    assert json.loads(run("show", failed[2], "-o", "json").out)["acts"] == []


def test_secrets_in_errors_are_not_shown(store: PersistentQInterface) -> None:
    store.enqueue("x")
    (held,) = store.dequeue("c")
    store.record(held, lines=["token=hunter2"])
    store.fail(held, "login failed: password=hunter2", retry=False)
    for arguments in (
        ("show", held.id),
        ("list-jobs", "-o", "json"),
        ("why", held.id),
        ("errors",),
        ("attention",),
    ):
        code, out, _ = run(*arguments)
        assert (code, "[redacted]" in out, "hunter2" in out) == (0, True, False)
    assert run("show", held.id, "--reveal").out.count("hunter2") == 3
