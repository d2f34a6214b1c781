"""The table of figures has one row for each plan and database, the last run's."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.done import Done
from tests.faults.figures import HEAD, Figures, write_row
from tests.process.programs import ROOT

FIGURES = Figures(
    plan="c1",
    database="SQLite 3.53.4",
    seed=7,
    jobs=400,
    asked=410,
    kills=Counter({"anywhere": 20, "commit-after": 40}),
    acts=Counter({"zombies": 25, "storms": 2}),
    refused=30,
    again=60,
    latest=0.5,
    blocked=2.0,
    seconds=25.0,
)


def rows(page: Path) -> list[list[str]]:
    """The table's first cells but for the date."""
    lines = page.read_text().partition(HEAD)[2].splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:] if line.startswith("|")]
    return [[*row[:2], *row[3:]] for row in cells]


def test_a_row_takes_the_place_of_its_predecessor(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{HEAD}\n| --- | --- |\n\nafter\n")
    write_row(FIGURES, page)
    write_row(replace(FIGURES, database="PostgreSQL 18.4"), page)
    write_row(replace(FIGURES, seed=8), page)
    same = ["400", "60", "1", "25", "30", "2 storms"]
    assert rows(page) == [["c1", "PostgreSQL 18.4", "7", *same], ["c1", "SQLite 3.53.4", "8", *same]]
    assert page.read_text().startswith("before\n\n")
    assert page.read_text().endswith(" |\n\nafter\n")


def test_time_in_which_nobody_could_write_is_not_free() -> None:
    done = Done(blocked=[(15, 30), (50, 60), (10, 20)])
    assert [done.free_time(*span) for span in ((0, 100), (12, 55), (70, 80), (15, 16))] == [70, 20, 10, 0]
    assert done.blocked_time() == pytest.approx(30e-6)


@pytest.mark.parametrize("run", ["", ".faces", ".mutants", ".power", ".soak", ".wal"])
def test_each_run_starts_without_pytest(run: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", f"tests.faults{run}", "--help"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"tests.faults{run}" in ended.stdout or f"{run[1:]}.py" in ended.stdout
