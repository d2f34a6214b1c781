"""A queue, a registry of tasks, and a consumer that runs beside the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from persistentq import (
    Consumer,
    Job,
    JobStatus,
    PersistentQInterface,
    PersistentQMemory,
    PersistentQSQLAlchemy,
)
from persistentq.clock import Deadline
from persistentq.tasks import Tasks

PATIENCE_S = 20


@pytest.fixture(params=["memory", "sqlite"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PersistentQInterface]:
    made = (
        PersistentQMemory()
        if request.param == "memory"
        else PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db")
    )
    with made:
        yield made


@pytest.fixture
def tasks() -> Tasks:
    return Tasks()


@contextmanager
def running(consumer: Consumer) -> Iterator[Consumer]:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            consumer.run()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield consumer
    finally:
        if not consumer._stops:
            consumer.stop()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert failed == []


def ended(queue: PersistentQInterface, job: Job) -> Job:
    finished = {JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED}
    assert Deadline(PATIENCE_S).wait_for(lambda: queue.get_job(job.id).status in finished, every=0.01)
    return queue.get_job(job.id)
