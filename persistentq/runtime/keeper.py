"""A thread that keeps one child process, gives it runs, and sees to it that every run's end is told."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from socket import socketpair
from threading import Lock, Thread
from typing import Any

from persistentq.clock import Deadline
from persistentq.errors import LeaseLost, StorageError
from persistentq.failure import Failure
from persistentq.outcomes import JobInterrupted
from persistentq.program import log_in_force
from persistentq.runtime.child_process import START_S, ChildProcess, Died
from persistentq.runtime.executor import Ended, Run
from persistentq.runtime.messages import Answer, pack_job
from persistentq.runtime.pipe import Message
from persistentq.telemetry import events
from persistentq.telemetry.events import tell
from persistentq.text import safe

ASK_S = 0.15
"""So long a run has to end by itself after its context has told it to stop; then its code is broken off."""

BREAK_S = 0.35
"""So long it has to clean up behind it after that; then its child is killed."""

LOOK_S = 1.0
"""How often to look whether a busy child still lives, should something it started keep its pipe open."""

EARLY_S = 0.1
"""How often to look whether a run that has not begun is wanted no more."""

LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What every child of an executor is told, and when it is replaced; see `ProcessExecutor`."""

    app: str
    url: str | None
    memory_limit: int | None
    recycle_jobs: int
    recycle_growth: int


class Starts:
    """When a child may be started, after one could not be: with growing pauses, for all keepers together."""

    def __init__(self) -> None:
        self._lock, self._failures, self._pause = Lock(), 0, Deadline(0)

    @property
    def pause(self) -> float:
        """Seconds until a child may be started."""
        return self._pause.remaining

    def note_failure(self) -> float:
        """Remember that a start has failed; return the seconds until another may be tried."""
        with self._lock:
            if self._pause.passed:
                self._pause = Deadline(min(2.0**self._failures, LONGEST_PAUSE_S))
                self._failures += 1
            return self._pause.remaining

    def note_success(self) -> None:
        """Remember that a start has not failed."""
        self._failures = 0


class NotStarted(Exception):
    """There is no child for a run; the text says why, and is empty if none is wanted any more."""


def reason_to_stop(run: Run) -> Exception:
    """Return why a run was to stop: its interruption, else that the consumer stops."""
    try:
        run.context.check()
    except Exception as reason:
        return reason
    return JobInterrupted(f"the consumer stops and gives job {run.job.id} back")


class Keeper:
    """A thread that keeps one child, which it starts when there is something to run, and replaces when that is needed.

    Everything about the child happens in this thread, so that none is told or killed that is somebody else by now.

    Args:
        plan: What the child is told.
        starts: When a child may be started.
        on_end: Called in this thread once for each run that was given.
    """

    def __init__(self, plan: Plan, starts: Starts, on_end: Callable[[Keeper, Ended], None]) -> None:
        self._plan, self._starts, self._on_end = plan, starts, on_end
        self._given: SimpleQueue[Run | None] = SimpleQueue()
        self._bell, self._rope = socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._child: ChildProcess | None = None
        self._is_closing = False
        Thread(target=self._work, name="child-keeper", daemon=True).start()

    @property
    def is_warm(self) -> bool:
        """Whether its child is ready to run something."""
        child = self._child
        return child is not None and child.is_ready and not child.is_spent

    def give(self, run: Run | None) -> None:
        """Run this next; with None, kill what runs, let the child go, and end this thread."""
        if run is None:
            self._is_closing = True
        self._given.put(run)
        self.wake()

    def wake(self) -> None:
        """Let the thread see at once that a run was interrupted."""
        with suppress(OSError):  # woken already, or over
            self._rope.send(b"!")

    def _work(self) -> None:
        try:
            while (run := self._next()) is not None:
                self._on_end(self, self._end_of(run))
                if self._child is not None and self._child.is_spent:
                    self._let_go()
        finally:
            self._let_go()
            self._bell.close()
            self._rope.close()

    def _next(self) -> Run | None:
        while True:
            with suppress(Empty):
                return self._given.get_nowait()
            self._attend(None)

    def _end_of(self, run: Run) -> Ended:
        error: Exception | Failure
        try:
            return self._converse(self._ready_child(run), run)
        except NotStarted as problem:
            if run.context.interruption is None:
                return Ended(run, None, Failure("NotStarted", str(problem), None), 0.0, returned=True)
            error = reason_to_stop(run)
        except Died as problem:
            how = self._drop(problem)
            is_ours = self._is_closing or run.context.interruption is not None
            error = reason_to_stop(run) if is_ours else Failure("WorkerDied", f"the worker died: {how}", None)
        except Exception as problem:
            # Whatever is wrong here, the end of the run must be told, and nobody knows what its child does now.
            self._drop(Died("", at_once=True))
            error = problem
        return Ended(run, None, error, _seconds_of(run))

    # --- a child for a run

    def _ready_child(self, run: Run) -> ChildProcess:
        while run.context.interruption is None and not self._is_closing:
            child = self._child
            if child is not None and child.is_ready:
                # It may have died in its sleep.
                self._attend(0.0)
                if self._child is child:
                    return child
            elif child is None and self._starts.pause:
                self._look(min(EARLY_S, self._starts.pause))
            else:
                self._await_start(child)
        raise NotStarted("it is wanted no more")

    def _await_start(self, child: ChildProcess | None) -> None:
        """Start a child, or wait a moment for the one that was started."""
        try:
            if child is None:
                self._child = child = ChildProcess(self._plan.app)
                plan = self._plan
                path = [str(entry) for entry in sys.path]
                child.send(
                    app=plan.app, url=plan.url, memory_limit=plan.memory_limit, path=path, log=log_in_force()
                )
            for message in self._look(EARLY_S):
                if "ready" not in message:
                    raise NotStarted(str(message.get("broken")))
                child.is_ready, child.memory = True, message["ready"]
                self._starts.note_success()
            if child.patience.passed:
                raise Died(f"it was not ready within {START_S:.0f} s", at_once=True)
        except (Died, NotStarted, OSError) as problem:
            how = safe(self._drop(problem) if isinstance(problem, Died) else problem)
            self._let_go()
            pause = self._starts.note_failure()
            tell(events.CHILD_NOT_STARTED, app=self._plan.app, error=how, pause=pause)
            raise NotStarted(how) from problem

    # --- a run

    def _converse(self, child: ChildProcess, run: Run) -> Ended:
        """Give the run to the child, and answer it until it tells the end."""
        child.jobs += 1
        run.began = time.monotonic()
        child.send(run=pack_job(run.job))
        stages: Iterator[Deadline] = iter(())
        stage: Deadline | None = None
        ended: Ended | None = None
        while ended is None:
            if stage is None and run.context.interruption is not None:
                stages = self._stop(child, run)
                stage = next(stages)
            while stage is not None and stage.passed:
                stage = next(stages)
            if self._is_closing:
                raise Died("it was stopped", at_once=True)
            for message in self._look(LOOK_S if stage is None else stage.remaining):
                # Behind the answer there may be a question, of a thread that the task has left behind.
                ended = self._hear(child, run if ended is None else None, message) or ended
        return ended

    def _stop(self, child: ChildProcess, run: Run) -> Iterator[Deadline]:
        """Stop a run in stages, ever more firmly; yield when the next one is due."""
        # Its libraries may be in any state after that.
        child.is_spent = True
        why = run.context.interruption
        for is_firm, seconds in ((False, ASK_S), (True, BREAK_S)):
            child.send(stop=run.key, why=why and why.value, is_firm=is_firm)
            yield Deadline(seconds)
        raise Died("it was stopped", at_once=True)

    def _hear(self, child: ChildProcess, run: Run | None, message: Message) -> Ended | None:
        try:
            if "answer" in message:
                return self._read_answer(child, run, Answer(*message["answer"]))
            # What a task has left behind in the child may speak of a job that is over.
            current = run if run is not None and message["of"] == [*run.key] else None
            if "ask" in message:
                child.send(reply=message["number"], **_renew(current))
            elif current is not None:
                if message["lines"]:
                    current.context.log("\n".join(message["lines"]))
                if message["progress"]:
                    current.context.progress(*message["progress"])
        except (LookupError, TypeError, ValueError):
            raise Died("it wrote into its pipe what is no message", at_once=True) from None
        return None

    def _read_answer(self, child: ChildProcess, run: Run | None, answer: Answer) -> Ended:
        if run is None or run.key != (answer.job_id, answer.attempt):
            raise ValueError(answer)
        result, error = answer.outcome(run.job)
        run.context.is_completed = answer.is_completed
        has_grown = answer.memory - child.memory > self._plan.recycle_growth
        child.is_spent |= answer.is_spent or has_grown or child.jobs >= self._plan.recycle_jobs
        return Ended(run, result, error, _seconds_of(run))

    # --- the child

    def _attend(self, seconds: float | None) -> None:
        """Wait for something to happen while nothing runs; an idle child that dies is buried."""
        try:
            for message in self._look(seconds):
                if self._child is not None:
                    self._hear(self._child, None, message)
        except Died as problem:
            how = self._drop(problem)
            tell(events.CHILD_DIED, error=how)

    def _look(self, seconds: float | None) -> list[Message]:
        """Wait until somebody rings or the child says something, and return what it says.

        Raises:
            Died: the child is of no use any more.
        """
        child, poll = self._child, select.poll()
        poll.register(self._bell, select.POLLIN)
        if child is not None:
            poll.register(child.pipe, select.POLLIN)
        happened = [number for number, _ in poll.poll(None if seconds is None else seconds * 1000)]
        if self._bell.fileno() in happened:
            self._bell.recv(4096)
        if child is None:
            return []
        if child.pipe.fileno() in happened:
            return child.receive()
        if child.pipe.is_stalled:
            raise Died("it wrote into its pipe what is no message", at_once=True)
        if not happened and child.is_over:
            raise Died("it is over")
        return []

    def _drop(self, problem: Died) -> str:
        """Have done with a child that is of no use any more; return how it ended."""
        child, self._child = self._child, None
        if child is None:
            return str(problem)
        if problem.at_once:
            child.kill()
        how = child.bury()
        return str(problem) if problem.at_once else how or str(problem)

    def _let_go(self) -> None:
        """Let an idle child end in good order, if there is one."""
        if self._child is not None:
            with suppress(Died):
                self._child.send(end=True)
            self._drop(Died("it was let go"))


def _seconds_of(run: Run) -> float:
    return 0.0 if run.began is None else time.monotonic() - run.began


def _renew(run: Run | None) -> dict[str, Any]:
    try:
        if run is not None:
            run.context.require_lease()
    except LeaseLost:
        run = None
    except StorageError as error:
        return {"held": False, "refused": [error.location, error.problem]}
    return {"held": run is not None, "refused": None}
