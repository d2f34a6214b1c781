"""The installed wheel under Supervisor, with the configuration that docs/supervision.md shows."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import venv
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from persistentq import JobStatus, PersistentQInterface, load_settings, open_queue
from persistentq.clock import Deadline
from persistentq.operations.supervised import Supervised
from tests.packaging.outside import ROOT, outside_environment, run, succeed

pytestmark = pytest.mark.timeout(600)
PATIENCE_S = 90

SHOP = """\
from pathlib import Path
from threading import Event

from persistentq import current_job, task

@task("greet")
def greet(name):
    return f"hello {name}"

@task("hold")
def hold():
    while not Path("let go").exists():
        Event().wait(0.01)
    return current_job().job.attempt
"""


@pytest.fixture(scope="session")
def with_supervisor(once: Callable[[str, Callable[[Path], None]], Path], wheel: Path) -> Path:
    """A fresh virtual environment into which pip has put the wheel with the extra `supervisor`."""

    def install(folder: Path) -> None:
        venv.create(folder, with_pip=True)
        succeed(folder / "bin/python", "-m", "pip", "install", "--quiet", f"{wheel}[supervisor]")

    return once("packaging-venv-supervisor", install)


@pytest.fixture
def shop(with_supervisor: Path) -> Iterator[Path]:
    """A project of somebody's own, at a path short enough for a unix socket."""
    page = (ROOT / "docs" / "supervision.md").read_text()
    (conf,) = re.findall(r"^```ini\n(; supervisord\.conf\n.*?)^```$", page, re.DOTALL | re.MULTILINE)
    with tempfile.TemporaryDirectory(prefix="pq-") as name:
        folder = Path(name).resolve()
        (folder / "supervisord.conf").write_text(conf)
        (folder / "shop.py").write_text(SHOP)
        (folder / ".venv").symlink_to(with_supervisor)
        for made in ("run", "conf.d"):
            (folder / made).mkdir()
        try:
            yield folder
        finally:
            end(folder)


def processes(folder: Path) -> set[int]:
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (place / "cwd").readlink().is_relative_to(folder):
                found.add(int(place.name))
    return found


def end(folder: Path) -> None:
    """Kill what is left, supervisord first."""
    first = [int(path.read_text()) for path in folder.glob("run/supervisord.pid")]
    for pid in [*first, *processes(folder)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert Deadline(PATIENCE_S).wait_for(lambda: not processes(folder))


def wait_for(condition: Callable[[], object]) -> None:
    assert Deadline(PATIENCE_S).wait_for(lambda: bool(condition()), every=0.2)


def has_ended(queue: PersistentQInterface, job_id: int) -> bool:
    return queue.get_job(job_id).status == JobStatus.DONE


def test_everything_holds_for_the_installed_package(shop: Path) -> None:
    succeed(shop / ".venv/bin/supervisord", "-c", shop / "supervisord.conf")
    supervised = Supervised(shop / "supervisord.conf")

    def states() -> dict[str, str]:
        return {one.name.partition(":")[2]: one.state for one in supervised.programs()}

    def pids() -> dict[str, int]:
        return {one.name.partition(":")[2]: one.pid for one in supervised.programs()}

    wait_for(lambda: states() == {"consumer_00": "RUNNING", "consumer_01": "RUNNING"})
    before = pids()
    command = shop / ".venv/bin/persistentq"
    with open_queue(settings=load_settings({}, shop)) as queue:
        held = [queue.enqueue("hold") for _ in range(2)]
        wait_for(lambda: {queue.get_job(job.id).status for job in held} == {JobStatus.PROCESSING})
        more = run(command, "scale", "3", cwd=shop)
        assert (more.returncode, more.stderr) == (0, "")
        assert more.stdout == "consumer: 3; added consumer_02; left alone consumer_00, consumer_01\n"
        assert {name: pids()[name] for name in before} == before
        greeting = queue.enqueue("greet", {"name": "you"})
        wait_for(lambda: has_ended(queue, greeting.id))
        assert queue.get_job(greeting.id).consumer == "consumer_02"

        second = run(command, "consumer", "--app", "shop", "--consumer-id", "consumer_00", cwd=shop)
        assert second.returncode == 75
        assert f"consumer 'consumer_00' is alive: process {before['consumer_00']} on " in second.stderr

        (shop / "let go").touch()
        wait_for(lambda: all(has_ended(queue, job.id) for job in held))
        assert [queue.get_job(job.id).attempt for job in held] == [1, 1]
        fewer = run(command, "admin", "scale", "1", cwd=shop)
        assert fewer.stdout == "consumer: 1; removed consumer_01, consumer_02; left alone consumer_00\n"
        assert pids() == {"consumer_00": before["consumer_00"]}

        os.kill(before["consumer_00"], signal.SIGKILL)
        after = queue.enqueue("greet", {"name": "me"})
        wait_for(lambda: has_ended(queue, after.id))
    supervised.call("shutdown")
    wait_for(lambda: not processes(shop))


def test_a_service_manager_hears_of_it_too(shop: Path) -> None:
    """As under systemd, whose unit the page shows: what `Type=notify` waits for comes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(shop / "notify"))
        listener.settimeout(PATIENCE_S)
        environment = outside_environment() | {
            "NOTIFY_SOCKET": str(shop / "notify"),
            "CONSUMER_ID": "consumer_1",
        }
        command = [str(shop / ".venv/bin/persistentq"), "consumer", "--app", "shop"]
        with subprocess.Popen(command, cwd=shop, env=environment, stderr=subprocess.DEVNULL) as consumer:
            assert listener.recv(100) == b"READY=1"
            consumer.terminate()
            assert listener.recv(100) == b"STOPPING=1"
            assert consumer.wait(PATIENCE_S) == 0


def test_without_the_extra_scale_says_how_to_get_it(installed: Path, shop: Path) -> None:
    result = run(installed / "persistentq", "scale", "2", cwd=shop)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "error: questions to supervisord need supervisor, which is not installed\n"
        "hint: pip install 'persistentq[supervisor]'\n"
    )
