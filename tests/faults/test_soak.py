"""Nothing grows: `python -m tests.faults.soak --minutes 30`, for some seconds."""

from __future__ import annotations

from pathlib import Path

from tests.faults.soak import Soak


def test_nothing_grows(tmp_path: Path) -> None:
    soak = Soak(tmp_path, seconds=18, period=9)
    soak.run()
    assert soak.complaints == [], soak.told()
    assert soak.backups >= 2
    assert soak.done > 100
