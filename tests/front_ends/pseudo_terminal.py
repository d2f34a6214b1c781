"""A program in a pseudo-terminal of its own: what it draws is on a pyte screen, what it writes is counted."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, Thread

import pyte
from pyte.screens import Char

from persistentq.clock import Deadline

LONG = 30.0
SETTLED = 0.1
"""So many seconds without a word, and what was being drawn is drawn."""

Row = tuple[Char, ...]


class PseudoTerminal:
    """A started program and the terminal that it takes for real.

    Attributes:
        written: The bytes that it has written so far.
    """

    def __init__(
        self, command: Sequence[str], size: tuple[int, int], folder: Path, environment: Mapping[str, str]
    ) -> None:
        columns, lines = size
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = Lock()
        self.written = 0
        self._keyboard, inner = pty.openpty()
        termios.tcsetwinsize(inner, (lines, columns))
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "TERM": "xterm-256color"},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        self._reader = Thread(target=self._read, name="pseudo-terminal")
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # Nobody has the other end any more.
            while data := os.read(self._keyboard, 65536):
                with self._lock:
                    self._stream.feed(data)
                    self.written += len(data)

    def press(self, text: str) -> None:
        """Send what a keyboard would."""
        os.write(self._keyboard, text.encode())

    def rows(self) -> tuple[Row, ...]:
        """Return the screen, cell by cell."""
        with self._lock:
            columns, buffer = range(self._screen.columns), self._screen.buffer
            return tuple(
                tuple(buffer[line][column] for column in columns) for line in range(self._screen.lines)
            )

    def text(self) -> str:
        """Return the screen without its colours."""
        with self._lock:
            return "\n".join(self._screen.display)

    def wait_for_text(self, *words: str) -> None:
        """Wait until all of the words are on the screen."""
        met = Deadline(LONG).wait_for(lambda: all(word in self.text() for word in words))
        assert met, f"waited in vain for {words}; the screen:\n{self.text()}"

    def settled(self) -> tuple[Row, ...]:
        """Return the screen once the program has drawn all that it was drawing."""
        limit, before = Deadline(LONG), -1
        while before != self.written and not limit.passed:
            before = self.written
            limit.pause(SETTLED)
        return self.rows()

    def close(self) -> None:
        """End the program, if it has not ended, and wait for it."""
        self.process.terminate()
        try:
            self.process.wait(LONG)
        finally:
            self.process.kill()
            self._reader.join(LONG)
            os.close(self._keyboard)


@contextmanager
def a_manager(file: Path, size: tuple[int, int], folder: Path) -> Iterator[PseudoTerminal]:
    """Run the manager on this SQLite file, from a folder that has its programs, as a person starts it."""
    kept = {name: value for name, value in os.environ.items() if name not in ("QUEUE_DB_URL", "NO_COLOR")}
    command = [sys.executable, "-m", "manager.manager"]
    terminal = PseudoTerminal(command, size, folder, {**kept, "QUEUE_DB_FILE": str(file)})
    try:
        terminal.wait_for_text(" live ")
        yield terminal
    finally:
        terminal.close()
