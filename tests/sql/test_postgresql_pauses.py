"""Pauses on PostgreSQL, where two may be made at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import text

from persistentq import PersistentQSQLAlchemy
from persistentq.clock import Deadline
from tests.contract.conftest import emptied

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def somebody_waits(queue: PersistentQSQLAlchemy) -> bool:
    # In a transaction of its own: within one the server tells the same all the time.
    with queue.engine.connect() as look:
        return bool(look.scalar(text(WAITING)))


def test_two_first_pauses_of_one_queue_are_one(postgres_url: str) -> None:
    with PersistentQSQLAlchemy(postgres_url) as queue, ThreadPoolExecutor(1) as pool:
        emptied(queue)
        with queue.engine.begin() as other:
            other.execute(text("INSERT INTO persistentq_pauses (queue, paused_at) VALUES ('mail', 1)"))
            pausing = pool.submit(queue.pause_queue, "mail", lasting=timedelta(hours=1))
            # It has seen no pause, and waits for what becomes of this one.
            assert Deadline(10).wait_for(lambda: somebody_waits(queue))
        info = pausing.result(10)
        assert info.is_paused
        assert info.paused_until is not None
        assert [one.name for one in queue.list_queues()] == ["mail"]
