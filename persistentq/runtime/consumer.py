"""Consumer: takes jobs from the queue and runs their tasks, until it is told to stop."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from persistentq.checks import check_consumer, check_int
from persistentq.clock import Deadline
from persistentq.errors import ConsumerAlive, InvalidArgument, PersistentQError, StorageUnavailable
from persistentq.interface import PersistentQInterface
from persistentq.runtime.executor import Ended, Executor
from persistentq.runtime.presence import Presence
from persistentq.runtime.pulse import Pulse
from persistentq.runtime.reports import tell_tick
from persistentq.runtime.shares import Shares
from persistentq.runtime.turns import Turns
from persistentq.tasks import TASKS, Task, Tasks
from persistentq.telemetry import events
from persistentq.telemetry.events import tell

if TYPE_CHECKING:
    from persistentq.doorbell import Doorbell

POLL_S = 1.0
DRAIN_S = 20.0
IN_HAND_S = 0.02
STOP_S = 1.0
"""How long a drain that is over waits for the code that it stops."""


def make_consumer_id() -> str:
    """Return an id that no other process has: host, process id and chance."""
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:64] or "host"
    return f"{host}-{os.getpid()}-{token_hex(4)}"


def _until(known: timedelta | None) -> float:
    """Return for how many seconds to trust a look at what comes next; somebody may store what comes before."""
    # What is due and was not taken is in another session's hands, for a moment.
    return POLL_S if known is None else min(POLL_S, max(known.total_seconds(), IN_HAND_S))


def _make_processes(
    queue: PersistentQInterface,
    places: int,
    app: str | None,
    memory_limit: int | None,
    task: Task[..., Any],
    on_end: Callable[[Ended], None],
) -> Executor:
    # Most consumers have no use for it.
    from persistentq.runtime.processes import ProcessExecutor

    module = app or task.function.__module__
    if module == "__main__":
        problem = "cannot be imported by a child process; name the module of its tasks with --app or app="
        raise InvalidArgument("module of task", task.name, problem)
    return ProcessExecutor(places, module, on_end, memory_limit=memory_limit, url=queue.address)


class Consumer:
    """Takes jobs from the queue and runs their tasks, until it is told to stop.

    The thread that calls `run` does all the talking to the database. In each *turn* it settles what ended, renews
    the leases of what runs, sees what is to be cancelled, and claims what there is room for: one transaction.

    Args:
        queue: Where the jobs come from.
        queues: The names to serve, strictly in this order; or names with weights (1 to 1000), to be served in
            proportion to them.
        concurrency: How many tasks run at once, 1 to 1000.
        consumer_id: None for one made of host, process and chance.
        tasks: What the jobs may run; None for everything registered with `@task`.
        lease: How long a job stays ours when we fall silent; renewed three times in this span.
        drain: How long a stop waits for running tasks before their jobs are given back.
        leave_unknown: Whether to leave jobs whose task is not known here to other consumers, instead of failing them.
        app: What child processes import for tasks with `executor="process"`, as `--app` names it; None for the module
            of the first such task.
        memory_limit: Bytes of address space that a child process may use; None for no limit.
        trouble: Asked every few seconds: what is wrong with this consumer, in one line, for people to see; None for
            nothing.

    Attributes:
        id: Its id.
        places: How many tasks run at once.
        tasks: What the jobs may run; may be set until `run` begins.
        pulse: Shows whether its loop comes round.
        last_turn: When the database last answered it, in seconds since 1970; None before it did.

    Raises:
        InvalidArgument: one of these cannot be used.
    """

    def __init__(  # noqa: PLR0913 - each has a default; they are the consumer's settings
        self,
        queue: PersistentQInterface,
        queues: Sequence[str] | Mapping[str, int] = ("default",),
        concurrency: int = 1,
        consumer_id: str | None = None,
        *,
        tasks: Tasks | None = None,
        lease: timedelta = timedelta(seconds=60),
        drain: timedelta = timedelta(seconds=DRAIN_S),
        leave_unknown: bool = False,
        app: str | None = None,
        memory_limit: int | None = None,
        trouble: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._queue, self._shares, self._drain = queue, Shares(queues), drain
        self.places = places = check_int("concurrency", concurrency, 1, 1000)
        self.id = check_consumer(consumer_id or make_consumer_id())
        self.tasks = TASKS if tasks is None else tasks
        self.pulse, self._presence = Pulse(), Presence(queue, self.id, trouble)
        self._turns = Turns(
            queue,
            self.id,
            self._shares,
            places,
            tasks=self.tasks,
            lease=lease,
            leave_unknown=leave_unknown,
            make_process=partial(_make_processes, queue, places, app, memory_limit),
            pulse=self.pulse,
            ring=self._ring,
        )
        self._bell: Doorbell | None = None
        self._stops = 0
        self._next_tick = Deadline(0)
        self._was_cut_short = False
        self._failure: PersistentQError | None = None
        self.last_turn: float | None = None

    def introduce(self) -> None:
        """Report that this consumer is alive, as `run` does every few seconds: to be refused before all else begins.

        May be repeated.

        Raises:
            ConsumerAlive: another process that is alive has this id.
            StorageError: the database failed.
        """
        with self.pulse.asking:
            # The program introduces itself before its tasks are loaded.
            self._presence.report(self._shares.names, [task.name for task in self.tasks] or None)

    def stop(self) -> None:
        """Take no more jobs and let `run` return when the running ones ended; a second call gives them back at once.

        May be called from any thread and from signal handlers.
        """
        self._stops += 1
        self._turns.takes_jobs = False
        self._ring()

    def _ring(self) -> None:
        if (bell := self._bell) is not None:
            bell.ring()

    @property
    def held(self) -> int:
        """How many jobs it holds: those that run here, and those that wait for a place."""
        return len(self._turns.hands)

    @property
    def may_still_run(self) -> bool:
        """Whether tasks run here; after `run`, whether code of tasks may run on whose jobs were given back.

        A coroutine that was stopped may have left a thread behind, for which the interpreter waits as it ends.
        """
        return bool(self._turns.hands) or self._was_cut_short

    def run(self, burst: bool = False) -> None:
        """Work until `stop` is called; with `burst`, until no job is ready and none runs here.

        A database that is locked, full or out of reach is waited for. Call it once per Consumer.

        Raises:
            ConsumerAlive: another process that is alive has this id; if it was taken over while this one was frozen,
                the jobs that run here are waited for first, as after `stop`.
            StorageUnavailable: at the end, what there was to say of its jobs could not be stored; it leaves them to
                their leases.
            StorageError: the database failed in a way that waiting does not mend.
        """
        self._turns.tasks = self.tasks
        try:
            with suppress(StorageUnavailable):
                self.introduce()
            self._tell_start()
            with self._queue.listen(self.id, self._shares.order) as self._bell:
                self._work(self._bell, burst)
                self._finish()
        finally:
            self._presence.end()
        tell(events.CONSUMER_STOPPED, consumer=self.id)
        if self._failure is not None:
            raise self._failure

    def _work(self, bell: Doorbell, burst: bool) -> None:
        rung = True
        while not self._stops:
            claimed = self._try_turn(look=rung)
            if claimed is not None and self._turns.wants_another:
                rung = False
                continue
            if burst and claimed == 0 and self._turns.is_idle:
                break
            rung = bell.wait(self._pause(claimed), has_room=self._turns.has_place)

    def _tell_start(self) -> None:
        tell(
            events.CONSUMER_STARTED,
            consumer=self.id,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=",".join(self._shares.names),
            places=self.places,
        )

    def _pause(self, claimed: int | None) -> float:
        """Return how long to wait if nothing happens."""
        pause = min(POLL_S, self._turns.until_next())
        if claimed is None:
            return pause
        with suppress(StorageUnavailable), self.pulse.asking:
            pause = min(pause, _until(self._queue.next_due(self._shares.order)))
            self._next_tick = Deadline(_until(self._queue.next_tick()))
        return min(pause, self._next_tick.remaining)

    def _try_turn(self, *, look: bool = False) -> int | None:
        """Take a turn; return how many jobs were claimed, None if the database could not be used."""
        self.pulse.beat()
        try:
            self.introduce()
            if self._turns.takes_jobs and self._next_tick.passed:
                self._tick()
            claimed = self._turns.take(look=look)
        except StorageUnavailable as error:
            tell(events.CONSUMER_WAITING, consumer=self.id, error=str(error))
            return None
        except ConsumerAlive as error:
            self._failure = error
            tell(events.CONSUMER_REPLACED, consumer=self.id, error=error.summary)
            self.stop()
            return None
        self.last_turn = time.time()
        return claimed

    def _tick(self) -> None:
        with self.pulse.asking:
            enqueued = self._queue.tick()
            self._next_tick = Deadline(_until(self._queue.next_tick()))
        for job in enqueued:
            tell_tick(self.id, job)

    def _finish(self) -> None:
        """Give back what has not begun, wait for what runs, stop what still does, and say goodbye."""
        began = time.monotonic()
        self._turns.withdraw()
        tell(events.DRAIN_BEGUN, consumer=self.id, running=self.held)
        self._settle_until(Deadline(self._drain.total_seconds()), stops=2)
        if not self._turns.is_idle:
            self._was_cut_short = True
            self._turns.stop_all()
            self._settle_until(Deadline(STOP_S), stops=3)
        given_back = self._turns.give_back_all()
        try:
            self._turns.take()
        except StorageUnavailable as error:
            self._failure = error
            tell(events.LEASES_LEFT, consumer=self.id, error=str(error))
        with suppress(StorageUnavailable), self.pulse.asking:
            self._presence.retire()
        self._turns.close()
        seconds = round(time.monotonic() - began, 6)
        tell(events.DRAIN_ENDED, consumer=self.id, given_back=given_back, seconds=seconds)

    def _settle_until(self, limit: Deadline, stops: int) -> None:
        """Take turns without claims until nothing runs here, the time is over, or so many stops were asked for."""
        while not (self._turns.is_idle or limit.passed or self._stops >= stops):
            self._try_turn(look=True)
            if self._bell is not None and not self._turns.is_idle:
                self._bell.wait(min(POLL_S, limit.remaining, self._turns.until_next()))
