"""Whether arguments that an operator gives fit the tasks that get them, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from persistentq.acts import MAX_BATCH, works_on
from persistentq.errors import ActRefused, InvalidArgument
from persistentq.interface import PersistentQInterface
from persistentq.job import Job, NewJob
from persistentq.operations.acting import Preview, batches
from persistentq.outcomes import ArgumentsRefused
from persistentq.tasks import CallOptions, Task, Tasks


def find_task(tasks: Tasks, name: str) -> Task[..., Any]:
    """Return the task of this name.

    Raises:
        InvalidArgument: there is none; the nearest is suggested.
    """
    task = tasks.find(name)
    if task is None:
        close = get_close_matches(name, [one.name for one in tasks], 1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise InvalidArgument("task", name, f"is none of those that are registered{meant}")
    return task


def new_job(tasks: Tasks, name: str, args: Mapping[str, Any], options: CallOptions) -> NewJob:
    """Return a job as the task's own code would enqueue it: with the task's settings, its arguments checked.

    Args:
        args: JSON values by name.
        options: What the job gets instead of what its task says.

    Raises:
        InvalidArgument: there is no such task, or it does not take these arguments.
    """
    task = find_task(tasks, name)
    return task.using(**options).new(**task.signature.load(args))


def check_edit(queue: PersistentQInterface, seen: Preview, tasks: Tasks) -> None:
    """Make sure that the tasks take the arguments of each job as an edit would leave them.

    Raises:
        ActRefused: those of one job do not fit; nothing was changed.
    """
    for job in _meant(queue, seen):
        task = tasks.find(job.task)
        if task is None:
            raise ActRefused(job.id, f"is of task {job.task}, which is none of those that are registered")
        try:
            task.bind(seen.act.edited(job.args))
        except ArgumentsRefused as refused:
            # Without the value, which may be secret.
            cause, why = refused.__cause__, str(refused)
            if isinstance(cause, InvalidArgument):
                why = f"{cause.name.removesuffix(' =')} {cause.problem}"
            raise ActRefused(job.id, f"would not fit: {why}") from refused


def _meant(queue: PersistentQInterface, seen: Preview) -> Iterator[Job]:
    """Yield the jobs that are meant, as far as the act works on them."""
    for some in batches(seen.ids):
        page = queue.find_jobs(seen.where, among=some, limit=MAX_BATCH)
        yield from (job for job in reversed(page.items) if job.status in works_on(seen.act.verb))
