"""The background: a thread that reads what the screen shows, and threads that carry out what was confirmed.

The screen never waits for the database. What was read arrives as a Move; while none arrives, the screen shows the
age of what it has.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from threading import Thread

from persistentq import PersistentQInterface, Settings, clock, open_queue
from persistentq.acts import Act as JobsAct
from persistentq.errors import JobNotFound
from persistentq.job import Attempt, Job, JobStatus
from persistentq.operations import Operator

from . import news
from .state import Act, Move, Request, Snapshot

INTERVAL, LONGEST_INTERVAL = timedelta(seconds=0.5), timedelta(seconds=10)
SHARE = 10
"""One part in so many of its time the reader may spend reading, so that a big database is not kept busy by it."""

LOCK_TIMEOUT = timedelta(seconds=1)
HELD_SHOWN = 100


class Reader(Thread):
    """Reads again and again, at once when asked for something else, and tells what it read or why it could not."""

    def __init__(self, settings: Settings, request: Request, tell: Callable[[Move], None]) -> None:
        # A daemon: a call that hangs in the database must not keep the operator from leaving.
        super().__init__(name="reader", daemon=True)
        # Its own, short patience: the screen should rather say that the database is locked.
        self._settings = replace(settings, lock_timeout=min(settings.lock_timeout, LOCK_TIMEOUT))
        self._request, self._tell = request, tell
        self._bell, self._is_over = clock.Bell(), False
        self._queue: PersistentQInterface | None = None
        self._file: tuple[int, int] | None = None

    def ask(self, request: Request) -> None:
        """Read `request` from now on, at once if it is a new one."""
        if request != self._request:
            self._request = request
            self._bell.ring()

    def hurry(self) -> None:
        """Read at once: something was changed."""
        self._bell.ring()

    def stop(self) -> None:
        """Stop, and wait a moment for the last read to end."""
        self._is_over = True
        self._bell.ring()
        if self.is_alive():
            self.join(LOCK_TIMEOUT.total_seconds())

    def run(self) -> None:
        """Read until stopped."""
        pause = INTERVAL
        while not self._is_over:
            begun = clock.now()
            try:
                operator = Operator.with_settings(self._open(), self._settings, face="manager")
                snapshot = read(operator, self._request)
            except Exception as problem:  # Whatever it is, the screen must say it; a dead thread would not.
                self._close()
                self._tell(news.was_not_read(problem))
            else:
                pause = min(max(INTERVAL, (snapshot.read_at - begun) * (SHARE - 1)), LONGEST_INTERVAL)
                self._tell(news.was_read(replace(snapshot, next_in=pause)))
            self._bell.wait(pause.total_seconds())
        self._close()

    def _open(self) -> PersistentQInterface:
        if self._queue is not None and _identity(self._queue) != self._file:
            self._close()  # The file was removed or replaced; its old content must not pass for live.
        if self._queue is None:
            self._queue = open_queue(create=False, settings=self._settings)
            self._file = _identity(self._queue)
        return self._queue

    def _close(self) -> None:
        if self._queue is not None:
            self._queue.close()
            self._queue = None


def _identity(queue: PersistentQInterface) -> tuple[int, int] | None:
    """Return which file the queue is in; None if it is in no file."""
    try:
        status = os.stat(queue.location)  # noqa: PTH116 - a location may be a URL
    except OSError:
        return None
    return status.st_dev, status.st_ino


def read(operator: Operator, request: Request) -> Snapshot:
    """Read everything that `request` wants, in short transactions of its own each.

    Raises:
        StorageError: the database fails.
    """
    listing, queue = request.listing, operator.queue
    page = operator.list_jobs(
        status=listing.status, consumer=listing.consumer, limit=request.limit, after=listing.after
    )
    counts: Counter[JobStatus] = Counter()
    for by_status in queue.count_jobs().values():
        counts.update(by_status)
    wanted = request.job_id or (page.items[0].id if page.items else None)
    selected, attempts = (None, ()) if wanted is None else _read_job(operator, wanted)
    held: defaultdict[str, tuple[int, ...]] = defaultdict(tuple)
    for job in queue.list_jobs(status=JobStatus.PROCESSING, limit=HELD_SHOWN):
        held[job.consumer or ""] += (job.id,)
    return Snapshot(
        request=request,
        location=queue.location,
        counts=counts,
        page=page,
        selected=selected,
        attempts=attempts,
        consumers=tuple(queue.list_consumers()),
        held=held,
        gone=frozenset(job_id for job_id in request.marks if _is_gone(queue, job_id)),
        read_at=clock.now(),
        next_in=INTERVAL,
    )


def _read_job(operator: Operator, job_id: int) -> tuple[Job | None, tuple[Attempt, ...]]:
    try:
        return operator.get_job(job_id), tuple(operator.get_attempts(job_id))
    except JobNotFound:
        return None, ()


def _is_gone(queue: PersistentQInterface, job_id: int) -> bool:
    try:
        queue.get_job(job_id)
    except JobNotFound:
        return True
    return False


def carry_out(settings: Settings, order: Act, tell: Callable[[Move], None]) -> Thread:
    """Act on the jobs in a thread, and tell what came of it.

    The thread is not a daemon: what the operator confirmed is brought to its end although the manager is left.
    """

    def work() -> None:
        try:
            with open_queue(create=False, settings=settings) as queue:
                operator = Operator.with_settings(queue, settings, face="manager")
                result = operator.act(JobsAct(order.verb, consumer=order.consumer), order.job_ids)
        except Exception as problem:  # The status line must say it, whatever it is.
            tell(news.was_not_done(order, problem))
        else:
            tell(news.was_done(order, result))

    thread = Thread(target=work, name=order.verb)
    thread.start()
    return thread
