"""G1: whatever was acknowledged survives power cuts on SQLite and immediate shutdowns of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import NullPool, create_engine, text

from persistentq import PersistentQSQLAlchemy
from persistentq.clock import Deadline
from tests.faults.power import AT_ONCE, NOTHING, WRITERS, Cuts, Ledger, Nursery, build, nursery
from tests.faults.power_server import OwnServer, own_server
from tests.faults.power_writer import Order

CUTS, SHUTDOWNS = 20, 3
SEED = 4711


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("power"))


@pytest.fixture
def writers(library: Path) -> Iterator[Nursery]:
    with nursery(library) as made:
        yield made


def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, writers: Nursery) -> None:
    """G1, G6: `python -m tests.faults.power --cuts 100` for more of them."""
    cutting = Cuts(tmp_path, writers, Random(SEED))
    verdicts = list(cutting.run(CUTS, lambda _: True))
    assert verdicts == [NOTHING] * CUTS
    assert cutting.acknowledged > CUTS * 10


def test_without_a_sync_for_each_commit_it_loses_some(tmp_path: Path, writers: Nursery) -> None:
    """The control: these cuts are sharp enough to see what synchronous=NORMAL loses."""
    cutting = Cuts(tmp_path, writers, Random(SEED), pragmas=("synchronous=NORMAL",))
    *_, last = cutting.run(CUTS, lambda verdict: not verdict.lost)
    assert last.lost
    assert last.damage == ""


def test_immediate_shutdowns_of_postgresql_lose_nothing(tmp_path: Path) -> None:
    """G1: on a server whose own way would lose commits, as the control shows."""
    files = [tmp_path / f"ledger-{n}" for n in range(WRITERS)]
    with own_server() as server, nursery() as writers:
        with PersistentQSQLAlchemy(server.url) as queue, queue.engine.begin() as connection:
            connection.execute(text("CREATE TABLE effects (job_id BIGINT NOT NULL)"))
        for n, file in enumerate(files):
            writers.start(Order(url=server.url, ledger=str(file), name=f"writer-{n}"))
        # Whoever opens a queue while the server goes is told so, and not what this is about.
        assert Deadline(30).wait_for(lambda: all(acknowledged([file]) for file in files), 0.01)
        for _ in range(SHUTDOWNS):
            so_far = acknowledged(files)
            assert Deadline(30).wait_for(lambda: acknowledged(files) > so_far + 200, 0.01)  # noqa: B023
            server.shut_down_at_once()
            server.start()
        so_far = acknowledged(files)
        assert Deadline(30).wait_for(lambda: acknowledged(files) > so_far, 0.01)
        assert writers.live()
        writers.kill()
        with PersistentQSQLAlchemy(server.url, create=False) as queue:
            # Nobody knows what became of the call under way when the server went.
            on_their_way = WRITERS * AT_ONCE * (SHUTDOWNS + 1)
            assert Ledger.read(*files).judge(queue, on_their_way) == NOTHING
        assert lost_by_its_own_way(server) > 0


def acknowledged(files: list[Path]) -> int:
    return sum(file.read_text().count("\n") for file in files if file.exists())


def lost_by_its_own_way(server: OwnServer) -> int:
    """Commit as the server is configured to, shut it down, and return how many commits are not there."""
    engine = create_engine(server.url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE plain (n BIGINT)"))
        connection.execute(text("SET LOCAL synchronous_commit = on"))
    with engine.connect() as connection:
        for n in range(100):
            connection.execute(text("INSERT INTO plain VALUES (:n)"), {"n": n})
            connection.commit()
        server.shut_down_at_once()
        connection.invalidate()
    server.start()
    with engine.connect() as connection:
        there = connection.execute(text("SELECT count(*) FROM plain")).scalar_one()
    return 100 - int(there)
