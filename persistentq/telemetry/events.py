"""What is told while jobs run, one event at a time: to the log, and to whoever listens in this process.

An event has a name, and facts by name. Both stay as they are here from release to release; docs/telemetry.md has them
as tables, which a test compares with these.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from persistentq.outcomes import JobTimedOut
from persistentq.settlement import Settlement, Verb
from persistentq.text import safe

LOG = logging.getLogger("persistentq.events")


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """Something that happens.

    Attributes:
        name: What it is called in the log's fields.
        level: A level of `logging`.
        text: The sentence for people, with the facts in `logging`'s own way of writing them.
        facts: The names of its facts, in order; each is explained in FACTS.
    """

    name: str
    level: int
    text: str
    facts: tuple[str, ...]

    @property
    def is_end(self) -> bool:
        """Whether it is the end of an attempt."""
        return "attempt" in self.facts

    @property
    def outcome(self) -> str:
        """Of an attempt's end: how it ended, in one word: `job timed out` is `timed_out`."""
        return self.name.removeprefix("job ").replace(" ", "_")


Facts = Mapping[str, Any]
Listener = Callable[[Event, Facts], object]

FACTS = {
    "address": "where it listens: host and port",
    "app": "what the child processes import",
    "attempt": "which attempt of the job",
    "children": "how many child processes there are",
    "consumer": "the consumer's id",
    "delay": "seconds until the job is ready again",
    "error": "what went wrong, in at most 2,000 characters",
    "file": "the path of the job's file",
    "final": "whether the job is failed now, so that no attempt follows",
    "given_back": "how many running jobs were given back because they did not end in time",
    "host": "the name of the machine",
    "job": "the job's id",
    "listener": "the listener's name in the code",
    "location": "the database, without its password",
    "pause": "seconds until the next try",
    "pid": "the number of the process",
    "places": "how many jobs run at once",
    "queue": "the job's queue",
    "queues": "the names of the queues that are served, with commas between them",
    "running": "how many jobs run",
    "schedule": "the schedule's name",
    "seconds": "how long it took; of a job: how long its code ran, 0 if it did not begin",
    "task": "the name of the job's task",
    "tick": "the time that the schedule meant, in UTC",
    "waited": "seconds from the job being ready until it was claimed",
}
"""Every fact that an event may have, and what it is."""

_ATTEMPT = ("consumer", "job", "task", "queue", "attempt")
_ENDED = (*_ATTEMPT, "waited", "seconds")
_JOB = "job %(job)d %(task)s attempt %(attempt)d "

CONSUMER_STARTED = Event(
    "consumer started",
    logging.INFO,
    "%(consumer)s started; queues %(queues)s",
    ("consumer", "host", "pid", "queues", "places"),
)
CONSUMER_WAITING = Event(
    "consumer waiting", logging.WARNING, "%(consumer)s waits: %(error)s", ("consumer", "error")
)
CONSUMER_STOPPED = Event("consumer stopped", logging.INFO, "%(consumer)s stopped", ("consumer",))
CONSUMER_REPLACED = Event(
    "consumer replaced",
    logging.ERROR,
    "%(consumer)s stops, as another has its id: %(error)s",
    ("consumer", "error"),
)
DRAIN_BEGUN = Event(
    "drain begun",
    logging.INFO,
    "%(consumer)s takes no more jobs; %(running)d still run",
    ("consumer", "running"),
)
DRAIN_ENDED = Event(
    "drain ended",
    logging.INFO,
    "%(consumer)s drained in %(seconds).3f s; %(given_back)d jobs given back",
    ("consumer", "given_back", "seconds"),
)
LEASES_LEFT = Event(
    "leases left",
    logging.WARNING,
    "%(consumer)s leaves its jobs to their leases: %(error)s",
    ("consumer", "error"),
)
JOB_DONE = Event("job done", logging.INFO, _JOB + "done in %(seconds).3f s", _ENDED)
JOB_FAILED = Event(
    "job failed",
    logging.WARNING,
    _JOB + "failed in %(seconds).3f s: %(error)s",
    (*_ENDED, "error", "final"),
)
JOB_TIMED_OUT = Event(
    "job timed out",
    logging.WARNING,
    _JOB + "timed out after %(seconds).3f s: %(error)s",
    (*_ENDED, "error", "final"),
)
JOB_SNOOZED = Event(
    "job snoozed",
    logging.INFO,
    _JOB + "snoozed after %(seconds).3f s for %(delay)g s",
    (*_ENDED, "delay"),
)
JOB_GIVEN_BACK = Event("job given back", logging.INFO, _JOB + "given back after %(seconds).3f s", _ENDED)
JOB_CANCELLED = Event(
    "job cancelled",
    logging.WARNING,
    _JOB + "cancelled after %(seconds).3f s: %(error)s",
    (*_ENDED, "error"),
)
JOB_LOST = Event("job lost", logging.WARNING, _JOB + "was lost to another consumer or an operator", _ATTEMPT)
SCHEDULE_TICKED = Event(
    "schedule ticked",
    logging.INFO,
    "schedule %(schedule)s ticked for %(tick)s: job %(job)d %(task)s",
    ("consumer", "schedule", "tick", "job", "task", "queue"),
)
DOORBELL_FALLBACK = Event(
    "doorbell fallback",
    logging.WARNING,
    "%(location)s rings no bell: %(error)s",
    ("location", "error"),
)
CHILD_NOT_STARTED = Event(
    "child not started",
    logging.ERROR,
    "no child process can load %(app)s: %(error)s; next try in %(pause).0f s",
    ("app", "error", "pause"),
)
CHILD_DIED = Event("child died", logging.WARNING, "an idle child process died: %(error)s", ("error",))
CHILDREN_LIMITED = Event(
    "children limited",
    logging.WARNING,
    "no more than %(children)d child processes can be kept: %(error)s",
    ("children", "error"),
)
METRICS_SERVED = Event(
    "metrics served",
    logging.INFO,
    "%(consumer)s serves metrics at http://%(address)s/metrics",
    ("consumer", "address"),
)
LISTENER_FAILED = Event(
    "listener failed", logging.ERROR, "%(listener)s failed: %(error)s", ("listener", "error")
)
JOB_ENQUEUED = Event(
    "job enqueued", logging.INFO, "job %(job)d enqueued for %(file)s", ("job", "task", "queue", "file")
)
ENQUEUE_FAILED = Event(
    "enqueue failed",
    logging.WARNING,
    "no job was enqueued, the file is removed: %(error)s",
    ("error",),
)

EVENTS = (
    CONSUMER_STARTED,
    CONSUMER_WAITING,
    CONSUMER_STOPPED,
    CONSUMER_REPLACED,
    DRAIN_BEGUN,
    DRAIN_ENDED,
    LEASES_LEFT,
    JOB_DONE,
    JOB_FAILED,
    JOB_TIMED_OUT,
    JOB_SNOOZED,
    JOB_GIVEN_BACK,
    JOB_CANCELLED,
    JOB_LOST,
    SCHEDULE_TICKED,
    DOORBELL_FALLBACK,
    CHILD_NOT_STARTED,
    CHILD_DIED,
    CHILDREN_LIMITED,
    METRICS_SERVED,
    LISTENER_FAILED,
    JOB_ENQUEUED,
    ENQUEUE_FAILED,
)

ENDS = {
    Verb.COMPLETE: JOB_DONE,
    Verb.FAIL: JOB_FAILED,
    Verb.SNOOZE: JOB_SNOOZED,
    Verb.RELEASE: JOB_GIVEN_BACK,
    Verb.CANCEL: JOB_CANCELLED,
}


def event_of(word: Settlement | None, *, is_completed: bool = False) -> Event:
    """Return how an attempt has ended, by the consumer's word on it.

    Args:
        word: None if there is nothing to say of the job.
        is_completed: Whether that is so because the job is done already.
    """
    if word is None:
        return JOB_DONE if is_completed else JOB_LOST
    if word.failure is not None and word.failure.type == JobTimedOut.__name__:
        return JOB_TIMED_OUT
    return ENDS[word.verb]


_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let `listener` be told of every event in this process, whatever the log's level, while the block runs.

    Args:
        listener: Called with the event and its facts, in the thread where it happened, so it must be quick. What it
            raises is logged, and nobody else notices.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def is_heard(event: Event) -> bool:
    """Return whether anybody would hear of it: else its facts need not be put together."""
    return bool(_listeners) or LOG.isEnabledFor(event.level)


def tell(event: Event, **facts: Any) -> None:
    """Tell of an event; never raises. The facts must be those of the event, in any order."""
    if LOG.isEnabledFor(event.level):
        _write(event, facts)
    for listener in tuple(_listeners):
        try:
            listener(event, facts)
        except Exception as error:
            name = getattr(listener, "__qualname__", type(listener).__qualname__)
            _write(LISTENER_FAILED, {"listener": name, "error": f"{type(error).__name__}: {error}"})


def _write(event: Event, facts: Facts) -> None:
    # Whoever formats the record, its sentence stays one line. Not LOG.log: it looks for the caller's line, which says
    # nothing here and takes half of the time.
    shown = {name: safe(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
    record = logging.LogRecord(LOG.name, event.level, "", 0, event.text, (shown,), None)
    record.event, record.facts = event.name, facts
    LOG.handle(record)
