"""The core of every copy: no table is forgotten, no value changes, and a copy that differs is found out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from persistentq import NewJob, PersistentQSQLAlchemy, StorageError
from persistentq.copies_interface import JOBS
from persistentq.sql import copying
from persistentq.sql.copying import NUMBERED, TABLES, check_copy, copy_tables, read_batches
from persistentq.sql.models import Base, JobRow, SchemaRow
from persistentq.sql.side import Side
from tests.operations.whole_queue import DEFAULTS, content, fill


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Side]:
    url = f"sqlite:///{tmp_path}/queue.db"
    with PersistentQSQLAlchemy(url) as queue:
        fill(queue)
    with Side(url, DEFAULTS, timedelta(seconds=5)) as side:
        yield side


@pytest.fixture
def target(own_url: str, tmp_path: Path) -> Iterator[Side]:
    with Side(own_url.replace("queue.db", "copy.db"), DEFAULTS, timedelta(seconds=5), create=True) as side:
        with side.making():
            pass
        yield side


def test_every_table_is_copied_after_those_that_it_refers_to() -> None:
    assert {table.name for table in TABLES} == Base.metadata.tables.keys() - {SchemaRow.__tablename__}
    seen: set[str] = set()
    for table in TABLES:
        assert {key.column.table.name for key in table.foreign_keys} <= seen
        seen.add(table.name)
    assert JobRow.__tablename__ == JOBS
    assert {table.name for table in NUMBERED} == {JOBS, "persistentq_journal"}


def test_a_copy_has_every_row_as_it_was(source: Side, target: Side) -> None:
    seen: list[int] = []
    with source.reading() as connection:
        read = copy_tables(connection, target.write, seen.append)
    original = content(source.address)
    assert all(original.values())
    assert content(target.address) == original
    assert seen[-1] == sum(map(len, original.values()))
    with target.reading() as connection:
        check_copy(connection, target.location, read, seen.append)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DELETE FROM persistentq_pauses", "has 0 rows of 1 in persistentq_pauses"),
        (
            "UPDATE persistentq_jobs SET run_at = run_at + 1 WHERE id = 7",
            "has other rows in persistentq_jobs",
        ),
        ("UPDATE persistentq_jobs SET metadata = NULL", "has other rows in persistentq_jobs"),
        ("UPDATE persistentq_attempts SET error = error || ' '", "has other rows in persistentq_attempts"),
        ("INSERT INTO persistentq_pauses VALUES ('other', 1, NULL)", "has 2 rows of 1 in persistentq_pauses"),
    ],
)
def test_a_copy_that_differs_is_found_out(source: Side, target: Side, change: str, told: str) -> None:
    with source.reading() as connection:
        read = copy_tables(connection, target.write, lambda done: None)
    with target.writing() as connection:
        assert connection.execute(text(change)).rowcount
    with target.reading() as connection, pytest.raises(StorageError, match=told):
        check_copy(connection, target.location, read, lambda done: None)


def test_batches_are_bounded_by_rows_and_by_text(source: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    with PersistentQSQLAlchemy(source.address) as queue:
        queue.enqueue_many([NewJob("t", {"n": n}, queue="many") for n in range(2100)])
    table = JobRow.__table__
    assert isinstance(table, type(TABLES[0]))
    with source.reading() as connection:
        sizes = [len(batch) for batch in read_batches(connection, table)]
        assert max(sizes) == sizes[0] == copying.BATCH_ROWS
        monkeypatch.setattr(copying, "BATCH_CHARS", 1000)
        smaller = [len(batch) for batch in read_batches(connection, table)]
    assert sum(smaller) == sum(sizes)
    assert max(smaller) < 100
