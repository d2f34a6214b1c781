"""How a task says how its attempt shall end; whatever else it raises is an error, and another attempt follows.

```
NoRetry                 the job is failed at once
├── UnknownTask             no task has the name that the job has
└── ArgumentsRefused        the task does not take the stored arguments
Retry(after)            another attempt at a time of the task's own choice; this one counts
Snooze(until)           the job is given back for later; this attempt does not count
Cancel(reason)          the job is cancelled
JobCancelled            raised by `JobContext.check`: an operator wants the job to stop
JobTimedOut             … its time is over
JobInterrupted          … its consumer stops, and gives the job back
```
"""

from __future__ import annotations

from datetime import datetime, timedelta

from persistentq import clock
from persistentq.checks import check_span, check_time
from persistentq.errors import InvalidArgument
from persistentq.job import LONGEST_DELAY


class NoRetry(Exception):
    """Raise it in a task to make the job failed at once: another attempt would not help."""


class UnknownTask(NoRetry):
    """No task has the name that the job has."""

    @classmethod
    def here(cls, task: str) -> UnknownTask:
        """Return the error of a consumer that knows no task of this name."""
        return cls(f"no task {task!r} is known to this consumer")


class ArgumentsRefused(NoRetry):
    """The task does not take the arguments that are stored with the job; the `__cause__` says why."""


class Retry(Exception):
    """Raise it in a task to have the next attempt at a time of your choice. This one counts as failed.

    Args:
        after: From now, or an aware datetime; None for the job's own backoff.
        reason: Kept as the attempt's error.

    Raises:
        InvalidArgument: the time is naive, or the span negative or longer than a hundred years.
    """

    def __init__(self, after: timedelta | datetime | None = None, reason: str = "") -> None:
        self.after = after if after is None else _checked("after", after)
        self.reason = reason or "the task asked for another attempt"
        super().__init__(self.after, self.reason)

    def __str__(self) -> str:
        return self.reason

    @property
    def delay(self) -> timedelta | None:
        """From now until the next attempt, zero or more; None for the job's own backoff."""
        return None if self.after is None else _until(self.after)


class Snooze(Exception):
    """Raise it in a task to give the job back for later, as if this attempt had not been.

    Args:
        until: From now, or an aware datetime.

    Raises:
        InvalidArgument: as for `Retry`.
    """

    def __init__(self, until: timedelta | datetime) -> None:
        self.until = _checked("until", until)
        super().__init__(self.until)

    def __str__(self) -> str:
        return f"the task put the job off: {self.until}"

    @property
    def delay(self) -> timedelta:
        """From now until the job is ready again, zero or more."""
        return _until(self.until)


class Cancel(Exception):
    """Raise it in a task to make the job cancelled: there is nothing to do any more.

    Args:
        reason: Kept as the job's error.
    """

    def __init__(self, reason: str = "the task called the job off") -> None:
        super().__init__(reason)
        self.reason = reason


class JobCancelled(Exception):
    """An operator wants this job to stop. Let it pass, and the job becomes cancelled."""


class JobTimedOut(Exception):
    """This attempt has run for longer than its task may. Let it pass, and the attempt counts as failed."""


class JobInterrupted(Exception):
    """The consumer stops and waits no longer. Let it pass, and the job is given back; this attempt does not count."""


def _checked(name: str, moment: object) -> timedelta | datetime:
    if isinstance(moment, timedelta):
        return check_span(name, moment, timedelta(0), LONGEST_DELAY)
    if isinstance(moment, datetime):
        return check_time(name, moment)
    raise InvalidArgument(name, moment, "is neither a timedelta nor an aware datetime")


def _until(moment: timedelta | datetime) -> timedelta:
    if isinstance(moment, timedelta):
        return moment
    return min(max(moment - clock.now(), timedelta(0)), LONGEST_DELAY)
