"""What a consumer tells its log: one event, one line, with the facts as fields of the record.

A record's `event` names what happened and `facts` has the rest: job, task, queue, attempt, seconds, outcome, error.
"""

from __future__ import annotations

import logging
from typing import Any

from persistentq.job import Job
from persistentq.runtime.executor import Ended
from persistentq.settlement import Settlement, Verb
from persistentq.text import safe

LOG = logging.getLogger("persistentq.consumer")
_TOLD = {
    Verb.COMPLETE: (logging.INFO, "done"),
    Verb.FAIL: (logging.WARNING, "failed"),
    Verb.SNOOZE: (logging.INFO, "snoozed"),
    Verb.RELEASE: (logging.INFO, "given back"),
    Verb.CANCEL: (logging.WARNING, "cancelled"),
}


def tell_end(ended: Ended, word: Settlement | None) -> None:
    """Tell how a run ended; nothing of one whose loss was told already."""
    if word is None:
        return
    level, outcome = _TOLD[word.verb]
    if not LOG.isEnabledFor(level):
        return
    job, error = ended.run.job, word.failure and word.failure.message
    tail = f": {safe(error)}" if error else ""
    LOG.log(
        level,
        "job %d %s attempt %d %s in %.3f s%s",
        job.id,
        job.task,
        job.attempt,
        outcome,
        ended.seconds,
        tail,
        extra=_fields(f"job {outcome}", job, seconds=round(ended.seconds, 6), error=error),
    )


def tell_lost(job: Job) -> None:
    """Tell that a job was lost while it ran, or that the word on it came too late."""
    LOG.warning(
        "job %d %s attempt %d was lost to another consumer or an operator",
        job.id,
        job.task,
        job.attempt,
        extra=_fields("job lost", job),
    )


def _fields(event: str, job: Job, **more: Any) -> dict[str, Any]:
    facts = {"job": job.id, "task": job.task, "queue": job.queue, "attempt": job.attempt}
    return {
        "event": event,
        "facts": facts | {name: value for name, value in more.items() if value is not None},
    }
