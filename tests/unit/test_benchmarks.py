"""The benchmarks themselves: what a row says, and that each of them still runs; never how fast anything is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import text

from benchmarks import beside, crew, draining, flatness, latency, payloads, queues, snapshot
from benchmarks.__main__ import THEMES, main
from benchmarks.fills import FILLS, PENDING, fill
from benchmarks.peers import OTHERS, find, find_version, ours
from benchmarks.queues import drain, postgresql_queue, sqlite_queue
from benchmarks.report import Case, Options, in_turn
from benchmarks.writers import Waits, Writers
from persistentq import JobStatus, PersistentQSQLAlchemy

FEW = {name: tuple(rows._replace(number=30) for rows in kinds) for name, kinds in FILLS.items()}


@pytest.fixture(params=["sqlite", "postgresql"])
def queue(request: pytest.FixtureRequest) -> Iterator[PersistentQSQLAlchemy]:
    if request.param == "sqlite":
        opened = sqlite_queue()
    else:
        opened = postgresql_queue(request.getfixturevalue("postgres_url"), "test")
    with opened as queue:
        yield queue


@pytest.mark.parametrize(("target", "verdict"), [(0.5, "reached"), (0.51, "missed")])
def test_a_row_shows_the_median_ratio_and_whether_it_is_enough(target: float, verdict: str) -> None:
    seconds = iter([(9.0, 9.0), (2.0, 1.0), (4.0, 1.0), (1.0, 1.0)])
    case = Case("work", 100, target, lambda _: next(seconds), "the other")
    (row,) = case.rows(3)
    assert str(row) == (
        f"| work | 50.0 jobs/s | 100 jobs/s (the other) | 0.50 (0.25-1.00) | {target:.2f} | {verdict} |"
    )


def test_both_sides_do_the_same_number_of_jobs_a_tenth_of_it_to_warm_up() -> None:
    done: list[tuple[str, int]] = []

    def side(name: str, seconds: float, number: int) -> float:
        done.append((name, number))
        return seconds

    both = in_turn(partial(side, "queue", 2.0), partial(side, "reference", 1.0))
    (row,) = Case("work", 10, 1.0, both, least_rounds=2).rows(1)
    assert done == [("reference", 1), ("queue", 1)] + [("reference", 10), ("queue", 10)] * 2
    assert row.ratio == "0.50 (0.50-0.50)"


def test_writers_are_judged_by_their_slowest_calls_their_errors_and_their_throughput(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(writers: int, seconds: float, folder: None, *, turns: bool) -> Waits:
        assert turns
        calls = [0.001] * 999 + [0.061] if writers > 1 else [0.001]
        return Waits(calls, writers - 1, 85.0 if writers > 1 else 100.0, (1, 1))

    monkeypatch.setattr("benchmarks.writers.run", run)
    rows = {row.work.partition(": ")[2]: row for row in Writers().rows(2)}
    assert {name: row.reached for name, row in rows.items()} == {
        "p99.9": False,
        "worst": True,
        "errors": False,
        "throughput": True,
    }
    assert (rows["p99.9"].queue, rows["worst"].queue, rows["errors"].queue) == ("61.0 ms", "61.0 ms", "14")


def test_every_name_is_there_once_and_postgresql_only_where_one_is_given() -> None:
    def names(options: Options) -> list[str]:
        return [one.name for theme in THEMES for one in theme.benchmarks(options)]

    alone, all_of_them = names(Options(None, long=True)), names(Options("postgresql://nowhere/db", long=True))
    assert len(set(all_of_them)) == len(all_of_them)
    assert alone == [name for name in all_of_them if not name.startswith("PostgreSQL")]
    assert len(names(Options("postgresql://nowhere/db", long=False))) == len(all_of_them) - 1


def test_a_name_that_none_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "nothing like it"]) == 2
    assert capsys.readouterr().err == "error: no benchmark has 'nothing like it' in its name\n"


def test_a_part_is_not_written_over_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "flat", "--write"])
    assert "--write takes all rows" in capsys.readouterr().err


@pytest.mark.parametrize("name", FEW)
def test_a_filling_is_what_its_name_says_and_in_nobodys_way(queue: PersistentQSQLAlchemy, name: str) -> None:
    with queue.engine.begin() as connection:
        fill(lambda sql: connection.execute(text(sql)), queue.engine.dialect.name, FEW[name])
    counts = {status: number for status, number in queue.count_jobs()["default"].items() if number}
    wanted: dict[JobStatus, int] = {}
    for rows in FEW[name]:
        wanted[JobStatus(rows.status)] = wanted.get(JobStatus(rows.status), 0) + rows.number
    assert counts == wanted
    assert len(queue.dequeue("c", limit=1000)) == (30 if FILLS[name][-1] == PENDING else 0)
    assert len(queue.dequeue("absent", limit=1000)) == (30 if "absent" in name or "all" in name else 0)


def test_flatness_runs_on_both_databases(monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    monkeypatch.setattr(flatness, "JOBS", {1: 10, 5: 20})
    kinds = FEW["all of these"]
    for benchmark in (flatness.OnSQLite("flat", kinds), flatness.OnPostgreSQL("flat", kinds, postgres_url)):
        rows = list(benchmark.rows(1))
        assert [row.work for row in rows] == [f"flat: dequeue({size}), complete" for size in (1, 5)]


@pytest.mark.parametrize("transition", payloads.TRANSITIONS, ids=lambda one: one.name)
def test_each_call_can_be_measured(transition: payloads.Transition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "LARGE", 2000)
    seconds = payloads._both(sqlite_queue, sqlite_queue, transition, 3)
    assert len(seconds) == 2
    if not transition.hands_over:
        assert min(seconds) > 0


def test_a_snapshot_is_held_while_jobs_pass(postgres_url: str) -> None:
    held = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state = 'idle in transaction' AND backend_xmin IS NOT NULL"
    )

    def snapshots(queue: PersistentQSQLAlchemy) -> int:
        with queue.engine.connect() as connection:
            return connection.execute(held).scalar_one()

    with postgresql_queue(postgres_url, "test") as queue:
        before = snapshots(queue)
        with snapshot._snapshot(queue):
            assert snapshots(queue) == before + 1
    (case,) = snapshot.benchmarks(Options(postgres_url, long=False))
    (row,) = Case(case.name, 20, case.target, case.both).rows(1)
    assert row.work == "PostgreSQL: snapshot held, 30,000 jobs"


def test_draining_takes_exactly_so_many(queue: PersistentQSQLAlchemy) -> None:
    assert queues.enqueue_many(queue, 12) > 0
    assert drain(queue, 5, 1) + drain(queue, 6, 3) > 0
    counts = queue.count_jobs()["default"]
    assert (counts[JobStatus.DONE], counts[JobStatus.PENDING]) == (11, 1)


def test_consumers_in_processes_of_their_own_drain_what_was_stored() -> None:
    for module in ("ours", "raw_loop"):
        with crew.place_for(find(module), None) as place:
            find(module).store(place, 30)
            drained = crew.drain(module, place, 30, 2)
            assert (drained.rate > 0, drained.repeated) == (True, 0)
            with find(module).counter(place) as left:
                assert left() == 0


def test_consumers_on_a_server_drain_what_was_stored(postgres_url: str) -> None:
    assert draining.drained("ours", 2, postgres_url)(20) > 0
    assert draining.drained("raw_loop", 1, postgres_url)(20) > 0


def test_what_is_not_done_in_time_does_not_count() -> None:
    with crew.place_for(find("ours"), None) as place:
        ours.store_sleepers(place, 20, ours.SLEEP)
        drained = crew.drain("ours", place, 20, within=1.0)
        assert 1 <= drained.rate <= 1 / ours.NAP_S
        with find("ours").counter(place) as left:
            assert 10 <= left() < 20


def test_jobs_that_sleep_are_done_as_many_at_once_as_there_are_places() -> None:
    for task in (ours.SLEEP, ours.SLEEP_ASYNC):
        seconds, ideal = draining._asleep(task, 100)
        assert ideal == pytest.approx(0.4)
        assert seconds >= ideal * 0.9


def test_a_crew_that_is_not_ready_is_told_of_and_nobody_is_left_behind() -> None:
    sent = crew.Crew("ours", "postgresql://nobody@localhost:1/nothing", 1)
    with pytest.raises(RuntimeError, match="instead of being ready"), sent:
        sent.start()
    assert [process.poll() for process in sent._consumers] != [None]


def test_producers_and_consumers_are_judged_by_slow_calls_and_by_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mix(module: str, place: str, producers: int, consumers: int, seconds: float) -> crew.Mixed:
        slowest = 0.101 if consumers else 0.002
        return crew.Mixed(
            Waits([0.001] * 98 + [0.004, slowest], 0, 10.0, (1, 1)), 1.5 if consumers else 0.0, 0
        )

    monkeypatch.setattr(crew, "mix", mix)
    rows = {row.work.rpartition(": ")[2]: row for row in draining.Mixture("both", None).rows(1)}
    assert {name: (row.queue, row.reached) for name, row in rows.items()} == {
        "one enqueue, p99": ("101.00 ms", False),
        "one enqueue, worst": ("101.0 ms", False),
        "all done after the end": ("1.50 s (10 jobs/s)", False),
    }


def test_producing_and_consuming_at_once_ends_with_everything_done() -> None:
    with crew.place_for(find("ours"), None) as place:
        mixed = crew.mix("ours", place, 2, 2, 0.5)
        assert (len(mixed.waits.calls) >= 2, mixed.repeated) == (True, 0)
        assert mixed.late > 0
        with find("ours").counter(place) as left:
            assert left() == 0


@pytest.mark.skipif(
    not draining.STATM.exists(), reason="only Linux tells there how much memory a process has"
)
def test_a_consumer_that_is_idle_is_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "IDLE_S", 0.1)
    assert 10 < draining.idle_mb(jobs=3) < 500


@pytest.mark.parametrize("module", OTHERS)
def test_another_queue_is_measured_if_it_is_installed_and_said_to_be_absent_if_not(
    module: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"JOBS": 30, "CALLS_S": 0.2, "MIXED_S": 0.2}.items():
        monkeypatch.setattr(beside, name, value)
    peer = find(module)
    rows = list(beside.Beside(module, postgres_url if peer.ON_SERVER else None).rows(1))
    if find_version(peer) is None:
        assert [str(row) for row in rows] == [
            f"| {peer.NAME} |  | {' '.join(peer.NEEDS)}: not installed here |  |  |  |"
        ]
    else:
        assert [row.work for row in rows] == [
            f"{peer.NAME}: {work}"
            for work in (
                "enqueue one",
                "drain, 1 consumer",
                "drain, 4 consumers",
                "worst enqueue, 2 producers, 2 consumers",
            )
        ]


def test_other_queues_are_measured_only_where_they_are_asked_for() -> None:
    def names(options: Options) -> list[str]:
        return [one.name for one in beside.benchmarks(options)]

    assert names(Options("postgresql://nowhere/db", long=True)) == []
    assert names(Options(None, long=False, peers=True)) == ["huey", "litequeue", "persist-queue"]
    on_server = names(Options("postgresql://nowhere/db", long=False, peers=True))
    assert on_server == [find(module).NAME for module in OTHERS]


def test_the_way_from_a_call_to_the_handler_is_measured(queue: PersistentQSQLAlchemy) -> None:
    seen = latency.run(queue, 5, 0.1)
    assert len(seen.starts) == len(seen.calls) == 5
    assert max(seen.starts) < 30_000
    assert min(seen.calls) > 0
    assert 0 <= seen.idle < 1


def test_latency_is_judged_by_all_jobs_of_all_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter([latency.Seen([1.0] * 98 + [9.0] * 2, [0.4], 0.004), latency.Seen([2.0] * 100, [0.4], 0.9)])
    monkeypatch.setattr(latency, "run", lambda *given: next(rounds))
    (measured,) = latency.benchmarks(Options(None, long=False))
    assert [str(row) for row in measured.rows(2)] == [
        "| a job's start: p50 | 2.00 ms | 0.40 ms (the call) | (1.00-2.00 ms) | <= 1.5 ms | missed |",
        "| a job's start: p99 | 9.00 ms | 0.40 ms (the call) | (2.00-9.00 ms) | <= 6.0 ms | missed |",
        "| a job's start: idle | 0.40% of a core |  |  | <= 0.5% of a core | reached |",
    ]
