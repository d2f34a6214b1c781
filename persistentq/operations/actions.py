"""The operator's verbs as faces offer them: the same words and questions everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from persistentq.acts import works_on
from persistentq.job import JobStatus
from persistentq.text import counted

MANY = 100
"""Acts on more jobs than this are confirmed by typing their number, as those are that are final."""


class Action(NamedTuple):
    """One verb as a face offers it.

    Attributes:
        verb: As the command line spells it, and as an Act does.
        label: For a button or a key hint.
        effect: Completes "This will …"; `{jobs}` stands for "job 7" or "3 jobs".
        is_final: It takes the jobs out of sight, so a face must make it hard to confirm by accident.
    """

    verb: str
    label: str
    effect: str
    is_final: bool = False

    def question(self, job_ids: Iterable[int]) -> str:
        """Return the question that a face asks before it acts on these jobs."""
        ids = list(job_ids)
        jobs = f"job {ids[0]}" if len(ids) == 1 else counted(len(ids), "job")
        return self.effect.format(jobs=jobs) + "?"

    def wants_number(self, count: int) -> bool:
        """Whether the number of jobs has to be typed if the action is about so many."""
        return self.is_final or count > MANY

    @property
    def works_on(self) -> frozenset[JobStatus]:
        """The statuses from which the verb works."""
        return works_on(self.verb)


ACTIONS: Mapping[str, Action] = {
    action.verb: action
    for action in (
        Action("resubmit", "Resubmit", "Make {jobs} pending again"),
        Action("cancel", "Cancel job", "Cancel {jobs}"),
        Action("mark-failed", "Mark failed", "Mark {jobs} failed"),
        Action("assign", "Assign", "Reserve {jobs} for one consumer"),
        Action("delete", "Delete", "Delete {jobs}", is_final=True),
    )
}

EDIT_ACTIONS: Mapping[str, Action] = {
    action.verb: action
    for action in (
        Action("reschedule", "Reschedule", "Let {jobs} become ready at another time"),
        Action("set-priority", "Set priority", "Change the priority of {jobs}"),
        Action("edit-arguments", "Edit arguments", "Change arguments of {jobs}"),
    )
}
"""Those that change what a job is; a face need not offer them in its first row."""
