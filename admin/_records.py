"""Jobs, attempts and consumers as plain values by name: what every machine-readable output is made of."""

from __future__ import annotations

from typing import Any

from persistentq import Attempt, ConsumerInfo, JobLog
from persistentq.operations import records

Record = dict[str, Any]
job_record, timestamp = records.job_record, records.timestamp


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
        "tasks": None if consumer.tasks is None else list(consumer.tasks),
    }


def consumer_state(consumer: ConsumerInfo) -> str:
    """Return `alive`, `stopped` (it said goodbye) or `silent` (it did not)."""
    if consumer.is_alive:
        return "alive"
    return "silent" if consumer.stopped_at is None else "stopped"
