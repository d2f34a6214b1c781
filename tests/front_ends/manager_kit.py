"""The manager under test: its states made by hand, the manager itself on a terminal in memory, and in tmux."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Any, TextIO, cast

import pyte
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput, Output
from prompt_toolkit.output.vt100 import Vt100_Output

from manager.manager import Manager
from manager.snapshot import Snapshot
from manager.state import Move, State
from persistentq import (
    Job,
    JobStatus,
    NewJob,
    Page,
    PersistentQInterface,
    Settings,
    load_settings,
    open_queue,
)
from persistentq.clock import Deadline

ROOT = Path(__file__).resolve().parents[2]
LONG = 20.0
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
HOSTILE = "\x1b[31mred\x1b[2J\ttab\nline\r\x9bC1 \u202eevil 日本"

KEYS = {
    "Enter": "\r",
    "Esc": "\x1b",
    "Tab": "\t",
    "S-Tab": "\x1b[Z",
    "Up": "\x1b[A",
    "Down": "\x1b[B",
    "Left": "\x1b[D",
    "Right": "\x1b[C",
    "PgDn": "\x1b[6~",
    "PgUp": "\x1b[5~",
    "Home": "\x1b[H",
    "End": "\x1b[F",
    "Backspace": "\x7f",
    "Ctrl-C": "\x03",
    "Ctrl-U": "\x15",
}


# --- states by hand


def a_job(job_id: int, status: str = "pending", **values: Any) -> Job:
    given = {
        "id": job_id,
        "task": "mail.send",
        "args": {"to": "a@example.org"},
        "queue": "default",
        "priority": 0,
        "status": JobStatus(status),
        "attempt": 0,
        "max_attempts": 3,
        "created_at": NOW,
        "run_at": NOW,
    }
    return Job(**{**given, **values})


def a_snapshot(state: State, *jobs: Job, **values: Any) -> Snapshot:
    """Return what the reader would bring for this state if these were the jobs on its page."""
    wanted = state.request.job_id or (jobs[0].id if jobs else None)
    counts = {status: sum(job.status is status for job in jobs) for status in JobStatus}
    given = {
        "request": state.request,
        "location": "/srv/queue.db",
        "read_at": NOW,
        "counted_at": NOW,
        "next_in": timedelta(seconds=0.5),
        "counts": {"default": {status: number for status, number in counts.items() if number}},
        "page": Page(jobs, None),
        "selected": next((job for job in jobs if job.id == wanted), None),
    }
    return Snapshot(**{**given, **values})


def after(state: State, *steps: Move) -> State:
    for step in steps:
        state = step(state)
    return state


# --- the manager on a terminal in memory


def settings_for(folder: Path, lock_timeout: str = "1", url: str = "") -> Settings:
    place = {"QUEUE_DB_URL": url} if url else {"QUEUE_DB_FILE": str(folder / "queue.db")}
    environment = {**place, "QUEUE_LOCK_TIMEOUT": lock_timeout}
    return load_settings(environment, folder)


@contextmanager
def a_queue(folder: Path, jobs: int = 0) -> Iterator[PersistentQInterface]:
    """Make a queue in the folder, with so many pending jobs."""
    with open_queue(settings=settings_for(folder)) as queue:
        queue.enqueue_many([NewJob("mail.send", {"number": number}) for number in range(jobs)])
        yield queue


class Terminal:
    """A terminal in memory: what is written to it appears on a pyte screen."""

    encoding = "utf-8"

    def __init__(self, columns: int, lines: int) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self._screen)
        self._lock = Lock()
        self.written = 0

    def write(self, data: str) -> int:
        with self._lock:
            self._stream.feed(data)
            self.written += len(data.encode())
        return len(data)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True

    def size(self) -> Size:
        return Size(rows=self._screen.lines, columns=self._screen.columns)

    def resize(self, columns: int, lines: int) -> None:
        with self._lock:
            self._screen.resize(lines, columns)

    def lines(self) -> list[str]:
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    def has_colours(self) -> bool:
        """Whether anything on the screen has another colour than the terminal's own."""
        with self._lock:
            cells = [cell for line in self._screen.buffer.values() for cell in line.values()]
        return any((cell.fg, cell.bg) != ("default", "default") for cell in cells)

    def reports_mouse(self) -> bool:
        """Whether a program asked for clicks (private mode 1000, which pyte keeps shifted by 5 bits)."""
        with self._lock:
            return 1000 << 5 in self._screen.mode


@dataclass
class Running:
    """A manager that runs in a thread of its own, as a person meets it."""

    manager: Manager
    keyboard: PipeInput
    terminal: Terminal | None
    thread: Thread
    codes: list[int]

    @property
    def state(self) -> State:
        return self.manager.state

    def press(self, *keys: str) -> None:
        for key in keys:
            self.keyboard.send_text(KEYS.get(key, key))

    def click(self, column: int, line: int) -> None:
        """Click on a place, counted from 1 as terminals do."""
        self.keyboard.send_text(f"\x1b[<0;{column};{line}M\x1b[<0;{column};{line}m")

    def text(self) -> str:
        return "\n".join(self.terminal.lines()) if self.terminal else ""

    def wait(self, condition: Callable[[], object]) -> None:
        met = Deadline(LONG).wait_for(lambda: bool(condition()), every=0.01)
        assert met, (
            f"waited in vain; the screen:\n{self.text()}\nthe state:\n{replace(self.state, snapshot=None)}"
        )

    def wait_for_text(self, *words: str) -> None:
        self.wait(lambda: all(word in self.text() for word in words))

    def wait_for_job(self, job_id: int) -> None:
        """Wait until the cursor is on this job."""
        self.wait(lambda: self.state.job_id == job_id)

    def wait_for_jobs(self) -> None:
        self.wait(lambda: self.state.is_current and self.state.job_id is not None)

    def code(self) -> int:
        """Wait for the end and return the exit code."""
        self.thread.join(LONG)
        assert not self.thread.is_alive(), self.text()
        return self.codes[0]


@contextmanager
def running(
    folder: Path,
    terminal: Terminal | None = None,
    *,
    has_mouse: bool = True,
    readonly: bool = False,
    theme: str = "dark",
    is_ascii: bool = False,
    lock_timeout: str = "1",
    url: str = "",
) -> Iterator[Running]:
    """Run the manager on the queue in this folder; without a terminal, on an output that drops everything."""
    with create_pipe_input() as keyboard:
        output: Output = DummyOutput()
        if terminal:
            output = Vt100_Output(cast("TextIO", terminal), terminal.size, term="xterm", enable_cpr=False)
        manager = Manager(
            settings_for(folder, lock_timeout, url),
            source=keyboard,
            target=output,
            has_mouse=has_mouse,
            readonly=readonly,
            theme=theme,
            is_ascii=is_ascii,
        )
        codes: list[int] = []
        thread = Thread(target=lambda: codes.append(manager.run()), name="manager under test")
        thread.start()
        try:
            yield Running(manager, keyboard, terminal, thread, codes)
        finally:
            if thread.is_alive():
                keyboard.send_text(KEYS["Ctrl-C"])
            thread.join(LONG)
            assert not thread.is_alive()


# --- other processes

HOLD_WRITERS = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("ready", flush=True)
sys.stdin.read()
"""
"""No one else can write."""

HOLD_READERS = """
import fcntl, sys
with open(sys.argv[1] + "-shm", "r+b") as index:
    fcntl.lockf(index, fcntl.LOCK_EX, 8, 120)
    print("ready", flush=True)
    sys.stdin.read()
"""
"""What SQLite itself locks while it recovers a database: a reader waits ten seconds in vain."""

HOLD_ALL = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA locking_mode=EXCLUSIVE")
database.execute("BEGIN IMMEDIATE")
print("ready", flush=True)
sys.stdin.read()
"""
"""No one else can open it; works only before others have."""


@contextmanager
def holding(script: str, *arguments: object) -> Iterator[IO[str]]:
    """Run a Python script in a process until the block ends; it must print a line when it is ready."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline(), "the other process failed"
        yield process.stdin
        process.stdin.close()
        assert process.wait(LONG) == 0


class Tmux:
    """A real terminal: a private tmux server with one shell in it."""

    def __init__(self, folder: Path, columns: int = 80, lines: int = 24, **environment: str) -> None:
        # Not below pytest's own folder, where the path may be too long for a socket.
        self._folder = tempfile.mkdtemp(prefix="pq-")
        variables = {
            "QUEUE_DB_FILE": str(folder / "queue.db"),
            "PS1": "$ ",
            "LC_ALL": "C.UTF-8",
            **environment,
        }
        settings = [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]
        size = ["-x", str(columns), "-y", str(lines)]
        start = ["-f", "/dev/null", "new-session", "-d", *size, *settings, "-c", str(ROOT)]
        self._run(*start, "env -u NO_COLOR -u QUEUE_DB_URL sh")

    def _command(self, *arguments: str) -> list[str]:
        return ["tmux", "-S", f"{self._folder}/socket", *arguments]

    def _run(self, *arguments: str) -> str:
        return subprocess.run(
            self._command(*arguments), check=True, capture_output=True, text=True, timeout=LONG
        ).stdout

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: Enter, Tab, Escape, C-c, R …"""
        self._run("send-keys", *keys)

    def start_manager(self, *script: str) -> None:
        """Start the manager (or a script that starts it) from the shell, which prints the exit code afterwards."""
        command = shlex.join([sys.executable, *(script or ("-m", "manager.manager"))])
        self.type(f"{command}; echo code=$?")
        self.press("Enter")

    def resize(self, columns: int, lines: int) -> None:
        self._run("resize-window", "-x", str(columns), "-y", str(lines))

    def text(self) -> str:
        return self._run("capture-pane", "-p")

    def coloured(self) -> str:
        """Return the screen with the sequences that colour it."""
        return self._run("capture-pane", "-p", "-e")

    def child(self) -> int:
        """Return the process that the shell runs."""
        shell = self._run("display-message", "-p", "#{pane_pid}").strip()
        return int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])

    def accept_clipboard(self) -> None:
        """Let programs set what `clipboard` returns."""
        self._run("set-option", "-g", "set-clipboard", "on")

    def clipboard(self) -> str:
        """Return what a program has copied; empty if none has."""
        shown = subprocess.run(
            self._command("show-buffer"), check=False, capture_output=True, text=True, timeout=LONG
        )
        return shown.stdout

    def is_alternate(self) -> bool:
        """Whether a full-screen program has the terminal."""
        return self._run("display-message", "-p", "#{alternate_on}").strip() == "1"

    def wait_for_text(self, *words: str) -> None:
        met = Deadline(LONG).wait_for(lambda: all(word in self.text() for word in words), every=0.1)
        assert met, f"waited in vain for {words}; the screen:\n{self.text()}"

    def kill(self) -> None:
        subprocess.run(self._command("kill-server"), check=False, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def a_tmux(folder: Path, columns: int = 80, lines: int = 24, **environment: str) -> Iterator[Tmux]:
    terminal = Tmux(folder, columns, lines, **environment)
    try:
        yield terminal
    finally:
        terminal.kill()
