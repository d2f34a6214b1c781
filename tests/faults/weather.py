"""What happens to the database from outside: the disk is full, somebody locks everybody out, sessions are ended."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from threading import Thread

from persistentq.clock import Deadline
from tests.faults.done import Done
from tests.faults.outside import outside
from tests.faults.plans import Plan
from tests.faults.scene import Scene

SPACING_S = (0.5, 2.0)
STORM_S, FULL_S = (0.3, 1.0), (0.3, 1.0)
MIB = 1024 * 1024
END_ONE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name <> 'outside' ORDER BY random() LIMIT 1"
)


class Weather:
    """Brings so much of it, one thing after the other, from a thread of its own.

    Attributes:
        is_over: All of it has come.
    """

    def __init__(self, scene: Scene, plan: Plan) -> None:
        self._scene, self._chance = scene, Random(scene.seed)
        self._left = self._forecast(plan)
        self._next = Deadline(self._chance.uniform(*SPACING_S))
        self._thread: Thread | None = None
        self._failures: list[BaseException] = []

    def _forecast(self, plan: Plan) -> list[tuple[str, Callable[[], None]]]:
        left = [("storms", self._storm)] * plan.storms
        if self._scene.is_local:
            left += [("full disks", self._fill)] * plan.fills
        else:
            left += [("terminated sessions", self._terminate)] * plan.terminations
        self._chance.shuffle(left)
        return left

    @property
    def is_over(self) -> bool:
        return not self._left and (self._thread is None or not self._thread.is_alive())

    def step(self, done: Done) -> None:
        """Bring the next, if it is time to, and count it."""
        if self._failures:
            raise self._failures[0]
        if not self._left or not self._next.passed or (self._thread is not None and self._thread.is_alive()):
            return
        name, bring = self._left.pop()
        done.acts[name] += 1
        self._thread = Thread(target=self._bring, args=(bring, done))
        self._thread.start()
        self._next = Deadline(self._chance.uniform(*SPACING_S))

    def end(self) -> None:
        """Bring no more, and wait until what came is over."""
        self._left.clear()
        if self._thread is not None:
            self._thread.join()

    def _bring(self, bring: Callable[[], None], done: Done) -> None:
        began = time.time_ns() // 1000
        try:
            bring()
            done.block(began)
        except BaseException as error:
            self._failures.append(error)

    def _storm(self) -> None:
        """Keep everybody from writing for a while."""
        # Who only reads goes on: else nobody would wake those who are frozen, for whom this waits.
        lock = "LOCK TABLE persistentq_jobs IN EXCLUSIVE MODE"
        with outside(self._scene, writes=True) as other:
            other.run("BEGIN IMMEDIATE" if self._scene.is_local else f"BEGIN; {lock}")
            pause(self._chance.uniform(*STORM_S))
            other.run("ROLLBACK")

    def _fill(self) -> None:
        """Leave no room on the disk for a while."""
        ballast = self._scene.disk / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            for size in (MIB, 4096, 1):
                fill(file.fileno(), size)
        pause(self._chance.uniform(*FULL_S))
        ballast.unlink()

    def _terminate(self) -> None:
        with outside(self._scene) as other:
            other.rows(END_ONE)


def fill(file: int, size: int) -> None:
    try:
        while os.write(file, b"\0" * size) == size:
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def pause(seconds: float) -> None:
    Deadline(seconds).pause(seconds)


@contextmanager
def disk(scene: Scene, plan: Plan) -> Iterator[None]:
    """Make the folder of the database; a small disk of its own, if it is to be full now and then.

    Raises:
        PermissionError: nothing can be mounted here.
    """
    scene.disk.mkdir(mode=0o700)
    if not (plan.fills and scene.is_local):
        yield
        return
    options = f"size={plan.disk_mib}m,mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(scene.disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        raise PermissionError(
            f"a disk that can be full needs the right to mount one: {mounted.stderr.strip()}"
        )
    try:
        yield
    finally:
        subprocess.run(["umount", str(scene.disk)], check=True)
