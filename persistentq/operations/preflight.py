"""Whether new code can run what is stored: every unfinished job and every schedule, without changing anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, NamedTuple

from persistentq.errors import InvalidArgument
from persistentq.interface import PersistentQInterface
from persistentq.job import UNFINISHED
from persistentq.outcomes import ArgumentsRefused
from persistentq.tasks import Tasks

PAGE = 1000
SAMPLE = 5


class Problem(StrEnum):
    """Why a job could not run.

    Attributes:
        MISSING: No task has its name.
        ARGUMENTS: Its task does not take its arguments.
    """

    MISSING = "missing"
    ARGUMENTS = "arguments"


@dataclass(slots=True)
class Misfit:
    """What does not fit the tasks for one and the same reason.

    Attributes:
        task: The name that the jobs have.
        problem: Of which kind the reason is.
        reason: The first one's reason, in one line.
        jobs: How many unfinished jobs.
        job_ids: Of up to five of them, the newest first.
        schedules: The names of the schedules.
    """

    task: str
    problem: Problem
    reason: str
    jobs: int = 0
    job_ids: list[int] = field(default_factory=list)
    schedules: list[str] = field(default_factory=list)


class Preflight(NamedTuple):
    """What was looked at, and what does not fit.

    Attributes:
        jobs: How many unfinished jobs there were.
        schedules: How many schedules.
        misfits: By task; empty if everything fits.
    """

    jobs: int
    schedules: int
    misfits: list[Misfit]


def preflight(queue: PersistentQInterface, tasks: Tasks, known: Collection[str] = ()) -> Preflight:
    """Check that `tasks` can run every unfinished job and every schedule of the queue.

    Args:
        known: Names of tasks that are not looked at: a consumer has them from elsewhere.
    """
    found: dict[tuple[str, str], Misfit] = {}
    jobs, schedules = 0, queue.list_schedules()
    for job_id, task, args in _unfinished(queue):
        jobs += 1
        if task not in known and (misfit := _check(tasks, task, args, found)) is not None:
            misfit.jobs += 1
            if len(misfit.job_ids) < SAMPLE:
                misfit.job_ids.append(job_id)
    for info in schedules:
        one = info.schedule
        if one.task not in known and (misfit := _check(tasks, one.task, one.args, found)) is not None:
            misfit.schedules.append(one.name)
    return Preflight(jobs, len(schedules), sorted(found.values(), key=lambda one: (one.task, one.reason)))


def _unfinished(queue: PersistentQInterface) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    after: str | None = None
    while True:
        page = queue.list_jobs(status=UNFINISHED, limit=PAGE, after=after)
        for job in page:
            yield job.id, job.task, job.args
        if (after := page.next) is None:
            return


def _check(
    tasks: Tasks, name: str, args: Mapping[str, Any], found: dict[tuple[str, str], Misfit]
) -> Misfit | None:
    """Return what the job belongs to if it does not fit, one for each reason; None if it fits."""
    task = tasks.find(name)
    if task is None:
        close = get_close_matches(name, [one.name for one in tasks], 1)
        reason = f"no task has this name; did you mean {close[0]!r}?" if close else "no task has this name"
        return found.setdefault((name, ""), Misfit(name, Problem.MISSING, reason))
    try:
        task.bind(args)
    except ArgumentsRefused as refused:
        # The value itself tells no reason from another.
        cause = refused.__cause__
        reason = f"{cause.name} {cause.problem}" if isinstance(cause, InvalidArgument) else str(refused)
        told = str(refused).removeprefix(f"task {name}: ")
        return found.setdefault((name, reason), Misfit(name, Problem.ARGUMENTS, told))
    return None
