"""This checkout's supervisord: what its configuration says, whether it runs, and what belongs to it.

A process belongs to it if supervisord itself says so through its socket, or, when that is silent, if the process
carries that socket's address in its environment, where Supervisor puts it.
"""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deadline import wait_until
from persistentq import SupervisionError
from persistentq.operations.supervised import Supervised

# sockaddr_un holds 108 bytes on Linux, 104 elsewhere, with the closing zero.
LONGEST_SOCKET_PATH = 103
START_SECONDS = 20.0
KILL_SECONDS = 5.0
PROC = Path("/proc")


class System(Supervised):
    """The supervisord of this checkout, and all that belongs to it.

    Args:
        conf: Its configuration file.
    """

    def __init__(self, conf: Path) -> None:
        super().__init__(conf)
        self.pidfile = Path(self.options.pidfile)
        waits = [
            max((process.stopwaitsecs for process in group.process_configs), default=0)
            for group in self.options.process_group_configs
        ]
        # Supervisor stops its groups one after the other, the processes of one group together.
        self.stop_seconds = sum(waits) + KILL_SECONDS
        self.stop_together_seconds = max(waits, default=0) + KILL_SECONDS
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET_PATH:
            raise SupervisionError(
                f"the path {self.socket} is too long for a unix socket", "move the checkout to a shorter path"
            )

    @contextmanager
    def only_one_start(self) -> Iterator[None]:
        """Two that would start it take turns; the second then finds it running."""
        with self.log.with_name("start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def start(self) -> None:
        """Start supervisord and wait until it answers; raises SupervisionError with its own words if it cannot."""
        words = self.log.with_name("start.log")
        command = [str(Path(sys.executable).with_name("supervisord")), "-c", str(self.conf)]
        with words.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        # Its first process ends with 0 when it has gone to the background.
        wait_until(lambda: bool(self.state() or process.poll()), START_SECONDS)
        if not self.state():
            said = [line for line in words.read_text(errors="replace").splitlines() if line.strip()]
            why = next((line for line in said if line.startswith("Error")), said[-1] if said else "no answer")
            raise SupervisionError(
                f"supervisord does not start ({why}); see {words} and {self.log}", "make stop"
            )

    def stop(self) -> bool:
        """End supervisord and all that belongs to it, and wait until it is gone; False if nothing ran."""
        seen = self.processes()
        if not seen:
            return False

        def is_over() -> bool:
            # A supervisord without a child, socket and pid file is recognised only by having been seen before.
            seen.update(self.processes())
            return not any(map(is_alive, seen)) and self.state() is None

        patience = self.stop_seconds
        try:
            self.call("shutdown")
        except SupervisionError:
            if self.state() is None:
                send(signal.SIGTERM, seen)
                patience = self.stop_together_seconds
        if not wait_until(is_over, patience):
            # Who outlives that gets what supervisord would have sent next.
            send(signal.SIGKILL, self.processes())
        if not wait_until(is_over, KILL_SECONDS):
            alive = sorted(filter(is_alive, seen))
            raise SupervisionError(f"these processes do not end: {alive}; see {self.log}", "make stop")
        return True

    def processes(self) -> set[int]:
        """Ids of the living supervisord and of every living process that it, or one killed before it, started."""
        found = self.children()
        with suppress(SupervisionError):
            found.add(int(self.call("getPID")))
            return found
        with suppress(OSError, ValueError):
            pid = int(self.pidfile.read_text())
            # The number may belong to another program by now; only ours holds this log open.
            if any(is_same_file(link, self.log) for link in (PROC / str(pid) / "fd").iterdir()):
                found.add(pid)
        return found

    def children(self) -> set[int]:
        """Ids of the living processes that carry this socket's address, and of the supervisord of each.

        There may be more than one supervisord, if two were started by hand at the same moment.
        """
        ours = os.path.realpath(self.socket)
        found = set()
        for place in PROC.glob("[0-9]*"):
            # Processes come and go, and other people's are not readable; a zombie's environment is empty.
            with suppress(OSError):
                if started_through(place / "environ") == ours:
                    found.add(int(place.name))
                    parent = parent_of(place)
                    if b"supervisord" in (PROC / parent / "cmdline").read_bytes():
                        found.add(int(parent))
        return found - {os.getpid()}


def send(number: signal.Signals, processes: set[int]) -> None:
    """Send a signal to each that still is there."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def started_through(environ: Path) -> str:
    """Path of the socket that Supervisor told this process about; empty if it is none of Supervisor's."""
    before = b"\0SUPERVISOR_SERVER_URL=unix://"
    _, found, after = (b"\0" + environ.read_bytes()).partition(before)
    return os.path.realpath(os.fsdecode(after.partition(b"\0")[0])) if found else ""


def parent_of(place: Path) -> str:
    """Id of the parent of the process that this folder below /proc describes."""
    # The name before the closing bracket may hold anything, blanks and brackets too.
    return (place / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]


def is_alive(process: int) -> bool:
    """Whether it still runs; a zombie, which only waits for its parent to look, does not."""
    with suppress(OSError):
        return (PROC / str(process) / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    return False


def is_same_file(link: Path, file: Path) -> bool:
    """Whether both lead to one file; False if either has gone."""
    with suppress(OSError):
        return link.samefile(file)
    return False
