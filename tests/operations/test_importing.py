"""New jobs out of files: looked at as a whole first, enqueued once, whatever interrupts it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from persistentq import (
    Backoff,
    InvalidArgument,
    JobStatus,
    NewJob,
    PersistentQInterface,
    PersistentQMemory,
    ReadOnlyMode,
    StorageUnavailable,
)
from persistentq.acts import MAX_BATCH
from persistentq.operations import Operator
from persistentq.operations.formats import Format
from persistentq.operations.importing import FIELDS, TOLD_PROBLEMS
from persistentq.operations.records import COLUMNS
from tests.operations.test_exporting import every_kind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.jsonl"


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def jobs_file(path: Path, number: int) -> Path:
    return write(path, *({"task": "t", "args": {"n": n}} for n in range(number)))


def taken_in(queue: PersistentQInterface) -> list[int]:
    """Return the numbers of the jobs of `jobs_file`, in the order of their ids."""
    found: list[int] = []
    after: str | None = None
    while True:
        page = queue.list_jobs(limit=1000, after=after)
        found += [job.args["n"] for job in page]
        if (after := page.next) is None:
            return found[::-1]


def test_the_fields_of_a_new_job_are_columns_of_a_file() -> None:
    assert FIELDS.keys() <= set(COLUMNS)
    assert set(NewJob.__dataclass_fields__) - {"delay"} == FIELDS.keys()


@pytest.mark.parametrize("form", Format)
def test_what_was_exported_comes_back(
    queue: PersistentQInterface, operator: Operator, tmp_path: Path, form: Format
) -> None:
    """In an empty queue: what is not finished, with its task, arguments, place in the order and options."""
    jobs = every_kind(queue)
    file = tmp_path / f"jobs.{form}"
    operator.export(operator.choose(), file, form)
    with PersistentQMemory() as other:
        there = Operator(other, actor="ann", face="cli")
        seen = there.preview_import(file, form)
        assert (seen.count, seen.problems, seen.entry) == (3, (), None)
        assert seen.finished == {JobStatus.DONE: 1, JobStatus.FAILED: 1, JobStatus.CANCELLED: 1}
        result = there.import_jobs(seen, reason="the server moves")
        assert (result.enqueued, result.existing, result.before) == (3, 0, 0)
        came = list(other.list_jobs())[::-1]
        meant = [job for job in jobs if job.status not in seen.finished]
        for job, old in zip(came, meant, strict=True):
            for name in FIELDS:
                assert getattr(job, name) == getattr(old, name), name
        assert [job.status for job in came] == [JobStatus.PENDING, JobStatus.PENDING, JobStatus.SCHEDULED]
        (entry,) = other.list_journal().items
        assert (entry.verb, entry.id, entry.done, entry.meant) == ("import", result.entry, 3, 3)
        assert (entry.details["file"], entry.details["again"], entry.reason) == (
            file.name,
            False,
            "the server moves",
        )


def test_finished_jobs_come_back_only_if_that_is_meant(
    queue: PersistentQInterface, operator: Operator, path: Path
) -> None:
    jobs = every_kind(queue)
    operator.export(operator.choose(), path, Format.JSONL)
    with PersistentQMemory() as other:
        there = Operator(other)
        seen = there.preview_import(path, Format.JSONL, again=True)
        assert (seen.count, seen.finished) == (len(jobs), {})
        assert there.import_jobs(seen).enqueued == len(jobs)
        assert [job.task for job in other.list_jobs()][::-1] == [job.task for job in jobs]


def test_a_file_made_by_hand(queue: PersistentQInterface, operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_bytes(
        b"\xef\xbb\xbftask,args,priority,run_at,tags,unique_key\r\n"
        b'mail.send,"{""to"": ""a""}",-3,2030-01-01T01:00:00+01:00,"[""vip""]",\'=1\\\\2\r\n'
        b"\r\n"
        b"report.make,,,,,\r\n"
    )
    result = operator.import_jobs(operator.preview_import(file, Format.CSV))
    assert result.enqueued == 2
    plain, full = queue.list_jobs()
    assert (full.task, full.args, full.priority, full.tags) == ("mail.send", {"to": "a"}, -3, ("vip",))
    assert (full.run_at, full.unique_key) == (datetime(2030, 1, 1, tzinfo=UTC), "=1\\2")
    assert (plain.task, plain.args, plain.priority, plain.queue) == ("report.make", {}, 0, "default")


def test_pandas_may_make_a_file(queue: PersistentQInterface, operator: Operator, tmp_path: Path) -> None:
    import pandas as pd

    file = tmp_path / "jobs.parquet"
    frame = pd.DataFrame(
        {
            "task": ["a", "b"],
            "args": ['{"n": 1}', None],
            "max_attempts": [None, 4],
            "run_at": [pd.Timestamp("2030-01-01", tz="UTC"), None],
            "backoff": ['{"base": 1.5, "cap": 60}', None],
        }
    )
    frame.to_parquet(file)
    operator.import_jobs(operator.preview_import(file, Format.PARQUET))
    second, first = queue.list_jobs()
    assert (first.args, first.run_at) == ({"n": 1}, datetime(2030, 1, 1, tzinfo=UTC))
    assert first.backoff == Backoff(timedelta(seconds=1.5), timedelta(minutes=1))
    assert (second.args, second.max_attempts) == ({}, 4)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "task None is missing"),
    ({"task": ""}, "task '' is missing"),
    ({"task": "a b"}, "task 'a b' is not 1 to 200"),
    ({"task": 7}, "task 7 is not 1 to 200"),
    ({"task": "t", "queue": "a/b"}, "queue 'a/b' is not"),
    ({"task": "t", "priority": "high"}, "priority 'high' is not a whole number"),
    ({"task": "t", "priority": 1.5}, "priority 1.5 is not a whole number"),
    ({"task": "t", "priority": True}, "priority True is not a whole number"),
    ({"task": "t", "args": [1]}, "args [1] is not a mapping"),
    ({"task": "t", "args": {"a": "\0"}}, "args {'a': '\\x00'} holds a NUL"),
    ({"task": "t", "args": {"a": "\ud800"}}, "args {'a': '\\ud800'} holds a lone surrogate"),
    ({"task": "t", "metadata": "x"}, "metadata 'x' is not a mapping"),
    ({"task": "t", "args": {"to": "a", "login": [{"password": "[redacted]"}]}}, "where a secret was"),
    ({"task": "t", "metadata": {"token": "[redacted]"}}, "where a secret was"),
    ({"task": "t", "run_at": "tomorrow"}, "run_at 'tomorrow' is not a time such as"),
    ({"task": "t", "run_at": "2030-01-01"}, "give it a time zone"),
    ({"task": "t", "run_at": 7}, "run_at 7 is not an aware datetime"),
    ({"task": "t", "max_attempts": 0}, "max_attempts 0 is not"),
    ({"task": "t", "unique_key": "k" * 256}, "is not text of 1 to 255"),
    ({"task": "t", "unique_key": 7}, "unique_key 7 is not text"),
    ({"task": "t", "tags": "vip"}, "tags 'vip' is not a list of words"),
    ({"task": "t", "tags": ["a b"]}, "tag 'a b' is not"),
    ({"task": "t", "backoff": {"base": 1}}, "is not base and cap in seconds"),
    ({"task": "t", "status": "lost"}, "status 'lost' is not one of"),
    ({"task": "t", "status": ["done"]}, "status"),
    ({"task": "t", "priorty": 1}, "field 'priorty' is none of a job; did you mean 'priority'?"),
]


@pytest.mark.parametrize(("record", "said"), WRONG)
def test_one_bad_line_and_nothing_is_enqueued(
    queue: PersistentQInterface, operator: Operator, path: Path, record: dict[str, Any], said: str
) -> None:
    seen = operator.preview_import(write(path, {"task": "good"}, record, {"task": "good"}), Format.JSONL)
    (problem,) = seen.problems
    assert problem.summary.startswith("line 2: ")
    assert said in problem.summary
    with pytest.raises(InvalidArgument):
        operator.import_jobs(seen)
    assert len(queue.list_jobs()) == 0
    assert queue.list_journal().items == ()


@pytest.mark.parametrize(
    ("form", "content", "said"),
    [
        (Format.JSONL, b'{"task": "t"}\n{"task": \n', "line 2 '{\"task\": \\n' is not JSON"),
        (Format.JSONL, b'["t"]\n', "line 1 ['t'] is not a JSON object"),
        (Format.JSONL, b'{"task": "\xff"}\n', "line 1"),
        (Format.JSONL, b"[" * 100_000, "line 1"),
        (Format.CSV, b"task,args\nt,{\n", "line 2: args '{' is not JSON"),
        (Format.CSV, b"task,priority\nt,1e3\n", "line 2: priority '1e3' is not a whole number"),
        (Format.CSV, b"task,queue\nt\n", "line 2 1 is the number of cells, of 2 columns"),
        (Format.CSV, b'task,args\n"a\nb",\n', "line 3: task 'a\\nb' is not"),
        (Format.CSV, b"task\na\\b\n", "line 2: task 'a\\\\b' has a backslash that begins no escape"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(
    operator: Operator, path: Path, form: Format, content: bytes, said: str
) -> None:
    path.write_bytes(content)
    (problem,) = operator.preview_import(path, form).problems
    assert said in problem.summary


@pytest.mark.parametrize(
    ("form", "content", "said"),
    [
        (Format.CSV, b"task,task\na,b\n", "two columns of one name"),
        (Format.CSV, b"task\n\xff\n", "is not CSV in UTF-8"),
        (Format.CSV, b'task\n"a\n', "is not CSV in UTF-8"),
        (Format.PARQUET, b"PAR1 or not", "is no Parquet file"),
        (Format.JSONL, b'{"task": "' + b"t" * 17_000_000, "a line of more than"),
    ],
)
def test_a_file_that_is_something_else_is_refused(
    operator: Operator, path: Path, form: Format, content: bytes, said: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(InvalidArgument, match=said):
        operator.preview_import(path, form)


@pytest.mark.parametrize("name", ["", "missing", "\0"])
def test_what_is_no_file_is_refused(operator: Operator, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="is not a file"):
        operator.preview_import(tmp_path / name, Format.JSONL)


def test_many_bad_lines_are_counted(operator: Operator, path: Path) -> None:
    seen = operator.preview_import(write(path, *[{"task": "a b"}] * 100), Format.JSONL)
    assert (len(seen.problems), seen.bad, seen.count) == (TOLD_PROBLEMS, 100, 0)


def test_a_taken_key_is_no_error(queue: PersistentQInterface, operator: Operator, path: Path) -> None:
    queue.enqueue("t", unique_key="a")
    write(path, *({"task": "t", "unique_key": key} for key in ("a", "b", "b")))
    result = operator.import_jobs(operator.preview_import(path, Format.JSONL))
    assert (result.enqueued, result.existing) == (1, 2)
    assert [job.unique_key for job in queue.list_jobs()] == ["b", "a"]


@pytest.mark.parametrize("batches", [0, 1, 2, 3])
def test_an_interrupted_import_goes_on_where_it_stopped(
    queue: PersistentQInterface,
    operator: Operator,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
) -> None:
    number = 2 * MAX_BATCH + 7
    jobs_file(path, number)
    real, calls = queue.import_jobs, 0

    def failing(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > batches:
            raise KeyboardInterrupt
        return real(*args, **more)

    monkeypatch.setattr(queue, "import_jobs", failing)
    seen = operator.preview_import(path, Format.JSONL)
    if batches < 3:
        with pytest.raises(KeyboardInterrupt):
            operator.import_jobs(seen)
    else:
        operator.import_jobs(seen)
    monkeypatch.undo()
    again = operator.preview_import(path, Format.JSONL)
    assert again.begun == min(number, batches * MAX_BATCH)
    told = list[int]()
    result = operator.import_jobs(again, on_progress=told.append)
    assert (result.before, result.enqueued) == (again.begun, number - again.begun)
    assert told[-1:] == [number][: 3 - batches]
    assert taken_in(queue) == list(range(number))
    (entry,) = queue.list_journal().items
    assert (entry.done, entry.meant, entry.batches) == (number, number, 3)


def test_a_database_that_fails_midway_is_told(
    queue: PersistentQInterface, operator: Operator, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs_file(path, MAX_BATCH + 5)
    real, calls = queue.import_jobs, 0

    def failing(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise StorageUnavailable("queue.db", "is gone")
        return real(*args, **more)

    monkeypatch.setattr(queue, "import_jobs", failing)
    result = operator.import_jobs(operator.preview_import(path, Format.JSONL))
    assert (result.enqueued, result.failed, type(result.error)) == (MAX_BATCH, 5, StorageUnavailable)
    with pytest.raises(StorageUnavailable):
        operator.import_jobs(operator.preview_import(path, Format.JSONL))
    monkeypatch.undo()
    assert operator.import_jobs(operator.preview_import(path, Format.JSONL)).enqueued == 5
    assert taken_in(queue) == list(range(MAX_BATCH + 5))


def test_the_same_file_is_not_imported_twice_by_accident(
    queue: PersistentQInterface, operator: Operator, path: Path
) -> None:
    jobs_file(path, 3)
    first = operator.import_jobs(operator.preview_import(path, Format.JSONL))
    copy = path.with_name("copy.jsonl")
    copy.write_bytes(path.read_bytes())
    result = operator.import_jobs(operator.preview_import(copy, Format.JSONL))
    assert (result.entry, result.enqueued, result.before) == (first.entry, 0, 3)
    with pytest.raises(InvalidArgument, match=f"as entry {first.entry} of the journal"):
        operator.preview_import(path, Format.JSONL, again=True)
    repeated = operator.preview_import(path, Format.JSONL, repeat=True)
    assert operator.import_jobs(repeated).enqueued == 3
    assert taken_in(queue) == [0, 1, 2, 0, 1, 2]
    copy.write_bytes(copy.read_bytes() + b'{"task": "t", "args": {"n": 3}}\n')
    assert operator.preview_import(copy, Format.JSONL).begun == 0


def test_an_undone_import_may_be_made_again(
    queue: PersistentQInterface, operator: Operator, path: Path
) -> None:
    jobs_file(path, MAX_BATCH + 3)
    first = operator.import_jobs(operator.preview_import(path, Format.JSONL))
    undone = operator.undo(first.entry or 0)
    assert len(undone.done) == MAX_BATCH + 3
    assert len(queue.list_jobs()) == 0
    assert operator.preview_import(path, Format.JSONL).entry is None
    operator.undo(undone.entry or 0)
    assert operator.preview_import(path, Format.JSONL).begun == MAX_BATCH + 3
    assert taken_in(queue) == list(range(MAX_BATCH + 3))


def test_two_that_go_on_with_one_import_enqueue_nothing_twice(
    queue: PersistentQInterface, operator: Operator, path: Path
) -> None:
    jobs_file(path, 2 * MAX_BATCH)
    begun = operator.preview_import(path, Format.JSONL)
    slow = iter([0])

    def stall(_: int) -> None:
        for _ in slow:
            other = operator.preview_import(path, Format.JSONL)
            assert operator.import_jobs(other).enqueued == MAX_BATCH

    with pytest.raises(InvalidArgument, match="does somebody else import the same file"):
        operator.import_jobs(begun, on_progress=stall)
    assert taken_in(queue) == list(range(2 * MAX_BATCH))


def test_a_file_that_changes_after_the_look_is_refused(
    queue: PersistentQInterface, operator: Operator, path: Path
) -> None:
    seen = operator.preview_import(jobs_file(path, 3), Format.JSONL)
    jobs_file(path, 4)
    with pytest.raises(InvalidArgument, match="has changed since"):
        operator.import_jobs(seen)
    assert len(queue.list_jobs()) == 0


def test_who_may_only_read_may_look(queue: PersistentQInterface, path: Path) -> None:
    reader = Operator(queue, readonly=True)
    seen = reader.preview_import(jobs_file(path, 3), Format.JSONL)
    assert seen.count == 3
    with pytest.raises(ReadOnlyMode):
        reader.import_jobs(seen)
    assert len(queue.list_jobs()) == 0


def test_an_empty_file_is_nothing(queue: PersistentQInterface, operator: Operator, path: Path) -> None:
    path.touch()
    result = operator.import_jobs(operator.preview_import(path, Format.JSONL))
    assert (result.entry, result.enqueued) == (None, 0)
    assert queue.list_journal().items == ()
