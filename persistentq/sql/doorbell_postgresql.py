"""The doorbell of a PostgreSQL database: LISTEN on a connection of its own, NOTIFY from a thread, both as hints."""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable, Collection
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from persistentq.clock import Deadline
from persistentq.doorbell import LocalDoorbell
from persistentq.telemetry.events import DOORBELL_FALLBACK, tell
from persistentq.text import safe

if TYPE_CHECKING:
    from sqlalchemy import Engine

LOG = logging.getLogger("persistentq.doorbell")

CHANNEL = "'persistentq_' || 'persistentq_jobs'::regclass::oid"
"""The table's own: a database may have a queue in each of its schemas."""

ASK = f"SELECT pg_backend_pid(), {CHANNEL}"
TELL = f"SELECT set_config('synchronous_commit', 'off', true), pg_notify({CHANNEL}, n) FROM unnest($1::text[]) AS n"  # noqa: S608
"""A hint need not be durable, so nobody waits for the disk; the setting ends with the statement's own transaction."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
"""Between tries to connect."""

SETTLED_S = 10.0
"""A connection that lasted for so long was a good one."""

SPACING_S, LONGEST_SPACING_S, MANY_PER_S = 0.005, 0.1, 500
"""A process tells at most once in this time, and what is stored meanwhile together. The time is the longer one while it
stores so many jobs a second: each hint costs as much as half an enqueue."""

CLOSING_S = 1.0

_INHERITED: list[object] = []
"""Connections that a forked child must neither use nor close."""


def _connect(engine: Engine) -> Any:
    """Return a connection of the driver, in autocommit, that nobody else has; whoever asks for it closes it."""
    pooled = engine.raw_connection()
    pooled.detach()
    return pooled.dbapi_connection


def _failures(engine: Engine) -> tuple[type[Exception], ...]:
    """Return what may be raised for a database that is out of reach."""
    return SQLAlchemyError, engine.dialect.loaded_dbapi.Error


class Call:
    """Connects and listens, in a thread, trying as often as it must.

    Args:
        engine: Where to connect.
        location: The database, fit to be shown.
        pause_s: Seconds before the first try.
        on_answer: Called in the thread when there is a line to take.
    """

    def __init__(
        self, engine: Engine, location: str, pause_s: float, on_answer: Callable[[], object]
    ) -> None:
        self._engine, self._location, self._pause_s = engine, location, pause_s
        self._on_answer = on_answer
        self._lock, self._is_over = Lock(), Event()
        self._line: Any = None
        Thread(target=self._dial, name="doorbell", daemon=True).start()

    def take(self) -> Any:
        """Return the connection that listens, once; None if there is none yet, or never will be."""
        with self._lock:
            line, self._line = self._line, None
        return line

    def give_up(self) -> None:
        """Try no more, and close a connection that was not taken."""
        self._is_over.set()
        if (line := self.take()) is not None:
            line.close()

    def _dial(self) -> None:
        while not self._is_over.wait(self._pause_s):
            try:
                line = self._listen()
            except _failures(self._engine) as error:
                LOG.debug("%s cannot be listened to: %s", self._location, safe(error))
                self._pause_s = longer(self._pause_s)
                continue
            with self._lock:
                self._line = line
            if self._is_over.is_set():
                self.give_up()
            elif line is not None:
                self._on_answer()
            return

    def _listen(self) -> Any:
        line = _connect(self._engine)
        is_heard = False
        try:
            backend, channel = line.execute(ASK).fetchone()
            if is_heard := backend == line.info.backend_pid:
                line.execute(f"LISTEN {channel}")
                return line
        finally:
            if not is_heard:
                line.close()
        # Behind a pooler the next statement may be another session's, and only a session can listen.
        why = "it is behind a pooler: new jobs are found only by looking for them"
        tell(DOORBELL_FALLBACK, location=self._location, error=why)
        return None


def longer(pause_s: float) -> float:
    """Return the pause before the next try."""
    return min(max(FIRST_PAUSE_S, pause_s * 2), LONGEST_PAUSE_S)


class ListeningDoorbell(LocalDoorbell):
    """Wakes also for what other processes say on the queue's channel.

    While its connection is lost nothing is heard; the waiter is woken when there is one again, to look at what it may
    have missed.

    Args:
        queues: As for `LocalDoorbell`.
        engine: Where to connect.
        location: The database, fit to be shown.
    """

    def __init__(self, queues: Collection[str] | None, engine: Engine, location: str) -> None:
        self._engine, self._location = engine, location
        super().__init__(queues)

    def _open(self) -> None:
        super()._open()
        self._line: Any = None
        self._call: Call | None = None
        self._pause_s, self._settled = 0.0, Deadline(0)

    def _sleep(self, seconds: float) -> None:
        if self._call is None:
            # Not before: a forked child that never waits needs none of it.
            self._call = Call(self._engine, self._location, self._pause_s, self._wake)
        if self._line is None and (line := self._call.take()) is not None:
            self._line, self._settled, self._is_wanted = line, Deadline(SETTLED_S), True
            self._poll.register(line.fileno(), select.POLLIN)
        elif self._wait_for(self._poll, seconds):
            self._hear()

    def _hear(self) -> None:
        """Note what was said; if the connection is lost, call again."""
        heard, descriptor = [], self._line.fileno()
        try:
            self._line.pgconn.consume_input()
            while (said := self._line.pgconn.notifies()) is not None:
                heard.append(said.extra.decode())
        except _failures(self._engine) as error:
            LOG.debug("%s is no longer listened to: %s", self._location, safe(error))
            self._poll.unregister(descriptor)
            self._line.close()
            self._line = self._call = None
            self._pause_s = FIRST_PAUSE_S if self._settled.passed else longer(self._pause_s)
        self._note(heard)

    def _shut(self) -> None:
        if self._call is not None:
            self._call.give_up()
        if self._line is not None:
            self._line.close()
        super()._shut()

    def _abandon(self) -> None:
        _INHERITED.append((self._line, self._call))
        self._line = self._call = None
        super()._abandon()


class Notifier:
    """Says on the queue's channel that something was stored: in a thread, so that nobody waits for it or fails by it.

    A process that ends without closing its queue may leave its last words unsaid.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._line: Any = None
        self._begin()

    def _begin(self) -> None:
        self._names: SimpleQueue[str | None] = SimpleQueue()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._pid = os.getpid()
        if self._line is not None:
            _INHERITED.append(self._line)
            self._line = None

    def tell(self, queues: Collection[str]) -> None:
        """Say that something was stored in these queues, as soon as the thread can."""
        if self._pid != os.getpid():
            self._begin()
        if queues and self._thread is None:
            self._start()
        for name in queues:
            self._names.put(name)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._work, args=(self._names,), name="notifier", daemon=True)
                self._thread.start()

    def _work(self, names: SimpleQueue[str | None]) -> None:
        pause_s = SPACING_S
        while True:
            said = _gathered(names)
            try:
                self._say({name for name in said if name is not None})
            except _failures(self._engine) as error:
                # Whoever waits for it finds it by looking.
                LOG.debug("nobody was told: %s", safe(error))
                self._hang_up()
                pause_s = longer(pause_s)
            else:
                is_busy = len(said) > pause_s * MANY_PER_S
                pause_s = min(pause_s * 2, LONGEST_SPACING_S) if is_busy else SPACING_S
            if None in said:
                self._hang_up()
                return
            Deadline(pause_s).pause(pause_s)

    def _say(self, names: set[str]) -> None:
        if names:
            self._line = self._line or _connect(self._engine)
            # Not through a cursor, whose work would be a tenth of an enqueue's. A queue's name needs no quotes.
            result = self._line.pgconn.exec_params(TELL.encode(), [f"{{{','.join(names)}}}".encode()])
            if not result.ntuples:
                raise self._engine.dialect.loaded_dbapi.OperationalError(result.error_message.decode())

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def close(self) -> None:
        """Say what is still to be said, within a second, and let go of the connection. May be repeated."""
        thread, self._thread = self._thread, None
        if thread is not None and self._pid == os.getpid():
            self._names.put(None)
            thread.join(CLOSING_S)


def _gathered(names: SimpleQueue[str | None]) -> list[str | None]:
    """Wait until there is something to say, and return all of it."""
    said = [names.get()]
    with suppress(Empty):
        while True:
            said.append(names.get_nowait())
    return said
