"""What may be typed next: the ids and names that the queue knows, as a shell offers them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from persistentq import Job, PersistentQError, PersistentQInterface, open_queue
from persistentq.operations import safe
from persistentq.query import EVERY_JOB, All, Comparison, Term
from persistentq.query.completing import Offer, complete

SHOWN = 50
RECENT = 200
"""Names are looked for in so many of the newest jobs: no answer may take long, whatever the queue holds."""

_PLAIN = re.compile(r"[A-Za-z0-9_.:@+/-]+")


def job_ids(incomplete: str) -> list[Offer]:
    """Offer the newest jobs whose ids begin so."""
    return _asked(lambda store: map(_job_offer, _newest(store, incomplete)))


def entries(incomplete: str) -> list[Offer]:
    """Offer the newest entries of the journal whose ids begin so."""
    return [
        (word, text)
        for word, text in _asked(
            lambda store: (
                (str(one.id), f"{one.verb} by {one.actor}") for one in store.list_journal(limit=SHOWN).items
            )
        )
        if word.startswith(incomplete)
    ]


def queue_names(incomplete: str) -> list[Offer]:
    """Offer the queues of the newest jobs, and those that consumers serve."""
    return _beginning(incomplete, _queues)


def task_names(incomplete: str) -> list[Offer]:
    """Offer the tasks of the newest jobs and of the schedules."""
    return _beginning(incomplete, _tasks)


def consumer_names(incomplete: str) -> list[Offer]:
    """Offer the consumers."""
    return _beginning(incomplete, _consumers)


def jobs_and_consumers(incomplete: str) -> list[Offer]:
    """Offer both: either may come next."""
    return job_ids(incomplete) + consumer_names(incomplete)


def schedule_names(incomplete: str) -> list[Offer]:
    """Offer the schedules."""
    return _beginning(incomplete, _schedules)


def query_terms(incomplete: str) -> list[Offer]:
    """Offer what may follow in a query: a field, or a value of one whose values are known."""
    return complete(incomplete, _values)


def _values(field: str, incomplete: str) -> list[Offer]:
    names = {"queue": queue_names, "task": task_names, "consumer": consumer_names}.get(field)
    return [] if names is None else names(incomplete)


def _beginning(incomplete: str, read: Callable[[PersistentQInterface], Iterable[Offer]]) -> list[Offer]:
    offers = dict(sorted(_asked(read)))
    # A shell would take other words apart, or run what stands in them.
    return [
        (word, text)
        for word, text in offers.items()
        if word.startswith(incomplete) and _PLAIN.fullmatch(word)
    ]


def _asked(read: Callable[[PersistentQInterface], Iterable[Offer]]) -> list[Offer]:
    """Return what the queue offers; nothing if it cannot be opened or read."""
    try:
        with open_queue(create=False) as store:
            return [(word, safe(text, 70)) for word, text in read(store)]
    except (PersistentQError, OSError):
        return []


def _newest(store: PersistentQInterface, prefix: str) -> list[Job]:
    newest = list(store.find_jobs(EVERY_JOB, limit=SHOWN))
    if not prefix or not newest:
        return newest
    if not (prefix.isascii() and prefix.isdigit()) or prefix.startswith("0"):
        return []
    found: list[Job] = []
    for first, last in reversed(list(_ids_beginning(int(prefix), newest[0].id))):
        if room := SHOWN - len(found):
            wanted = (Term("id", Comparison.AT_LEAST, first), Term("id", Comparison.AT_MOST, last))
            found += store.find_jobs(All(wanted), limit=room)
    return found


def _ids_beginning(prefix: int, highest: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of the ids of each length that begin so, up to the highest there is."""
    size = 1
    while prefix * size <= highest:
        yield prefix * size, min((prefix + 1) * size - 1, highest)
        size *= 10


def _job_offer(job: Job) -> Offer:
    return str(job.id), f"{job.status}, {job.task} in {job.queue}"


def _queues(store: PersistentQInterface) -> Iterator[Offer]:
    for job in store.find_jobs(EVERY_JOB, limit=RECENT):
        yield job.queue, ""
    for one in store.list_consumers():
        yield from ((name, "") for name in one.queues)


def _tasks(store: PersistentQInterface) -> Iterator[Offer]:
    for job in store.find_jobs(EVERY_JOB, limit=RECENT):
        yield job.task, ""
    for info in store.list_schedules():
        yield info.schedule.task, ""


def _consumers(store: PersistentQInterface) -> Iterator[Offer]:
    for one in store.list_consumers():
        yield one.id, f"{'alive' if one.is_alive else 'not there'}, serves {', '.join(one.queues)}"


def _schedules(store: PersistentQInterface) -> Iterator[Offer]:
    for info in store.list_schedules():
        yield info.schedule.name, f"{info.schedule.expression}: {info.schedule.task}"
