"""Whatever is done to a database queue, in whatever order, it stands as the memory model does."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import make_url

from tests.property.mishaps import Fragile
from tests.property.one_clock import OneClock
from tests.property.rules_of_acts import Acting
from tests.property.rules_of_operation import Operation
from tests.property.rules_of_trouble import Trouble

PARTS = range(8)
HISTORIES = {"sqlite": 2_000, "postgresql": int(os.environ.get("HISTORIES", "240"))}
"""In all parts together. PostgreSQL takes a quarter of an hour for two thousand: `make histories`."""


class SameAsMemory(Operation, Acting, Trouble):
    """One model, one database, and everybody who works with it."""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the database is; a file where its sync is cheap, as durability is not in question."""
    if request.param == "postgresql":
        yield request.getfixturevalue("own_postgres_url")
        return
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - the folder is ours alone
    folder = tempfile.mkdtemp(prefix="persistentq-", dir=memory)
    yield f"sqlite:///{folder}/queue.db"
    shutil.rmtree(folder)


# A failing example is shrunk for up to five minutes before it is shown.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", PARTS)
def test_the_database_stands_as_the_model_does(url: str, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # A job that failed waits for as long on either side.
    monkeypatch.setattr(random, "random", lambda: 0.5)
    with ExitStack() as stack:
        clock = OneClock(url)
        stack.callback(clock.close)
        queues = [Fragile(url, clock), Fragile(url, clock)]
        for queue in queues:
            stack.callback(queue.close)
        run_state_machine_as_test(
            lambda: SameAsMemory(queues, clock),  # type: ignore[arg-type]
            settings=settings(
                max_examples=HISTORIES[make_url(url).get_backend_name()] // len(PARTS),
                stateful_step_count=16,
                deadline=None,
                derandomize=False,
                print_blob=True,
                report_multiple_bugs=False,
                phases=(Phase.reuse, Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            ),
        )
