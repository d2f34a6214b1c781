"""Jobs into files and back: what a file holds, what is left out, and that nothing is half there."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import threading
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistentq import (
    Backoff,
    InvalidArgument,
    Job,
    JobStatus,
    NewJob,
    PersistentQInterface,
    PersistentQSQLAlchemy,
    ReadOnlyMode,
)
from persistentq.operations import Operator
from persistentq.operations.exporting import PART, choose, export
from persistentq.operations.formats import Format, csv_cell, format_of, read_cell, reading
from persistentq.operations.new_file import new_file
from persistentq.operations.records import COLUMNS, job_record
from persistentq.query import EVERY_JOB, parse
from persistentq.redaction import REDACTED

HOSTILE = '\x1b[31m"q"\t,\nline\r\x9b\u202e\\n \\ =1+1 日本\u200b\U0001f600\u2028'


def every_kind(queue: PersistentQInterface) -> list[Job]:
    """Store one job of each status and of each optional value; return them, the oldest first."""
    queue.enqueue("done", {"a": 1})
    queue.enqueue("failed", {HOSTILE: [HOSTILE, None, 1.5, True]})
    queue.enqueue("held")
    done, failed, _ = queue.dequeue("c1", limit=3)
    queue.complete(done, {"lines": [1, 2]})
    queue.fail(failed, RuntimeError(HOSTILE), retry=False)
    queue.cancel(queue.enqueue("=cancelled", unique_key=HOSTILE).id)
    queue.enqueue("plain")
    queue.enqueue(
        "full",
        delay=timedelta(hours=1),
        queue="mail",
        priority=-7,
        max_attempts=9,
        unique_key="-k",
        tags=("vip", "-x"),
        metadata={"source": HOSTILE},
        backoff=Backoff(timedelta(seconds=2), timedelta(minutes=1)),
    )
    return list(queue.list_jobs())[::-1]


@pytest.mark.parametrize("form", Format)
def test_a_file_holds_every_value_of_every_job(
    queue: PersistentQInterface, operator: Operator, tmp_path: Path, form: Format
) -> None:
    jobs = every_kind(queue)
    path = tmp_path / f"jobs.{form}"
    assert operator.export(operator.choose(), path, form) == len(jobs) == len(JobStatus)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rows = list(reading(format_of(path), path))
    assert [row.problem for row in rows] == [None] * len(jobs)
    for row, job in zip(rows, jobs, strict=True):
        wanted = job_record(job)
        assert tuple(row.record) == COLUMNS
        for name, value in row.record.items():
            if isinstance(value, datetime):
                assert value == datetime.fromisoformat(wanted[name])
            else:
                # A cell cannot tell an empty text from none, and these are never empty.
                assert value == wanted[name], name
    assert queue.list_journal().items == ()


def test_other_programs_read_them(queue: PersistentQInterface, operator: Operator, tmp_path: Path) -> None:
    import pandas as pd

    jobs = every_kind(queue)
    for form in Format:
        operator.export(operator.choose(), tmp_path / f"jobs.{form}", form)
    lines = (tmp_path / "jobs.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [job.id for job in jobs]
    assert all(line.isprintable() for line in lines)
    with (tmp_path / "jobs.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert [row["task"] for row in cells][3:] == ["'=cancelled", "plain", "full"]
    assert cells[5]["unique_key"] == "'-k"
    assert cells[5]["priority"] == "-7"
    assert (tmp_path / "jobs.csv").read_text().replace("\n", "").isprintable()
    frame = pd.read_parquet(tmp_path / "jobs.parquet")
    assert list(frame.columns) == list(COLUMNS)
    assert frame["id"].tolist() == [job.id for job in jobs]
    assert frame["run_at"].tolist() == [job.run_at for job in jobs]
    assert json.loads(frame["args"][1]) == jobs[1].args


@given(st.text(min_size=1))
def test_a_cell_gives_its_text_back_and_is_no_formula(text: str) -> None:
    cell = csv_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell.isprintable()
    assert read_cell("error", cell) == text


@pytest.mark.parametrize("text", ["'=1", "''=1", "'", "'a", "=", "\t=", "\r", "\\t", "\\", "'\\", "'\t"])
def test_only_the_apostrophe_that_was_added_goes(text: str) -> None:
    assert read_cell("error", csv_cell(text)) == text


@pytest.mark.parametrize("cell", ["a\\b", "\\", "\\x1", "\\u12g4", "\\U00110000"])
def test_a_backslash_that_begins_no_escape_is_told(cell: str) -> None:
    with pytest.raises(ValueError, match=r"backslash|range"):
        read_cell("task", cell)


def test_the_query_and_the_limit_say_which(queue: PersistentQInterface) -> None:
    ids = [job.id for job in queue.enqueue_many([NewJob("t", queue=name) for name in "abaab"])]
    assert list(choose(queue, EVERY_JOB).ids) == ids
    assert list(choose(queue, parse("queue:a")).ids) == [ids[0], ids[2], ids[3]]
    assert list(choose(queue, parse("queue:a"), 2).ids) == [ids[2], ids[3]]
    with pytest.raises(InvalidArgument):
        choose(queue, EVERY_JOB, 0)


def test_what_comes_or_changes_meanwhile(queue: PersistentQInterface) -> None:
    ids = [job.id for job in queue.enqueue_many([NewJob("t")] * (PART + 5))]
    chosen = choose(queue, parse("status:pending"))
    queue.enqueue("late")
    queue.cancel(ids[3])
    file, told = io.BytesIO(), list[int]()
    number = export(queue, chosen, file, Format.JSONL, show=lambda job: job, on_progress=told.append)
    written = [json.loads(line)["id"] for line in file.getvalue().splitlines()]
    assert written == [job_id for job_id in ids if job_id != ids[3]]
    assert (number, told) == (len(ids) - 1, [PART, PART + 5])


def test_an_export_of_a_queue_that_is_busy_ends(queue: PersistentQInterface, operator: Operator) -> None:
    queue.enqueue_many([NewJob("t")] * 2_000)
    stop = threading.Event()

    def produce() -> None:
        while not stop.is_set():
            queue.enqueue_many([NewJob("late")] * 50)

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        file = io.BytesIO()
        number = operator.export(operator.choose(), file, Format.CSV)
    finally:
        stop.set()
        producer.join()
    assert number >= 2_000
    assert len(file.getvalue().splitlines()) == number + 1


def test_secrets_are_left_out_until_they_are_revealed(
    queue: PersistentQInterface, operator: Operator, tmp_path: Path
) -> None:
    queue.enqueue("t", {"to": "a", "password": "hunter2"}, metadata={"token": ["x"]})
    hidden, shown = tmp_path / "hidden.jsonl", tmp_path / "shown.jsonl"
    operator.export(operator.choose(), hidden, Format.JSONL)
    assert queue.list_journal().items == ()
    record = json.loads(hidden.read_text())
    assert (record["args"], record["metadata"]) == (
        {"to": "a", "password": REDACTED},
        {"token": REDACTED},
    )
    operator.export(operator.choose("task:t"), shown, Format.JSONL, reveal=True, reason="to move")
    assert json.loads(shown.read_text())["args"]["password"] == "hunter2"
    (entry,) = queue.list_journal().items
    assert (entry.verb, entry.details, entry.reason) == ("reveal", {"jobs": 1}, "to move")
    assert (entry.query, entry.actor) == ("task:t", "ann")


def test_who_may_only_read_may_export_but_not_reveal(queue: PersistentQInterface, tmp_path: Path) -> None:
    queue.enqueue("t", {"password": "hunter2"})
    reader = Operator(queue, readonly=True)
    with pytest.raises(ReadOnlyMode):
        reader.export(reader.choose(), tmp_path / "shown.csv", Format.CSV, reveal=True)
    assert reader.export(reader.choose(), tmp_path / "hidden.csv", Format.CSV) == 1
    assert not (tmp_path / "shown.csv").exists()
    assert "hunter2" not in (tmp_path / "hidden.csv").read_text()


@pytest.mark.parametrize("form", Format)
def test_nothing_to_export_is_a_file_without_jobs(operator: Operator, tmp_path: Path, form: Format) -> None:
    path = tmp_path / "jobs"
    assert operator.export(operator.choose(), path, form) == 0
    assert list(reading(form, path)) == []


def test_a_file_is_not_replaced_unless_that_is_meant(
    queue: PersistentQInterface, operator: Operator, tmp_path: Path
) -> None:
    queue.enqueue("t")
    path = tmp_path / "jobs.jsonl"
    path.write_text("mine")
    with pytest.raises(InvalidArgument, match="exists already"):
        operator.export(operator.choose(), path, Format.JSONL)
    assert path.read_text() == "mine"
    operator.export(operator.choose(), path, Format.JSONL, force=True)
    assert json.loads(path.read_text())["task"] == "t"
    assert sorted(one.name for one in tmp_path.iterdir() if "jobs" in one.name) == ["jobs.jsonl"]
    with pytest.raises(InvalidArgument, match="in a folder that is not there"):
        operator.export(operator.choose(), tmp_path / "no" / "jobs.jsonl", Format.JSONL)


@pytest.mark.parametrize("kind", ["folder", "link", "fifo", "dangling"])
def test_what_is_no_plain_file_is_never_replaced(operator: Operator, tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "jobs.jsonl", tmp_path / "other"
    other.write_text("mine")
    match kind:
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(other)
        case "dangling":
            path.symlink_to(tmp_path / "nowhere")
        case "fifo":
            os.mkfifo(path)
    before = path.lstat()
    with pytest.raises(InvalidArgument, match="no plain file"):
        operator.export(operator.choose(), path, Format.JSONL, force=True)
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert other.read_text() == "mine"


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
def test_the_queues_own_file_is_never_replaced(tmp_path: Path, end: str) -> None:
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as queue:
        job = queue.enqueue("t")
        operator = Operator(queue)
        (tmp_path / "folder").symlink_to(tmp_path)
        for folder in (tmp_path, tmp_path / "folder"):
            with pytest.raises(InvalidArgument, match="the queue's own"):
                operator.export(operator.choose(), folder / f"queue.db{end}", Format.JSONL, force=True)
        assert queue.get_job(job.id) == job


def test_a_file_that_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "new"

    def write(rest: Callable[[], object]) -> None:
        with new_file(path) as file:
            file.write(b"half")
            rest()

    with pytest.raises(ZeroDivisionError):
        write(lambda: 1 // 0)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidArgument, match="exists already"):
        write(lambda: path.write_text("theirs, meanwhile"))
    assert [one.name for one in tmp_path.iterdir()] == ["new"]
    assert path.read_text() == "theirs, meanwhile"


@pytest.mark.parametrize("form", [Format.JSONL, Format.CSV])
def test_memory_does_not_grow_with_the_number_of_jobs(tmp_path: Path, form: Format) -> None:
    """Eight bytes for each job that is meant, and what a page of jobs takes."""
    peaks = []
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as queue:
        operator = Operator(queue)
        for _ in range(2):
            queue.enqueue_many([NewJob("t", {"filler": "x" * 200})] * 5_000)
            tracemalloc.start()
            operator.export(operator.choose(), tmp_path / "jobs", form, force=True)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000


def test_parquet_files_are_written_group_after_group(
    queue: PersistentQInterface, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow import parquet as pq

    from persistentq.operations import parquet

    monkeypatch.setattr(parquet, "GROUP_ROWS", 100)
    queue.enqueue_many([NewJob("t", {"n": n}) for n in range(250)])
    operator.export(operator.choose(), tmp_path / "jobs.parquet", Format.PARQUET)
    with pq.ParquetFile(tmp_path / "jobs.parquet") as file:
        assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [100, 100, 50]
    rows = list(reading(Format.PARQUET, tmp_path / "jobs.parquet"))
    assert [row.record["args"]["n"] for row in rows] == list(range(250))


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("jobs.jsonl", Format.JSONL),
        ("jobs.CSV", Format.CSV),
        ("a.b.parquet", Format.PARQUET),
        ("jobs", Format.JSONL),
        ("jobs.txt", Format.JSONL),
        ("-", Format.JSONL),
    ],
)
def test_the_name_tells_the_format(name: str, form: Format) -> None:
    assert format_of(Path(name)) is form


def test_times_are_utc(queue: PersistentQInterface) -> None:
    job = queue.enqueue("t", run_at=datetime(2030, 1, 1, tzinfo=UTC))
    record: dict[str, Any] = job_record(job)
    assert record["run_at"] == "2030-01-01T00:00:00.000000Z"
