"""`make run` and `make stop` in a copy of the checkout: a real supervisord, real programs, a real dashboard."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from persistentq.launch import PROGRAMS
from scripts.deadline import wait_until
from tests.packaging.outside import ROOT, outside_environment

pytestmark = pytest.mark.timeout(300)

COPIED = ("persistentq", *PROGRAMS, "supervisor", "scripts")


@dataclass
class Checkout:
    """A copy of the checkout, with a dashboard port of its own."""

    root: Path
    port: int

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command in it, with the settings of nobody."""
        environment = {
            name: value
            for name, value in outside_environment().items()
            if not name.startswith(("QUEUE_", "JOB_", "CONSUMER_", "SUPERVISOR_", "STREAMLIT_"))
        }
        return subprocess.run(
            [str(word) for word in command],
            cwd=self.root,
            env=environment | {"STREAMLIT_SERVER_PORT": str(self.port)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def make(self, deed: str) -> subprocess.CompletedProcess[str]:
        """Do what `make run` (start) or `make stop` (stop) does, apart from the set-up."""
        return self.run(self.root / ".venv/bin/python", "scripts/run.py", deed)

    def status(self) -> dict[str, tuple[str, str]]:
        """State and process id of each program."""
        result = self.run(".venv/bin/supervisorctl", "-c", "supervisor/supervisord.conf", "status")
        words = [line.replace(",", "").split() for line in result.stdout.splitlines()]
        return {line[0]: (line[1], line[3] if "pid" in line else "") for line in words}

    def processes(self) -> list[str]:
        """Every living process that works in this copy."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if (place / "cwd").readlink().is_relative_to(self.root):
                    found.append((place / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    # A short path: that of a unix socket may have 103 bytes.
    root = Path(tempfile.mkdtemp(prefix="pq-")).resolve()
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__", "run", "*.db*")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    shutil.copy(ROOT / ".env.example", root)
    (root / ".venv").symlink_to(sys.prefix)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    copy = Checkout(root, port)
    try:
        yield copy
    finally:
        copy.make("stop")
        shutil.rmtree(root)


def test_run_is_harmless_twice_and_stop_leaves_nothing(checkout: Checkout) -> None:
    first = checkout.make("start")
    assert first.returncode == 0, first.stdout + first.stderr
    assert (checkout.root / ".env").read_text() == (checkout.root / ".env.example").read_text()
    for place in (checkout.root / "queue.db", f"http://localhost:{checkout.port}", "make stop"):
        assert str(place) in first.stdout
    with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{checkout.port}/_stcore/health") as reply:
        assert reply.read() == b"ok"

    running = checkout.status()
    assert {state for state, _ in running.values()} == {"RUNNING"}
    second = checkout.make("start")
    assert second.returncode == 0, second.stdout + second.stderr
    assert checkout.status() == running

    assert checkout.make("stop").stdout == "everything has stopped\n"
    assert checkout.processes() == []
    again = checkout.make("stop")
    assert (again.returncode, again.stdout, again.stderr) == (0, "nothing is running\n", "")


def test_run_says_that_the_port_is_taken_and_starts_nothing(checkout: Checkout) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", checkout.port))
        other.listen()
        result = checkout.make("start")
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: port {checkout.port} is taken")
    assert "supervisor/run/dashboard.log" in result.stderr.splitlines()[0]
    assert checkout.processes() == []


def test_run_says_which_consumer_failed_and_where_its_log_is(checkout: Checkout) -> None:
    (checkout.root / "consumer" / "consumer.py").write_text("raise SystemExit('broken on purpose')\n")
    result = checkout.make("start")
    assert result.returncode == 1
    line, *_ = result.stderr.splitlines()
    assert line.startswith("error: consumer:consumer_0")
    assert "is FATAL" in line
    assert "broken on purpose" in (checkout.root / line.rpartition("see ")[2]).read_text()


def test_stop_ends_what_a_killed_supervisord_left_behind(checkout: Checkout) -> None:
    assert checkout.make("start").returncode == 0
    pid = int((checkout.root / "supervisor/run/supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not Path(f"/proc/{pid}/exe").exists(), 5)
    refused = checkout.make("start")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: processes of an earlier start still run")
    assert checkout.make("stop").stdout == "everything has stopped\n"
    assert checkout.processes() == []


def test_run_refuses_a_path_that_no_socket_can_have(checkout: Checkout) -> None:
    deep = checkout.root / ("x" * 100)
    deep.mkdir()
    for name in (*COPIED, ".env.example"):
        (checkout.root / name).rename(deep / name)
    result = checkout.run(checkout.root / ".venv/bin/python", deep / "scripts/run.py", "start")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "too long for a unix socket" in result.stderr
