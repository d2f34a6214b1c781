"""What a consumer tells of its jobs: each attempt that it claimed ends in one event, once its end is stored."""

from __future__ import annotations

from persistentq.job import Job
from persistentq.settlement import Settlement, Verb
from persistentq.telemetry import events
from persistentq.telemetry.events import event_of, is_heard, tell


class Words:
    """A consumer's words on its jobs, until they were heard; then it is told what became of each job.

    Attributes:
        unheard: The words, in the order in which they were said.
    """

    def __init__(self) -> None:
        self.unheard: list[Settlement] = []
        self._seconds: list[float] = []

    def __bool__(self) -> bool:
        return bool(self.unheard)

    def say(self, word: Settlement, seconds: float = 0.0) -> None:
        """Keep a word on a job whose code ran for so many seconds."""
        self.unheard.append(word)
        self._seconds.append(seconds)

    def note_heard(self, refused: list[Job]) -> None:
        """Tell and forget all of them; those on the `refused` jobs came too late."""
        late = {(job.id, job.attempt) for job in refused}
        for word, seconds in zip(self.unheard, self._seconds, strict=True):
            if late and (word.job.id, word.job.attempt) in late:
                tell_lost(word.job)
            else:
                tell_end(word, seconds)
        self.unheard, self._seconds = [], []


def tell_end(word: Settlement, seconds: float) -> None:
    """Tell that a consumer's word on a job was heard.

    Args:
        seconds: How long the job's code ran.
    """
    event = event_of(word)
    if not is_heard(event):
        return
    job, failure = word.job, word.failure
    more: dict[str, object] = {}
    if failure is not None:
        more["error"] = failure.message
    if word.verb is Verb.FAIL:
        more["final"] = not word.retry or job.attempt >= job.max_attempts
    elif word.delay is not None:
        more["delay"] = word.delay.total_seconds()
    waited = 0.0 if job.started_at is None else (job.started_at - job.run_at).total_seconds()
    tell(
        event,
        consumer=job.consumer,
        job=job.id,
        task=job.task,
        queue=job.queue,
        attempt=job.attempt,
        waited=max(0.0, waited),
        seconds=round(seconds, 6),
        **more,
    )


def tell_lost(job: Job) -> None:
    """Tell that a job was lost while it ran, or that the word on it came too late."""
    if is_heard(events.JOB_LOST):
        tell(
            events.JOB_LOST,
            consumer=job.consumer,
            job=job.id,
            task=job.task,
            queue=job.queue,
            attempt=job.attempt,
        )


def tell_tick(consumer: str, job: Job) -> None:
    """Tell that a consumer has enqueued a schedule's job."""
    tell(
        events.SCHEDULE_TICKED,
        consumer=consumer,
        schedule=job.metadata["schedule"],
        tick=job.metadata["tick"],
        job=job.id,
        task=job.task,
        queue=job.queue,
    )
