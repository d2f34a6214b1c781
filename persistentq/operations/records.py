"""A job as plain values by name: what every machine-readable output and every exported file is made of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from persistentq.backoff import Backoff
from persistentq.job import Job, JobStatus

Record = dict[str, Any]

COLUMNS = (
    *("id", "status", "task", "queue", "priority", "attempt", "max_attempts", "consumer"),
    *("created_at", "run_at", "started_at", "finished_at", "error", "args", "reserved_for"),
    *("cancel_requested", "lease_until", "unique_key", "result", "tags", "metadata", "backoff"),
)
"""The names and their order are part of the promise of `list-jobs --output json` and of exported files."""


def job_record(job: Job) -> Record:
    """Return a job's values by the names of COLUMNS."""
    return {name: _plain(getattr(job, name)) for name in COLUMNS}


def _plain(value: Any) -> Any:
    match value:
        case JobStatus():
            return value.value
        case datetime():
            return timestamp(value)
        case tuple():
            return list(value)
        case Backoff():
            return {"base": value.base.total_seconds(), "cap": value.cap.total_seconds()}
        case Mapping():
            return dict(value)
    return value


def timestamp(moment: datetime | None) -> str | None:
    """Return the moment in RFC 3339, UTC, always with microseconds, so that text sorts like time."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
