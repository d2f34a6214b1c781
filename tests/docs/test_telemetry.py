"""The tables of docs/telemetry.md are the events, their facts and the metrics of the code."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families

from persistentq import Consumer, PersistentQMemory
from persistentq.operations.rates import rates
from persistentq.telemetry.events import EVENTS, FACTS, JOB_DONE
from persistentq.telemetry.metrics import ConsumerMetrics, queue_metrics

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")

SUFFIX = {"counter": "_total", "info": "_info"}


def rows(head: str) -> list[list[str]]:
    """Return the cells of every table whose head begins with this word."""
    found = re.findall(rf"^\| {head} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [
        [cell.strip() for cell in line[1:-1].split("|")] for table in found for line in table.splitlines()
    ]


def test_the_events() -> None:
    assert rows("event") == [
        [
            f"`{event.name}`",
            logging.getLevelName(event.level).lower(),
            " ".join(f"`{fact}`" for fact in event.facts),
        ]
        for event in EVENTS
    ]


def test_the_facts() -> None:
    assert rows("fact") == [[f"`{name}`", meaning] for name, meaning in FACTS.items()]
    assert list(FACTS) == sorted(FACTS)


def labels(metric: Metric) -> set[str]:
    return {label for sample in metric.samples for label in sample.labels} - {"le"}


def test_the_metrics() -> None:
    queue, registry = PersistentQMemory(), CollectorRegistry()
    queue.enqueue("t")
    metrics = ConsumerMetrics(Consumer(queue, consumer_id="c"), registry)
    metrics(JOB_DONE, {"consumer": "c", "task": "t", "queue": "q", "waited": 1.0, "seconds": 1.0})
    queue.complete(queue.dequeue("c")[0])
    made = [*registry.collect(), *text_string_to_metric_families(queue_metrics(queue, rates(queue)))]
    told = {name: (kind, set(re.findall(r"`(\w+)`", names))) for name, kind, names, _ in rows("metric")}
    assert told == {
        f"`{one.name}{SUFFIX.get(one.type, '')}`": ("gauge" if one.type == "info" else one.type, labels(one))
        for one in made
    }


def test_every_outcome_is_named() -> None:
    (line,) = [cells[3] for cells in rows("metric") if cells[0] == "`persistentq_jobs_total`"]
    assert set(re.findall(r"`(\w+)`", line)) == {event.outcome for event in EVENTS if event.is_end}
