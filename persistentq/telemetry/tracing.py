"""Spans of OpenTelemetry, in processes that trace: those that have loaded its API, as whoever configures an SDK has.

A process that does not trace pays for one look whether the API is loaded, and loads nothing itself.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from persistentq.failure import describe
from persistentq.settlement import word_for
from persistentq.telemetry.events import JOB_FAILED, JOB_TIMED_OUT, event_of
from persistentq.telemetry.lines import hide_passwords

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, Tracer, TracerProvider

    from persistentq.context import JobContext
    from persistentq.job import Job

LOG = logging.getLogger("persistentq.tracing")
API = "opentelemetry.trace"
CARRIED = ("traceparent", "tracestate")
"""What W3C calls the headers that lead to a span; a job has them in its metadata."""


def with_trace(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a new job's metadata, and with them what leads to the span that is active here, if there is one."""
    if API not in sys.modules or CARRIED[0] in metadata:
        return metadata
    carried: dict[str, str] = {}
    try:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(carried)
    except Exception as error:
        _note("the active span cannot be kept with a job", error)
    return {**metadata, **carried} if carried else metadata


class JobSpan:
    """The span of one attempt, active from its making until `end`. Neither ever raises.

    Args:
        context: Of the job whose code begins.
    """

    __slots__ = ("_context", "_span", "_token")

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._span: Span | None = None
        self._token: Token[Context] | None = None
        try:
            self._begin(context.job)
        except Exception as error:
            _note("a job's span cannot be begun", error)

    def _begin(self, job: Job) -> None:
        from opentelemetry.context import Context, attach
        from opentelemetry.trace import (
            ProxyTracerProvider,
            SpanKind,
            get_tracer_provider,
            set_span_in_context,
        )

        provider = get_tracer_provider()
        if isinstance(provider, ProxyTracerProvider):
            # Nobody has configured an SDK; some library has loaded the API, as many do.
            return
        self._span = span = _tracer(provider).start_span(
            f"process {job.task}",
            # Not a part of what may be going on where the consumer was started.
            context=Context(),
            kind=SpanKind.CONSUMER,
            attributes=_attributes(job),
            links=_links(job),
        )
        self._token = attach(set_span_in_context(span, Context()))

    def end(self, error: BaseException | None) -> None:
        """End the span, with the outcome, and with the error if the attempt has failed."""
        try:
            if self._token is not None:
                from opentelemetry.context import detach

                detach(self._token)
            if self._span is not None:
                self._note_outcome(self._span, error)
        except Exception as problem:
            _note("a job's span has no outcome", problem)
        try:
            if self._span is not None:
                self._span.end()
        except Exception as problem:
            _note("a job's span cannot be ended", problem)

    def _note_outcome(self, span: Span, error: BaseException | None) -> None:
        from opentelemetry.trace import StatusCode

        word = word_for(self._context, None, error)
        event = event_of(word, is_completed=self._context.is_completed)
        span.set_attribute("persistentq.outcome", event.outcome)
        if word is not None and word.failure is not None and event in {JOB_FAILED, JOB_TIMED_OUT}:
            kind, message, trace = word.failure
            shown = {"exception.type": kind, "exception.message": hide_passwords(message)}
            if trace is not None:
                shown["exception.stacktrace"] = hide_passwords(trace)
            span.add_event("exception", shown)
            span.set_attribute("error.type", kind)
            span.set_status(StatusCode.ERROR, f"{kind}: {shown['exception.message']}")


@cache
def _tracer(provider: TracerProvider) -> Tracer:
    return provider.get_tracer("persistentq")


def _attributes(job: Job) -> dict[str, str | int]:
    return {
        "messaging.system": "persistentq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": job.queue,
        "messaging.message.id": str(job.id),
        "messaging.client.id": job.consumer or "",
        "persistentq.task": job.task,
        "persistentq.attempt": job.attempt,
    }


def _links(job: Job) -> list[Link]:
    """Return a link to the span that was active where the job was enqueued, if there was one."""
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carried = {name: value for name in CARRIED if isinstance(value := job.metadata.get(name), str)}
    found = TraceContextTextMapPropagator().extract(carried, context=Context())
    origin = trace.get_current_span(found).get_span_context()
    return [trace.Link(origin)] if origin.is_valid else []


def _note(what: str, error: Exception) -> None:
    LOG.warning("%s: %s", what, describe(error).message)
