"""A type checker knows what a task takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = Path(__file__).with_name("typed_calls.py")


def test_mypy_knows_what_a_task_takes_and_refuses_the_rest() -> None:
    expected = {
        (number, code)
        for number, line in enumerate(SAMPLE.read_text().splitlines(), 1)
        if (said := re.search(r"# error: (.+)$", line))
        for code in said[1].split()
    }
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--hide-error-context", "--no-color-output", str(SAMPLE)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    name = re.escape(str(SAMPLE.relative_to(ROOT)))
    found = re.findall(rf"^(?:.*/)?{name}:(\d+): error: .*\[([\w-]+)\]$", ran.stdout, re.MULTILINE)
    assert {(int(number), code) for number, code in found} == expected, ran.stdout
