"""G2, G3, G4 and G7 with the plug pulled: 60 kills, 25 zombies, poison and bad rows, on each engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["sqlite", "system", "postgresql"])
def test_the_plug_is_pulled(engine: str, request: pytest.FixtureRequest) -> None:
    """What it prints has the seed, which does it all again: `python -m tests.faults --engine … --seed …`."""
    words = ["--plan", "c1", "--engine", engine]
    if engine == "postgresql":
        words += ["--server", request.getfixturevalue("postgres_server")]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.faults", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "verdict: I1 to I10 hold" in ran.stdout
