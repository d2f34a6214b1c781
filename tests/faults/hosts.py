"""Hosts: network namespaces, each with a line of its own to the database, which can be cut and mended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import SystemRandom

from tests.process.programs import OURS, ROOT, Program
from tests.sql.proxy import Proxy

ENTER = ("unshare", "--fork", "--kill-child", "--pid", "--mount-proc", "--uts")
"""A host has process ids and a name of its own, too."""


def why_not() -> str | None:
    """Return why no hosts can be made here, or None if they can."""
    for tool in ("ip", "unshare"):
        if not shutil.which(tool):
            return f"there is no {tool}; on Debian: apt-get install iproute2 util-linux"
    made = subprocess.run(
        ["unshare", "--net", *ENTER[1:], "ip", "link", "add", "type", "veth"],
        capture_output=True,
        check=False,
    )
    if made.returncode != 0:
        return f"network namespaces cannot be made here, which takes root: {made.stderr.decode().strip()}"
    return None


class Host:
    """A network namespace whose only line leads to the database; nothing else of this machine can be reached from it.

    Attributes:
        url: The database, as it is seen from there.
    """

    def __init__(self, name: str, folder: Path, namespace: str, url: str) -> None:
        self.name, self.url = name, url
        self._folder, self._namespace = folder, namespace
        self._program: Program | None = None

    def start(self, *arguments: str) -> Program:
        """Start a consumer there, under the host's name."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        named = f'echo {self.name} > /proc/sys/kernel/hostname; exec "$@"'
        consumer = [sys.executable, "-m", "consumer.consumer", "--consumer-id", self.name, *arguments]
        self._program = Program(
            ["ip", "netns", "exec", self._namespace, *ENTER, "sh", "-c", named, "sh", *consumer],
            self._folder,
            environment
            | {
                "PYTHONPATH": str(ROOT),
                "TMPDIR": str(self._folder),
                "QUEUE_DB_URL": self.url,
                "TIMEOUT_SECONDS": "1",
            },
            self._folder / f"{self.name}.log",
        )
        return self._program

    def cut_off(self) -> None:
        """Pull the plug: what is sent is lost, and no end is told."""
        _ip("link", "set", "dev", self._namespace, "down")

    def rejoin(self) -> None:
        _ip("link", "set", "dev", self._namespace, "up")

    def kill(self) -> None:
        if self._program is not None:
            self._program.kill()


@contextmanager
def hosts(url: str, folder: Path, *names: str) -> Iterator[list[Host]]:
    """Yield hosts whose lines end at the database that `url` names; they are gone afterwards."""
    with ExitStack() as stack:
        yield [stack.enter_context(_host(url, folder, name)) for name in names]


@contextmanager
def _host(url: str, folder: Path, name: str) -> Iterator[Host]:
    # A namespace and its line have one name, of at most 15 characters, and a network that nobody else here has.
    chance = SystemRandom()
    namespace = f"pq{chance.randrange(16**8):08x}"
    net = f"100.{chance.randrange(64, 128)}.{chance.randrange(256)}"
    _ip("netns", "add", namespace)
    try:
        _ip("link", "add", namespace, "type", "veth", "peer", "name", "line", "netns", namespace)
        _ip("address", "add", f"{net}.1/30", "dev", namespace)
        _ip("link", "set", "dev", namespace, "up")
        _ip("-n", namespace, "address", "add", f"{net}.2/30", "dev", "line")
        _ip("-n", namespace, "link", "set", "dev", "line", "up")
        with Proxy(url, host=f"{net}.1") as line:
            host = Host(name, folder, namespace, line.url)
            try:
                yield host
            finally:
                host.kill()
    finally:
        _ip("netns", "delete", namespace)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
