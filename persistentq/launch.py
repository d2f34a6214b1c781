"""The `persistentq` command: finds one of the five programs and starts it.

In a wheel the programs are folders inside the package; in a checkout they lie beside it. Everything after the
program's name is the program's own business.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import persistentq

PACKAGE = Path(__file__).resolve().parent

EXIT_FAILED = 1
EXIT_USAGE = 2


@dataclass(frozen=True, slots=True)
class Program:
    """One of the programs: what it is for, what it imports, and the extra that brings that.

    An empty extra means that a plain `pip install persistentq` brings it.
    """

    summary: str
    needs: tuple[str, ...] = ()
    extra: str = ""


PROGRAMS = {
    "admin": Program("the command line: list, resubmit, cancel, assign and delete jobs", ("typer",)),
    "manager": Program("the full-screen terminal manager", ("prompt_toolkit",)),
    "ops": Program("the web dashboard on http://localhost:8501", ("streamlit", "pandas", "altair"), "ops"),
    "consumer": Program("take jobs from the queue and run them"),
    "producer": Program("make files and enqueue a job for each"),
}

SHORT = {
    "preflight": "check new code against every unfinished job: `admin preflight`",
    "scale": "more or fewer consumers under Supervisor: `admin scale`",
}
"""Commands of `admin` that are programs of their own to those who deploy."""

OPS_HELP = """\
usage: persistentq ops

Serves the dashboard on http://localhost:8501, for this machine only, until Ctrl-C.
STREAMLIT_SERVER_PORT=8502 in the environment chooses another port; other addresses need OPS_PASSWORD.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Start the program that the first argument names.

    Args:
        argv: Arguments without the command's own name; `sys.argv[1:]` if None.

    Returns:
        The program's exit code; 1 if it cannot start here, 2 for a wrong call. `ops` replaces this process
        and does not return.
    """
    os.umask(0o077)
    arguments = list(sys.argv[1:] if argv is None else argv)
    first, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if first in {"-h", "--help"}:
        sys.stdout.write(_usage())
        return 0
    if first in {"-V", "--version"}:
        sys.stdout.write(f"persistentq {metadata.version('persistentq')}\n")
        return 0
    if first in SHORT:
        return _start("admin", arguments)
    if first not in PROGRAMS:
        what = f"no such program: {first!r}" if first else "name a program"
        return _refuse(what, "persistentq --help lists them", EXIT_USAGE)
    return _start(first, rest)


def _start(name: str, arguments: list[str]) -> int:
    program = PROGRAMS[name]
    missing = [module for module in program.needs if find_spec(module) is None]
    if missing:
        wanted = f"'persistentq[{program.extra}]'" if program.extra else "persistentq"
        return _refuse(f"{name} needs {', '.join(missing)}", f"pip install {wanted}", EXIT_FAILED)
    places = (PACKAGE, PACKAGE.parent)
    home = next((place for place in places if (place / name / f"{name}.py").is_file()), None)
    if home is None:
        hint = "pip install --force-reinstall --no-deps persistentq"
        return _refuse(f"this installation has no {name}/{name}.py", hint, EXIT_FAILED)
    if name == "ops":
        if arguments[:1] in (["-h"], ["--help"]):
            sys.stdout.write(OPS_HELP)
            return 0
        _become_streamlit(home / "ops" / "ops.py", arguments)
    # An editable install puts only the checkout on the path, where the programs are not inside the package.
    if home != PACKAGE and str(home) not in persistentq.__path__:
        persistentq.__path__.append(str(home))
    return int(import_module(f"persistentq.{name}.{name}").main(arguments))


def _become_streamlit(script: Path, arguments: list[str]) -> NoReturn:
    # -P: like any installed command, the dashboard must not import what lies in the current directory.
    command = [sys.executable, "-P", "-m", "streamlit", "run", str(script), "--", *arguments]
    os.execv(sys.executable, command)


def _usage() -> str:
    summaries = {name: program.summary for name, program in PROGRAMS.items()} | SHORT
    lines = [f"  {name:<10} {summary}" for name, summary in summaries.items()]
    return "\n".join(
        [
            "usage: persistentq PROGRAM [ARGUMENT]...",
            "",
            *lines,
            "",
            "persistentq PROGRAM --help tells more; persistentq --version tells which release this is.",
            "",
        ]
    )


def _refuse(what: str, hint: str, code: int) -> int:
    sys.stderr.write(f"error: {what}\nhint: {hint}\n")
    return code
