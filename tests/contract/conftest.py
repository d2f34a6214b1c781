"""The implementations of the contract, each with a clock that a test can move."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import NamedTuple

import pytest
from sqlalchemy import BigInteger, delete, text, type_coerce, update

from persistentq import PersistentQInterface, PersistentQMemory, PersistentQSQLAlchemy, clock
from persistentq.sql import sqlite
from persistentq.sql.models import MICROSECOND, Base, EpochMicroseconds, SchemaRow


class Subject(NamedTuple):
    """A queue under test, and how to let time pass for it."""

    queue: PersistentQInterface
    let_pass: Callable[[float], None]


def _memory(_request: pytest.FixtureRequest) -> Subject:
    moved = timedelta(0)

    def let_pass(seconds: float) -> None:
        nonlocal moved
        moved += timedelta(seconds=seconds)

    return Subject(PersistentQMemory(now=lambda: clock.now() + moved), let_pass)


def _sqlite(request: pytest.FixtureRequest) -> Subject:
    queue = PersistentQSQLAlchemy(f"sqlite:///{request.getfixturevalue('tmp_path')}/queue.db")
    return Subject(queue, lambda seconds: age_everything(queue, seconds))


def _sqlite_system(request: pytest.FixtureRequest) -> Subject:
    """The standard library's SQLite, treated as one with the WAL-reset bug, checkpointing all the time."""
    patch = request.getfixturevalue("monkeypatch")
    patch.setattr(sqlite, "choose_driver", lambda: sqlite3)
    patch.setattr(sqlite, "is_safe", lambda version: False)
    patch.setattr(sqlite, "CHECKPOINT_AT", 32 * 1024)
    return _sqlite(request)


def _postgresql(request: pytest.FixtureRequest) -> Subject:
    queue = emptied(PersistentQSQLAlchemy(request.getfixturevalue("postgres_url")))
    return Subject(queue, lambda seconds: age_everything(queue, seconds))


def emptied(queue: PersistentQSQLAlchemy) -> PersistentQSQLAlchemy:
    """Return the queue without any row, its ids starting from 1 again."""
    tables = [table for table in Base.metadata.sorted_tables if table.name != SchemaRow.__tablename__]
    with queue.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            names = ", ".join(table.name for table in tables)
            connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
        else:
            for table in reversed(tables):
                connection.execute(delete(table))
            connection.execute(text("DELETE FROM sqlite_sequence"))
    return queue


def age_everything(queue: PersistentQSQLAlchemy, seconds: float) -> None:
    """Move every stored time into the past; to the queue it is as if that long had gone by."""
    micros = timedelta(seconds=seconds) // MICROSECOND
    with queue.engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            times = [column for column in table.columns if isinstance(column.type, EpochMicroseconds)]
            if times:
                aged = {column.name: type_coerce(column, BigInteger) - micros for column in times}
                connection.execute(update(table).values(aged))


@pytest.fixture(
    params=[_memory, _sqlite, _sqlite_system, _postgresql],
    ids=["memory", "sqlite", "sqlite-system", "postgresql"],
)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    made: Subject = request.param(request)
    with made.queue:
        yield made


@pytest.fixture
def queue(subject: Subject) -> PersistentQInterface:
    return subject.queue


@pytest.fixture
def let_pass(subject: Subject) -> Callable[[float], None]:
    return subject.let_pass
