"""The command line under test: called within the test, as a process, and as a process on a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyte
import typer
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from admin.admin import app, main
from persistentq import PersistentQInterface, open_queue
from persistentq.clock import Deadline

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "admin.admin")
LONG = 30.0

HOSTILE = "\x1b[31mred\x1b[2J\ttab\nline\r\x9bC1 \u202eevil\\n =1+1 [bold]x[/bold] :smile: 日本"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def a_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    """Make a queue in the folder and let every command of this test find it."""
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("QUEUE_DB_URL", raising=False)
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    with open_queue() as store:
        yield store


def environment(folder: Path) -> dict[str, str]:
    return {"QUEUE_DB_FILE": str(folder / "queue.db"), "QUEUE_LOCK_TIMEOUT": "0.3"}


def run(*arguments: object, given: str = "") -> Ended:
    """Call the command line within this process, its streams not being a terminal."""
    with CliRunner().isolation(input=given) as (out, err, _):
        code = main([str(argument) for argument in arguments])
        sys.stdout.flush()
        sys.stderr.flush()
        return Ended(code, out.getvalue().decode(), err.getvalue().decode())


def commands(group: Any = None, before: str = "") -> dict[str, TyperCommand]:
    """Return every command there is, by the words that call it."""
    found = typer.main.get_command(app) if group is None else group
    if not isinstance(found, TyperGroup):
        return {before.strip(): found}
    named: dict[str, TyperCommand] = {}
    for name, command in found.commands.items():
        named |= commands(command, f"{before} {name}")
    return named


def start(folder: Path, *arguments: object, command: tuple[str, ...] = COMMAND) -> subprocess.Popen[str]:
    """Start the command line as a process with pipes."""
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=folder,
        env=_process_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def finish(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=LONG)
    return Ended(process.returncode, out, err)


def _process_environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **environment(folder), **more}


class Terminal:
    """A process on a real pseudo-terminal, and what its screen shows."""

    def __init__(
        self, folder: Path, *arguments: object, columns: int = 80, rows: int = 24, **more: str
    ) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=folder,
            env=_process_environment(folder, **more),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # Without a controlling terminal Ctrl-C would signal nobody.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads here
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LONG)
        os.close(self._ours)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def shows(self, text: str) -> bool:
        """Wait until the screen shows the text."""
        return Deadline(LONG).wait_for(lambda: self._read() and text in self.text, every=0.02)

    def end(self) -> int:
        """Wait until the process has ended and everything it wrote is on the screen."""
        assert Deadline(LONG).wait_for(lambda: self._read() and self.process.poll() is not None, every=0.02)
        self._read()
        return self.process.returncode

    def _read(self) -> bool:
        while select.select([self._ours], [], [], 0)[0]:
            try:
                data = os.read(self._ours, 65536)
            except OSError:
                # The process has ended and closed the other side.
                break
            self.raw += data
            self._stream.feed(data)
        return True
