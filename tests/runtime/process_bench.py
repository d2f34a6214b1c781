"""An executor with child processes on a bench: runs are made, started and waited for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from persistentq import PersistentQInterface, PersistentQMemory
from persistentq.clock import Deadline
from persistentq.context import Interruption, JobContext
from persistentq.runtime.executor import Ended, Run
from persistentq.runtime.holder import LocalHolder
from persistentq.runtime.processes import ProcessExecutor
from tests.runtime.process_tasks import PROCESS_TASKS

APP = "tests.runtime.process_tasks:PROCESS_TASKS"
PATIENCE_S = 40


class Bench:
    """Runs tasks of `process_tasks` in children, as a consumer would."""

    def __init__(
        self, number: int = 1, app: str = APP, queue: PersistentQInterface | None = None, **options: Any
    ) -> None:
        self.queue = queue or PersistentQMemory()
        self.executor = ProcessExecutor(number, app, self._note, **options)
        self._ended: dict[Run, list[Ended]] = {}
        self._lock = threading.Lock()

    def start(self, task: str, **args: Any) -> Run:
        self.queue.enqueue(task, args)
        (job,) = self.queue.dequeue("bench", lease=timedelta(hours=1))
        found = PROCESS_TASKS.find(task)
        assert found is not None
        holder = LocalHolder(self.queue, job, timedelta(hours=1), LocalHolder.write_notes)
        run = Run(job, found, JobContext(job, holder, found.timeout))
        self.executor.start(run)
        return run

    def end_of(self, run: Run, within: float = PATIENCE_S) -> Ended:
        assert Deadline(within).wait_for(lambda: run in self._ended, every=0.005), run
        (ended,) = self._ended[run]
        return ended

    def run(self, task: str, **args: Any) -> Ended:
        return self.end_of(self.start(task, **args))

    def result_of(self, task: str, **args: Any) -> Any:
        ended = self.run(task, **args)
        assert ended.error is None, ended
        return ended.result

    def interrupt(self, run: Run, why: Interruption) -> None:
        run.context.interrupt(why)
        self.executor.interrupt(run)

    def _note(self, ended: Ended) -> None:
        with self._lock:
            self._ended.setdefault(ended.run, []).append(ended)


def until(condition: Callable[[], bool], within: float = PATIENCE_S) -> bool:
    return Deadline(within).wait_for(condition, every=0.005)


def pids_in(mark: Path) -> list[int]:
    """Wait for the process ids that a task writes down when it has begun."""
    begun = Path(f"{mark}.begun")
    assert until(lambda: begun.exists() and begun.read_text() != "")
    return [int(pid) for pid in begun.read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children() -> list[int]:
    """The processes that this one has started and not buried."""
    me = os.getpid()
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == me:
            found.append(int(stat.parent.name))
    return found
