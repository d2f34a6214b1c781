"""The operator's verbs: the same words, questions and results in every face."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from persistentq.errors import InvalidArgument, JobError, PersistentQError, StorageError
from persistentq.interface import PersistentQInterface
from persistentq.job import JobStatus, statuses_before
from persistentq.selection import check_statuses

MARKED_FAILED = "marked failed by an operator"


class Action(NamedTuple):
    """One verb as a face offers it.

    Attributes:
        verb: As the command line spells it, and as TRANSITIONS does.
        label: For a button or a key hint.
        effect: Completes "This will …"; `{jobs}` stands for "job 7" or "3 jobs".
        is_final: It cannot be taken back, so a face must make it hard to confirm by accident.
    """

    verb: str
    label: str
    effect: str
    is_final: bool = False

    def question(self, job_ids: Iterable[int]) -> str:
        """Return the question that a face asks before it acts on these jobs."""
        ids = list(job_ids)
        jobs = f"job {ids[0]}" if len(ids) == 1 else f"{len(ids):,} jobs"
        return self.effect.format(jobs=jobs) + "?"

    @property
    def works_on(self) -> frozenset[JobStatus]:
        """The statuses from which the verb works."""
        return statuses_before(self.verb)


ACTIONS: Mapping[str, Action] = {
    action.verb: action
    for action in (
        Action("resubmit", "Resubmit", "Make {jobs} pending again"),
        Action("cancel", "Cancel job", "Cancel {jobs}"),
        Action("mark-failed", "Mark failed", "Mark {jobs} failed"),
        Action("assign", "Assign", "Reserve {jobs} for one consumer"),
        Action("delete", "Delete", "Delete {jobs} for ever", is_final=True),
    )
}


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What came of an action: the ids that were changed, and why each other one was not."""

    verb: str
    done: tuple[int, ...] = ()
    skipped: Mapping[int, PersistentQError] = field(default_factory=dict)


def act(
    queue: PersistentQInterface,
    verb: str,
    job_ids: Iterable[int],
    *,
    consumer: str | None = None,
    reason: str = MARKED_FAILED,
) -> ActionResult:
    """Apply `verb` to each job, one transaction each; a job that has moved on is skipped, never forced.

    If the database fails midway, the jobs that were not reached are skipped with that error.

    Args:
        consumer: For `assign`: the consumer to reserve for, None for anyone.
        reason: For `mark-failed`: kept as the job's error.

    Returns:
        Every id once, as done or as skipped with the error that says why.

    Raises:
        InvalidArgument: unknown verb, or a consumer or reason that cannot be stored; nothing was changed.
        StorageError: the database failed before any job was reached.
    """
    steps: dict[str, Callable[[int], object]] = {
        "resubmit": queue.resubmit,
        "cancel": queue.cancel,
        "mark-failed": lambda job_id: queue.mark_failed(job_id, reason),
        "assign": lambda job_id: queue.assign_job(job_id, consumer),
        "delete": queue.delete_job,
    }
    if verb not in steps:
        raise InvalidArgument("verb", verb, f"is not one of {', '.join(steps)}")
    ids = list(dict.fromkeys(job_ids))
    done: list[int] = []
    skipped: dict[int, PersistentQError] = {}
    for position, job_id in enumerate(ids):
        try:
            steps[verb](job_id)
        except JobError as error:
            skipped[job_id] = error
        except StorageError as error:
            if position == 0:
                raise
            skipped.update(dict.fromkeys(ids[position:], error))
            break
        else:
            done.append(job_id)
    return ActionResult(verb, tuple(done), skipped)


def delete_all(
    queue: PersistentQInterface,
    status: Iterable[JobStatus | str] | None = None,
    in_queue: str | None = None,
    up_to: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Delete every job that matches, except processing ones, in short transactions.

    Args:
        status: Only these statuses; None for all.
        in_queue: Only this queue; None for all.
        up_to: Only jobs with this id or a lower one: those that were there when the operator agreed.
        on_progress: Called after each transaction with the number deleted so far.

    Returns:
        How many were deleted. May be repeated.
    """
    wanted, deleted = check_statuses(tuple(status) if status else None) or None, 0
    while batch := queue.delete_jobs(status=wanted, queue=in_queue, up_to=up_to, limit=1000):
        deleted += batch
        if on_progress is not None:
            on_progress(deleted)
    return deleted
