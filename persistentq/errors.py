"""Every error this library raises on its own account.

```
PersistentQError                      .summary .hint .exit_code
├── InvalidArgument (ValueError)      .name .value .problem
│   ├── PayloadError                  an argument or a result that is not bounded JSON
│   └── InvalidQuery                  .at
├── ConfigurationError                .key .value .source .problem
├── StorageError                      __cause__ is the driver's error
│   ├── StorageUnavailable            .retryable is True: full, connection lost
│   │   └── LockTimeout               locked for longer than QUEUE_LOCK_TIMEOUT
│   ├── DatabaseReplaced              the file was deleted or replaced while it was open
│   ├── DatabaseMissing               .location
│   └── SchemaMismatch                .found .wanted
├── JobError                          .job_id
│   ├── JobNotFound
│   ├── InvalidTransition             .status .verb .allowed
│   ├── UniqueKeyTaken                .unique_key
│   └── LeaseLost                     .consumer .attempt
├── ConsumerNotFound                  .consumer
├── ConsumerAlive                     .consumer .host .pid .since
├── ScheduleNotFound                  .name
└── ExtraMissing                      .needs .extra
```

A message is one line: the subject, the values, and after `; ` the remedy. Front ends print the two halves as
`error: …` and `hint: …` and leave with `exit_code`.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self


def shown(value: object, longest: int) -> str:
    """Return `value` as a message may show it: its repr, cut to `longest` characters; never raises."""
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


class PersistentQError(Exception):
    """The root: catch this to catch everything the library raises on purpose.

    Attributes:
        exit_code: What a command line returns for it (1 failed, 2 usage or refused, 4 database, 5 not found, 75 taken).
    """

    exit_code: ClassVar[int] = 1

    @property
    def summary(self) -> str:
        """Subject and values in one line, without the remedy."""
        return " ".join(str(argument) for argument in self.args) or type(self).__name__

    @property
    def hint(self) -> str:
        """The remedy in one line; empty if there is none."""
        return ""

    def __str__(self) -> str:
        return f"{self.summary}; {self.hint}" if self.hint else self.summary


class InvalidArgument(PersistentQError, ValueError):
    """An argument was refused before anything was written."""

    exit_code = 2

    def __init__(self, name: str, value: object, problem: str) -> None:
        super().__init__(name, value, problem)
        self.name, self.value, self.problem = name, value, problem

    @property
    def summary(self) -> str:
        """Names the argument, the value (shortened) and what is wrong with it."""
        return f"{self.name} {shown(self.value, 80)} {self.problem}"


class PayloadError(InvalidArgument):
    """Arguments or a result that cannot be stored: not JSON, too deep or too large."""


class InvalidQuery(InvalidArgument):
    """A query cannot be read; `at` is the place in it, from 0."""

    def __init__(self, query: str, at: int, problem: str) -> None:
        super().__init__("query", query, problem)
        self.args = (query, at, problem)
        self.at = at

    @property
    def summary(self) -> str:
        """Names the place, what stands there and what is wrong with it."""
        here = self.value[self.at :].split(maxsplit=1)[:1] if isinstance(self.value, str) else []
        place = f"at {shown(here[0], 40)}, character {self.at + 1}," if here else "at its end"
        return f"the query {place} {self.problem}"

    @property
    def hint(self) -> str:
        """What a query looks like."""
        return 'for example: status:failed task:mail.* age>10m -tag:test (queue:a OR error:"timed out")'


class ConfigurationError(PersistentQError):
    """A setting has a value that cannot be used."""

    exit_code = 2

    def __init__(self, key: str, value: str, source: str, problem: str) -> None:
        super().__init__(key, value, source, problem)
        self.key, self.value, self.source, self.problem = key, value, source, problem

    @property
    def summary(self) -> str:
        """Names the setting, its value and where it was read."""
        return f"{self.key}={self.value!r} in {self.source} {self.problem}"

    @property
    def hint(self) -> str:
        """Where the settings are explained."""
        return "see .env.example for every setting with its unit and default"


class StorageError(PersistentQError):
    """The database refused or failed; the driver's error is the `__cause__`.

    Attributes:
        location: The file or the URL without its password.
        problem: What is wrong, as a clause.
        retryable: Whether the same call may succeed if repeated as it is.
    """

    exit_code = 4
    retryable: ClassVar[bool] = False

    def __init__(self, location: str, problem: str) -> None:
        super().__init__(location, problem)
        self.location, self.problem = location, problem

    @property
    def summary(self) -> str:
        """Names the database and the condition."""
        return f"database {self.location} {self.problem}"


class StorageUnavailable(StorageError):
    """Locked for longer than the lock timeout, out of space, or unreachable.

    Attributes:
        is_unknown: Nobody knows whether the change was made, as the answer to COMMIT was lost. Otherwise it was not,
            and calling again is safe.
    """

    retryable = True
    is_unknown = False

    @property
    def hint(self) -> str:
        """What to do about the condition."""
        if self.is_unknown:
            return "look whether it was, before you call again"
        if "reached" in self.problem:
            return "see that the server runs and that QUEUE_DB_URL names it, and try again"
        if "full" in self.problem:
            return "free some disk space and try again; nothing that was acknowledged is lost"
        return "try again; if it stays, look for a process that holds the database"


class LockTimeout(StorageUnavailable):
    """Others held the lock for longer than the lock timeout; nothing was changed, and calling again is safe."""

    def __init__(self, location: str) -> None:
        super().__init__(location, "was locked by others for longer than the lock timeout")

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.location,)

    @property
    def hint(self) -> str:
        """Who may be in the way, and the setting."""
        return "look for a process that holds the database, or raise QUEUE_LOCK_TIMEOUT"


class DatabaseReplaced(StorageError):
    """The database file was deleted or replaced while this process had it open; nothing is acknowledged any more."""

    def __init__(self, location: str) -> None:
        super().__init__(location, "was deleted or replaced while it was in use")

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.location,)

    @property
    def hint(self) -> str:
        """How to go on with the file that is there now."""
        return "restart this process, which still has the old file open; stop all processes before you replace it"


class DatabaseMissing(StorageError):
    """A front end was started where no queue database exists yet."""

    def __init__(self, location: str) -> None:
        super().__init__(location, "does not exist")

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.location,)

    @property
    def summary(self) -> str:
        """Says where the database was looked for."""
        return f"no queue database at {self.location}"

    @property
    def hint(self) -> str:
        """How a database comes to be."""
        return "start a producer or consumer, which creates it, or set QUEUE_DB_FILE to the right file"


class SchemaMismatch(StorageError):
    """The database was written by another version of this library."""

    def __init__(self, location: str, found: str, wanted: str) -> None:
        super().__init__(location, f"has schema {found}, this code needs {wanted}")
        self.found, self.wanted = found, wanted

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, str]]:
        return type(self), (self.location, self.found, self.wanted)

    @property
    def hint(self) -> str:
        """Which side to change."""
        if self.found > self.wanted:
            return "install a newer persistentq"
        return "run `persistentq admin migrate`, which upgrades it and keeps every job"


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
