"""S11: a full disk is told as such, loses nothing that was acknowledged, and is over when there is room."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILLING = str(Path(__file__).with_name("filling.py"))
# A mount that nobody else sees and that ends with its process; without being root, in a user namespace of its own.
UNSHARED = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def filled(*command: str) -> Any:
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def can_mount(folder: Path) -> bool:
    command = [*UNSHARED, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return (
        bool(shutil.which("unshare"))
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


def check(report: Any, problem: str) -> None:
    assert len(report["said"]) == 3
    for said in report["said"]:
        assert problem in said
        assert "queue.db" in said
    first, second, third = report["acknowledged"]
    assert 0 < first < second < third
    assert report["whole"] == "ok"
    # What was refused was either undone or, where only the answer failed, is there: never less than acknowledged.
    assert third <= sum(report["counts"].values()) <= third + 15
    assert report["counts"]["done"] == 2


def test_a_full_disk(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("nothing can be mounted here; the next test is the same with limited files")
    report = filled(*UNSHARED, sys.executable, "-P", FILLING, "tmpfs", str(tmp_path))
    check(report, "disk is full; free some disk space")


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """The same where nothing can be mounted: SQLite calls it an error of the disk."""
    check(filled(sys.executable, "-P", FILLING, "limit", str(tmp_path)), "cannot be used: disk I/O error")
