"""What a dialect's file says that its database can do, the database does; and nothing of what it denies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from persistentq import PersistentQSQLAlchemy


@pytest.fixture
def queue(own_url: str) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(own_url) as queue:
        yield queue


def works(queue: PersistentQSQLAlchemy, *statements: str) -> bool:
    """Whether the database takes these; what they did is undone."""
    with queue.engine.connect() as connection:
        return all(is_taken(connection, statement) for statement in statements)


def is_taken(connection: Connection, statement: str) -> bool:
    try:
        connection.execute(text(statement)).close()
    except DBAPIError:
        return False
    return True


def test_facts(queue: PersistentQSQLAlchemy) -> None:
    facts = queue._facts
    assert facts.has_skip_locked == works(queue, "SELECT id FROM persistentq_jobs FOR UPDATE SKIP LOCKED")
    assert facts.has_update_returning == works(queue, "UPDATE persistentq_jobs SET priority = 1 RETURNING id")
    assert facts.has_partial_indexes == works(
        queue, "CREATE UNIQUE INDEX trial ON persistentq_jobs (task) WHERE status = 'done'"
    )
