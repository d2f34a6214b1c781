"""persistentq: a durable job queue whose only server is a database."""

from persistentq.backoff import Backoff
from persistentq.connect import Migration, PersistentQSQLAlchemy, migrate, open_queue
from persistentq.errors import (
    ConfigurationError,
    ConsumerNotFound,
    DatabaseMissing,
    DatabaseReplaced,
    InvalidArgument,
    InvalidTransition,
    JobError,
    JobNotFound,
    LeaseLost,
    LockTimeout,
    PayloadError,
    PersistentQError,
    SchemaMismatch,
    StorageError,
    StorageUnavailable,
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
from persistentq.memory import PersistentQMemory
from persistentq.runtime import Consumer
from persistentq.selection import JobFilter
from persistentq.settings import Settings, load_settings
from persistentq.tasks import NoRetry, current_job, task

__all__ = [
    "TRANSITIONS",
    "ActivityBucket",
    "Attempt",
    "Backoff",
    "ConfigurationError",
    "Consumer",
    "ConsumerInfo",
    "ConsumerNotFound",
    "DatabaseMissing",
    "DatabaseReplaced",
    "InvalidArgument",
    "InvalidTransition",
    "Job",
    "JobError",
    "JobFilter",
    "JobNotFound",
    "JobStatus",
    "LeaseLost",
    "LockTimeout",
    "Migration",
    "NewJob",
    "NoRetry",
    "Outcome",
    "Page",
    "PayloadError",
    "PersistentQError",
    "PersistentQInterface",
    "PersistentQMemory",
    "PersistentQSQLAlchemy",
    "QueueInfo",
    "SchemaMismatch",
    "Settings",
    "StorageError",
    "StorageUnavailable",
    "UniqueKeyTaken",
    "current_job",
    "load_settings",
    "migrate",
    "open_queue",
    "task",
]
