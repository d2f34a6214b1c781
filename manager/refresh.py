"""The background: a thread that reads what the screen shows, and threads that carry out what was confirmed.

The screen never waits for the database. What was read arrives as a Move; while none arrives, the screen shows the
age of what it has.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Thread
from typing import Any, NamedTuple

from persistentq import PersistentQInterface, Settings, clock, open_queue
from persistentq.errors import JobNotFound
from persistentq.operations import Operator
from persistentq.operations.emptiness import removals
from persistentq.query import parse

from . import deeds, news
from .around import Around
from .asking import Do, Look
from .rows import read_output, read_rows
from .snapshot import INTERVALS, Counts, Place, Request, Snapshot
from .state import Move

INTERVAL, LONGEST_INTERVAL = INTERVALS[0], INTERVALS[-1]
READS, COUNTS = 40, 160
"""One part in so many of its time the reader may spend on counting, and one on all else, so that a big database is not
kept busy by it."""

LONGEST_UNCOUNTED = timedelta(minutes=1)
LONGEST_UNREAD = timedelta(seconds=2)
"""What nobody changed is read again after this all the same: time alone makes consumers silent."""

LOCK_TIMEOUT = timedelta(seconds=1)
STANDSTILL = timedelta(days=1)
COUNTED = 1000
"""The jobs that a query means are counted no further."""


Written = tuple[tuple[int, int], ...]


class Counted(NamedTuple):
    """How many jobs there were, and when."""

    counts: Counts
    at: datetime


class Reader(Thread):
    """Reads again and again, at once when asked for something else, and tells what it read or why it could not."""

    def __init__(self, settings: Settings, request: Request, tell: Callable[[Move], None]) -> None:
        # A daemon: a call that hangs in the database must not keep the operator from leaving.
        super().__init__(name="reader", daemon=True)
        # Its own, short patience: the screen should rather say that the database is locked.
        self._settings = replace(settings, lock_timeout=min(settings.lock_timeout, LOCK_TIMEOUT))
        self._request, self._tell = request, tell
        self._bell, self._is_over = clock.Bell(), False
        # Counting takes longest where there are many jobs, so it has a pace of its own.
        self._counted: Counted | None = None
        self._uncounted_until, self._began = clock.Deadline(0), clock.now()
        self._sight: tuple[Request, int, Written | None] | None = None
        self._unread_until = clock.Deadline(0)
        self._changes = 0
        self._around = Around(settings.env_file)
        self._queue: PersistentQInterface | None = None
        self._file: tuple[int, int] | None = None

    def ask(self, request: Request) -> None:
        """Read `request` from now on, at once if it asks for something else."""
        is_to_stop = _stands_still(request, self._request)
        if request != self._request:
            self._request = request
            if not is_to_stop:
                self._bell.ring()

    def hurry(self) -> None:
        """Read at once: something was changed."""
        self._changes += 1
        self._bell.ring()

    def stop(self) -> None:
        """Stop, and wait a moment for the last read to end."""
        self._is_over = True
        self._bell.ring()
        if self.is_alive():
            self.join(LOCK_TIMEOUT.total_seconds())

    def run(self) -> None:
        """Read until stopped."""
        pause, request = INTERVAL, self._request
        while not self._is_over:
            changes = self._changes
            try:
                pause = self._look(request, changes)
            except Exception as problem:  # Whatever it is, the screen must say it; a dead thread would not.
                self._close()
                self._tell(news.was_not_read(problem))
                pause = min(pause, LONGEST_INTERVAL)
            self._bell.wait(pause.total_seconds())
            was_read, request = request, self._request
            while _stands_still(request, was_read) and changes == self._changes and not self._is_over:
                self._bell.wait(STANDSTILL.total_seconds())
                request = self._request
            if changes != self._changes or request.every != INTERVAL:
                self._counted = None
        self._close()

    def _look(self, request: Request, changes: int) -> timedelta:
        """Read, unless nobody wrote since this was read; tell it, and return until when not to do so again."""
        queue = self._open()
        written = _written(queue) if request.place is Place.JOBS else None
        sight = request, changes, written
        every = STANDSTILL if request.every is None else request.every
        if written is not None and sight == self._sight and not self._unread_until.passed:
            self._tell(news.was_unchanged(clock.now(), every))
            return every
        operator = Operator.with_settings(queue, self._settings, face="manager")
        counted, begun = self._count(queue), self._effort()
        snapshot = read(operator, request, self._around, counted)
        pause = max(_pause_after(self._effort() - begun, READS, LONGEST_INTERVAL), every)
        self._sight, self._unread_until = sight, clock.Deadline(LONGEST_UNREAD.total_seconds())
        self._tell(news.was_read(replace(snapshot, next_in=pause)))
        return pause

    def _count(self, queue: PersistentQInterface) -> Counted:
        if self._counted is None or self._uncounted_until.passed:
            begun = self._effort()
            self._counted = Counted(queue.count_jobs(), clock.now())
            pause = _pause_after(self._effort() - begun, COUNTS, LONGEST_UNCOUNTED)
            self._uncounted_until = clock.Deadline(pause.total_seconds())
        return self._counted

    def _effort(self) -> timedelta:
        """Return how much was done so far: by this thread if it reads a file itself, else in what time, by a server."""
        return clock.now() - self._began if self._file is None else clock.spent()

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
            self._queue = self._counted = self._sight = None


def _pause_after(effort: timedelta, share: int, longest: timedelta) -> timedelta:
    return min(max(INTERVAL, effort * (share - 1)), longest)


def _stands_still(request: Request, was_read: Request) -> bool:
    """Whether the screen is frozen on what was read, however often that is to be when it goes on."""
    return request == was_read._replace(is_frozen=True, every=request.every)


def _written(queue: PersistentQInterface) -> Written | None:
    """Return what differs as soon as somebody has written to the queue's file; None if it is in no file.

    Until it is copied back, what is written stands in the -wal file (sqlite.org/wal.html).
    """
    try:
        found = [os.stat(queue.location + tail) for tail in ("", "-wal")]  # noqa: PTH116 - a location may be a URL
    except OSError:
        return None
    return tuple((one.st_mtime_ns, one.st_size) for one in found)


def _identity(queue: PersistentQInterface) -> tuple[int, int] | None:
    """Return which file the queue is in; None if it is in no file."""
    try:
        status = os.stat(queue.location)  # noqa: PTH116 - a location may be a URL
    except OSError:
        return None
    return status.st_dev, status.st_ino


def read(operator: Operator, request: Request, around: Around, counted: Counted | None = None) -> Snapshot:
    """Read everything that `request` wants, in short transactions of its own each.

    Args:
        counted: How many jobs there are, if that was counted lately.

    Raises:
        StorageError: the database fails.
    """
    queue = operator.queue
    counts, counted_at = counted or Counted(queue.count_jobs(), clock.now())
    found: dict[str, Any] = {"consumers": tuple(queue.list_consumers())}
    if request.place is Place.JOBS:
        found |= _read_jobs(operator, request)
    else:
        found["rows"] = rows = read_rows(request.place, operator, around)
        found["output"] = read_output(request.log_of, rows, operator, around)
    return Snapshot(
        request=request,
        location=queue.location,
        read_at=clock.now(),
        next_in=INTERVAL,
        counts=counts,
        counted_at=counted_at,
        **found,
    )


def _read_jobs(operator: Operator, request: Request) -> dict[str, Any]:
    query, queue = request.listing.query, operator.queue
    page = operator.list_jobs(where=query, limit=request.limit, after=request.listing.after)
    found: dict[str, Any] = {"page": page}
    if query:
        where = parse(query)
        found["matching"] = queue.count_matching(where, up_to=COUNTED)
        if not page.items and page.next is None and request.listing.after is None:
            found["removals"] = tuple(removals(queue, where))
    wanted = request.job_id or (page.items[0].id if page.items else None)
    if wanted is not None:
        found |= _read_job(operator, wanted, is_detailed=request.is_detailed)
    found["gone"] = frozenset(job_id for job_id in request.marks if _is_gone(queue, job_id))
    return found


def _read_job(operator: Operator, job_id: int, *, is_detailed: bool) -> dict[str, Any]:
    try:
        job = {"selected": operator.get_job(job_id)}
        if not is_detailed:
            return job
        return job | {
            "attempts": tuple(operator.get_attempts(job_id)),
            "log": operator.get_log(job_id),
            "facts": tuple(operator.why(job_id)),
        }
    except JobNotFound:
        return {}


def _is_gone(queue: PersistentQInterface, job_id: int) -> bool:
    try:
        queue.get_job(job_id)
    except JobNotFound:
        return True
    return False


class Hands:
    """Looks which jobs are meant and does what was confirmed, in threads of their own.

    Args:
        readonly: Refuse every change, whatever the settings say.
    """

    def __init__(self, settings: Settings, tell: Callable[[Move], None], *, readonly: bool) -> None:
        self._settings, self._tell, self._readonly = settings, tell, readonly

    def look(self, order: Look) -> None:
        """Look which jobs a deed is about, and tell it."""
        Thread(target=lambda: self._tell(self.looked(order)), name="look", daemon=True).start()

    def carry_out(self, order: Do) -> None:
        """Do it, and tell what came of it.

        The thread is not a daemon: what the operator confirmed is brought to its end although the manager is left.
        """
        Thread(target=lambda: self._tell(self.done(order)), name=order.deed.verb).start()

    def looked(self, order: Look) -> Move:
        """Return the news of which jobs a deed is about; never raises."""
        deed = order.deed
        try:
            with self.operating() as operator:
                if deed.act is None:
                    return lambda state: state
                ids = deed.ids if deed.where is None else None
                return news.was_looked(deed, operator.preview(deed.act, ids=ids, where=deed.where))
        except Exception as problem:  # The status line must say it, whatever it is.
            return news.was_not_looked(deed, problem)

    def done(self, order: Do) -> Move:
        """Do it, and return the news of what came of it; never raises."""
        try:
            with self.operating() as operator:
                told = deeds.carry_out(operator, order.deed, order.seen, order.reason)
        except Exception as problem:  # The status line must say it, whatever it is.
            return news.was_not_done(order, problem)
        return news.was_done(order, told)

    @contextmanager
    def operating(self) -> Iterator[Operator]:
        """Open the queue for the operator, as the settings allow."""
        with open_queue(create=False, settings=self._settings) as queue:
            yield Operator.with_settings(queue, self._settings, face="manager", readonly=self._readonly)
