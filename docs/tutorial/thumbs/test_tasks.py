"""The service's own tests, with the library's test kit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tasks import RULE

from persistentq import NoRetry, task
from persistentq.testing import queue_in_memory


@task("tests.flaky", backoff=RULE)
def flaky(times: list[int]) -> str:
    """Stand for a task that fails as often as it is told."""
    if times:
        times.pop()
        raise ConnectionError
    return "done"


def test_a_storage_that_stumbles_is_tried_again() -> None:
    with queue_in_memory() as queue:
        job = flaky.enqueue(times=[1])
        queue.assert_enqueued(flaky, times=[1])
        queue.drain()
        assert queue.get_job(job.id).status == "scheduled"
        queue.advance(timedelta(minutes=1))
        queue.drain()
        assert queue.get_job(job.id).attempt == 2


def test_what_can_never_work_is_not_tried_again() -> None:
    @task("tests.hopeless")
    def hopeless() -> None:
        raise NoRetry("not an image")

    with queue_in_memory() as queue:
        job = hopeless.enqueue()
        queue.drain()
        assert queue.get_job(job.id).status == "failed"
    with pytest.raises(NoRetry):
        hopeless()
