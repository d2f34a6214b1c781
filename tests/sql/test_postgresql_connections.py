"""A connection is lost in every phase of a transaction: what was acknowledged is there, and nothing is done twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event, Timer

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, text

from persistentq import ActNote, JobStatus, LeaseLost, NewJob, PersistentQSQLAlchemy, StorageUnavailable
from persistentq.clock import Deadline
from persistentq.interface import PersistentQInterface
from persistentq.sql.repeating import CALLS, ONCE
from tests.contract.conftest import emptied
from tests.sql.proxy import COMMIT, SINGLE, Cut, Proxy

TIMES = 30
WHENEVER = pytest.mark.parametrize("when", Cut, ids=[one.name.lower() for one in Cut])


@pytest.fixture(params=[False, True], ids=["session", "pooler"])
def proxy(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[Proxy]:
    """The queue takes it for the server itself, or for a pooler in front of it."""
    with Proxy(postgres_url, pools=request.param) as proxy:
        yield proxy


@pytest.fixture
def queue(proxy: Proxy) -> Iterator[PersistentQSQLAlchemy]:
    """A queue whose connections go through the proxy."""
    with PersistentQSQLAlchemy(proxy.url) as queue:
        yield emptied(queue)


@pytest.fixture
def admin(postgres_url: str) -> Iterator[Engine]:
    """Connections of somebody else, straight to the server."""
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def terminate(admin: Engine) -> int:
    """End every session of the queue on the server; return how many there were."""
    ours = "pg_stat_activity WHERE datname = current_database() AND application_name = 'persistentq'"
    with admin.connect() as connection:
        pids = connection.execute(text(f"SELECT pid, pg_terminate_backend(pid) FROM {ours}")).scalars().all()
        left = text(f"SELECT count(*) FROM {ours} AND pid = ANY (:pids)")
        assert Deadline(5).wait_for(lambda: connection.execute(left, {"pids": pids}).scalar_one() == 0, 0.005)
    return len(pids)


def count(queue: PersistentQSQLAlchemy, status: JobStatus) -> int:
    return sum(counts.get(status, 0) for counts in queue.count_jobs().values())


@WHENEVER
def test_a_job_with_a_key_is_stored_exactly_once(
    queue: PersistentQSQLAlchemy, proxy: Proxy, when: Cut
) -> None:
    for n in range(TIMES):
        proxy.cut(when)
        assert queue.enqueue("any.task", {"n": n}, unique_key=f"key-{n}").unique_key == f"key-{n}"
    assert proxy.cuts == TIMES
    assert sorted(job.args["n"] for job in queue.list_jobs(limit=100)) == list(range(TIMES))


@WHENEVER
def test_a_completion_is_accepted_once(queue: PersistentQSQLAlchemy, proxy: Proxy, when: Cut) -> None:
    queue.enqueue_many([NewJob("any.task")] * TIMES)
    held = queue.dequeue("c", limit=TIMES)
    for job in held:
        proxy.cut(when)
        queue.complete(job, {"by": job.id})
    assert proxy.cuts == TIMES
    assert {job.id: job.result for job in queue.list_jobs(status="done")} == {
        job.id: {"by": job.id} for job in held
    }
    assert {job.attempt for job in queue.list_jobs()} == {1}


def test_a_job_without_a_key_is_never_stored_twice(queue: PersistentQSQLAlchemy, proxy: Proxy) -> None:
    """After COMMIT was sent nobody knows, and the error says so; before that, the call is made again."""
    for stored, when in enumerate([Cut.AFTER] * 5, start=1):
        proxy.cut(when)
        with pytest.raises(StorageUnavailable, match=r"did not answer to COMMIT, .*; look whether") as caught:
            queue.enqueue("any.task")
        assert caught.value.is_unknown
        assert count(queue, JobStatus.PENDING) == stored
    proxy.cut(Cut.BEFORE)
    with pytest.raises(StorageUnavailable) as caught:
        queue.enqueue("any.task")
    assert caught.value.is_unknown
    assert (count(queue, JobStatus.PENDING), proxy.cuts) == (5, 6)


def test_what_was_cut_before_it_could_commit_is_repeated(postgres_url: str) -> None:
    with Proxy(postgres_url, pools=True) as proxy, PersistentQSQLAlchemy(proxy.url) as queue:
        emptied(queue)
        for word in (b"BEGIN", b"INSERT INTO persistentq_jobs"):
            proxy.cut(Cut.AFTER, word)
            queue.enqueue("any.task")
        assert (count(queue, JobStatus.PENDING), proxy.cuts) == (2, 2)


def test_an_outcome_that_is_not_repeatable_is_told(queue: PersistentQSQLAlchemy, proxy: Proxy) -> None:
    queue.enqueue_many([NewJob("any.task", max_attempts=1)] * 2)
    first, second = queue.dequeue("c", limit=2)
    proxy.cut(Cut.AFTER, *COMMIT)
    with pytest.raises(StorageUnavailable) as caught:
        queue.fail(first, "broke")
    assert caught.value.is_unknown
    assert queue.get_job(first.id).status == JobStatus.FAILED
    proxy.cut(Cut.AFTER, b"INSERT INTO persistentq_attempts")
    assert queue.fail(second, "broke").status == JobStatus.FAILED
    assert [len(queue.get_attempts(job.id)) for job in (first, second)] == [1, 1]


def test_what_is_noted_stands_once_in_the_journal(queue: PersistentQSQLAlchemy, proxy: Proxy) -> None:
    """A pause may be repeated; a second entry that tells of it may not."""
    proxy.cut(Cut.AFTER, *COMMIT)
    with pytest.raises(StorageUnavailable) as caught:
        queue.pause_queue("mail", note=ActNote("ann"))
    assert caught.value.is_unknown
    assert [entry.verb for entry in queue.list_journal().items] == ["pause"]
    proxy.cut(Cut.AFTER, *COMMIT)
    assert queue.pause_queue("mail").is_paused
    assert proxy.cuts == 2


def test_a_lost_claim_is_left_to_its_lease(queue: PersistentQSQLAlchemy, proxy: Proxy) -> None:
    queue.enqueue_many([NewJob("any.task")] * 4)
    proxy.cut(Cut.AFTER)
    taken = queue.dequeue("c", limit=2)
    assert len(taken) == 2
    assert count(queue, JobStatus.PROCESSING) == 4
    assert {job.attempt for job in queue.list_jobs()} == {1}


def test_a_second_try_gets_what_an_iterator_gave(queue: PersistentQSQLAlchemy, proxy: Proxy) -> None:
    proxy.cut(Cut.AFTER)
    assert len(queue.enqueue_many(NewJob("any.task", unique_key=str(n)) for n in range(3))) == 3
    held = queue.dequeue("c", limit=3)
    proxy.cut(Cut.BEFORE)
    assert queue.complete_many(jobs=iter(held)) == []
    assert (proxy.cuts, count(queue, JobStatus.DONE)) == (2, 3)


def test_callers_transactions_are_not_repeated(queue: PersistentQSQLAlchemy, proxy: Proxy) -> None:
    """Their other statements would be missing from a second try."""
    with pytest.raises(psycopg.OperationalError), queue.engine.begin() as connection:  # noqa: PT012
        proxy.cut(Cut.BEFORE, b"INSERT INTO persistentq_jobs")
        try:
            queue.enqueue("any.task", session=connection)
        except Exception as error:
            raise error.orig if hasattr(error, "orig") else error from None
    assert queue.count_jobs() == {}


def test_calls_wait_for_a_server_that_restarts(queue: PersistentQSQLAlchemy, proxy: Proxy) -> None:
    job = queue.enqueue("any.task")
    proxy.cut(Cut.BEFORE, b"SELECT")
    proxy.refuse(True)
    back = Timer(0.6, proxy.refuse, [False])
    back.start()
    assert queue.get_job(job.id) == job
    assert len(queue.dequeue("c")) == 1
    back.join()


def test_calls_wait_no_longer_than_the_lock_timeout(proxy: Proxy) -> None:
    with PersistentQSQLAlchemy(proxy.url, lock_timeout=timedelta(seconds=0.3)) as queue:
        proxy.refuse(True)
        proxy.cut(Cut.BEFORE, b"SELECT")
        waited = Deadline(2)
        with pytest.raises(StorageUnavailable):
            queue.count_jobs()
        assert not waited.passed


def test_a_stale_connection_is_never_used(postgres_url: str, admin: Engine) -> None:
    """Without a second try, and without a trip to the server to see whether it is there."""
    with emptied(PersistentQSQLAlchemy(postgres_url, lock_timeout=timedelta(0))) as queue:
        assert queue.count_jobs() == {}
        for _ in range(5):
            assert terminate(admin) >= 1
            assert queue.count_jobs() == {}
            with queue.engine.connect() as connection:
                assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_storm_of_ended_sessions(postgres_url: str, admin: Engine) -> None:
    """30 times every session is ended, while threads store and complete jobs; each is done once."""
    stop, stored, done = Event(), [], []
    with emptied(PersistentQSQLAlchemy(postgres_url)) as queue:

        def produce(name: str) -> None:
            while not stop.is_set():
                key = f"{name}-{len(stored)}"
                stored.append(queue.enqueue("any.task", unique_key=key).unique_key)

        def consume(name: str) -> None:
            while not stop.is_set():
                for job in queue.dequeue(name, limit=5):
                    queue.complete(job)
                    done.append(job.id)

        with ThreadPoolExecutor(4) as pool:
            working = [pool.submit(produce, f"p{n}") for n in range(2)]
            working += [pool.submit(consume, f"c{n}") for n in range(2)]
            ended = 0
            for _ in range(TIMES):
                ended += terminate(admin)
                Deadline(0.05).pause(0.05)
            stop.set()
            for one in working:
                one.result()
        assert ended >= TIMES
        assert len(set(done)) == len(done) >= 1
        assert {job.id for job in queue.list_jobs(status="done", limit=1000)} >= set(done)
        assert count(queue, JobStatus.DONE) == len(done)
        jobs = sum(sum(counts.values()) for counts in queue.count_jobs().values())
        assert jobs >= len(stored)


def test_conflicts_are_tried_again(own_postgres_url: str) -> None:
    """40001, 40P01: undone by the server, so the same transaction is made anew."""
    with PersistentQSQLAlchemy(own_postgres_url) as queue:
        with queue.engine.begin() as connection:
            # A sequence is not undone with the transaction: the first four inserts fail, whoever makes them.
            connection.exec_driver_sql(
                """
                CREATE SEQUENCE tries;
                CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n bigint := nextval('tries');
                BEGIN
                    IF n <= 4 THEN
                        RAISE 'conflict' USING ERRCODE = CASE WHEN n <= 2 THEN '40001' ELSE '40P01' END;
                    END IF;
                    RETURN new;
                END $$;
                CREATE TRIGGER conflict BEFORE INSERT ON persistentq_jobs FOR EACH ROW EXECUTE FUNCTION conflict();
                """
            )
        queue.enqueue("any.task")
        with queue.engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT last_value FROM tries").scalar_one() == 5
        assert count(queue, JobStatus.PENDING) == 1


def test_other_errors_are_not_tried_again(own_postgres_url: str) -> None:
    with PersistentQSQLAlchemy(own_postgres_url) as queue:
        with queue.engine.begin() as connection:
            connection.exec_driver_sql("CREATE SEQUENCE tries; DROP TABLE persistentq_pauses")
        with pytest.raises(Exception, match='failed: relation "persistentq_pauses" does not exist'):
            queue.dequeue("c")


def test_what_is_repeated_is_what_the_contract_says() -> None:
    for name in sorted(CALLS):
        documentation = getattr(PersistentQInterface, name).__doc__
        if "May be repeated" in documentation:
            assert name not in ONCE, name
    assert ONCE < CALLS


def test_a_child_leaves_its_parents_connections_alone(postgres_url: str) -> None:
    script = """
import os, sys
from persistentq import open_queue
queue = open_queue(sys.argv[1])
job = queue.enqueue("any.task", queue="forked")
queue.get_job(job.id)
def work():
    for n in range(20):
        queue.enqueue("any.task", {"by": os.getpid()}, queue="forked")
        assert queue.get_job(job.id) == job
for _ in range(3):
    child = os.fork()
    work()
    if child == 0:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(sum(queue.count_jobs()["forked"].values()))
queue.close()
"""
    with emptied(PersistentQSQLAlchemy(postgres_url)):
        pass
    # Both work at the same time: on one connection their words and answers would mix.
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, postgres_url],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert (found.stdout.strip(), found.stderr) == ("121", "")


def test_a_stale_consumer_is_still_refused_after_a_loss(queue: PersistentQSQLAlchemy, proxy: Proxy) -> None:
    queue.enqueue("any.task")
    (job,) = queue.dequeue("c")
    queue.assign_job(job.id, "d")
    proxy.cut(Cut.AFTER, *SINGLE)
    with pytest.raises(LeaseLost):
        queue.complete(job)
    assert proxy.cuts == 1
