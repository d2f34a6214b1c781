"""Every error this library raises on its own account.

```
PersistentQError                      .summary .hint .exit_code
├── InvalidArgument (ValueError)      .name .value .problem
│   ├── PayloadError                  an argument or a result that is not bounded JSON
│   └── InvalidQuery                  .at
├── ConfigurationError                .key .value .source .problem
├── StorageError                      __cause__ is the driver's error
│   ├── StorageUnavailable            .retryable is True: full, connection lost
│   │   ├── LockTimeout               locked for longer than QUEUE_LOCK_TIMEOUT
│   │   └── QueueMoving               .target; on its way to another database
│   ├── QueueMoved                    .target; in another database by now
│   ├── QueueIncomplete               .origin; the unfinished copy of another queue
│   ├── DatabaseReplaced              the file was deleted or replaced while it was open
│   ├── DatabaseMissing               .location
│   └── SchemaMismatch                .found .wanted
├── JobError                          .job_id
│   ├── JobNotFound
│   ├── InvalidTransition             .status .verb .allowed
│   ├── UniqueKeyTaken                .unique_key
│   ├── ActRefused                    .problem
│   └── LeaseLost                     .consumer .attempt
├── CopyRefused                       .problem .remedy
├── EntryNotFound                     .entry
├── NothingToUndo                     .entry .verb
├── ReadOnlyMode                      .verb
├── CountDiffers                      .expected .found
├── ConsumerNotFound                  .consumer
├── ConsumerAlive                     .consumer .host .pid .since
├── ScheduleNotFound                  .name
├── ExtraMissing                      .needs .extra
└── SupervisionError                  .problem .remedy .fault
```

A message is one line: the subject, the values, and after `; ` the remedy. Front ends print the two halves as
`error: …` and `hint: …` and leave with `exit_code`.
"""

from persistentq.errors.base import (
    ConfigurationError,
    InvalidArgument,
    InvalidQuery,
    PayloadError,
    PersistentQError,
    shown,
)
from persistentq.errors.storage import (
    CopyRefused,
    DatabaseMissing,
    DatabaseReplaced,
    LockTimeout,
    QueueIncomplete,
    QueueMoved,
    QueueMoving,
    SchemaMismatch,
    StorageError,
    StorageUnavailable,
)
from persistentq.errors.subjects import (
    ActRefused,
    ConsumerAlive,
    ConsumerNotFound,
    CountDiffers,
    EntryNotFound,
    ExtraMissing,
    InvalidTransition,
    JobError,
    JobNotFound,
    LeaseLost,
    NothingToUndo,
    ReadOnlyMode,
    ScheduleNotFound,
    SupervisionError,
    UniqueKeyTaken,
)

__all__ = [
    "ActRefused",
    "ConfigurationError",
    "ConsumerAlive",
    "ConsumerNotFound",
    "CopyRefused",
    "CountDiffers",
    "DatabaseMissing",
    "DatabaseReplaced",
    "EntryNotFound",
    "ExtraMissing",
    "InvalidArgument",
    "InvalidQuery",
    "InvalidTransition",
    "JobError",
    "JobNotFound",
    "LeaseLost",
    "LockTimeout",
    "NothingToUndo",
    "PayloadError",
    "PersistentQError",
    "QueueIncomplete",
    "QueueMoved",
    "QueueMoving",
    "ReadOnlyMode",
    "ScheduleNotFound",
    "SchemaMismatch",
    "StorageError",
    "StorageUnavailable",
    "SupervisionError",
    "UniqueKeyTaken",
    "shown",
]
