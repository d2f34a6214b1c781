"""Commands run as someone outside the checkout would run them."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def outside_environment() -> dict[str, str]:
    """The environment of someone who has activated nothing and set nothing of ours."""
    diverting = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PIP_TARGET", "PIP_USER"}
    return {name: value for name, value in os.environ.items() if name not in diverting}


def run(*command: str | Path, cwd: Path = Path("/")) -> subprocess.CompletedProcess[str]:
    """Run a command from outside the checkout."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=outside_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def succeed(*command: str | Path) -> None:
    """Run a command that must end well."""
    result = run(*command)
    assert result.returncode == 0, result.stdout + result.stderr
