"""Metrics in Prometheus' text format: of one consumer, over HTTP; of the queues, as text.

Importing this module raises `ExtraMissing` where prometheus_client is not installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from persistentq.errors import ExtraMissing, InvalidArgument
from persistentq.job import JobStatus
from persistentq.operator_interface import OperatorInterface
from persistentq.telemetry.events import METRICS_SERVED, Event, Facts, listening, tell

try:
    from prometheus_client import (
        REGISTRY,
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
        Info,
        generate_latest,
        start_http_server,
    )
except ImportError:
    raise ExtraMissing("metrics", "prometheus_client", "prometheus") from None

if TYPE_CHECKING:
    from prometheus_client.metrics import MetricWrapperBase

    from persistentq.operations.rates import Rates
    from persistentq.runtime import Consumer

SPANS = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600)
"""The upper bounds, in seconds, of what waits and runs are sorted into."""

UNKNOWN = "(unknown)"
"""Stands for every task that the consumer does not know: anybody who enqueues could make up a thousand."""


class ConsumerMetrics:
    """Keeps count of what a consumer tells; it is a listener for `events.listening`.

    Args:
        consumer: Whose events to count, and whose state to show.
        registry: Where the metrics are registered; None for prometheus_client's own, where a program's others are.
    """

    def __init__(self, consumer: Consumer, registry: CollectorRegistry | None = None) -> None:
        self._consumer = consumer
        self._registry = registry = REGISTRY if registry is None else registry
        names = ("task", "queue")
        self._ends = Counter(
            "persistentq_jobs",
            "Attempts that ended, by how they ended.",
            (*names, "outcome"),
            registry=registry,
        )
        self._waits = Histogram(
            "persistentq_job_wait_seconds",
            "From the job being ready until it was claimed.",
            names,
            registry=registry,
            buckets=SPANS,
        )
        self._runs = Histogram(
            "persistentq_job_run_seconds",
            "For how long the job's code ran.",
            names,
            registry=registry,
            buckets=SPANS,
        )
        self._state = _show(consumer, registry)
        # Looking them up takes longer than counting.
        self._series = cache(self._find_series)

    def __call__(self, event: Event, facts: Facts) -> None:
        """Count an attempt's end; other events, and those of other consumers in this process, are passed by."""
        if not event.is_end or facts["consumer"] != self._consumer.id:
            return
        task, queue = facts["task"], facts["queue"]
        if task not in self._consumer.tasks:
            task = UNKNOWN
        end, wait, run = self._series(task, queue, event.outcome)
        end.inc()
        # Of a job that was lost, neither is known; one that is given back may not have begun.
        if "waited" in facts:
            wait.observe(facts["waited"])
        if seconds := facts.get("seconds"):
            run.observe(seconds)

    def _find_series(self, task: str, queue: str, outcome: str) -> tuple[Counter, Histogram, Histogram]:
        return (
            self._ends.labels(task, queue, outcome),
            self._waits.labels(task, queue),
            self._runs.labels(task, queue),
        )

    def close(self) -> None:
        """Take the metrics out of the registry."""
        for metric in (self._ends, self._waits, self._runs, *self._state):
            self._registry.unregister(metric)


def _show(consumer: Consumer, registry: CollectorRegistry) -> list[MetricWrapperBase]:
    info = Info("persistentq_consumer", "Which consumer this is.", registry=registry)
    info.info({"consumer": consumer.id})
    held = Gauge(
        "persistentq_consumer_held_jobs", "Jobs that it holds, running or about to.", registry=registry
    )
    held.set_function(lambda: consumer.held)
    places = Gauge("persistentq_consumer_places", "How many jobs it runs at once.", registry=registry)
    places.set(consumer.places)
    turn = Gauge(
        "persistentq_consumer_last_turn_timestamp_seconds",
        "When the database last answered it; 0 before it did.",
        registry=registry,
    )
    turn.set_function(lambda: consumer.last_turn or 0.0)
    return [info, held, places, turn]


@contextmanager
def serving(consumer: Consumer, address: str, registry: CollectorRegistry | None = None) -> Iterator[str]:
    """Count what the consumer tells, and serve it over HTTP, while the block runs; give HOST:PORT as it is.

    Args:
        consumer: See ConsumerMetrics.
        address: A port, for this machine only, or HOST:PORT; port 0 for any that is free.
        registry: See ConsumerMetrics; what else is in it is served too.

    Raises:
        InvalidArgument: the address cannot be used, for example because another process listens there.
    """
    host, port = read_address(address)
    metrics = ConsumerMetrics(consumer, registry)
    try:
        with _listening_at(host, port, address, registry) as real_port, listening(metrics):
            shown = f"{f'[{host}]' if ':' in host else host}:{real_port}"
            tell(METRICS_SERVED, consumer=consumer.id, address=shown)
            yield shown
    finally:
        metrics.close()


@contextmanager
def _listening_at(host: str, port: int, given: str, registry: CollectorRegistry | None) -> Iterator[int]:
    try:
        server, thread = start_http_server(port, host, REGISTRY if registry is None else registry)
    except OSError as error:
        problem = f"cannot be listened at: {error.strerror or error}; give each consumer a port of its own"
        raise InvalidArgument("metrics", given, problem) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read_address(text: str) -> tuple[str, int]:
    """Return host and port of `9100`, `HOST:9100` or `[::1]:9100`; without a host, this machine's own.

    Raises:
        InvalidArgument: it is none of these, or the port is more than 65535.
    """
    found = re.fullmatch(r"(?:(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:\[\]]+)):)?(\d{1,5})", text)
    if found is None or int(found[3]) > 65_535:
        raise InvalidArgument("metrics", text, "is not a port or HOST:PORT")
    return found[1] or found[2] or "127.0.0.1", int(found[3])


def queue_metrics(queue: OperatorInterface, lately: Rates | None = None) -> str:
    """Return what there is in every queue, and who works, in Prometheus' text format.

    Reads all that is there, so it is for one process, such as the dashboard, and not for each consumer.

    Args:
        lately: How the queues moved within some minutes; None if that is not told.
    """
    registry = CollectorRegistry()
    names = ("queue",)
    jobs = Gauge("persistentq_queue_jobs", "Jobs, by status.", (*names, "status"), registry=registry)
    oldest = Gauge(
        "persistentq_queue_oldest_pending_seconds",
        "For how long the job has been ready that has been so the longest; 0 if none is.",
        names,
        registry=registry,
    )
    paused = Gauge("persistentq_queue_paused", "Whether the queue is paused.", names, registry=registry)
    consumers = Gauge(
        "persistentq_consumers",
        "Consumers that have not said goodbye, by whether they reported lately.",
        ("state",),
        registry=registry,
    )
    for info in queue.list_queues():
        for status in JobStatus:
            jobs.labels(info.name, status).set(info.counts.get(status, 0))
        oldest.labels(info.name).set(info.oldest_pending.total_seconds() if info.oldest_pending else 0.0)
        paused.labels(info.name).set(info.is_paused)
    running = [one for one in queue.list_consumers() if one.stopped_at is None]
    alive = sum(one.is_alive for one in running)
    consumers.labels("alive").set(alive)
    consumers.labels("silent").set(len(running) - alive)
    if lately is not None:
        _show_rates(lately, registry)
    return generate_latest(registry).decode()


def _show_rates(lately: Rates, registry: CollectorRegistry) -> None:
    minutes = round((lately.end - lately.start).total_seconds() / 60)
    moved = Gauge(
        "persistentq_queue_recent_jobs",
        f"What happened to jobs in the last {minutes} minutes.",
        ("queue", "what"),
        registry=registry,
    )
    waits, runs = (
        Gauge(f"persistentq_queue_{name}_seconds", text, ("queue", "quantile"), registry=registry)
        for name, text in (
            ("wait", f"From being ready to running, of the jobs of the last {minutes} minutes."),
            ("run", f"How long an attempt took, of the jobs done in the last {minutes} minutes."),
        )
    )
    for name, of in lately.queues.items():
        for what in ("enqueued", "started", "done", "failed"):
            moved.labels(name, what).set(getattr(of, what))
        for gauge, spread in ((waits, of.wait), (runs, of.run)):
            for quantile, span in (("0.5", spread.p50), ("0.95", spread.p95)):
                if span is not None:
                    gauge.labels(name, quantile).set(span.total_seconds())
