"""Metrics: what a consumer counts and shows, how it is served, and what there is in the queues."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from persistentq import Cancel, Consumer, InvalidArgument, NewJob, PersistentQInterface, Snooze
from persistentq.tasks import Tasks
from persistentq.telemetry.events import listening
from persistentq.telemetry.metrics import ConsumerMetrics, queue_metrics, read_address, serving
from tests.runtime.conftest import PATIENCE_S, running

ROOT = Path(__file__).resolve().parents[2]


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample by its name and labels, as Prometheus' own parser reads them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_attempts_are_counted_by_task_queue_and_outcome(queue: PersistentQInterface, tasks: Tasks) -> None:
    def put_off() -> None:
        raise Snooze(timedelta(hours=1))

    def give_up() -> None:
        raise Cancel

    tasks.add("work", lambda: None)
    tasks.add("put.off", put_off)
    tasks.add("give.up", give_up)
    queue.enqueue_many([NewJob("work")] * 3 + [NewJob("put.off"), NewJob("give.up", queue="mail")])
    queue.enqueue_many([NewJob(f"made.up.{n}") for n in range(20)])
    registry = CollectorRegistry()
    consumer = Consumer(queue, ["default", "mail"], tasks=tasks)
    with listening(ConsumerMetrics(consumer, registry)):
        consumer.run(burst=True)
    counted = {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "persistentq_jobs_total"
    }
    assert counted == {
        ("work", "default", "done"): 3,
        ("put.off", "default", "snoozed"): 1,
        ("give.up", "mail", "cancelled"): 1,
        # However many names are made up, they are one series.
        ("(unknown)", "default", "failed"): 20,
    }
    for name in ("persistentq_job_wait_seconds_count", "persistentq_job_run_seconds_count"):
        assert value(registry, name, task="work", queue="default") == 3
    assert value(registry, "persistentq_job_run_seconds_count", task="(unknown)", queue="default") == 0


def test_times_go_into_the_histograms(tasks: Tasks) -> None:
    from persistentq import PersistentQMemory, clock

    moved = timedelta(0)
    queue = PersistentQMemory(now=lambda: clock.now() + moved)
    tasks.add("work", lambda: threading.Event().wait(0.03))
    queue.enqueue("work")
    moved = timedelta(seconds=30)
    registry = CollectorRegistry()
    consumer = Consumer(queue, tasks=tasks)
    with listening(ConsumerMetrics(consumer, registry)):
        consumer.run(burst=True)
    labels = {"task": "work", "queue": "default"}
    assert value(registry, "persistentq_job_wait_seconds_bucket", **labels, le="15.0") == 0
    assert value(registry, "persistentq_job_wait_seconds_bucket", **labels, le="60.0") == 1
    assert value(registry, "persistentq_job_run_seconds_bucket", **labels, le="0.025") == 0
    run = value(registry, "persistentq_job_run_seconds_sum", **labels)
    assert run is not None
    assert 0.03 <= run < PATIENCE_S


def test_another_consumer_in_the_same_process_is_not_counted(
    queue: PersistentQInterface, tasks: Tasks
) -> None:
    tasks.add("work", lambda: None)
    queue.enqueue("work")
    registry = CollectorRegistry()
    with listening(ConsumerMetrics(Consumer(queue, tasks=tasks), registry)):
        Consumer(queue, tasks=tasks).run(burst=True)
    assert value(registry, "persistentq_jobs_total", task="work", queue="default", outcome="done") is None


def test_the_consumers_state_is_shown(queue: PersistentQInterface, tasks: Tasks) -> None:
    started, let_go = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        let_go.wait(PATIENCE_S)

    tasks.add("work", work)
    registry = CollectorRegistry()
    consumer = Consumer(queue, concurrency=3, tasks=tasks, consumer_id="c_1")
    metrics = ConsumerMetrics(consumer, registry)
    assert value(registry, "persistentq_consumer_last_turn_timestamp_seconds") == 0
    assert value(registry, "persistentq_consumer_info", consumer="c_1") == 1
    assert value(registry, "persistentq_consumer_places") == 3
    queue.enqueue("work")
    with running(consumer):
        assert started.wait(PATIENCE_S)
        assert value(registry, "persistentq_consumer_held_jobs") == 1
        assert value(registry, "persistentq_consumer_last_turn_timestamp_seconds") == consumer.last_turn
        let_go.set()
    assert value(registry, "persistentq_consumer_held_jobs") == 0
    metrics.close()
    assert list(registry.collect()) == []


def test_it_is_served_beside_the_programs_own_metrics(queue: PersistentQInterface, tasks: Tasks) -> None:
    own = Counter("shop_letters", "Of the program itself.")
    try:
        tasks.add("work", own.inc)
        queue.enqueue("work")
        consumer = Consumer(queue, tasks=tasks)
        with serving(consumer, "0") as server:
            assert server.startswith("127.0.0.1:")
            consumer.run(burst=True)
            with urlopen(f"http://{server}/metrics") as answer:
                assert answer.headers["Content-Type"].startswith("text/plain")
                read = samples(answer.read().decode())
        assert read["shop_letters_total", frozenset()] == 1
        done = {"task": "work", "queue": "default", "outcome": "done"}
        assert read["persistentq_jobs_total", frozenset(done.items())] == 1
        with pytest.raises(OSError, match="refused"):
            urlopen(f"http://{server}/metrics")
        # Nothing is left behind: another may serve in this process.
        with serving(Consumer(queue, tasks=tasks), "0"):
            pass
    finally:
        REGISTRY.unregister(own)


def test_a_port_that_is_taken_is_said_and_not_shared(queue: PersistentQInterface) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(InvalidArgument, match=r"in use; give each consumer a port of its own"),
            serving(Consumer(queue), address),
        ):
            pass
    with (
        pytest.raises(InvalidArgument, match="cannot be listened at"),
        serving(Consumer(queue), "no.such.host.invalid:0"),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),  # noqa: S104 - because it was asked for
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert read_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "x", ":9100", "::1:9100", "a b:1", "host:", "65536", "http://x:1", "-1"]
)
def test_bad_addresses_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="metrics"):
        read_address(text)


def test_what_there_is_in_the_queues(queue: PersistentQInterface) -> None:
    queue.enqueue_many([NewJob("t", queue="mail")] * 3 + [NewJob("t", delay=timedelta(hours=1))])
    (job,) = queue.dequeue("c", ["mail"])
    queue.complete(job)
    queue.pause_queue("mail")
    queue.heartbeat("c", host="h", pid=1, queues=["mail"])
    queue.heartbeat("gone", host="h", pid=2, queues=["mail"])
    queue.retire("gone")
    read = samples(queue_metrics(queue))
    jobs = {labels: number for (name, labels), number in read.items() if name == "persistentq_queue_jobs"}
    assert len(jobs) == 12
    assert {labels: number for labels, number in jobs.items() if number} == {
        frozenset({("queue", "mail"), ("status", "pending")}): 2,
        frozenset({("queue", "mail"), ("status", "done")}): 1,
        frozenset({("queue", "default"), ("status", "scheduled")}): 1,
    }
    of_mail, of_default = frozenset({("queue", "mail")}), frozenset({("queue", "default")})
    assert 0 <= read["persistentq_queue_oldest_pending_seconds", of_mail] < PATIENCE_S
    assert read["persistentq_queue_oldest_pending_seconds", of_default] == 0
    assert [read["persistentq_queue_paused", one] for one in (of_mail, of_default)] == [1, 0]
    assert read["persistentq_consumers", frozenset({("state", "alive")})] == 1
    assert read["persistentq_consumers", frozenset({("state", "silent")})] == 0


def test_an_empty_queue_has_metrics_too(queue: PersistentQInterface) -> None:
    assert samples(queue_metrics(queue)) == {
        ("persistentq_consumers", frozenset({("state", "alive")})): 0,
        ("persistentq_consumers", frozenset({("state", "silent")})): 0,
    }


def test_names_follow_the_conventions(queue: PersistentQInterface) -> None:
    """Base units, a prefix, `_total` for counters only, help for each."""
    registry = CollectorRegistry()
    ConsumerMetrics(Consumer(queue), registry)
    families = [*registry.collect(), *text_string_to_metric_families(queue_metrics(queue))]
    assert len(families) == 11
    for family in families:
        assert re.fullmatch(r"persistentq_[a-z_]+", family.name)
        assert family.documentation
        assert not re.search(r"(milli|micro|minutes|hours|_total$)", family.name)


def test_without_the_package_it_is_said_what_to_install() -> None:
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from persistentq import ExtraMissing\n"
        "try: import persistentq.telemetry.metrics\n"
        "except ExtraMissing as error: print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == (
        "metrics need prometheus_client, which is not installed; pip install 'persistentq[prometheus]'\n"
    )
