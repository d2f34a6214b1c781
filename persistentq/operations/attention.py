"""What needs a person now, the most urgent first, each with the command that shows or mends it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from itertools import islice

from persistentq import clock
from persistentq.errors import PersistentQError, SchemaMismatch
from persistentq.insight import Check, Grade, Overview
from persistentq.interface import PersistentQInterface
from persistentq.job import UNFINISHED, JobStatus
from persistentq.operations.doctor import (
    LATE,
    check_clock,
    check_consumers,
    check_leases,
    check_pauses,
    check_waiting,
)
from persistentq.operations.mishaps import COUNTED, DAY, FailureGroup, Poison, count_failed, errors
from persistentq.operations.surroundings import Surroundings, check_supervisor
from persistentq.query import parse
from persistentq.text import ago, counted

GROUPS = 10
"""So many groups of failures are told of, so many tasks that kill their workers, so many absent consumers."""

_UNFINISHED = parse(" OR ".join(f"status:{status}" for status in JobStatus if status in UNFINISHED))


class Urgency(IntEnum):
    """How soon somebody should look: NOW if jobs may be lost or stand still."""

    NOW = 0
    SOON = 1
    LATER = 2


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that needs a person.

    Attributes:
        kind: lease, consumer, queue, pause, reserved, poison, failures, child, clock, schema, or the name of a check of
            the database.
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
        "queue": (check_waiting(overview, late), "queues"),
        "pause": (check_pauses(overview, late), "queues"),
        "clock": (check_clock(overview.now, before, after), "doctor"),
    }
    for kind, (check, command) in commands.items():
        yield from _alert(kind, check, command)
    yield from _reserved(queue, overview)
    for check in queue.examine().checks:
        yield from _alert(check.name, check, "doctor")


def _alert(kind: str, check: Check, command: str) -> Iterator[Alert]:
    if check.grade is not Grade.OK:
        urgency = Urgency.NOW if check.grade is Grade.FAIL else Urgency.SOON
        yield Alert(urgency, kind, check.found, check.remedy, command)


def _reserved(queue: PersistentQInterface, overview: Overview) -> Iterator[Alert]:
    """Tell of jobs that wait for a consumer that is not there."""
    for one in [one for one in overview.consumers if not one.is_alive][:GROUPS]:
        where = f"status:pending consumer:{one.id}"
        found = queue.count_matching(parse(where), up_to=COUNTED)
        if found.number:
            state = "has stopped" if one.stopped_at is not None else "is silent"
            number = f"{'more than ' * found.is_capped}{counted(found.number, 'job')}"
            text = f"{number} may be taken by {one.id} only, which {state}"
            command = shlex.join(("assign-job", "--anyone", "--where", where))
            yield Alert(Urgency.SOON, "reserved", text, f"start {one.id}, or let anyone take them", command)


def _mishaps(queue: PersistentQInterface, window: timedelta) -> Iterator[Alert]:
    found = errors(queue, window)
    by_task: dict[str, list[Poison]] = {}
    for one in found.poison:
        by_task.setdefault(one.task, []).append(one)
    yield from (_poison(queue, jobs) for jobs in islice(by_task.values(), GROUPS))
    yield from (_failures(queue, group, window) for group in found.groups[:GROUPS])


def _poison(queue: PersistentQInterface, jobs: list[Poison]) -> Alert:
    """Tell of the jobs of one task that were lost with their workers, the most often lost first."""
    first = jobs[0]
    most = f"job {first.job_id} ({first.task}) was lost with its worker {first.times} times"
    others = f", and {counted(len(jobs) - 1, 'other job')} of its task more than once" * (len(jobs) > 1)
    found = queue.find_ids(_UNFINISHED, among=[one.job_id for one in jobs[:GROUPS]])
    unfinished = {job_id for job_id, _ in found.items}
    living = [str(one.job_id) for one in jobs[:GROUPS] if one.job_id in unfinished]
    careful = "run the task with executor=process and a memory limit"
    if living:
        remedy = f"{careful}, which tells who kills from who only ran beside; or cancel {' '.join(living)}"
        return Alert(Urgency.SOON, "poison", most + others, remedy, f"show {living[0]}")
    remedy = f"none of them is left to run; before one is resubmitted, mend its task, or {careful}"
    return Alert(Urgency.LATER, "poison", most + others, remedy, f"show {first.job_id}")


def _failures(queue: PersistentQInterface, group: FailureGroup, window: timedelta) -> Alert:
    where = f", {group.frame}" if group.frame is not None else ""
    left = count_failed(queue, group.query)
    standing = f"{counted(left.number, 'job')}{' or more' * left.is_capped}" if left.number else "no job"
    text = (
        f"{group.task}: {counted(group.attempts, 'attempt')} failed in {ago(window)}, and {standing} for good: "
        f"{group.error_type}: {group.error[:200]}{where}"
    )
    remedy = (
        "mend the cause, then resubmit" if left.number else "another attempt of each went well, or will come"
    )
    command = shlex.join(("list-jobs", "--where", group.query)) if left.number else f"show {group.job_ids[0]}"
    return Alert(Urgency.LATER, "failures", text, remedy, command)


def _around(around: Surroundings) -> Iterator[Alert]:
    if around.supervisor_conf is not None and around.supervisor_conf.is_file():
        for check in check_supervisor(around.supervisor_conf):
            yield from _alert("child" if check.name == "children" else check.name, check, "doctor")


def _unopened(error: PersistentQError) -> Alert:
    if isinstance(error, SchemaMismatch) and error.found < error.wanted:
        return Alert(Urgency.NOW, "schema", error.summary, error.hint, "migrate")
    return Alert(Urgency.NOW, "database", error.summary, error.hint, "doctor")
