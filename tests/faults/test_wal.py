"""S1: the WAL-reset storm damages nothing: the guard holds on an old SQLite, and a mended one needs none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.power import NOTHING, nursery
from tests.faults.wal import storm

SECONDS = 4


@pytest.mark.parametrize("library", ["system", "safe"])
def test_eager_checkpoints_lose_nothing(tmp_path: Path, library: str) -> None:
    """G1: `python -m tests.faults.wal --seconds 60` for a longer one, and for one without the guard."""
    with nursery() as writers:
        acknowledged, verdict = storm(writers, tmp_path, SECONDS, library)
    assert verdict == NOTHING
    assert acknowledged > 500
