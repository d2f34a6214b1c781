"""The random histories' dropped connections are what they say they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from persistentq import JobStatus, PersistentQSQLAlchemy, StorageError
from tests.contract.conftest import emptied
from tests.property.mishaps import Fragile, When

CALLS = ["enqueue", "dequeue", "complete", "fail", "cancel", "delete_jobs", "pause_queue"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{request.getfixturevalue('tmp_path')}/queue.db"


@pytest.fixture
def queue(url: str) -> Iterator[Fragile]:
    with Fragile(url) as queue:
        emptied(queue)
        yield queue


def state(queue: PersistentQSQLAlchemy) -> object:
    return list(queue.list_jobs()), [replace(one, oldest_pending=None) for one in queue.list_queues()]


def call(queue: Fragile, name: str) -> None:
    job = next(iter(queue.list_jobs(status=JobStatus.PROCESSING)))
    match name:
        case "enqueue" | "dequeue" | "pause_queue":
            getattr(queue, name)("default")
        case "complete":
            queue.complete(job)
        case "fail":
            queue.fail(job, "broken")
        case "cancel":
            queue.cancel(job.id)
        case "delete_jobs":
            queue.delete_jobs()


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("name", CALLS)
def test_a_dropped_connection_undoes_all_or_nothing(queue: Fragile, name: str, when: When) -> None:
    queue.enqueue("t"), queue.enqueue("t")
    queue.dequeue("c")
    before = state(queue)
    queue.drops = 0
    # Past the call's own look at the job.
    queue.arm(when, transaction=2)
    try:
        call(queue, name)
        is_heard = True
    except StorageError:
        is_heard = False
    queue.disarm()
    assert queue.drops == 1
    is_done = is_heard or when is When.AFTER_COMMIT
    assert (state(queue) != before) == is_done


def test_the_work_of_a_dropped_session_is_undone_at_once(queue: Fragile, url: str) -> None:
    with queue.engine.connect() as connection, Fragile(url) as other:
        queue.enqueue("t", session=connection)
        queue.drop(connection.connection.dbapi_connection)
        assert other.delete_jobs() == 0
        other.enqueue("t")
        connection.invalidate()
        assert len(other.dequeue("c")) == 1
