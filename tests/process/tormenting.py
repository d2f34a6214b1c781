"""Worker processes that are killed and frozen, at places they tell of and anywhere else, and a count of it all."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Lock
from typing import NamedTuple

from persistentq import JobStatus, NewJob, PersistentQSQLAlchemy
from persistentq.clock import Deadline
from tests.process.programs import ROOT

PATIENCE_S = 30
LEASE_S = 0.1
FROZEN_S, OVERTAKEN_S = 3 * LEASE_S, 3
KILLS, SIDE_BY_SIDE = 200, 4


class Place(NamedTuple):
    """Where a worker is: at which step, with which job, at which attempt."""

    name: str
    job: int
    attempt: int


class Worker:
    """One worker process, from its birth to its SIGKILL."""

    def __init__(self, wire: socket.socket) -> None:
        wire.settimeout(PATIENCE_S)
        self._wire, self._lines = wire, wire.makefile("r")
        self._pid = int(self._lines.readline())

    def place(self) -> Place:
        """Wait until it has reached its next place."""
        line = self._lines.readline()
        assert line, "a worker ended by itself"
        name, job, attempt = line.split()
        return Place(name, int(job), int(attempt))

    def go(self) -> None:
        self._wire.sendall(b".")

    def run_free(self) -> None:
        self._wire.sendall(b"f")

    def freeze(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill it and wait until it is gone; it never ends by itself, so its number is still its own."""
        os.kill(self._pid, signal.SIGKILL)
        with self._wire, self._lines, suppress(ConnectionResetError):
            while self._wire.recv(4096):
                pass


class Nursery:
    """Makes workers by fork from one process that has everything loaded."""

    def __init__(self, process: subprocess.Popen[bytes], listener: socket.socket) -> None:
        self._process, self._listener, self._lock = process, listener, Lock()

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
            worker = Worker(self._listener.accept()[0])
        try:
            yield worker
        finally:
            worker.kill()


@contextmanager
def nursery(url: str, way: str, folder: Path) -> Iterator[Nursery]:
    """Yield a nursery of workers that work in this way; whatever they say on stderr is an error."""
    path, log = str(folder / "wire"), folder / "errors"
    with socket.socket(socket.AF_UNIX) as listener, log.open("wb") as errors:
        listener.bind(path)
        listener.listen()
        listener.settimeout(PATIENCE_S)
        command = [
            sys.executable,
            str(Path(__file__).with_name("effecting.py")),
            url,
            way,
            str(LEASE_S),
            path,
        ]
        with subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stderr=errors,
        ) as process:
            yield Nursery(process, listener)
    assert log.read_text() == ""


@dataclass
class Torment:
    """What was done to the workers, and what became of it.

    Attributes:
        kills: SIGKILLs by the place where the worker waited; "anywhere" is wherever it happened to be.
        refused: Workers whose job was taken and done by another while they slept, and who were told so.
    """

    queue: PersistentQSQLAlchemy
    workers: Nursery
    kills: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    def run(self) -> None:
        """Kill all workers of all lives, then let two finish what is left, undisturbed."""
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for _ in pool.map(
                self._live, [Random(n) for n in range(SIDE_BY_SIDE)]
            ):  # raises what they raised
                pass
        with self.workers.worker() as one, self.workers.worker() as other:
            for worker in (one, other):
                worker.run_free()
            assert Deadline(PATIENCE_S).wait_for(lambda: not self._unfinished()), self.queue.count_jobs()

    def _unfinished(self) -> int:
        counts = self.queue.count_jobs().get("default", {})
        return sum(number for status, number in counts.items() if status != JobStatus.DONE)

    def _live(self, chance: Random) -> None:
        for _ in range(KILLS // SIDE_BY_SIDE):
            if self._unfinished() < 30:
                # More than four can finish within one life, so that none waits for a job in vain.
                self.queue.enqueue_many([NewJob("any.task", max_attempts=10_000)] * 60)
            with self.workers.worker() as worker:
                place = worker.place()
                for _ in range(chance.randrange(8)):
                    worker.go()
                    place = worker.place()
                deed = chance.choices([self._kill, self._strike, self._stall, self._freeze], [8, 6, 3, 1])[0]
                deed(worker, place, chance)

    def _kill(self, worker: Worker, place: Place, chance: Random) -> None:
        """Where it waits."""
        self.kills[place.name] += 1

    def _strike(self, worker: Worker, place: Place, chance: Random) -> None:
        """Wherever it is some milliseconds later."""
        worker.run_free()
        Deadline(1).pause(chance.uniform(0, 0.03))
        self.kills["anywhere"] += 1

    def _stall(self, worker: Worker, place: Place, chance: Random) -> None:
        """Let it sleep past its lease, most often with a job that another then does, and go on until its next job."""
        limit = FROZEN_S
        if chance.random() < 0.7:
            place, limit = self._next_claim(worker), OVERTAKEN_S
        worker.freeze()
        is_overtaken = Deadline(limit).wait_for(lambda: self._is_overtaken(place), 0.02)
        worker.thaw()
        self.kills[self._next_claim(worker, is_overtaken=is_overtaken).name] += 1

    def _next_claim(self, worker: Worker, *, is_overtaken: bool = False) -> Place:
        """Let it go on until it has claimed its next job; note whether it was refused before, if it was overtaken."""
        worker.go()
        while (place := worker.place()).name != "claimed":
            self.refused += is_overtaken and place.name == "refused"
            worker.go()
        return place

    def _is_overtaken(self, place: Place) -> bool:
        job = self.queue.get_job(place.job)
        return job.attempt > place.attempt and job.status == JobStatus.DONE

    def _freeze(self, worker: Worker, place: Place, chance: Random) -> None:
        """Let it sleep past its lease, wherever it is, and go on for a moment."""
        worker.run_free()
        Deadline(1).pause(chance.uniform(0, 0.03))
        worker.freeze()
        Deadline(FROZEN_S).pause(1.5 * LEASE_S)
        worker.thaw()
        Deadline(1).pause(chance.uniform(0, 0.03))
        self.kills["anywhere"] += 1
