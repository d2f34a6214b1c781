"""What runs in a child process of a consumer: one job at a time, told and answered over the pipe.

The main thread runs the jobs; another listens. The signals that mean "stop" to a whole group of processes are not
heard here: the consumer decides when a job is to stop, and says so over the pipe.
"""

from __future__ import annotations

import atexit
import faulthandler
import fcntl
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from persistentq.app import load_app
from persistentq.context import Interruption, JobContext
from persistentq.errors import InvalidArgument, PayloadError, PersistentQError, StorageUnavailable
from persistentq.failure import Failure, describe
from persistentq.interface import PersistentQInterface
from persistentq.job import Job
from persistentq.job_log import Progress
from persistentq.outcomes import NoRetry, UnknownTask
from persistentq.payload import encode_result
from persistentq.program import STOP_SIGNALS, log_to_stderr
from persistentq.runtime.executor import Ended, Run
from persistentq.runtime.messages import Answer, pack_error, unpack_job
from persistentq.runtime.pipe import Message, Pipe
from persistentq.runtime.threads import run_here
from persistentq.tasks import Tasks

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

BROKEN = 70


def main() -> None:
    """Be the child process that the command line describes: the pipe, the lifeline, a name for people."""
    end, held = int(sys.argv[1]), int(sys.argv[2])
    for descriptor in (end, held):
        # What the tasks start must not keep them open.
        os.set_inheritable(descriptor, False)
    hold_lifeline(held)
    if sys.stderr is not None:
        # A crash in foreign code tells at least at which line of Python.
        faulthandler.enable()
    Child(Pipe(socket.socket(fileno=end))).work()


def hold_lifeline(end: int) -> None:
    """Let the kernel kill this process's whole group at the moment when the other end of this pipe closes.

    It closes with the consumer, however that ends, and this needs no code of ours to run: it works while foreign code
    holds the interpreter. Elsewhere than on Linux, the thread that listens does it as soon as it can.
    """
    if sys.platform == "linux":
        fcntl.fcntl(end, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(end, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)


def read_memory() -> tuple[int, int]:
    """Return how many bytes this process has mapped, and how many of them are in use; zeros if that is not known."""
    try:
        mapped, used = Path("/proc/self/statm").read_text(encoding="ascii").split()[:2]
    except OSError:
        return 0, 0
    page = os.sysconf("SC_PAGE_SIZE")
    return int(mapped) * page, int(used) * page


class Child:
    """Runs the jobs that come over the pipe.

    Args:
        pipe: To the consumer.
    """

    def __init__(self, pipe: Pipe) -> None:
        self._pipe, self._pid = pipe, os.getpid()
        self._inbox: SimpleQueue[Message | None] = SimpleQueue()
        self._replies: SimpleQueue[Message] = SimpleQueue()
        self._asking, self._asked = threading.Lock(), 0
        self._url: str | None = None
        self._memory_limit: int | None = None
        self._run: Run | None = None
        self._is_stopped = self._is_stoppable = self._is_sending = False
        self._halt: Callable[[], object] | None = None

    def work(self) -> None:
        """Load the app that the consumer names, and run jobs until there shall be no more."""
        self._heed_signals()
        threading.Thread(target=self._listen, name="pipe", daemon=True).start()
        plan = self._inbox.get() or {}
        try:
            tasks = self._prepare(plan)
        except BaseException as error:
            if error.__cause__ is not None or not isinstance(error, PersistentQError):
                traceback.print_exc()
            self._pipe.send(broken=describe(error).message)
            return
        self._pipe.send(ready=read_memory()[1])
        while (message := self._inbox.get()) is not None:
            try:
                self._answer(tasks, unpack_job(message["run"]))
            except OSError:
                # The task has closed the pipe, as whoever closes every descriptor does.
                traceback.print_exc()
                os._exit(BROKEN)

    def _prepare(self, plan: Message) -> Tasks:
        sys.path[:] = plan["path"]
        self._url, self._memory_limit = plan["url"], plan["memory_limit"]
        if plan["log"] is not None:
            log_to_stderr(*plan["log"])
        tasks = load_app(plan["app"])
        if self._memory_limit is not None:
            _limit_memory(self._memory_limit)
        return tasks

    # --- one job

    def _answer(self, tasks: Tasks, job: Job) -> None:
        task = tasks.find(job.task)
        context = JobContext(job, PipeHolder(self, job), None if task is None else task.timeout)
        result: Any = None
        error: BaseException | Failure | None
        if task is None:
            error = UnknownTask(f"no task {job.task!r} is known to the child process, which loads --app only")
        else:
            ended = self._perform(Run(job, task, context))
            result, error = ended.result, ended.error
        if os.getpid() != self._pid:
            # The task has forked, and both came back from it; only one of them is the child.
            os._exit(BROKEN)
        text = None
        if error is None and not context.is_completed:
            try:
                text = encode_result(result)
            except PayloadError as refused:
                error = NoRetry(f"the task's result cannot be stored: {refused.summary}")
        with suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
        # It may hold on to much of what it has, so it runs nothing more.
        is_spent = isinstance(error, MemoryError)
        if isinstance(error, MemoryError) and self._memory_limit is not None:
            why = f"the worker died: its memory limit of {self._memory_limit} bytes was reached"
            error = describe(error)._replace(message=why)
        packed = None if error is None else pack_error(error, job)
        answer = Answer(job.id, job.attempt, text, packed, context.is_completed, read_memory()[1], is_spent)
        self._pipe.send(answer=answer)

    def _perform(self, run: Run) -> Ended:
        began = time.monotonic()
        self._heed_signals()
        self._is_stopped, self._run = False, run
        try:
            try:
                if run.task.is_async:
                    import asyncio

                    return asyncio.run(self._perform_async(run))
                self._is_stoppable = True
                return run_here(run)
            finally:
                self._is_stoppable, self._run, self._halt = False, None, None
        except BaseException as error:
            # It was stopped at the very end.
            return Ended(run, None, error, time.monotonic() - began)

    async def _perform_async(self, run: Run) -> Ended:
        import asyncio

        from persistentq.runtime.loop import run_in_loop

        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        self._halt = lambda: loop.call_soon_threadsafe(task.cancel) if task is not None else None
        return await run_in_loop(run)

    # --- stopping

    def _heed_signals(self) -> None:
        # Not "ignored", which the processes that a task starts would inherit. The task may have changed it, too.
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop_here)

    def _stop_here(self, *_: object) -> None:
        """Raise in the task why it shall stop, if the consumer said so. In the main thread, at SIGTERM."""
        if self._is_stopped and self._is_stoppable and not self._is_sending and self._run is not None:
            self._is_stoppable = False
            self._run.context.check()

    def _stop(self, key: list[int], why: Interruption, *, is_firm: bool) -> None:
        """Tell the run of this key to stop, if it still runs; firmly, break off its code. In the listening thread."""
        run = self._run
        if run is None or [*run.key] != key:
            return
        run.context.interrupt(why)
        self._is_stopped, halt = is_firm, self._halt
        if halt is not None:
            with suppress(RuntimeError):  # its loop has just closed
                halt()
        elif is_firm:
            # Wakes the main thread, should it sleep or wait for something.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    # --- the pipe

    def _listen(self) -> None:
        try:
            while True:
                for message in self._pipe.receive():
                    self._hear(message)
        except EOFError:
            os.killpg(0, signal.SIGKILL)
        except BaseException:
            traceback.print_exc()
        # Without this thread the consumer would not be heard any more.
        os._exit(BROKEN)

    def _hear(self, message: Message) -> None:
        if "stop" in message:
            self._stop(message["stop"], Interruption(message["why"]), is_firm=message["is_firm"])
        elif "reply" in message:
            self._replies.put(message)
        else:
            self._inbox.put(None if "end" in message else message)

    def send(self, **message: Any) -> None:
        """Send a message; may be called from any thread of the task."""
        if threading.current_thread() is not threading.main_thread():
            self._pipe.send(**message)
            return
        # Half a message must not be left behind by a task that is stopped just now.
        self._is_sending = True
        try:
            self._pipe.send(**message)
        finally:
            self._is_sending = False
        self._stop_here()

    def ask(self, what: str, **more: Any) -> Message:
        """Ask the consumer for something and return its reply."""
        with self._asking:
            self._asked += 1
            number = self._asked
            self.send(ask=what, number=number, **more)
            # A task that was stopped while it waited here has left its reply.
            while (reply := self._replies.get())["reply"] != number:
                pass
            return reply

    @cached_property
    def queue(self) -> PersistentQInterface:
        """The queue that the jobs come from, opened when it is first asked for.

        Raises:
            InvalidArgument: it is not in a database.
        """
        if self._url is None:
            raise InvalidArgument("queue", None, "cannot be opened by a child process: it is in no database")
        from persistentq import open_queue

        queue = open_queue(self._url, create=False)
        atexit.register(queue.close)
        return queue


class PipeHolder:
    """Asks the consumer for what a task wants of its job; see `context.Holder`.

    Args:
        child: The process.
        job: The job.
    """

    def __init__(self, child: Child, job: Job) -> None:
        self._child, self._job, self._key = child, job, (job.id, job.attempt)

    @property
    def queue(self) -> PersistentQInterface:
        """The queue that the job comes from, with connections of this process."""
        return self._child.queue

    def extend(self) -> bool:
        """Have the consumer renew the lease; return whether the job is still held."""
        reply = self._child.ask("extend", of=self._key)
        if reply["refused"] is not None:
            raise StorageUnavailable(*reply["refused"])
        return bool(reply["held"])

    def record(self, lines: Sequence[str], progress: Progress | None) -> None:
        """Have the consumer keep these with the job."""
        self._child.send(of=self._key, lines=lines, progress=progress)

    def completing(self, result: Any) -> AbstractContextManager[Session]:
        """Give a Session on the child's own connection to the queue's database."""
        return self.queue.completing(self._job, result)


def _limit_memory(limit: int) -> None:
    import resource

    mapped, _ = read_memory()
    if mapped >= limit:
        raise InvalidArgument(
            "memory_limit", limit, f"is less than the {mapped} bytes that an idle child has mapped"
        )
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    bounded = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (bounded, bounded))
