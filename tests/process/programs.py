"""Producers and consumers as real processes, in a folder with a `.env` of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from persistentq import PersistentQInterface, load_settings, open_queue
from persistentq.clock import Deadline

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 40
OURS = ("QUEUE_", "JOB_", "CONSUMER_", "SUPERVISOR_", "MAX_ATTEMPTS", "TIMEOUT_SECONDS", "INTERVAL_TIME")

HOLD_THE_WRITE_LOCK = """\
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


class Program:
    """One started process; what it says on either stream goes to `log`."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def says(self, words: str) -> None:
        """Wait until it has said these words."""
        self.until(lambda: words in self.said())

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for the condition; fail if this process ends before."""
        Deadline(PATIENCE_S).wait_for(lambda: condition() or self.is_over(), every=0.02)
        assert condition(), self.said()

    def is_over(self) -> bool:
        return self.process.poll() is not None

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def send_until_over(self, number: int) -> None:
        """Send it again and again: two that are pending at the same moment are one."""
        limit = Deadline(10)
        while not self.is_over() and not limit.passed:
            self.send(number)
            limit.pause(0.03)

    def code(self, within: float = PATIENCE_S) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(within)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Site:
    """A folder in which programs run: `.env`, database and job files are its own."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder, self.files = folder, folder / "job_files"
        self.settings = {"QUEUE_DB_FILE": "queue.db", "JOB_FILES_DIR": "job_files", **settings}
        lines = [f"{key} = {value}\n" for key, value in self.settings.items()]
        (folder / ".env").write_text("".join(lines))
        self.started: list[Program] = []

    def producer(self, *arguments: str) -> Program:
        return self._start("producer.producer", *arguments)

    def consumer(self, *arguments: str, name: str = "", **environment: str) -> Program:
        named = ["--consumer-id", name] if name else []
        return self._start("consumer.consumer", *arguments, *named, **environment)

    def admin(self, *arguments: str) -> Program:
        return self._start("admin.admin", *arguments)

    def _start(self, module: str, *arguments: str, **more: str) -> Program:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        program = Program(
            [sys.executable, "-m", module, *arguments],
            self.folder,
            # What a program remembers from start to start goes with the folder.
            environment | {"PYTHONPATH": str(ROOT), "TMPDIR": str(self.folder)} | more,
            self.folder / f"{module}-{len(self.started)}.log",
        )
        self.started.append(program)
        return program

    def queue(self) -> PersistentQInterface:
        return open_queue(settings=load_settings({}, self.folder))

    def files_made(self) -> set[str]:
        return {str(path) for path in self.files.rglob("*") if path.is_file()}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another process holds the database's write lock."""
        with subprocess.Popen(
            [sys.executable, "-c", HOLD_THE_WRITE_LOCK, str(self.folder / "queue.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            yield
            holder.communicate()
