"""A queue in memory and one in a file, and who operates it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from persistentq import PersistentQInterface, PersistentQMemory, PersistentQSQLAlchemy
from persistentq.operations import Operator


@pytest.fixture(params=["memory", "sqlite"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PersistentQInterface]:
    made: PersistentQInterface = PersistentQMemory()
    if request.param == "sqlite":
        made = PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db")
    elif request.param == "postgresql":
        made = PersistentQSQLAlchemy(request.getfixturevalue("own_postgres_url"))
    with made:
        yield made


@pytest.fixture
def operator(queue: PersistentQInterface) -> Operator:
    return Operator(queue, actor="ann", face="cli")
