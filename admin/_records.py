"""Jobs, attempts and consumers as plain values by name: what every machine-readable output is made of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from persistentq import Attempt, ConsumerInfo, Job, JobLog

Record = dict[str, Any]


def job_record(job: Job) -> Record:
    """Return a job; the names and their order are part of the promise of `list-jobs --output json`."""
    return {
        "id": job.id,
        "status": str(job.status),
        "task": job.task,
        "queue": job.queue,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "consumer": job.consumer,
        "created_at": timestamp(job.created_at),
        "run_at": timestamp(job.run_at),
        "started_at": timestamp(job.started_at),
        "finished_at": timestamp(job.finished_at),
        "error": job.error,
        "args": dict(job.args),
        "reserved_for": job.reserved_for,
        "cancel_requested": job.cancel_requested,
        "lease_until": timestamp(job.lease_until),
        "unique_key": job.unique_key,
        "result": job.result,
    }


def attempt_record(attempt: Attempt) -> Record:
    """Return one attempt of a job."""
    return {
        "attempt": attempt.attempt,
        "consumer": attempt.consumer,
        "started_at": timestamp(attempt.started_at),
        "ended_at": timestamp(attempt.ended_at),
        "outcome": None if attempt.outcome is None else str(attempt.outcome),
        "error_type": attempt.error_type,
        "error": attempt.error,
        "traceback": attempt.traceback,
    }


def log_record(log: JobLog) -> Record:
    """Return what a job's tasks have told."""
    return {
        "progress": None if log.progress is None else log.progress._asdict(),
        "dropped": log.dropped,
        "lines": [
            {"attempt": line.attempt, "at": timestamp(line.at), "text": line.text} for line in log.lines
        ],
    }


def consumer_record(consumer: ConsumerInfo) -> Record:
    """Return one consumer."""
    return {
        "id": consumer.id,
        "state": consumer_state(consumer),
        "held": consumer.held,
        "silent_seconds": round(consumer.silent_for.total_seconds(), 3),
        "host": consumer.host,
        "pid": consumer.pid,
        "queues": list(consumer.queues),
        "started_at": timestamp(consumer.started_at),
        "heartbeat_at": timestamp(consumer.heartbeat_at),
        "stopped_at": timestamp(consumer.stopped_at),
        "trouble": consumer.trouble,
    }


def consumer_state(consumer: ConsumerInfo) -> str:
    """Return `alive`, `stopped` (it said goodbye) or `silent` (it did not)."""
    if consumer.is_alive:
        return "alive"
    return "silent" if consumer.stopped_at is None else "stopped"


def timestamp(moment: datetime | None) -> str | None:
    """Return the moment in RFC 3339, UTC, always with microseconds, so that text sorts like time."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
