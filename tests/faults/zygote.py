"""The process from which all workers of a run are forked: it has everything loaded, and no connection.

Two thousand interpreters that load everything by themselves would take most of the time. Usage: zygote.py SCENE; each
line on standard input is an Order, each line on standard output tells of a birth or an end.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from persistentq import PersistentQSQLAlchemy, open_queue
from persistentq.clock import Deadline
from persistentq.sql import sqlite
from tests.faults.failpoints import Act, Arm
from tests.faults.scene import Scene, prepare
from tests.faults.working import Order, work

ROOT = Path(__file__).resolve().parents[2]
BROKEN = 70
PATIENCE_S = 30
PR_SET_PDEATHSIG = 1
CHECKPOINT_AT = 256 * 1024
BLOCKED = "raise ImportError('hidden, so that the standard library is used')\n"


class End(NamedTuple):
    """A worker that is gone: its exit code, negative for a signal."""

    pid: int
    code: int


# --- the process itself


def main() -> None:
    """Serve orders until standard input ends; then kill what still lives."""
    scene = Scene.unpack(sys.argv[1])
    os.umask(0o077)
    # A worker may be told to stop before it listens; it unblocks the signal then.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.chdir(scene.folder)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What is logged is no complaint; psycopg also logs a lost connection that it raises.
    for name in ("persistentq", "psycopg"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    faulthandler.register(signal.SIGUSR1)
    # So that even a short run has many.
    sqlite.CHECKPOINT_AT = CHECKPOINT_AT
    with opened(scene) as first:
        prepare(first, scene)
        version = version_of(first)
    queue = opened(scene)
    # What opening it has connected is closed again: each child makes connections of its own.
    queue.engine.dispose()
    tell(f"ready {queue.engine.dialect.name} {version}")
    alive: set[int] = set()
    while True:
        if select.select([0], [], [], 0.01)[0]:
            line = read_line()
            if not line:
                break
            alive.add(fork(queue, scene, line))
        for end in ended():
            alive.discard(end.pid)
            tell(f"over {end.pid} {end.code}")
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def opened(scene: Scene) -> PersistentQSQLAlchemy:
    queue = open_queue(scene.url)
    assert isinstance(queue, PersistentQSQLAlchemy)
    return queue


def version_of(queue: PersistentQSQLAlchemy) -> str:
    driver = queue.engine.dialect.loaded_dbapi
    if queue.engine.dialect.name == "sqlite":
        return f"{driver.sqlite_version} ({driver.__name__.partition('.')[0]})"
    with queue.engine.connect() as connection:
        return str(connection.exec_driver_sql("SHOW server_version").scalar_one()).split()[0]


def read_line() -> str:
    """Return one line; unbuffered, so that `select` sees what is left."""
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            return ""
        line += byte
    return line.decode()


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def fork(queue: PersistentQSQLAlchemy, scene: Scene, line: str) -> int:
    pid = os.fork()
    if pid:
        tell(f"born {pid}")
        return pid
    code = BROKEN
    try:
        # Whatever becomes of the others, no worker outlives them.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        work(queue, scene, unpack(line))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended() -> Iterator[End]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield End(pid, os.waitstatus_to_exitcode(status))


def pack(order: Order) -> str:
    """Return the order as one line."""
    return json.dumps(order)


def unpack(line: str) -> Order:
    """Return the order that was packed."""
    order = Order(*json.loads(line))
    if order.armed is None:
        return order
    place, act, skip = order.armed
    return order._replace(armed=Arm(place, Act(act), skip))


# --- seen from outside


class Zygote:
    """The process as its owner sees it.

    Attributes:
        version: What the database is, in words.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._text = b""
        self._lines: list[str] = []
        _, dialect, version = self._line("ready").split(" ", 2)
        self.version = f"{'SQLite' if dialect == 'sqlite' else 'PostgreSQL'} {version}"

    def bear(self, order: Order) -> int:
        """Let a worker be born and return its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{pack(order)}\n".encode())
        self._process.stdin.flush()
        return int(self._line("born").split()[1])

    def ends(self) -> list[End]:
        """Return the workers that are gone since the last look."""
        self._read(0.0)
        ends = [End(*map(int, line.split()[1:])) for line in self._lines if line.startswith("over ")]
        self._lines = [line for line in self._lines if not line.startswith("over ")]
        return ends

    def _line(self, kind: str) -> str:
        limit = Deadline(PATIENCE_S)
        while True:
            for line in self._lines:
                if line.startswith(f"{kind} "):
                    self._lines.remove(line)
                    return line
            if limit.passed or not self._read(1.0):
                raise RuntimeError(f"the zygote did not say {kind!r}; it left {self._process.poll()}")

    def _read(self, seconds: float) -> bool:
        """Read what it has said; return whether it still lives."""
        assert self._process.stdout is not None
        if select.select([self._process.stdout], [], [], seconds)[0]:
            said = os.read(self._process.stdout.fileno(), 65536)
            if not said:
                return False
            *lines, self._text = (self._text + said).split(b"\n")
            self._lines += [line.decode() for line in lines]
        return True


@contextmanager
def zygote(scene: Scene) -> Iterator[Zygote]:
    """Yield the zygote of a scene; whatever it and its workers say on standard error goes to `errors`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    if scene.engine == "system":
        hidden = scene.folder / "hidden"
        (hidden / "pysqlite3").mkdir(parents=True)
        (hidden / "pysqlite3" / "__init__.py").write_text(BLOCKED)
        environment["PYTHONPATH"] = f"{hidden}{os.pathsep}{ROOT}"
    with (scene.folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote", scene.pack()],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        try:
            yield Zygote(process)
        finally:
            process.communicate()


if __name__ == "__main__":
    main()
