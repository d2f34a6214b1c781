"""The watchdog: a consumer whose loop is stuck ends its process, so that whoever keeps it running starts it anew."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

from persistentq.runtime.notifier import Notifier

if TYPE_CHECKING:
    from types import TracebackType

    from persistentq.runtime.consumer import Consumer

STUCK_S = 60.0
STUCK = 70
"""The exit code: EX_SOFTWARE of sysexits.h."""

LOOK_S = 1.0
LAST_WORDS_S = 5.0
"""So long may writing the last words take, should standard error be what everything waits for."""


class Watchdog:
    """Ends this process with code 70 when a consumer's loop is stuck, while the block runs.

    Before that, it says so in one line on standard error, followed by the stacks of all threads. What counts is only
    time in which this process could run, second by second: not while it was stopped by a signal or the machine was
    asleep, not while code that runs for a job holds the interpreter, and not while the database is waited for.

    It is for programs that are nothing but a consumer: everything else in the process ends with it.

    Args:
        consumer: Whom to watch.
        limit: For how many seconds its loop may stand still; it needs more than a second to come round when idle.
        notifier: Who is told that the consumer is ready, and each second that it is not stuck; None for the service
            manager that this process's environment names.
    """

    def __init__(self, consumer: Consumer, limit: float = STUCK_S, notifier: Notifier | None = None) -> None:
        self._consumer, self._limit = consumer, limit
        self._notifier = notifier or Notifier()
        self._over, self._is_ready = Event(), False
        self._beats, self._still, self._last = -1, 0.0, time.monotonic()

    def __enter__(self) -> None:
        self._last = time.monotonic()
        Thread(target=self._watch, name="watchdog", daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def _watch(self) -> None:
        pause = min(LOOK_S, self._limit, self._notifier.interval / 2)
        while not self._over.wait(pause):
            if self._is_stuck(pause):
                self._end()
            self._notify()

    def _is_stuck(self, pause: float) -> bool:
        pulse, now = self._consumer.pulse, time.monotonic()
        passed, self._last = now - self._last, now
        if passed > 2 * pause:
            # This thread did not run either.
            passed = 0.0
        has_moved = pulse.beats != self._beats or pulse.asking.is_on
        self._beats, self._still = pulse.beats, 0.0 if has_moved else self._still + passed
        return self._still >= self._limit

    def _notify(self) -> None:
        if not self._is_ready and self._consumer.last_turn is not None:
            self._is_ready = True
            self._notifier.tell("READY=1")
        if self._notifier.interval < float("inf"):
            self._notifier.tell("WATCHDOG=1")

    def _end(self) -> None:
        # Neither `logging` nor `sys.stderr`: their locks may be what the loop waits for.
        signal.alarm(int(LAST_WORDS_S))
        with suppress(OSError):
            os.write(
                2,
                f"error: consumer {self._consumer.id!r} is stuck: its loop has stood still for {self._still:.0f} s; "
                f"it ends with code {STUCK}, and this is what its threads are at\n".encode(),
            )
            faulthandler.dump_traceback(file=2, all_threads=True)
        os._exit(STUCK)
