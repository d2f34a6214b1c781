"""Bring a checkout to life: Poetry in an environment of its own, and in .venv everything poetry.lock names.

    python3 scripts/bootstrap.py                  set up, or do nothing when nothing has changed
    python3 scripts/bootstrap.py poetry ARG...    run that Poetry, for example `poetry lock`

Needs Python and its venv module only. The first lines run on old Pythons too, to say what is missing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OLDEST_PYTHON = (3, 11)
OTHER_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
POETRY = ("poetry==2.5.1", "poetry-plugin-pypi-mirror==0.6.5")

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".poetry"
POETRY_VENV = HOME / "venv"
VENV = ROOT / ".venv"
LOG = HOME / "bootstrap.log"

# What would divert Poetry or pip from this checkout: an activated environment, another path, other targets.
DIVERTING = (
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "PYTHONHOME",
    "PYTHONPATH",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_USER",
    "PIP_REQUIRE_VIRTUALENV",
)

# Poetry's own client speaks an interface that mirrors seldom have; the plugin makes it use the index that pip
# uses, whatever that is, and writes nothing about it to poetry.lock.
ASK_PIP_FOR_ITS_INDEX = (
    "from pip._internal.commands import create_command;"
    "print(create_command('install').parse_args([])[0].index_url)"
)


class SetupError(Exception):
    """What went wrong, and what to do about it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def main(argv: Sequence[str] | None = None) -> int:
    """Set up the checkout, or run its Poetry; returns an exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] != "poetry":
        print("error: bootstrap.py takes no argument, or: poetry ARG...", file=sys.stderr)
        return 2
    try:
        use_new_enough_python()
        with only_one_at_a_time():
            install_poetry()
            if not arguments:
                install_checkout()
    except SetupError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        return 1
    if arguments:
        return subprocess.call([str(POETRY_VENV / "bin/poetry"), *arguments[1:]], env=poetry_environment())
    return 0


def use_new_enough_python() -> None:
    """Go on in a Python that is new enough: this one, or the newest on the PATH, which replaces it."""
    if sys.version_info[:2] < OLDEST_PYTHON:
        other = next(filter(is_new_enough, filter(None, map(shutil.which, OTHER_PYTHONS))), None)
        if other is None:
            mine = ".".join(map(str, sys.version_info[:3]))
            wanted = ".".join(map(str, OLDEST_PYTHON))
            raise SetupError(
                f"Python {wanted} or newer is needed; {sys.executable} is {mine}, and none of "
                f"{', '.join(OTHER_PYTHONS)} is on the PATH",
                f"install Python {wanted} or newer with its venv module, then run this again",
            )
        os.execv(other, [other, __file__, *sys.argv[1:]])
    try:
        import ensurepip  # noqa: F401  Debian ships it apart from Python
        import venv  # noqa: F401
    except ImportError as error:
        version = "{}.{}".format(*sys.version_info)
        raise SetupError(
            f"{sys.executable} has no venv module ({error})", f"apt-get install python{version}-venv"
        ) from None


def is_new_enough(python: str) -> bool:
    """Whether this really runs and is what its name says: version managers put empty shells on the PATH."""
    question = f"import sys; sys.exit(sys.version_info[:2] < {OLDEST_PYTHON})"
    return subprocess.run([python, "-c", question], capture_output=True, check=False).returncode == 0


@contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """Two set-ups of one checkout take turns; the second then finds nothing to do."""
    HOME.mkdir(exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install_poetry() -> None:
    """Install Poetry, unless this very version was installed for this very folder before."""
    stamp = HOME / "stamp"
    key = digest(str(ROOT), *POETRY)
    if is_stamped(stamp, key) and runs(POETRY_VENV / "bin/python"):
        return
    say("installing Poetry into .poetry/ …")
    stamp.unlink(missing_ok=True)
    run([sys.executable, "-m", "venv", "--clear", str(POETRY_VENV)], clean_environment())
    pip = [str(POETRY_VENV / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, *POETRY], clean_environment())
    stamp.write_text(key)


def install_checkout() -> None:
    """Install what poetry.lock names, and the checkout itself, unless nothing has changed since."""
    stamp = VENV / "bootstrap.stamp"
    place, key = str(VENV), digest(*POETRY, file_text("pyproject.toml"), file_text("poetry.lock"))
    # The scripts of a virtual environment hold its absolute path: in a moved or copied checkout they mislead.
    if stamp.is_file() and stamp.read_text().splitlines()[:1] != [place]:
        shutil.rmtree(VENV)
    if is_stamped(stamp, f"{place}\n{key}") and runs(VENV / "bin/python"):
        return
    say("installing the locked dependencies into .venv/ (the first time this takes a minute) …")
    if stamp.is_file():
        stamp.write_text(place)
    # --compile: where bytecode is not written at run time, every start would compile all its imports anew.
    run(
        [str(POETRY_VENV / "bin/poetry"), "install", "--no-interaction", "--no-ansi", "--compile"],
        poetry_environment(),
    )
    stamp.write_text(f"{place}\n{key}")


def poetry_environment() -> dict[str, str]:
    """Environment in which Poetry works on the checkout's own .venv, from the index that pip uses."""
    environment = clean_environment()
    environment["POETRY_VIRTUALENVS_CREATE"] = "true"
    environment["POETRY_VIRTUALENVS_IN_PROJECT"] = "true"
    environment["POETRY_VIRTUALENVS_USE_POETRY_PYTHON"] = "true"
    # A desktop's keyring may wait for a password that nobody types; no credentials are needed here.
    environment.setdefault("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    if "POETRY_PYPI_MIRROR_URL" not in environment:
        python = str(POETRY_VENV / "bin/python")
        asked = subprocess.run(
            [python, "-c", ASK_PIP_FOR_ITS_INDEX],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        # Without an answer Poetry is left to its own client.
        if asked.returncode == 0:
            environment["POETRY_PYPI_MIRROR_URL"] = asked.stdout.strip()
    return environment


def clean_environment() -> dict[str, str]:
    """Environment without anything that would send an installation elsewhere."""
    return {name: value for name, value in os.environ.items() if name not in DIVERTING}


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run one step with its output in the log; a failed one shows the end of it."""
    with LOG.open("w") as log:
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        code = subprocess.call(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    if code:
        tail = "\n".join(f"  {line}" for line in LOG.read_text(errors="replace").splitlines()[-15:])
        print(tail, file=sys.stderr)
        step = " ".join([Path(command[0]).name, *command[1:3]])
        raise SetupError(
            f"{step} … ended with code {code}", f"the whole output is in {LOG.relative_to(ROOT)}"
        )


def is_stamped(stamp: Path, key: str) -> bool:
    """Whether the stamp holds this key."""
    return stamp.is_file() and stamp.read_text() == key


def runs(python: Path) -> bool:
    """Whether this interpreter is there: what a virtual environment points to may have been removed."""
    return os.access(python, os.X_OK)


def digest(*parts: str) -> str:
    """One short word for all of these."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def file_text(name: str) -> str:
    """Text of a file of the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def say(text: str) -> None:
    """Tell what takes so long."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
