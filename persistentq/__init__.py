"""persistentq: a durable job queue whose only server is a database."""

from typing import TYPE_CHECKING, Any

from persistentq.acts import Act, IdPage
from persistentq.backoff import Backoff
from persistentq.connect import Migration, load_store, migrate, open_queue
from persistentq.context import JobContext, current_job
from persistentq.doorbell import Doorbell
from persistentq.errors import (
    ActRefused,
    ConfigurationError,
    ConsumerAlive,
    ConsumerNotFound,
    CopyRefused,
    CountDiffers,
    DatabaseMissing,
    DatabaseReplaced,
    EntryNotFound,
    ExtraMissing,
    InvalidArgument,
    InvalidQuery,
    InvalidTransition,
    JobError,
    JobNotFound,
    LeaseLost,
    LockTimeout,
    NothingToUndo,
    PayloadError,
    PersistentQError,
    QueueIncomplete,
    QueueMoved,
    QueueMoving,
    ReadOnlyMode,
    ScheduleNotFound,
    SchemaMismatch,
    StorageError,
    StorageUnavailable,
    SupervisionError,
    UniqueKeyTaken,
)
from persistentq.interface import PersistentQInterface
from persistentq.job import (
    TRANSITIONS,
    ActivityBucket,
    Attempt,
    ConsumerInfo,
    Job,
    JobStatus,
    NewJob,
    Outcome,
    Page,
    QueueInfo,
)
from persistentq.job_log import JobLog, LogLine, Progress
from persistentq.journal import ActBatch, ActNote, JournalEntry, JournalPage
from persistentq.memory import PersistentQMemory
from persistentq.outcomes import Cancel, JobCancelled, JobInterrupted, JobTimedOut, NoRetry, Retry, Snooze
from persistentq.runtime import Consumer
from persistentq.schedule import CatchUp, Schedule, ScheduleInfo
from persistentq.settings import Settings, load_settings
from persistentq.tasks import TASKS, Task, Tasks, task

if TYPE_CHECKING:
    from persistentq.sql.store import PersistentQSQLAlchemy

__all__ = [
    "TASKS",
    "TRANSITIONS",
    "Act",
    "ActBatch",
    "ActNote",
    "ActRefused",
    "ActivityBucket",
    "Attempt",
    "Backoff",
    "Cancel",
    "CatchUp",
    "ConfigurationError",
    "Consumer",
    "ConsumerAlive",
    "ConsumerInfo",
    "ConsumerNotFound",
    "CopyRefused",
    "CountDiffers",
    "DatabaseMissing",
    "DatabaseReplaced",
    "Doorbell",
    "EntryNotFound",
    "ExtraMissing",
    "IdPage",
    "InvalidArgument",
    "InvalidQuery",
    "InvalidTransition",
    "Job",
    "JobCancelled",
    "JobContext",
    "JobError",
    "JobInterrupted",
    "JobLog",
    "JobNotFound",
    "JobStatus",
    "JobTimedOut",
    "JournalEntry",
    "JournalPage",
    "LeaseLost",
    "LockTimeout",
    "LogLine",
    "Migration",
    "NewJob",
    "NoRetry",
    "NothingToUndo",
    "Outcome",
    "Page",
    "PayloadError",
    "PersistentQError",
    "PersistentQInterface",
    "PersistentQMemory",
    "PersistentQSQLAlchemy",
    "Progress",
    "QueueIncomplete",
    "QueueInfo",
    "QueueMoved",
    "QueueMoving",
    "ReadOnlyMode",
    "Retry",
    "Schedule",
    "ScheduleInfo",
    "ScheduleNotFound",
    "SchemaMismatch",
    "Settings",
    "Snooze",
    "StorageError",
    "StorageUnavailable",
    "SupervisionError",
    "Task",
    "Tasks",
    "UniqueKeyTaken",
    "current_job",
    "load_settings",
    "migrate",
    "open_queue",
    "task",
]

# Type checkers know the name from above; a `__getattr__` that they saw would make every misspelt name valid.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # SQLAlchemy takes several times as long to load as all the rest, so it is loaded when it is first asked for.
        if name != "PersistentQSQLAlchemy":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = store = load_store()
        return store


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
