"""What is around the database on this machine: Supervisor and its children, files of settings, the Python path."""

from __future__ import annotations

import os
import socket
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_IMODE
from typing import TYPE_CHECKING

from persistentq.errors import ExtraMissing, SupervisionError
from persistentq.insight import Check, Grade

if TYPE_CHECKING:
    from persistentq.operations.supervised import Program, Supervised

PROGRAMS = ("admin", "manager", "producer", "consumer")
TROUBLED = ("FATAL", "BACKOFF")

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where to look on this machine; what is None is not looked at.

    Attributes:
        env_file: The `.env` that the settings came from.
        supervisor_conf: Supervisor's configuration; a file that is not there is fine.
        checkout: The folder that holds the programs, if they are not installed as a wheel.
    """

    env_file: Path | None = None
    supervisor_conf: Path | None = None
    checkout: Path | None = None

    @classmethod
    def here(cls, env_file: Path | None, supervisor_conf: Path | None = None) -> Surroundings:
        """Return what is around this program; in a checkout its own configuration of Supervisor, if none is named."""
        root = Path(__file__).resolve().parents[2]
        # In the wheel the programs lie inside the package, where nobody else's can be meant.
        checkout = root if (root / "supervisor" / "supervisord.conf").is_file() else None
        conf = supervisor_conf or (checkout and checkout / "supervisor" / "supervisord.conf")
        return cls(env_file, conf, checkout)


def check_surroundings(around: Surroundings) -> Iterator[Check]:
    """Yield one check after the other."""
    if around.env_file is not None:
        yield check_env_file(around.env_file)
    if around.supervisor_conf is not None and around.supervisor_conf.is_file():
        yield from check_supervisor(around.supervisor_conf)
    if around.checkout is not None:
        yield check_path(around.checkout, sys.path)
        yield check_dashboard(around.checkout)
    yield check_twins()


def check_env_file(file: Path) -> Check:
    """Say whether only its owner may read the settings, which may hold a password."""
    try:
        mode = S_IMODE(file.stat().st_mode)
    except OSError as error:
        return Check(
            "settings", Grade.WARN, f"{file} cannot be looked at: {error.strerror}", "see who owns it"
        )
    if mode & 0o077:
        found = f"{file} has mode {mode:04o}; QUEUE_DB_URL in it may hold a password"
        return Check("settings", Grade.WARN, found, f"chmod 600 {file}")
    return Check("settings", Grade.OK, f"{file} is its owner's alone")


def check_supervisor(file: Path) -> Iterator[Check]:
    """Say who may reach Supervisor, and which of its children it cannot keep alive."""
    # It loads what speaks HTTP, which no other command should wait for.
    from persistentq.operations.supervised import Supervised

    try:
        known = Supervised(file)
    except (ExtraMissing, SupervisionError) as error:
        yield Check("supervisor", Grade.WARN, error.summary, error.hint)
        return
    yield _exposure(known)
    if not known.socket.exists():
        yield Check("children", Grade.OK, "Supervisor is not running")
        return
    try:
        found = known.programs()
    except SupervisionError as error:
        remedy = (
            "supervisord was killed: start it again; consumers it left behind free their ids when they end"
        )
        yield Check("children", Grade.WARN, error.summary, remedy)
        return
    bad = [one for one in found if one.state in TROUBLED]
    if bad:
        text = "; ".join(f"{one.name} is in {one.state}: {one.why}" for one in bad)
        remedy = f"supervisorctl -c {file} tail {bad[0].name}, mend the cause, then: start {bad[0].name}"
        yield Check("children", Grade.FAIL, text, remedy)
    elif idle := _stopped_alone(found):
        text = "; ".join(f"{one.name} is {one.state}, while others like it run" for one in idle)
        yield Check("children", Grade.WARN, text, f"supervisorctl -c {file} start {idle[0].name}")
    else:
        running = sum(one.state == "RUNNING" for one in found)
        yield Check("children", Grade.OK, f"{running} of {len(found)} run, none is in FATAL or BACKOFF")


def _stopped_alone(found: list[Program]) -> list[Program]:
    """Return those that do not run although others of their group do."""
    groups = {one.name.partition(":")[0] for one in found if one.state == "RUNNING"}
    return [one for one in found if one.is_stopped and one.name.partition(":")[0] in groups]


def _exposure(known: Supervised) -> Check:
    servers = known.options.configroot.supervisord.server_configs
    if open_to_all := next((one for one in servers if one["family"] == socket.AF_INET), None):
        address = f"{open_to_all['host'] or '*'}:{open_to_all['port']}"
        found = (
            f"{known.conf} opens Supervisor to the network at {address}: whoever reaches it can run anything"
        )
        return Check("supervisor", Grade.FAIL, found, "remove [inet_http_server]; the unix socket is enough")
    mode = next(one["chmod"] for one in servers if one["family"] == socket.AF_UNIX)
    with suppress(OSError):
        mode = S_IMODE(known.socket.stat().st_mode)
    if mode & 0o077:
        found = f"Supervisor's socket has mode {mode:04o}: others of this machine can run anything through it"
        return Check(
            "supervisor", Grade.FAIL, found, f"set chmod=0700 under [unix_http_server] in {known.conf}"
        )
    return Check("supervisor", Grade.OK, "reached by its socket alone, which is its owner's")


def check_path(checkout: Path, path: Sequence[str]) -> Check:
    """Say whether `python -m admin.admin` and its like mean the programs of the checkout."""
    for name in (*PROGRAMS, "persistentq"):
        found = list(dict.fromkeys(_places(name, path)))
        others = [one for one in found if one != checkout]
        if others and found[0] != checkout:
            remedy = f"start commands from {checkout}, or put it first on PYTHONPATH"
            return Check("python path", Grade.FAIL, f"{name} means the one in {others[0]}", remedy)
        if others:
            text = f"there is another {name} in {others[0]}, which is meant where {checkout} is not first"
            remedy = f"start commands from {checkout}, or uninstall the other"
            return Check("python path", Grade.WARN, text, remedy)
    if (checkout / "supervisor" / "__init__.py").exists():
        text = f"{checkout / 'supervisor'} has an __init__.py, which hides Supervisor's own package"
        return Check("python path", Grade.FAIL, text, "delete that file")
    return Check("python path", Grade.OK, "every program's name means this checkout's")


def _places(name: str, path: Sequence[str]) -> Iterator[Path]:
    for entry in path:
        folder = Path(entry or ".").absolute()
        if (folder / name / "__init__.py").is_file() or (folder / f"{name}.py").is_file():
            yield folder


def check_dashboard(checkout: Path) -> Check:
    """Say whether the dashboard is configured to listen on this machine alone."""
    import tomllib
    from ipaddress import ip_address

    file = checkout / "ops" / ".streamlit" / "config.toml"
    address = os.environ.get("STREAMLIT_SERVER_ADDRESS")
    if address is None:
        with suppress(OSError, tomllib.TOMLDecodeError):
            address = tomllib.loads(file.read_text(encoding="utf-8")).get("server", {}).get("address")
    is_local = address == "localhost"
    with suppress(ValueError):
        is_local = is_local or ip_address(str(address)).is_loopback
    if is_local:
        return Check("dashboard", Grade.OK, f"it listens on {address} alone")
    found = f"it listens on {address or 'every network address'}, and does not start without OPS_PASSWORD"
    return Check("dashboard", Grade.WARN, found, f"set address = '127.0.0.1' under [server] in {file}")


def check_twins() -> Check:
    """Say whether two consumers of this machine were started with one id in one folder, as far as they can be seen."""
    known: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    parents: dict[int, int] = {}
    for folder in _PROC.glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            if b"consumer.consumer" not in (folder / "cmdline").read_bytes().split(b"\0"):
                continue
            variables = (folder / "environ").read_bytes().split(b"\0")
            name = next((one[12:].decode() for one in variables if one.startswith(b"CONSUMER_ID=")), "")
            pid = int(folder.name)
            parents[pid] = int((folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            if name:
                known[name, str((folder / "cwd").readlink())].add(pid)
    # A consumer's child processes have what it has.
    doubled = {
        name: [pid for pid in sorted(pids) if parents[pid] not in pids] for (name, _), pids in known.items()
    }
    doubled = {name: pids for name, pids in doubled.items() if len(pids) > 1}
    if not doubled:
        return Check("twins", Grade.OK, "no two consumers here were started with one id")
    text = "; ".join(
        f"{name} is started as processes {', '.join(map(str, pids))}" for name, pids in doubled.items()
    )
    remedy = (
        "end the older one (kill, it gives its jobs back), most likely left by a supervisord that was killed"
    )
    return Check("twins", Grade.WARN, text, remedy)
