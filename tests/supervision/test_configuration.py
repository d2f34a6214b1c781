"""What supervisord makes of the configuration."""

from __future__ import annotations

import os
import shlex
import signal
import socket
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from supervisor.datatypes import RestartUnconditionally
from supervisor.options import ServerOptions

from persistentq import load_settings
from persistentq.runtime.consumer import DRAIN_S
from persistentq.supervision import make_rpc_interface
from tests.supervision.checkouts import ROOT, copy_checkout

CONSUMERS = 4


def read(conf: Path) -> ServerOptions:
    options = ServerOptions()
    options.realize(["-c", str(conf)])
    return options


@pytest.fixture
def root(tmp_path: Path) -> Path:
    copy_checkout(tmp_path)
    return tmp_path


@pytest.fixture
def options(root: Path) -> ServerOptions:
    return read(root / "supervisor" / "supervisord.conf")


@pytest.fixture
def programs(options: ServerOptions) -> dict[str, Any]:
    """Every process by name."""
    return {
        process.name: process for group in options.process_group_configs for process in group.process_configs
    }


def test_the_folders_that_it_needs_are_there() -> None:
    """Supervisor refuses a configuration whose folders are missing, so git must keep them."""
    assert (ROOT / "supervisor" / "run" / ".gitkeep").is_file()
    assert (ROOT / "supervisor" / "conf.d" / ".gitkeep").is_file()


def test_a_producer_consumers_and_a_dashboard_that_waits(programs: dict[str, Any]) -> None:
    consumers = [f"consumer_{n:02}" for n in range(CONSUMERS)]
    assert sorted(programs) == sorted(["producer", "dashboard", *consumers])
    assert [name for name, program in programs.items() if not program.autostart] == ["dashboard"]
    for name in consumers:
        assert programs[name].environment == {"CONSUMER_ID": name}


def test_every_program_is_the_checkouts_own(programs: dict[str, Any], root: Path) -> None:
    for program in programs.values():
        python, *arguments = shlex.split(program.command)
        assert os.path.normpath(python) == str(root / ".venv" / "bin" / "python")
        assert arguments[0] == "-m"
        assert Path(program.directory).resolve() == root


def test_every_program_is_restarted_stopped_gently_and_logged_within_bounds(
    programs: dict[str, Any], root: Path
) -> None:
    for name, program in programs.items():
        assert program.autorestart is RestartUnconditionally
        assert (program.stopsignal, program.stopasgroup, program.killasgroup) == (signal.SIGTERM, True, True)
        assert program.umask == 0o077
        assert program.redirect_stderr
        assert Path(program.stdout_logfile).resolve() == root / "supervisor" / "run" / f"{name}.log"
        assert 0 < program.stdout_logfile_maxbytes <= 10 * 2**20
        assert 0 < program.stdout_logfile_backups <= 10


def test_a_stop_is_more_patient_than_the_program(programs: dict[str, Any]) -> None:
    wait_for_lock = load_settings({}, Path("/")).lock_timeout
    assert (
        timedelta(seconds=programs["consumer_00"].stopwaitsecs)
        > timedelta(seconds=DRAIN_S) + 2 * wait_for_lock
    )
    assert timedelta(seconds=programs["producer"].stopwaitsecs) > wait_for_lock


def test_only_a_private_socket_listens(options: ServerOptions, root: Path) -> None:
    (server,) = options.configroot.supervisord.server_configs
    assert (server["family"], server["chmod"]) == (socket.AF_UNIX, 0o700)
    for file in (server["file"], options.logfile, options.pidfile):
        assert Path(file).parent.resolve() == root / "supervisor" / "run"


def test_the_file_in_the_root_names_the_same(options: ServerOptions, root: Path) -> None:
    """It lets `supervisorctl` be typed there without -c."""
    other = read(root / "supervisord.conf")
    assert other.process_group_configs == options.process_group_configs
    assert other.configroot.supervisord.server_configs == options.configroot.supervisord.server_configs
    assert (other.pidfile, other.logfile) == (options.pidfile, options.logfile)


def test_it_loads_our_rpc_interface(options: ServerOptions) -> None:
    """From wherever supervisord is started: the package is installed beside it."""
    loaded = {name: factory for name, factory, _ in options.rpcinterface_factories}
    assert loaded.keys() == {"supervisor", "persistentq"}
    assert loaded["persistentq"] is make_rpc_interface


def test_the_release_of_supervisor_is_one_whose_insides_are_known() -> None:
    assert version("supervisor").startswith("4.3.")
