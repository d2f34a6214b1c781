"""resubmit, cancel, mark-failed, assign-job and the deletions: what they do, say and refuse."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from persistentq import JobStatus, LeaseLost, NewJob, PersistentQInterface
from persistentq.job_files import make_job_file, stamp
from tests.front_ends.admin_kit import a_store, run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


def failed_job(store: PersistentQInterface) -> int:
    job = store.enqueue("x")
    return store.mark_failed(job.id, "for the test").id


def processing_job(store: PersistentQInterface, consumer: str = "consumer_00") -> int:
    store.enqueue("x")
    (job,) = store.dequeue(consumer)
    return job.id


def test_each_deed_changes_the_job_and_says_where_it_stands(store: PersistentQInterface) -> None:
    job_id = store.enqueue("x").id
    assert run("cancel", job_id) == (0, f"job {job_id} is cancelled\n", "")
    assert run("resubmit", job_id) == (0, f"job {job_id} is pending\n", "")
    assert run("mark-failed", job_id, "--reason", "gone for good") == (0, f"job {job_id} is failed\n", "")
    assert store.get_job(job_id).error == "gone for good"
    assert run("resubmit", job_id).code == 0
    assert store.get_job(job_id).status == JobStatus.PENDING


def test_a_processing_job_is_asked_to_stop(store: PersistentQInterface) -> None:
    job_id = processing_job(store)
    code, out, _ = run("cancel", job_id)
    assert (code, out) == (0, f"job {job_id} is still processing; consumer_00 is asked to stop\n")
    assert store.get_job(job_id).cancel_requested


def test_an_unknown_job_ends_with_5_and_a_refused_one_with_2(store: PersistentQInterface) -> None:
    job_id = store.enqueue("x").id
    assert run("resubmit", 99) == (
        5,
        "",
        "error: job 99 does not exist\nhint: list-jobs shows the ids that exist\n",
    )
    code, out, err = run("resubmit", job_id)
    assert (code, out) == (2, "")
    assert err == (
        f"error: job {job_id} is pending, it cannot be changed by 'resubmit'\n"
        "hint: resubmit needs a job that is failed or cancelled\n"
    )
    assert run("resubmit", 99, job_id).code == 2


def test_several_jobs_are_partly_done_with_3(store: PersistentQInterface) -> None:
    good, other, wrong = failed_job(store), failed_job(store), store.enqueue("x").id
    code, out, err = run("resubmit", good, wrong, 99, other, good)
    assert code == 3
    assert out == f"job {good} is pending\njob {other} is pending\n"
    assert err.count("error: ") == 2
    assert err.count("hint: ") == 2


def test_the_same_reason_is_hinted_at_once(store: PersistentQInterface) -> None:
    err = run("resubmit", 97, 98, 99).err
    assert (err.count("error: "), err.count("hint: ")) == (3, 1)


def test_what_was_done_can_be_read_as_json(store: PersistentQInterface) -> None:
    good, wrong = failed_job(store), store.enqueue("x").id
    code, out, err = run("resubmit", good, wrong, "--output", "json")
    assert json.loads(out) == {
        "schema": 1,
        "verb": "resubmit",
        "done": [good],
        "skipped": [
            {
                "id": wrong,
                "error": f"job {wrong} is pending, it cannot be changed by 'resubmit'",
                "code": 2,
                "hint": "resubmit needs a job that is failed or cancelled",
            }
        ],
    }
    assert code == 3
    assert json.loads(err) == {
        "error": "1 of 2 jobs were not changed",
        "code": 3,
        "hint": "`skipped` on standard output says why",
    }
    code, _, err = run("resubmit", 99, "--output", "json")
    assert (code, json.loads(err)["error"]) == (5, "job 99 does not exist")


def test_ids_may_come_from_a_pipe(store: PersistentQInterface) -> None:
    ids = [failed_job(store) for _ in range(3)]
    listing = run("list-jobs", "--status", "failed", "--output", "ids").out
    assert run("resubmit", "-", given=listing).code == 0
    assert {store.get_job(job_id).status for job_id in ids} == {JobStatus.PENDING}
    assert run("resubmit", "-", given="") == (0, "", "hint: no job was named\n")


def test_one_word_that_is_no_id_changes_nothing(store: PersistentQInterface) -> None:
    job_id = failed_job(store)
    code, out, err = run("resubmit", job_id, "1e3")
    assert (code, out) == (2, "")
    assert "job id '1e3' is not a whole number" in err
    assert store.get_job(job_id).status == JobStatus.FAILED


def test_assign_reserves_for_a_known_consumer(store: PersistentQInterface) -> None:
    store.heartbeat("consumer_01", host="box", pid=1, queues=["default"])
    job_id = store.enqueue("x").id
    assert run("assign-job", job_id, "consumer_01") == (
        0,
        f"job {job_id} is pending, reserved for consumer_01\n",
        "",
    )
    assert store.dequeue("consumer_00") == []
    assert run("assign-job", job_id, "--anyone") == (0, f"job {job_id} is pending\n", "")
    assert [job.id for job in store.dequeue("consumer_00")] == [job_id]


def test_assign_takes_what_every_act_takes(store: PersistentQInterface) -> None:
    store.heartbeat("c1", host="box", pid=1, queues=["default"])
    jobs = [store.enqueue("x" if n else "y").id for n in range(4)]
    assert run("assign-job", jobs[0], jobs[1], "c1").out.count("reserved for c1") == 2
    assert (
        run("assign-job", "--where", "task:x", "c1", "--dry-run").out == "assign would change 3 of 3 jobs\n"
    )
    assert run("assign-job", "-", "--anyone", given=f"{jobs[0]}\n{jobs[1]}\n").code == 0
    assert run("assign-job", "c1", "--where", "task:x", "--yes", "--expect", "3").code == 0
    assert [store.get_job(one).reserved_for for one in jobs] == [None, "c1", "c1", "c1"]
    assert run("assign-job", "--all", "--anyone", "--yes").code == 0
    assert {job.reserved_for for job in store.list_jobs()} == {None}
    assert run("assign-job", "--where", "task:x").code == 2


def test_assign_takes_a_processing_job_from_its_consumer(store: PersistentQInterface) -> None:
    store.heartbeat("consumer_01", host="box", pid=1, queues=["default"])
    store.enqueue("x")
    (job,) = store.dequeue("consumer_00")
    assert run("assign-job", job.id, "consumer_01").code == 0
    with pytest.raises(LeaseLost):
        store.complete(job)


def test_assign_to_an_unknown_consumer_needs_a_word_of_the_operator(store: PersistentQInterface) -> None:
    job_id = store.enqueue("x").id
    code, out, err = run("assign-job", job_id, "nobody")
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == (
        "warning: consumer 'nobody' has never reported; until it comes, the job waits"
    )
    assert err.splitlines()[-1] == "hint: add --yes to go on without being asked"
    assert store.get_job(job_id).reserved_for is None

    code, out, err = run("assign-job", job_id, "nobody", "--yes")
    assert (code, out) == (0, f"job {job_id} is pending, reserved for nobody\n")
    assert err.startswith("warning: ")


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (["assign-job", "1", "nobody"], "Reserve it for nobody all the same?"),
        (["delete-db-jobs"], "Delete 1 job?"),
    ],
)
def test_a_refusal_for_a_program_is_one_json_object(
    store: PersistentQInterface, arguments: list[str], question: str
) -> None:
    store.enqueue("x")
    code, out, err = run(*arguments, "--output", "json")
    assert (code, out) == (2, "")
    assert json.loads(err) == {
        "error": f"there is no terminal to ask on: {question}",
        "code": 2,
        "hint": "add --yes to go on without being asked",
    }


def test_assign_to_a_stopped_consumer_warns(store: PersistentQInterface) -> None:
    store.heartbeat("consumer_01", host="box", pid=1, queues=["default"])
    store.retire("consumer_01")
    code, _, err = run("assign-job", store.enqueue("x").id, "consumer_01")
    assert code == 0
    expected = r"warning: consumer 'consumer_01' was last heard of \d+s ago; until it comes, the job waits\n"
    assert re.fullmatch(expected, err)


@pytest.mark.parametrize(
    "arguments", [["7"], ["7", "consumer_00", "--anyone"], ["7", "a b", "--yes"], ["7", "", "--yes"]]
)
def test_assign_refuses_a_wrong_call(store: PersistentQInterface, arguments: list[str]) -> None:
    store.enqueue_many([NewJob("x")] * 7)
    assert run("assign-job", *arguments).code == 2
    assert store.get_job(7).reserved_for is None


def test_assign_of_an_unknown_job_asks_nothing(store: PersistentQInterface) -> None:
    code, _, err = run("assign-job", 99, "nobody")
    assert (code, err.splitlines()[0]) == (5, "error: job 99 does not exist")


def test_deletion_says_the_numbers_and_refuses_without_a_terminal(store: PersistentQInterface) -> None:
    store.enqueue_many([NewJob("x")] * 4)
    store.dequeue("consumer_00")
    failed_job(store)
    code, out, err = run("delete-db-jobs", given="y\n")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"jobs in {store.location} that match:",
        "  ○ pending            3",
        "  ▶ processing         1  stays: a consumer has it",
        "  ✗ failed             1",
        "error: there is no terminal to ask on: Delete 4 jobs?",
        "hint: add --yes to go on without being asked",
    ]
    assert sum(store.count_jobs()["default"].values()) == 5


def test_deletion_obeys_its_filters(store: PersistentQInterface) -> None:
    store.enqueue_many([NewJob("x"), NewJob("x", queue="mail"), NewJob("x", queue="mail")])
    store.cancel(2)
    assert run("delete-db-jobs", "--queue", "mail", "-s", "cancelled", "--yes").out == "deleted 1 job\n"
    assert [job.id for job in store.list_jobs()] == [3, 1]
    code, out, err = run("delete-db-jobs", "--status", "failed")
    assert (code, out, err) == (0, "deleted 0 jobs\n", f"no job in {store.location} matches\n")
    assert json.loads(run("delete-db-jobs", "-y", "-o", "json").out) == {"schema": 1, "deleted": 2}
    assert store.count_jobs() == {}


def test_deletion_of_named_jobs(store: PersistentQInterface) -> None:
    jobs = store.enqueue_many([NewJob("x")] * 4)
    assert run("delete-db-jobs", jobs[0].id).code == 2, "it asks"
    assert run("delete-db-jobs", jobs[0].id, 99, "--yes")[:2] == (3, f"job {jobs[0].id} is deleted\n")
    assert run("delete-db-jobs", "-", "--yes", given=f"{jobs[1].id}\n").code == 0
    code, out, err = run("delete-db-jobs", "-", "--yes", given="")
    assert (code, out) == (0, "")
    assert len(store.list_jobs()) == 2
    for more in (["--all"], ["--status", "done"], ["--where", ""]):
        assert "exclude one another" in run("delete-db-jobs", jobs[2].id, *more, "--yes").err
    assert run("delete-db-jobs", "--all", "--queue", "mail", "--yes").code == 2
    code, out, err = run("delete-db-jobs", 99, "--yes")
    assert (code, out) == (5, "")
    assert "error: job 99 does not exist\n" in err
    assert run("delete-db-jobs", "--all", "--yes").out == "deleted 2 jobs\n"


def test_deletion_never_takes_a_processing_job(store: PersistentQInterface) -> None:
    job_id = processing_job(store)
    code, out, err = run("delete-db-jobs", "--status", "processing", "--yes")
    assert (code, out) == (0, "deleted 0 jobs\n")
    assert "stays: a consumer has it" in err
    assert store.get_job(job_id).status == JobStatus.PROCESSING


def test_deletion_of_thousands(store: PersistentQInterface) -> None:
    store.enqueue_many([NewJob("x")] * 5_000)
    assert run("delete-db-jobs", "--yes").out == "deleted 5,000 jobs\n"
    assert len(store.list_jobs()) == 0


@pytest.fixture
def files(store: PersistentQInterface, tmp_path: Path) -> dict[str, Path]:
    """A processed file, one that a pending job names, a fresh one, and one that is not the producer's."""
    folder = tmp_path / "files"
    made = {name: make_job_file(folder / name) for name in ("processed", "needed", "fresh")}
    stamp(folder, str(made["processed"]), "consumer_00", 1, lambda: None)
    store.enqueue("file.stamp", {"path": str(made["needed"])})
    made["foreign"] = folder / "job-mine.txt"
    made["foreign"].write_text("mine")
    return made


def test_file_deletion_says_how_many_and_how_big_and_refuses(files: dict[str, Path], tmp_path: Path) -> None:
    code, out, err = run("delete-job-files", "--directory", tmp_path)
    size = files["processed"].stat().st_size
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"job files in and below {tmp_path}: 1, {size} bytes",
        "  and 1 file kept: an unfinished job names them",
        "  and 1 file kept: younger than a minute, a job for them may be on its way",
        f"error: there is no terminal to ask on: Delete 1 file, {size} bytes?",
        "hint: add --yes to go on without being asked",
    ]
    assert all(path.exists() for path in files.values())


def test_file_deletion_takes_only_what_no_job_needs(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = files["fresh"].stat().st_mtime - timedelta(hours=1).total_seconds()
    os.utime(files["fresh"], (old, old))
    size = files["processed"].stat().st_size + files["fresh"].stat().st_size
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("delete-job-files", "--directory", ".", "--yes", "--output", "json")
    assert code == 0
    assert json.loads(out) == {
        "schema": 1,
        "deleted": 2,
        "bytes": size,
        "in_use": 1,
        "fresh": 0,
        "refused": 0,
    }
    assert {name for name, path in files.items() if path.exists()} == {"needed", "foreign"}


def test_file_deletion_where_there_is_nothing(store: PersistentQInterface, tmp_path: Path) -> None:
    assert run("delete-job-files", "--directory", tmp_path) == (
        0,
        "deleted 0 files, 0 bytes\n",
        f"job files in and below {tmp_path}: 0, 0 bytes\n",
    )


@pytest.mark.parametrize("directory", ["missing", "queue.db"])
def test_file_deletion_needs_a_directory(store: PersistentQInterface, tmp_path: Path, directory: str) -> None:
    code, out, err = run("delete-job-files", "--directory", tmp_path / directory, "--yes")
    assert (code, out) == (2, "")
    assert "is not a directory" in err
    assert run("delete-job-files", "--yes").code == 2
