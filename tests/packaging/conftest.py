"""The wheel, built once, and one fresh virtual environment with it, for all tests and all workers of a run."""

import fcntl
import os
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.outside import ROOT, succeed


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Return a function that fills a folder of this name once, however many workers ask for it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, complete = shared / name, shared / f"{name}.complete"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not complete.exists():
                fill(folder)
                complete.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def wheel(once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The wheel of this checkout."""

    def build(folder: Path) -> None:
        # Without isolation: the build backend is in poetry.lock like everything else.
        succeed(sys.executable, "-P", "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)

    (built,) = once("packaging-wheel", build).glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(once: Callable[[str, Callable[[Path], None]], Path], wheel: Path) -> Path:
    """The `bin` folder of a fresh virtual environment into which pip has put the wheel, without any extra."""

    def install(folder: Path) -> None:
        venv.create(folder, with_pip=True)
        succeed(folder / "bin/python", "-m", "pip", "install", "--quiet", wheel)

    return once("packaging-venv", install) / "bin"
