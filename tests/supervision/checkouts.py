"""Copies of the checkout, each with a real supervisord of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from persistentq import PersistentQInterface, load_settings, open_queue
from persistentq.clock import Deadline

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("persistentq", "admin", "producer", "consumer", "supervisor")
COPIED_FILES = ("pyproject.toml", "poetry.toml", "poetry.lock", "supervisord.conf")
PATIENCE_S = 60
# Leases are short and starts are quick; every other value is the one that users get.
SETTINGS = "QUEUE_DB_FILE=queue.db\nINTERVAL_TIME=0.3\nTIMEOUT_SECONDS=3\nJOB_FILES_DIR=job_files\n"
QUICK = "[program:producer]\nstartsecs=1\n[program:consumer]\nstartsecs=1\n"


def copy_checkout(to: Path) -> None:
    """Copy what the processes need, as it comes from git: without logs, local settings and files half compiled."""
    for name in COPIED:
        ignored = shutil.ignore_patterns("*.pyc.*", "*.log*", "*.sock", "*.pid", "*.lock")
        shutil.copytree(ROOT / name, to / name, ignore=ignored)
    for local in (to / "supervisor" / "conf.d").glob("*.conf"):
        local.unlink()
    for name in COPIED_FILES:
        shutil.copy(ROOT / name, to)
    (to / ".venv").symlink_to(sys.prefix)


class Checkout:
    """A copy of the checkout at a short path (a unix socket's may have 103 bytes), with a blank in it."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="pq-")).resolve()
        self.root = self.base / "check out"
        copy_checkout(self.root)
        (self.root / ".env").write_text(SETTINGS)
        self.conf, self.run = self.root / "supervisor" / "supervisord.conf", self.root / "supervisor" / "run"
        self.configure("quick", QUICK)

    def configure(self, name: str, text: str) -> None:
        """Put a file into conf.d."""
        (self.root / "supervisor" / "conf.d" / f"{name}.conf").write_text(text)

    def supervise(
        self, *options: str, cwd: Path = Path("/"), environment: dict[str, str] | None = None
    ) -> None:
        """Start supervisord with nothing in its environment, or with this."""
        result = self._command("supervisord", *options, cwd=cwd, environment=environment)
        assert result.returncode == 0, result.stdout

    def ctl(self, *words: str) -> str:
        """Ask through supervisorctl and return its answer."""
        return self._command("supervisorctl", "-c", str(self.conf), *words).stdout

    def _command(
        self, name: str, *arguments: str, cwd: Path = Path("/"), environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.root / ".venv" / "bin" / name), *arguments],
            cwd=cwd,
            env=environment or {},
            umask=0o022,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def programs(self) -> dict[str, tuple[str, int]]:
        """Name -> state and process id (0 for none)."""
        words = [line.replace(",", "").split() for line in self.ctl("status").splitlines()]
        return {line[0]: (line[1], int(line[3]) if "pid" in line else 0) for line in words}

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for the condition; show the logs if it does not come."""
        if not Deadline(PATIENCE_S).wait_for(lambda: bool(condition()), every=0.2):
            logs = [f"{path.name}:\n{path.read_text()[-3000:]}" for path in self.run.glob("*.log")]
            raise AssertionError("\n".join([self.ctl("status"), *logs]))

    def until_running(self, *names: str) -> None:
        def run() -> bool:
            programs = self.programs()
            return all(programs.get(name, ("",))[0] == "RUNNING" for name in names)

        self.until(run)

    def queue(self) -> PersistentQInterface:
        """Open its queue, which its consumers may not have made yet."""
        return open_queue(settings=load_settings({}, self.root))

    def processes(self) -> dict[int, str]:
        """Every living process that works in this copy: id -> command line."""
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (place / "cwd").readlink().is_relative_to(self.root):
                    found[int(place.name)] = (place / "cmdline").read_text().replace("\0", " ")
        return found

    def remove(self) -> None:
        """End what still runs, supervisord first so that it starts nothing anew, and delete the copy."""
        processes = self.processes()
        for pid in sorted(processes, key=lambda pid: "supervisord" not in processes[pid]):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        Deadline(PATIENCE_S).wait_for(lambda: not self.processes())
        shutil.rmtree(self.base)
