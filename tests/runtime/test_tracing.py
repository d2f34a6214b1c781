"""Spans: a job leads back to where it was enqueued, each attempt is one, and tracing never harms a job."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv.attributes import error_attributes, exception_attributes
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from persistentq import (
    Cancel,
    Consumer,
    JobStatus,
    NewJob,
    NoRetry,
    PersistentQInterface,
    PersistentQMemory,
    Snooze,
    current_job,
)
from persistentq.tasks import Tasks
from persistentq.telemetry.tracing import with_trace


class Broken(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("no start")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("no end")


class Traced:
    """A process that traces into memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.exporter, self.provider = InMemorySpanExporter(), TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer: Tracer = self.provider.get_tracer("tests")
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", self.provider)

    def span(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return found


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traced]:
    made = Traced(monkeypatch)
    yield made
    made.provider.shutdown()


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    assert span.attributes is not None
    return span.attributes


def test_without_an_active_span_no_byte_more_is_stored(queue: PersistentQInterface, traced: Traced) -> None:
    job = queue.enqueue("t", metadata={"a": 1})
    assert (job.metadata, queue.get_job(job.id).metadata) == ({"a": 1}, {"a": 1})
    assert queue.enqueue("t").metadata == {}
    given: dict[str, Any] = {}
    assert with_trace(given) is given


def test_a_job_carries_the_active_span(queue: PersistentQInterface, traced: Traced) -> None:
    with traced.tracer.start_as_current_span("order") as span:
        jobs = queue.enqueue_many([NewJob("t"), NewJob("t", metadata={"a": 1})])
    active = span.get_span_context()
    wanted = f"00-{active.trace_id:032x}-{active.span_id:016x}-{active.trace_flags:02x}"
    assert [job.metadata for job in jobs] == [{"traceparent": wanted}, {"a": 1, "traceparent": wanted}]
    assert [queue.get_job(job.id).metadata for job in jobs] == [job.metadata for job in jobs]


def test_what_the_caller_says_of_the_trace_stays(queue: PersistentQInterface, traced: Traced) -> None:
    mine = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    with traced.tracer.start_as_current_span("order"):
        assert queue.enqueue("t", metadata=mine).metadata == mine


@pytest.mark.parametrize("kind", ["thread", "async"])
def test_an_attempt_is_a_span_of_its_own_that_links_to_the_enqueuing_one(
    queue: PersistentQInterface, tasks: Tasks, traced: Traced, kind: str
) -> None:
    def work() -> None:
        with traced.tracer.start_as_current_span("inner"):
            current_job().queue.enqueue("other", queue="later")

    async def work_async() -> None:
        await asyncio.sleep(0)
        work()

    tasks.add("work", work if kind == "thread" else work_async)
    with traced.tracer.start_as_current_span("order") as order:
        job = queue.enqueue("work", queue="mail")
        # What goes on where a consumer is started is not what its jobs are a part of.
        Consumer(queue, ["mail"], tasks=tasks, consumer_id="c_1").run(burst=True)
    span, inner = traced.span("process work"), traced.span("inner")
    assert (span.kind, span.parent, span.status.status_code) == (SpanKind.CONSUMER, None, StatusCode.UNSET)
    assert [link.context.span_id for link in span.links] == [order.get_span_context().span_id]
    assert inner.parent is not None
    assert span.context is not None
    assert inner.parent.span_id == span.context.span_id
    assert attributes(span) == {
        "messaging.system": "persistentq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "mail",
        "messaging.message.id": str(job.id),
        "messaging.client.id": "c_1",
        "persistentq.task": "work",
        "persistentq.attempt": 1,
        "persistentq.outcome": "done",
    }
    (child,) = queue.list_jobs(queue="later")
    assert inner.context is not None
    assert f"-{inner.context.span_id:016x}-" in child.metadata["traceparent"]


def test_the_attributes_are_the_conventions(traced: Traced) -> None:
    known = {
        value
        for module in (messaging_attributes, error_attributes, exception_attributes)
        for name, value in vars(module).items()
        if name.isupper()
    }
    job = _job_of(NoRetry("no"))
    used = {name for name in attributes(job) if not name.startswith("persistentq.")}
    used |= {name for event in job.events for name in event.attributes or ()}
    assert {"messaging.message.id", "error.type", "exception.message", "exception.stacktrace"} <= used
    assert used <= known


def _job_of(error: BaseException) -> ReadableSpan:
    """Return the span of a job that raises this."""

    def work() -> None:
        raise error

    tasks = Tasks()
    tasks.add("work", work)
    patch = pytest.MonkeyPatch()
    traced = Traced(patch)
    try:
        with PersistentQMemory() as queue:
            queue.enqueue("work")
            Consumer(queue, tasks=tasks).run(burst=True)
    finally:
        patch.undo()
    return traced.span("process work")


@pytest.mark.parametrize(
    ("error", "outcome", "is_error"),
    [
        (ValueError("no"), "failed", True),
        (SystemExit(3), "failed", True),
        (NoRetry("hopeless"), "failed", True),
        (Snooze(timedelta(hours=1)), "snoozed", False),
        (Cancel("not wanted"), "cancelled", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_errors_are_recorded_and_outcomes_are_none(
    error: BaseException, outcome: str, is_error: bool
) -> None:
    span = _job_of(error)
    assert attributes(span)["persistentq.outcome"] == outcome
    assert (span.status.status_code is StatusCode.ERROR) == is_error
    assert [event.name for event in span.events] == ["exception"] * is_error
    if is_error:
        (event,) = span.events
        assert event.attributes is not None
        assert attributes(span)["error.type"] == type(error).__name__
        assert event.attributes["exception.message"] == str(error)
        assert "raise error" in str(event.attributes["exception.stacktrace"])


def test_arguments_that_no_longer_fit_are_an_error_of_the_span(
    queue: PersistentQInterface, tasks: Tasks, traced: Traced
) -> None:
    tasks.add("work", lambda a: a)
    queue.enqueue("work", {"b": 1})
    Consumer(queue, tasks=tasks).run(burst=True)
    assert attributes(traced.span("process work"))["error.type"] == "ArgumentsRefused"


def test_no_password_is_recorded() -> None:
    span = _job_of(ValueError("cannot reach postgresql://me:hunter2@db/shop"))
    assert "hunter2" not in span.to_json()
    assert "postgresql://me:***@db/shop" in span.to_json()


def test_each_attempt_links_to_the_same_origin(
    queue: PersistentQInterface, tasks: Tasks, traced: Traced
) -> None:
    def work() -> None:
        if current_job().job.attempt == 1:
            raise Snooze(timedelta(0))

    tasks.add("work", work)
    with traced.tracer.start_as_current_span("order") as order:
        queue.enqueue("work")
    for _ in range(2):
        Consumer(queue, tasks=tasks).run(burst=True)
    spans = [span for span in traced.exporter.get_finished_spans() if span.name == "process work"]
    assert [attributes(span)["persistentq.attempt"] for span in spans] == [1, 2]
    assert {link.context.span_id for span in spans for link in span.links} == {
        order.get_span_context().span_id
    }
    assert len({span.context.trace_id for span in spans if span.context}) == 2


@pytest.mark.parametrize("odd", ["nonsense", 5, None, {"a": 1}, "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_metadata_that_lead_nowhere_link_to_nothing(
    queue: PersistentQInterface, tasks: Tasks, traced: Traced, odd: object
) -> None:
    tasks.add("work", lambda: None)
    job = queue.enqueue("work", metadata={"traceparent": odd, "tracestate": odd})
    Consumer(queue, tasks=tasks).run(burst=True)
    assert queue.get_job(job.id).status == JobStatus.DONE
    assert traced.span("process work").links == ()


def test_what_tracing_raises_harms_no_job(
    queue: PersistentQInterface, tasks: Tasks, traced: Traced, caplog: pytest.LogCaptureFixture
) -> None:
    traced.provider.add_span_processor(Broken())
    tasks.add("work", lambda: "done")
    job = queue.enqueue("work")
    Consumer(queue, tasks=tasks).run(burst=True)
    assert queue.get_job(job.id).result == "done"
    assert "a job's span cannot be begun: no start" in caplog.text


def test_an_api_that_cannot_be_used_harms_no_job(
    queue: PersistentQInterface, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks.add("work", lambda: "done")
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.setitem(sys.modules, name, None)
    job = queue.enqueue("work")
    Consumer(queue, tasks=tasks).run(burst=True)
    done = queue.get_job(job.id)
    assert (done.result, done.metadata) == ("done", {})


def test_an_api_without_an_sdk_makes_no_span(queue: PersistentQInterface, tasks: Tasks) -> None:
    seen: list[trace.Span] = []
    tasks.add("work", lambda: seen.append(trace.get_current_span()))
    job = queue.enqueue("work")
    Consumer(queue, tasks=tasks).run(burst=True)
    assert seen == [trace.INVALID_SPAN]
    assert queue.get_job(job.id).metadata == {}


def test_the_active_span_is_the_jobs_only_while_its_code_runs(
    queue: PersistentQInterface, tasks: Tasks, traced: Traced
) -> None:
    seen: list[int] = []
    tasks.add("work", lambda: seen.append(trace.get_current_span().get_span_context().span_id))
    queue.enqueue_many([NewJob("work")] * 3)
    Consumer(queue, tasks=tasks).run(burst=True)
    spans = traced.exporter.get_finished_spans()
    assert seen == [span.context.span_id for span in spans if span.context]
    assert len(set(seen)) == 3
