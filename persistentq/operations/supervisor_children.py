"""Asking Supervisor, through its unix socket, how its children are."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from configparser import Error, RawConfigParser
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple
from xml.parsers.expat import ExpatError
from xmlrpc.client import Fault, ProtocolError, dumps, loads

ANSWER_S = 3.0


class Child(NamedTuple):
    """One process as Supervisor sees it.

    Attributes:
        name: `group:process`.
        state: RUNNING, FATAL, BACKOFF and so on.
        description: What Supervisor says of it.
    """

    name: str
    state: str
    description: str


class NoSupervisor(Exception):
    """Supervisor does not answer; the text says why."""


class Configuration(NamedTuple):
    """What Supervisor's configuration says of who may reach it."""

    socket: Path | None
    mode: int
    is_on_network: bool
    address: str


def read_configuration(file: Path) -> Configuration:
    """Read a supervisord.conf and the files that it includes.

    Raises:
        NoSupervisor: it cannot be read.
    """
    parser = RawConfigParser(inline_comment_prefixes=(";",), strict=False)
    try:
        parser.read_string(file.read_text(encoding="utf-8"), str(file))
        included = parser.get("include", "files", fallback="").split()
        here = file.parent.absolute()
        parser.read([found for pattern in included for found in sorted(here.glob(pattern))], "utf-8")
    except (OSError, UnicodeDecodeError, Error, ValueError, NotImplementedError) as error:
        raise NoSupervisor(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    path = parser.get("unix_http_server", "file", fallback=None)
    try:
        mode = int(parser.get("unix_http_server", "chmod", fallback="0700"), 8)
    except ValueError:
        mode = 0o777
    return Configuration(
        None if path is None else here / path.replace("%(here)s", str(here)),
        mode,
        parser.has_section("inet_http_server"),
        parser.get("inet_http_server", "port", fallback=""),
    )


def children(path: Path) -> list[Child]:
    """Ask Supervisor, through its socket, for all its processes.

    Raises:
        NoSupervisor: it does not answer.
    """
    connection = _UnixConnection(path)
    try:
        body = dumps((), "supervisor.getAllProcessInfo").encode()
        connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise NoSupervisor(f"it answered {answer.status} {answer.reason}")
        ((rows,), _) = loads(answer.read().decode())
        return [_child(row) for row in _rows(rows)]
    except (
        OSError,
        HTTPException,
        ExpatError,
        Fault,
        ProtocolError,
        ValueError,
        KeyError,
        TypeError,
    ) as error:
        raise NoSupervisor(f"{path} does not answer: {error}") from error
    finally:
        connection.close()


def _rows(value: object) -> Sequence[Mapping[str, object]]:
    if not isinstance(value, list):
        raise TypeError("its answer is no list of processes")
    return value


def _child(row: Mapping[str, object]) -> Child:
    told = str(row["spawnerr"] or row["description"])
    return Child(f"{row['group']}:{row['name']}", str(row["statename"]), told)


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
