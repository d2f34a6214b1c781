"""What programs tell: their log, their metrics, and spans from every kind of process that runs a task."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import pytest

from tests.process.programs import Program, Site

TASKS = """\
import logging
import os
from threading import Event

from persistentq import task

LOG = logging.getLogger("shop")

@task("work")
def work(n):
    LOG.info("item %d", n)

@task("break")
def break_():
    raise ValueError("first\\nsecond postgresql://me:hunter2@db/q")

@task("hold")
def hold():
    open("holding", "w").close()
    Event().wait(60)
"""

TRACED = """\
import os

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from persistentq import current_job, task

spans = open(f"spans-{os.getpid()}", "w")
provider = TracerProvider()
provider.add_span_processor(
    SimpleSpanProcessor(ConsoleSpanExporter(out=spans, formatter=lambda span: span.to_json(indent=None) + "\\n"))
)
trace.set_tracer_provider(provider)

def say():
    with trace.get_tracer("shop").start_as_current_span("inner"):
        current_job().queue.enqueue("after", queue="later")
    spans.flush()
    return os.getpid()

@task("thread")
def in_thread():
    return say()

@task("async")
async def in_loop():
    return say()

@task("process", executor="process")
def in_process():
    return say()
"""


def told(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in program.said().splitlines()]


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    made = make_site(MAX_ATTEMPTS=1)
    (made.folder / "tasks.py").write_text(TASKS)
    return made


def test_every_line_of_a_json_log_is_an_event_or_a_tasks_own(site: Site) -> None:
    with site.queue() as queue:
        queue.enqueue("work", {"n": 7})
        queue.enqueue("break")
        held = queue.enqueue("hold", priority=-1)
        consumer = site.consumer("--app", "tasks", "--log-format", "json", "--drain", "0.1", name="c_1")
        consumer.until((site.folder / "holding").exists)
        consumer.says("job failed")
        consumer.send(signal.SIGTERM)
        assert consumer.code() == 0, consumer.said()
    lines = told(consumer)
    assert "hunter2" not in consumer.said()
    assert [line.get("event", line["message"]) for line in lines] == [
        "consumer started",
        "item 7",
        "job done",
        "job failed",
        "drain begun",
        "job given back",
        "drain ended",
        "consumer stopped",
    ]
    own, done, failed = lines[1:4]
    assert (own["logger"], own["job"], own["task"], own["attempt"]) == ("shop", 1, "work", 1)
    assert (done["consumer"], done["job"], done["level"]) == ("c_1", 1, "info")
    assert (failed["error"], failed["final"]) == ("first\nsecond postgresql://me:***@db/q", True)
    assert lines[5]["job"] == held.id


def test_a_task_in_a_process_of_its_own_writes_to_the_same_log(site: Site) -> None:
    apart = TASKS.replace('@task("work")', '@task("work", executor="process")')
    (site.folder / "tasks.py").write_text(apart)
    with site.queue() as queue:
        job = queue.enqueue("work", {"n": 7})
        consumer = site.consumer("--app", "tasks", "--log-format", "json", "--burst")
        assert consumer.code() == 0, consumer.said()
    (own,) = [line for line in told(consumer) if line["logger"] == "shop"]
    assert (own["message"], own["level"], own["job"], own["task"]) == ("item 7", "info", job.id, "work")


def test_the_settings_choose_format_and_level(make_site: Callable[..., Site]) -> None:
    site = make_site(MAX_ATTEMPTS=1, LOG_FORMAT="json", LOG_LEVEL="warning")
    (site.folder / "tasks.py").write_text(TASKS)
    with site.queue() as queue:
        queue.enqueue("work", {"n": 7})
        queue.enqueue("break")
        consumer = site.consumer("--app", "tasks", "--burst")
        assert consumer.code() == 0
        assert [line["event"] for line in told(consumer)] == ["job failed"]
        text = site.consumer("--app", "tasks", "--burst", "--log-format", "text")
        assert (text.code(), text.said()) == (0, "")


def test_a_producers_log_is_of_the_same_kind(site: Site) -> None:
    producer = site.producer("--count", "2", "--interval", "0", "--log-format", "json")
    assert producer.code() == 0
    lines = told(producer)
    assert [(line["event"], line["job"], line["queue"]) for line in lines] == [
        ("job enqueued", 1, "default"),
        ("job enqueued", 2, "default"),
    ]
    assert {line["file"] for line in lines} == site.files_made()


def metrics(address: str) -> str:
    with urlopen(f"http://{address}/metrics") as answer:
        text: str = answer.read().decode()
    return text


def address_of(consumer: Program) -> str:
    consumer.says("metrics served")
    return next(line["address"] for line in told(consumer) if line.get("event") == "metrics served")


def test_each_consumer_serves_its_own_metrics(site: Site) -> None:
    with site.queue() as queue:
        queue.enqueue("work", {"n": 7})
        options = ("--app", "tasks", "--metrics", "0", "--log-format", "json")
        first = site.consumer(*options, "--concurrency", "2", name="c_1")
        first.says("job done")
        second = site.consumer(*options, "--queues", "other", name="c_2")
        one, other = metrics(address_of(first)), metrics(address_of(second))
    assert 'persistentq_jobs_total{outcome="done",queue="default",task="work"} 1.0' in one
    assert 'persistentq_consumer_info{consumer="c_1"} 1.0' in one
    assert "persistentq_consumer_places 2.0" in one
    assert "process_resident_memory_bytes" in one
    assert "persistentq_jobs_total{" not in other
    assert 'persistentq_consumer_info{consumer="c_2"} 1.0' in other


def test_a_taken_port_ends_the_consumer_before_it_takes_a_job(site: Site) -> None:
    with site.queue() as queue, socket.create_server(("127.0.0.1", 0)) as taken:
        queue.enqueue("work", {"n": 7})
        consumer = site.consumer("--app", "tasks", "--metrics", str(taken.getsockname()[1]))
        assert consumer.code() == 2
        assert "give each consumer a port of its own" in consumer.said()
        assert queue.list_consumers() == []
        assert len(queue.get_pending_jobs()) == 1


def test_every_kind_of_executor_traces_where_the_app_configures_it(site: Site) -> None:
    (site.folder / "traced.py").write_text(TRACED)
    origin = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    kinds = ("thread", "async", "process")
    with site.queue() as queue:
        jobs = {kind: queue.enqueue(kind, metadata={"traceparent": origin}) for kind in kinds}
        consumer = site.consumer("--app", "traced", "--burst", "--concurrency", "3", name="c_1")
        assert consumer.code() == 0, consumer.said()
        pids = {kind: queue.get_job(job.id).result for kind, job in jobs.items()}
        later = [job.metadata["traceparent"].split("-") for job in queue.list_jobs(queue="later")]
    assert pids["thread"] == pids["async"] == consumer.process.pid != pids["process"]
    for kind, pid in pids.items():
        spans = [json.loads(line) for line in (site.folder / f"spans-{pid}").read_text().splitlines()]
        (span,) = [span for span in spans if span["name"] == f"process {kind}"]
        assert span["kind"] == "SpanKind.CONSUMER"
        assert span["attributes"]["messaging.message.id"] == str(jobs[kind].id)
        assert span["attributes"]["messaging.client.id"] == "c_1"
        assert [link["context"]["span_id"] for link in span["links"]] == ["0xb7ad6b7169203331"]
        (inner,) = [one for one in spans if one["parent_id"] == span["context"]["span_id"]]
        assert [
            f"0x{trace}" for _, trace, parent, _ in later if f"0x{parent}" == inner["context"]["span_id"]
        ] == [span["context"]["trace_id"]]
