"""The supervisord of one configuration: what its file says, and what the running one answers."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xmlrpc.client import Fault, ProtocolError, ServerProxy, Transport

from persistentq.errors import ExtraMissing, SupervisionError
from persistentq.operations.following import go_near_end, open_log

RPC_S = 10.0
LOG_BYTES = 32_768
PLACES = (
    "supervisor/supervisord.conf",
    "supervisord.conf",
    "etc/supervisord.conf",
    "/etc/supervisord.conf",
    "/etc/supervisor/supervisord.conf",
)


@dataclass(frozen=True, slots=True)
class Program:
    """One process as supervisord sees it.

    Attributes:
        name: `group:process`.
        state: RUNNING, STARTING, BACKOFF, STOPPING, STOPPED, EXITED, FATAL or UNKNOWN.
        pid: Its process id; 0 if there is none.
        log: Where its output goes.
        why: What supervisord says of it: of a failed start, why it failed.
    """

    name: str
    state: str
    pid: int
    log: str
    why: str

    @property
    def is_stopped(self) -> bool:
        """Whether it does not run, and supervisord will not start it by itself."""
        return self.state in {"STOPPED", "EXITED", "FATAL"}


def find_configuration() -> Path:
    """Return the configuration that a person means who names none: ours in a checkout, else Supervisor's own places.

    Raises:
        SupervisionError: there is none.
    """
    found = next((Path(place) for place in PLACES if Path(place).is_file()), None)
    if found is None:
        raise SupervisionError("no supervisord.conf was found from here", "name it: --configuration PATH")
    return found


def read_configuration(conf: Path) -> Any:
    """Return the configuration as supervisord will read it: its ServerOptions.

    Raises:
        ExtraMissing: Supervisor is not installed here.
        SupervisionError: it cannot be read; in supervisord's own words.
    """
    try:
        from supervisor.options import ServerOptions
    except ModuleNotFoundError:
        raise ExtraMissing("questions to supervisord", "supervisor", "supervisor") from None
    options = ServerOptions()
    said = options.stderr = io.StringIO()
    try:
        options.realize(["-c", str(conf)])
    except SystemExit:
        first = said.getvalue().partition("\n")[0].removeprefix("Error: ")
        raise SupervisionError(f"supervisord cannot read {conf}: {first}", "repair that file") from None
    return options


class Supervised:
    """The supervisord of one configuration file, which may be running or not.

    Args:
        conf: The file.

    Attributes:
        conf: The file.
        options: What it says, as supervisord's ServerOptions.
        socket: The path of its socket.
        log: The path of its log.

    Raises:
        ExtraMissing, SupervisionError: as for `read_configuration`; or it names no unix socket.
    """

    def __init__(self, conf: Path) -> None:
        self.conf, self.options = conf, read_configuration(conf)
        servers = self.options.configroot.supervisord.server_configs
        server = next((one for one in servers if one["family"] == socket.AF_UNIX), None)
        if server is None:
            raise SupervisionError(f"{conf} names no unix socket", "add a [unix_http_server] section")
        self.socket, self.log = Path(server["file"]), Path(self.options.logfile)
        user, password = server["username"], server["password"]
        # The host name is never used: the transport goes to the socket.
        self._url = f"http://{quote(user)}:{quote(password or '')}@localhost" if user else "http://localhost"

    def call(self, method: str, *arguments: object) -> Any:
        """Ask supervisord.

        Args:
            method: As Supervisor's documentation names it; without a namespace, one of `supervisor`.
            arguments: A `wait` that is true is given the time that a process may take to stop or to start.

        Raises:
            SupervisionError: it does not answer, or refuses; then `fault` is Supervisor's number of the reason.
        """
        waits = any(one is True for one in arguments)
        proxy = ServerProxy(
            self._url, _UnixTransport(self.socket, RPC_S + (self._longest() if waits else 0.0))
        )
        try:
            with proxy:
                return getattr(proxy, method if "." in method else f"supervisor.{method}")(*arguments)
        except (OSError, HTTPException, ProtocolError) as error:
            unknown = SupervisionError(f"supervisord does not answer ({error}); see {self.log}", "start it")
            unknown.is_unknown = True
            raise unknown from error
        except Fault as error:
            problem = f"supervisord refuses {method} ({error.faultString}); see {self.log}"
            raise SupervisionError(problem, "", fault=error.faultCode) from error

    def state(self) -> str | None:
        """Return RUNNING, RESTARTING, SHUTDOWN or FATAL; None if no supervisord answers."""
        with suppress(SupervisionError):
            return str(self.call("getState")["statename"])
        return None

    def programs(self) -> list[Program]:
        """Return every process that the running supervisord knows, running or not."""
        return [
            Program(
                name=f"{info['group']}:{info['name']}",
                state=info["statename"],
                pid=info["pid"],
                log=info["stdout_logfile"],
                why=info["spawnerr"] or info["description"],
            )
            for info in self.call("getAllProcessInfo")
        ]

    def log_tail(self, program: str, size: int = LOG_BYTES) -> list[str]:
        """Return the last lines that a process has written to its log, oldest first; they may hold what a job told.

        Args:
            program: `group:process`, as supervisord calls it.
            size: So many bytes of it at most.

        Raises:
            SupervisionError: supervisord does not answer, knows no such process, or its log cannot be read here.
        """
        log = Path(self.call("getProcessInfo", program)["stdout_logfile"])
        if not log.is_file():
            raise SupervisionError(f"the output of {program} is kept in no file here", "see stdout_logfile")
        # Not by supervisord, whose answer is no XML where a log has colours.
        with open_log(log) as file:
            is_cut = go_near_end(file, size)
            lines = file.read(size).decode(errors="replace").splitlines()
        return lines[1:] if is_cut else lines

    def _longest(self) -> float:
        groups = self.options.process_group_configs
        return max((longest_wait(one.process_configs) for one in groups), default=0.0)

    def configs(self, group: str) -> Any:
        """Return what the file says of the processes of a program: Supervisor's ProcessConfigs.

        Raises:
            SupervisionError: it has no such program.
        """
        groups = self.options.process_group_configs
        found = next((one.process_configs for one in groups if one.name == group), None)
        if found is None:
            raise SupervisionError(f"{self.conf} has no [program:{group}]", f"it has {_listed(groups)}")
        return found


def longest_wait(configs: Iterable[Any]) -> float:
    """Return for how many seconds at most a process of these ProcessConfigs takes to stop or to start."""
    return float(max((max(one.stopwaitsecs, one.startsecs) for one in configs), default=0))


def _listed(groups: Iterable[Any]) -> str:
    return ", ".join(sorted(one.name for one in groups)) or "none"


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(Transport):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__()
        self._path, self._seconds = path, seconds

    def make_connection(self, host: Any) -> HTTPConnection:
        # It has the user and the password.
        _, self._extra_headers, _ = self.get_host_info(host)
        # Where `close` looks for it.
        self._connection = host, _UnixConnection(self._path, self._seconds)
        return self._connection[1]
