"""What is wrong with one job, consumer or schedule."""

from __future__ import annotations

from datetime import datetime

from persistentq.errors.base import PersistentQError


class JobError(PersistentQError):
    """Something about one job; `job_id` says which."""

    def __init__(self, job_id: int, *details: object) -> None:
        super().__init__(job_id, *details)
        self.job_id = job_id


class JobNotFound(JobError):
    """No job has this id."""

    exit_code = 5

    @property
    def summary(self) -> str:
        """Names the id."""
        return f"job {self.job_id} does not exist"

    @property
    def hint(self) -> str:
        """How to find ids."""
        return "list-jobs shows the ids that exist"


class InvalidTransition(JobError):
    """The state machine has no such arrow from the job's present status."""

    exit_code = 2

    def __init__(self, job_id: int, status: str, verb: str, allowed: str) -> None:
        super().__init__(job_id, status, verb, allowed)
        self.status, self.verb, self.allowed = status, verb, allowed

    @property
    def summary(self) -> str:
        """Names the job, its status and the refused verb."""
        return f"job {self.job_id} is {self.status}, it cannot be changed by {self.verb!r}"

    @property
    def hint(self) -> str:
        """From which statuses the verb works."""
        return f"{self.verb} needs a job that is {self.allowed}"


class UniqueKeyTaken(JobError):
    """The job cannot become unfinished again: another unfinished job has its unique key by now."""

    exit_code = 2

    def __init__(self, job_id: int, unique_key: str) -> None:
        super().__init__(job_id, unique_key)
        self.unique_key = unique_key

    @property
    def summary(self) -> str:
        """Names the job and the key."""
        return f"job {self.job_id} has unique key {self.unique_key!r}, which another unfinished job holds"

    @property
    def hint(self) -> str:
        """What to do."""
        return "wait for the other job, or cancel it first"


class LeaseLost(JobError):
    """The caller no longer holds the job: its lease ran out, or an operator took it. The job is untouched."""

    def __init__(self, job_id: int, consumer: str, attempt: int) -> None:
        super().__init__(job_id, consumer, attempt)
        self.consumer, self.attempt = consumer, attempt

    @property
    def summary(self) -> str:
        """Names the job, the consumer and the attempt that lost it."""
        return f"job {self.job_id} is no longer held by {self.consumer} (attempt {self.attempt})"

    @property
    def hint(self) -> str:
        """What the consumer should do."""
        return "drop the outcome; the job runs elsewhere or was settled by an operator"


class ActRefused(JobError):
    """An operator's act, or its undoing, leaves this job alone: it has moved on."""

    exit_code = 2

    def __init__(self, job_id: int, problem: str) -> None:
        super().__init__(job_id, problem)
        self.problem = problem

    @property
    def summary(self) -> str:
        """Names the job and what became of it."""
        return f"job {self.job_id} {self.problem}"

    @property
    def hint(self) -> str:
        """How to go on."""
        return "look at the job, and decide anew"


class EntryNotFound(PersistentQError):
    """The journal of the operators' acts has no such entry, or the entry has no such batch."""

    exit_code = 5

    def __init__(self, entry: int) -> None:
        super().__init__(entry)
        self.entry = entry

    @property
    def summary(self) -> str:
        """Names it."""
        return f"the journal has no entry {self.entry}"

    @property
    def hint(self) -> str:
        """How to find entries."""
        return "`journal` shows those there are; they are kept for a year"


class NothingToUndo(PersistentQError):
    """An entry of the journal tells of no job that was changed, and only what was done to jobs can be undone."""

    exit_code = 2

    def __init__(self, entry: int, verb: str) -> None:
        super().__init__(entry, verb)
        self.entry, self.verb = entry, verb

    @property
    def summary(self) -> str:
        """Names the entry, and what it tells of."""
        return f"entry {self.entry}, {self.verb!r}, changed no job, so there is nothing to take back"

    @property
    def hint(self) -> str:
        """What takes back the rest."""
        return "what was not done to jobs is taken back by its opposite, such as `resume` after `pause`"


class ReadOnlyMode(PersistentQError):
    """Nothing may be changed from here: the face, or the settings, say so."""

    exit_code = 2

    def __init__(self, verb: str) -> None:
        super().__init__(verb)
        self.verb = verb

    @property
    def summary(self) -> str:
        """Names what was refused."""
        return f"{self.verb!r} is refused: this is read-only"

    @property
    def hint(self) -> str:
        """How to be allowed."""
        return "unset QUEUE_READONLY, or leave --readonly out, where changes are meant"


class CountDiffers(PersistentQError):
    """An act was to be done only to so many jobs, and it is about another number; nothing was changed."""

    exit_code = 2

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(expected, found)
        self.expected, self.found = expected, found

    @property
    def summary(self) -> str:
        """Names both numbers."""
        return f"{self.expected:,} jobs were expected, and it is about {self.found:,}"

    @property
    def hint(self) -> str:
        """What to do."""
        return "look at the preview, and expect its count"


class ConsumerNotFound(PersistentQError):
    """No consumer with this id has ever reported to the queue."""

    exit_code = 5

    def __init__(self, consumer: str) -> None:
        super().__init__(consumer)
        self.consumer = consumer

    @property
    def summary(self) -> str:
        """Names the id."""
        return f"consumer {self.consumer!r} is not known to this queue"

    @property
    def hint(self) -> str:
        """How to act all the same."""
        return "check the name among the consumers, or confirm to reserve for a consumer that starts later"


class ConsumerAlive(PersistentQError):
    """The consumer's id belongs to another process that is alive: two of the same id cannot be told apart.

    Attributes:
        consumer: The id.
        host: Where the other process runs.
        pid: Its process id there.
        since: When it began to use the id.
    """

    exit_code = 75

    def __init__(self, consumer: str, host: str, pid: int, since: datetime) -> None:
        super().__init__(consumer, host, pid, since)
        self.consumer, self.host, self.pid, self.since = consumer, host, pid, since

    @property
    def summary(self) -> str:
        """Names the id and the process that has it."""
        since = f"{self.since:%Y-%m-%dT%H:%M:%SZ}"
        return f"consumer {self.consumer!r} is alive: process {self.pid} on {self.host}, since {since}"

    @property
    def hint(self) -> str:
        """What to do."""
        return "choose another id, or stop that process first"


class ScheduleNotFound(PersistentQError):
    """No schedule has this name."""

    exit_code = 5

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    @property
    def summary(self) -> str:
        """Names it."""
        return f"schedule {self.name!r} does not exist"

    @property
    def hint(self) -> str:
        """How to find names."""
        return "`schedules list` shows the names that exist"


class ExtraMissing(PersistentQError):
    """A package that not everybody needs is not installed.

    Attributes:
        what: What cannot be done.
        needs: The name by which the package is imported.
        extra: The extra of this library that brings it.
    """

    def __init__(self, what: str, needs: str, extra: str) -> None:
        super().__init__(what, needs, extra)
        self.what, self.needs, self.extra = what, needs, extra

    @property
    def summary(self) -> str:
        """Names what cannot be done, and the package."""
        return f"{self.what} need {self.needs}, which is not installed"

    @property
    def hint(self) -> str:
        """How to install it."""
        return f"pip install 'persistentq[{self.extra}]'"


class SupervisionError(PersistentQError):
    """Supervisor cannot do what was asked: it is not running, or its configuration does not allow it.

    Attributes:
        problem: What is wrong.
        remedy: What to do about it; may be empty.
        fault: Supervisor's own number of the reason; None if it gave none.
        is_unknown: Nobody knows whether it was done, as supervisord did not answer.
    """

    is_unknown = False

    def __init__(self, problem: str, remedy: str, fault: int | None = None) -> None:
        super().__init__(problem, remedy, fault)
        self.problem, self.remedy, self.fault = problem, remedy, fault

    @property
    def summary(self) -> str:
        """The problem."""
        return self.problem

    @property
    def hint(self) -> str:
        """The remedy."""
        return self.remedy
