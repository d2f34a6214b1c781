"""One child process as its consumer sees it: it is started, told, listened to, killed and buried."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import persistentq
from persistentq.clock import Deadline
from persistentq.forks import at_fork
from persistentq.runtime.pipe import Garbage, Message, Pipe

START_S = 120.0
SEND_S = 10.0
DIE_S = 1.0
BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from persistentq.runtime.child import main; main()"
_HOME = str(Path(persistentq.__file__).resolve().parents[1])


class Died(Exception):
    """A child is of no use any more; the text says why, unless it has ended by itself.

    Args:
        why: In a few words.
        at_once: Whether to kill it without waiting for its own end.
    """

    def __init__(self, why: str, *, at_once: bool = False) -> None:
        super().__init__(why)
        self.at_once = at_once


class ChildProcess:
    """A child process with its own session, and so its own process group, and a pipe to it.

    It dies with this process, whatever it is doing: see `lifeline` in `persistentq.runtime.child`.

    Args:
        name: Shown behind the command, for those who look at a list of processes.

    Attributes:
        is_ready: Whether it has said that it can run jobs.
        is_spent: Whether it shall be given no more jobs.
        jobs: How many it was given.
        memory: How many bytes it had in use when it was ready.
        patience: When it ought to be ready.

    Raises:
        OSError: the system could not start it.
    """

    def __init__(self, name: str) -> None:
        self.is_ready, self.is_spent, self.jobs, self.memory = False, False, 0, 0
        self.patience = Deadline(START_S)
        ours, theirs = socket.socketpair()
        held, self._lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", BOOT, _HOME, str(theirs.fileno()), str(held), name],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), held),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(held)
        ours.settimeout(SEND_S)
        self.pipe = Pipe(ours)
        # A forked copy of this process would otherwise keep the child alive when this one is killed.
        at_fork(self, after_in_child=ChildProcess.let_go)

    @property
    def pid(self) -> int:
        """Its process id, which is its group's, too."""
        return self._process.pid

    @property
    def is_over(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def send(self, **message: Any) -> None:
        """Send a message.

        Raises:
            Died: it took nothing any more.
        """
        try:
            self.pipe.send(**message)
        except OSError:
            raise Died("it did not take what it was told") from None

    def receive(self) -> list[Message]:
        """Return the messages that have come; empty if none is complete.

        Raises:
            Died: it closed its end, or wrote what is no message.
        """
        try:
            return self.pipe.receive()
        except EOFError:
            raise Died("it closed its pipe") from None
        except Garbage:
            raise Died("it wrote into its pipe what is no message", at_once=True) from None

    def kill(self) -> None:
        """Kill it and all of its group."""
        # Its id may be another's only after it was waited for and all ids were used up since.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def bury(self) -> str:
        """Wait until it has ended, which it has a moment for, with all of its group; return how: a signal or a code.

        Returns:
            Empty if it had to be killed.
        """
        try:
            self._process.wait(DIE_S)
            was_killed = False
        except subprocess.TimeoutExpired:
            was_killed = True
            self.kill()
            self._process.wait()
        self.kill()
        self.let_go()
        code = self._process.returncode
        if was_killed or code >= 0:
            return "" if was_killed else f"exit code {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    def let_go(self) -> None:
        """Close what this process has of it. May be repeated."""
        self.pipe.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
