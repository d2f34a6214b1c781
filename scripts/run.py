"""`make run` and `make stop`: the whole system of this checkout under Supervisor.

.venv/bin/python scripts/run.py start    start what does not run yet, wait for the first job, say where all is
.venv/bin/python scripts/run.py stop     end all of it, and wait until it is gone
"""

import os
import re
import socket
import sys
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from deadline import wait_until
from persistentq import (
    DatabaseMissing,
    JobStatus,
    Settings,
    StorageUnavailable,
    SupervisionError,
    load_settings,
    open_queue,
)
from persistentq.operations.supervised import Program
from persistentq.program import run_program
from supervised import System

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "supervisor" / "supervisord.conf"
DASHBOARD = "dashboard:dashboard"

PROGRAMS_SECONDS = 30.0
DASHBOARD_SECONDS = 60.0
FIRST_JOB_SECONDS = 60.0

NEXT = """\
Try next:
  .venv/bin/python -m admin.admin list-jobs                        the jobs, newest first
  .venv/bin/python -m admin.admin monitor-activity --interval 5    what happens, every five seconds
  .venv/bin/python -m manager.manager                              all of it, full screen
  .venv/bin/supervisorctl -c supervisor/supervisord.conf status    the processes
  make stop                                                        end everything"""


def main(argv: Sequence[str] | None = None) -> int:
    """Start or stop the system; returns an exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    deeds = {"start": start, "stop": stop}
    if len(arguments) != 1 or arguments[0] not in deeds:
        print("usage: run.py start | stop", file=sys.stderr)
        return 2
    # Relative paths of the settings start here, as they do for the processes under Supervisor.
    os.chdir(ROOT)
    return run_program(deeds[arguments[0]])


def start() -> int:
    """Start what does not run yet, and wait until a job is done."""
    settings = prepare()
    supervised = System(CONF)
    with supervised.only_one_start():
        start_supervisord(supervised)
    wait_for_programs(supervised)
    start_dashboard(supervised)
    wait_for_first_job(supervised, settings)
    print(summary(supervised, settings))
    return 0


def stop() -> int:
    """End everything that belongs to this checkout's supervisord."""
    if not (CONF.parent / "run").is_dir() or not System(CONF).stop():
        print("nothing is running")
    else:
        print("everything has stopped")
    return 0


def prepare() -> Settings:
    """Make what is missing: `.env` from the example, and the folders."""
    try:
        with suppress(FileExistsError), (ROOT / ".env").open("x", encoding="utf-8") as file:
            file.write((ROOT / ".env.example").read_text(encoding="utf-8"))
            print("made .env from .env.example")
        settings = load_settings()
        # Supervisor refuses a configuration whose folders are missing.
        (CONF.parent / "run").mkdir(mode=0o700, exist_ok=True)
        settings.job_files_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SupervisionError(
            f"cannot make {error.filename}: {error.strerror}", "make it possible, then make run"
        ) from error
    return settings


def start_supervisord(supervised: System) -> None:
    """Start supervisord, unless it runs."""
    if supervised.state() == "SHUTDOWN":
        supervised.stop()
    if supervised.state() is None:
        refuse_leftovers(supervised)
        refuse_taken_port(supervised)
        print("starting supervisord …", flush=True)
        supervised.start()


def refuse_leftovers(supervised: System) -> None:
    """Raise if processes of a supervisord that was killed still run: the new ones would come on top."""
    left = sorted(supervised.processes())
    if left:
        raise SupervisionError(
            f"processes of an earlier start still run: {left}; see {shown(supervised.log)}", "make stop"
        )


def refuse_taken_port(supervised: System) -> None:
    """Raise if another program has the dashboard's port."""
    with socket.socket() as probe:
        # Connections that a stopped dashboard left behind do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", dashboard_port()))
        except OSError as error:
            raise SupervisionError(
                f"port {dashboard_port()} is taken, the dashboard cannot start ({error.strerror}); "
                f"its log is {shown(supervised.log.with_name('dashboard.log'))}",
                "stop the program that has it, or choose another: STREAMLIT_SERVER_PORT=8502 make run",
            ) from None


def wait_for_programs(supervised: System) -> None:
    """Wait until nothing is on its way up any more; raise for what failed."""

    def settled() -> bool:
        programs = supervised.programs()
        refuse_failed(programs)
        return not any(program.state in {"STARTING", "BACKOFF"} for program in programs)

    if not wait_until(settled, PROGRAMS_SECONDS):
        slow = next(program for program in supervised.programs() if program.state in {"STARTING", "BACKOFF"})
        raise SupervisionError(*told(slow))


def start_dashboard(supervised: System) -> None:
    """Start the dashboard, unless it runs, and wait until it answers."""
    if dashboard(supervised).state not in {"RUNNING", "STARTING"}:
        refuse_taken_port(supervised)
        print("starting the dashboard …", flush=True)
        # A refusal means that somebody else has just started it.
        with suppress(SupervisionError):
            supervised.call("startProcess", DASHBOARD, False)

    def answers() -> bool:
        program = dashboard(supervised)
        refuse_failed([program])
        if program.state != "RUNNING":
            return False
        with suppress(OSError):
            # No proxy of the environment stands between this machine and itself; and this path needs no password.
            opener = build_opener(ProxyHandler({}))
            with opener.open(f"http://127.0.0.1:{dashboard_port()}/healthz", timeout=5) as reply:
                return bool(reply.status == HTTPStatus.OK)
        return False

    if not wait_until(answers, DASHBOARD_SECONDS):
        raise SupervisionError(*told(dashboard(supervised)))


def wait_for_first_job(supervised: System, settings: Settings) -> None:
    """Wait until the queue holds a job that is done."""
    print("waiting for the first job …", flush=True)

    def one_is_done() -> bool:
        refuse_failed(supervised.programs())
        with (
            suppress(DatabaseMissing, StorageUnavailable),
            open_queue(settings=settings, create=False) as queue,
        ):
            return bool(queue.list_jobs(status=JobStatus.DONE, limit=1).items)
        return False

    if not wait_until(one_is_done, FIRST_JOB_SECONDS):
        consumer = next(each for each in supervised.programs() if each.name.startswith("consumer:"))
        raise SupervisionError(
            f"no job was done within {FIRST_JOB_SECONDS:g} s; see {shown(consumer.log)}",
            ".venv/bin/supervisorctl -c supervisor/supervisord.conf status",
        )


def refuse_failed(programs: list[Program]) -> None:
    """Raise for the first one that Supervisor gave up."""
    for program in programs:
        if program.state == "FATAL":
            raise SupervisionError(*told(program))


def told(program: Program) -> tuple[str, str]:
    """Error and hint for a program that does not run."""
    return (
        f"{program.name} is {program.state} ({program.why}); see {shown(program.log)}",
        f"repair the cause, then .venv/bin/supervisorctl -c supervisor/supervisord.conf start {program.name}",
    )


def dashboard(supervised: System) -> Program:
    """The dashboard as supervisord sees it."""
    return next(program for program in supervised.programs() if program.name == DASHBOARD)


def dashboard_port() -> int:
    """Where Streamlit will listen: as the environment says, else its configuration beside the script."""
    configuration = ROOT / "ops" / ".streamlit" / "config.toml"
    server = tomllib.loads(configuration.read_text(encoding="utf-8")).get("server", {})
    return int(os.environ.get("STREAMLIT_SERVER_PORT") or server.get("port", 8501))


def summary(supervised: System, settings: Settings) -> str:
    """Where everything is, and what to try next."""
    database = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", settings.db_url or str(settings.db_file))
    places = {
        "database": database,
        "job files": settings.job_files_dir,
        "logs": supervised.log.parent,
        "dashboard": f"http://localhost:{dashboard_port()}",
    }
    lines = [f"  {name:<11}{place}" for name, place in places.items()]
    return "\n".join(["", "persistentq is running.", "", *lines, "", NEXT])


def shown(path: Path | str) -> str:
    """A path of the checkout as one would type it there."""
    path = Path(path)
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


if __name__ == "__main__":
    raise SystemExit(main())
