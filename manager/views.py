"""The views: their names, their columns, what is said where they are empty, and the command that lists the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .snapshot import Place


class Head(NamedTuple):
    """The head of a column."""

    title: str
    is_number: bool = False


class View(NamedTuple):
    """One view.

    Attributes:
        name: As the palette calls it.
        does: For the help.
        command: What lists the same on the command line.
        empty: What is said where it has no row, a line each.
        heads: Of the columns; empty for the jobs, which have their own.
    """

    name: str
    does: str
    command: str
    empty: tuple[str, ...] = ()
    heads: tuple[Head, ...] = ()


def _heads(*titles: str) -> tuple[Head, ...]:
    return tuple(Head(title.removeprefix("#"), title.startswith("#")) for title in titles)


VIEWS: Mapping[Place, View] = {
    Place.JOBS: View("jobs", "jobs, and one in full", "list-jobs"),
    Place.ATTENTION: View(
        "attention",
        "what needs a person now",
        "attention",
        ("Nothing needs attention.",),
        _heads("urgency", "kind", "what"),
    ),
    Place.FAILURES: View(
        "failures",
        "failed attempts of the last day, the same ones together",
        "errors",
        ("No attempt failed within the last day.",),
        _heads("#attempts", "#jobs", "task", "error", "where", "#latest"),
    ),
    Place.QUEUES: View(
        "queues",
        "queues: pauses, how long jobs wait, how long emptying takes",
        "queues",
        ("There is no queue yet: a first job makes one.",),
        _heads(
            "queue", "hands out", "#pending", "#processing", "#failed", "#waits", "#drains in", "#served by"
        ),
    ),
    Place.CONSUMERS: View(
        "consumers",
        "consumers: life, supervisor's word, what they hold",
        "consumers",
        ("No consumer has reported yet.",),
        _heads("consumer", "life", "supervisor", "#reported", "queues", "host:process", "#held", "jobs"),
    ),
    Place.SCHEDULES: View(
        "schedules",
        "schedules and their next runs",
        "schedules list",
        ("There is no schedule yet: A adds one.",),
        _heads("schedule", "state", "when", "#next", "task", "queue", "#last job"),
    ),
    Place.ACTIVITY: View(
        "activity",
        "how fast jobs come and go, how long they wait and run (p50, p95)",
        "stats --by queue",
        ("Nothing happened within the last hour.",),
        _heads("the last hour", "until now", "#number", "#now", "#waited", "#ran"),
    ),
    Place.JOURNAL: View(
        "journal",
        "what operators did, each to be undone",
        "journal",
        ("No operator has done anything yet.",),
        _heads("#entry", "#when", "who", "from", "did", "#jobs", "#skipped", "what"),
    ),
    Place.HEALTH: View(
        "health",
        "what is known to go wrong, looked at one by one",
        "doctor",
        ("Nothing was looked at yet.",),
        _heads("grade", "check", "found"),
    ),
}
"""In the order of their digits, from 1."""
