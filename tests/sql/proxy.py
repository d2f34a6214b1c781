"""A TCP proxy in front of PostgreSQL that cuts a connection at a chosen moment, is slow, or lets nobody through."""

from __future__ import annotations

import re
import select
import socket
from contextlib import closing, suppress
from enum import Enum
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

from sqlalchemy import make_url

from persistentq.clock import Deadline

# The whole message: "READ COMMITTED" is in the one that begins a transaction.
COMMIT = (b"COMMIT\0",)
# A statement that commits by itself; once the server has planned it, only its name is said.
SINGLE = (b"INSERT INTO persistentq_jobs", b"UPDATE persistentq_jobs", b"_pg3_")


# BackendKeyData: length, process id, secret.
_KEY = re.compile(rb"(K\0\0\0\x0c)....", re.DOTALL)


def _other_backend(key: re.Match[bytes]) -> bytes:
    return key[1] + b"\0\0\0\1"


class Cut(Enum):
    """When the connection ends, as seen from the server."""

    BEFORE = "it never gets the message"
    DURING = "it gets the message, and nobody waits for the answer"
    AFTER = "it has answered, and the answer is dropped"


class Proxy:
    """Use it as a context manager; `url` leads through it.

    Args:
        pools: Name another backend than the one that answers, as a pooler does.
        host: The address at which it listens.

    Attributes:
        cuts: How many connections it has cut.
        lag: How many seconds it keeps each of the client's messages.
        openings: The first message of each connection that went through, without its length.
    """

    def __init__(self, url: str, *, pools: bool = False, host: str = "127.0.0.1") -> None:
        self.pools = pools
        self._server = make_url(url)
        self._listener = socket.create_server((host, 0))
        self._lock = Lock()
        self._armed: tuple[Cut, tuple[bytes, ...]] | None = None
        self._is_open = True
        self._refuses = False
        self._flows = Event()
        self._flows.set()
        self.cuts = 0
        self.lag = 0.0
        self.openings: list[bytes] = []
        Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()
        plain = self._server.set(
            host=host,
            port=port,
            query={"sslmode": "disable", "gssencmode": "disable"},
        )
        return plain.render_as_string(hide_password=False)

    def cut(self, when: Cut, *words: bytes) -> None:
        """Cut the next connection on which the client says one of these, by default what ends a transaction."""
        with self._lock:
            self._armed = (when, words or (COMMIT if self.pools else COMMIT + SINGLE))

    def refuse(self, refuses: bool) -> None:
        """Close every new connection at once, or no longer."""
        self._refuses = refuses

    def stall(self, stalls: bool) -> None:
        """Keep all that either side says, without a word to them, or pass it on."""
        if stalls:
            self._flows.clear()
        else:
            self._flows.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        self._flows.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while self._is_open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                client.close()
            else:
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with closing(client), closing(self._connect()) as server, suppress(OSError):
            self.openings.append(opening := client.recv(65536))
            server.sendall(opening)
            while self._is_open:
                ready, _, _ = select.select([client, server], [], [], 0.2)
                self._flows.wait()
                if client in ready and not self._pass_on(client, server):
                    return
                if server in ready:
                    if not (answer := server.recv(65536)):
                        return
                    client.sendall(_KEY.sub(_other_backend, answer, count=1) if self.pools else answer)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> bool:
        """Pass on what the client says; return whether the connection goes on."""
        said = client.recv(65536)
        Deadline(self.lag).pause(self.lag)
        with self._lock:
            when = self._armed[0] if self._armed and any(word in said for word in self._armed[1]) else None
            if when:
                self._armed, self.cuts = None, self.cuts + 1
        if said and when is not Cut.BEFORE:
            server.sendall(said)
        if when is Cut.AFTER:
            server.recv(65536)
        return bool(said) and when is None

    def _connect(self) -> socket.socket:
        host = str(self._server.query.get("host") or self._server.host or "127.0.0.1")
        port = self._server.port or 5432
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server
