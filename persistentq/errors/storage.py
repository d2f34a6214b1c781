"""What is wrong with the database."""

from __future__ import annotations

from typing import ClassVar, Self

from persistentq.errors.base import PersistentQError


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


class QueueMoving(StorageUnavailable):
    """The queue is on its way to another database; nothing was changed, and calling again is safe."""

    def __init__(self, location: str, target: str) -> None:
        super().__init__(location, f"is being moved to {target}")
        self.target = target

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.location, self.target)

    @property
    def hint(self) -> str:
        """What to do until it has arrived."""
        return "try again when `graduate` has ended; if it was cut short, run it again"


class QueueMoved(StorageError):
    """The queue is in another database by now; nothing was changed, and nothing will be here any more."""

    def __init__(self, location: str, target: str) -> None:
        super().__init__(location, f"has moved to {target}")
        self.target = target

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.location, self.target)

    @property
    def hint(self) -> str:
        """How to go on there."""
        if "://" not in self.target:
            return f"set QUEUE_DB_FILE to {self.target}, unset QUEUE_DB_URL, and start this process again"
        return f"set QUEUE_DB_URL to {self.target}, with its password, and start this process again"


class QueueIncomplete(StorageError):
    """The database is the unfinished copy of another queue, which `graduate` has not made live yet."""

    def __init__(self, location: str, origin: str) -> None:
        super().__init__(location, f"is an unfinished copy of {origin}")
        self.origin = origin

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.location, self.origin)

    @property
    def hint(self) -> str:
        """How to finish it."""
        return "wait for `graduate` to end; if it was cut short, run it again, which finishes the move"


class CopyRefused(PersistentQError):
    """A queue was not backed up, restored or moved: the one or the other database is not in a state for it."""

    exit_code = 2

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem, self.remedy = problem, remedy

    @property
    def summary(self) -> str:
        """What stands in the way."""
        return self.problem

    @property
    def hint(self) -> str:
        """What to do about it."""
        return self.remedy
