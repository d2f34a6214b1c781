"""What needs a person now, the most urgent first, each with the command that shows or mends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from persistentq import clock
from persistentq.errors import PersistentQError, SchemaMismatch
from persistentq.insight import Check, Grade
from persistentq.interface import PersistentQInterface
from persistentq.operations.doctor import (
    LATE,
    check_clock,
    check_consumers,
    check_leases,
    check_waiting,
)
from persistentq.operations.mishaps import DAY, FailureGroup, Poison, errors
from persistentq.operations.surroundings import Surroundings, check_supervisor
from persistentq.text import ago

GROUPS = 10
"""So many groups of failures are told of, and so many jobs that lose their workers."""


class Urgency(IntEnum):
    """How soon somebody should look: NOW if jobs may be lost or stand still."""

    NOW = 0
    SOON = 1
    LATER = 2


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that needs a person.

    Attributes:
        kind: lease, consumer, queue, poison, failures, child, clock, schema, or the name of a check of the database.
        text: What is wrong, in one line; it may hold what came from a job.
        remedy: What to do.
        command: What shows or mends it, to be typed behind the admin program's name; empty if none does.
    """

    urgency: Urgency
    kind: str
    text: str
    remedy: str = ""
    command: str = ""


def attention(
    queue: PersistentQInterface | PersistentQError,
    around: Surroundings | None = None,
    *,
    window: timedelta = DAY,
    late: timedelta = LATE,
) -> list[Alert]:
    """Return what needs a person now, the most urgent first; empty if nothing does. It may be repeated.

    Args:
        queue: The queue, or the error with which it could not be opened.
        around: Where Supervisor's configuration is, whose children are then looked at.
        window: How far back failures are looked for, up to 366 days.
        late: A queue whose oldest job that could run is older than this is delayed.

    Raises:
        StorageError: the database cannot be asked; `doctor` tells that as one of its checks.
    """
    alerts = [*_around(around or Surroundings())]
    if isinstance(queue, PersistentQError):
        alerts.append(_unopened(queue))
    else:
        alerts = [*_state(queue, late), *_mishaps(queue, window), *alerts]
    return sorted(alerts, key=lambda alert: alert.urgency)


def _state(queue: PersistentQInterface, late: timedelta) -> Iterator[Alert]:
    before = clock.now()
    overview = queue.overview()
    after = clock.now()
    first = overview.expired[0].job_id if overview.expired else ""
    commands = {
        "lease": (check_leases(overview), f"why {first}"),
        "consumer": (check_consumers(overview), "consumers"),
        "queue": (check_waiting(overview, late), "stats"),
        "clock": (check_clock(overview.now, before, after), "doctor"),
    }
    for kind, (check, command) in commands.items():
        yield from _alert(kind, check, command)
    for check in queue.examine().checks:
        yield from _alert(check.name, check, "doctor")


def _alert(kind: str, check: Check, command: str) -> Iterator[Alert]:
    if check.grade is not Grade.OK:
        urgency = Urgency.NOW if check.grade is Grade.FAIL else Urgency.SOON
        yield Alert(urgency, kind, check.found, check.remedy, command)


def _mishaps(queue: PersistentQInterface, window: timedelta) -> Iterator[Alert]:
    found = errors(queue, window)
    yield from map(_poison, found.poison[:GROUPS])
    yield from (_failures(group, window) for group in found.groups[:GROUPS])


def _poison(one: Poison) -> Alert:
    text = f"job {one.job_id} ({one.task}) was lost with its worker {one.times} times"
    remedy = f"it may kill whoever runs it: cancel {one.job_id}, or run it with executor=process and a memory limit"
    return Alert(Urgency.SOON, "poison", text, remedy, f"show {one.job_id}")


def _failures(group: FailureGroup, window: timedelta) -> Alert:
    where = f", {group.frame}" if group.frame is not None else ""
    times = f"{group.attempts:,} time{'s' if group.attempts > 1 else ''}"
    text = f"{group.task} failed {times} in {ago(window)}: {group.error_type}: {group.error[:200]}{where}"
    return Alert(Urgency.LATER, "failures", text, "mend the cause, then resubmit", f"show {group.job_ids[0]}")


def _around(around: Surroundings) -> Iterator[Alert]:
    if around.supervisor_conf is not None and around.supervisor_conf.is_file():
        for check in check_supervisor(around.supervisor_conf):
            yield from _alert("child" if check.name == "children" else check.name, check, "doctor")


def _unopened(error: PersistentQError) -> Alert:
    if isinstance(error, SchemaMismatch) and error.found < error.wanted:
        return Alert(Urgency.NOW, "schema", error.summary, error.hint, "migrate")
    return Alert(Urgency.NOW, "database", error.summary, error.hint, "doctor")
