"""persistentq: a durable job queue whose only server is a database."""

from persistentq.connect import PersistentQSQLAlchemy, open_queue
from persistentq.errors import (
    ConfigurationError,
    ConsumerNotFound,
    DatabaseMissing,
    InvalidArgument,
    InvalidTransition,
    JobError,
    JobNotFound,
    LeaseLost,
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
)
from persistentq.memory import PersistentQMemory
from persistentq.settings import Settings, load_settings

__all__ = [
    "TRANSITIONS",
    "ActivityBucket",
    "Attempt",
    "ConfigurationError",
    "ConsumerInfo",
    "ConsumerNotFound",
    "DatabaseMissing",
    "InvalidArgument",
    "InvalidTransition",
    "Job",
    "JobError",
    "JobNotFound",
    "JobStatus",
    "LeaseLost",
    "NewJob",
    "Outcome",
    "Page",
    "PayloadError",
    "PersistentQError",
    "PersistentQInterface",
    "PersistentQMemory",
    "PersistentQSQLAlchemy",
    "SchemaMismatch",
    "Settings",
    "StorageError",
    "StorageUnavailable",
    "UniqueKeyTaken",
    "load_settings",
    "open_queue",
]
