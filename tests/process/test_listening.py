"""A forked child has a doorbell of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def listened(url: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("listening.py")), url],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.stderr + f"exit code {ran.returncode}"


def test_a_child_hears_for_itself(own_url: str) -> None:
    assert listened(own_url) == "exit code 0"


def test_a_child_of_a_queue_in_memory_rings_for_itself() -> None:
    assert listened("memory") == "exit code 0"
