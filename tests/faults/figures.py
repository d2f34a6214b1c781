"""The figures of a run: printed, and written into docs/reliability.md, which nobody types."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from persistentq.clock import now
from tests.faults.checking import Evidence

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
HEAD = "| plan | database | date | seed | jobs | kills | places | zombies | words refused | other faults |"
OTHERS = "| run | with | date | seed | how much |"


def versions() -> str:
    """Return what the run was made with."""
    packages = ("persistentq", "sqlalchemy")
    return ", ".join(
        (*(f"{name} {version(name)}" for name in packages), f"Python {platform.python_version()}")
    )


@dataclass(frozen=True)
class Figures:
    """What one run did, to be shown."""

    plan: str
    database: str
    seed: int
    jobs: int
    asked: int
    kills: Counter[str]
    acts: Counter[str]
    refused: int
    again: int
    latest: float
    blocked: float
    seconds: float

    @classmethod
    def of(cls, plan: str, database: str, found: Evidence, seconds: float) -> Figures:
        """Return the figures of a run that is over."""
        return cls(
            plan,
            database,
            found.scene.seed,
            len(found.acked),
            len(found.asked),
            found.done.kills,
            found.done.acts,
            found.refused,
            sum(row.attempt > 1 for row in found.rows),
            found.latest_return(),
            found.done.blocked_time(),
            seconds,
        )

    def lines(self) -> list[str]:
        """Return what is printed."""
        by_place = ", ".join(f"{name} {number}" for name, number in sorted(self.kills.items()))
        acts = ", ".join(f"{number} {name}" for name, number in sorted(self.acts.items()))
        return [
            f"{self.jobs} jobs acknowledged of {self.asked} asked for, {self.again} claimed more than once, "
            f"{self.refused} words refused",
            f"{self.kills.total()} kills: {by_place}",
            f"{acts}",
            f"a lost job came back at the latest {self.latest:.2f} s after its lease, but for {self.blocked:.1f} s in "
            f"which nobody could write; {self.seconds:.0f} s in all",
        ]

    def row(self) -> str:
        """Return the row of the table."""
        places = len(self.kills.keys() - {"anywhere"})
        others = ", ".join(
            f"{number} {name}"
            for name, number in sorted(self.acts.items())
            if name not in {"zombies", "stops in good order"}
        )
        cells = (
            *(
                self.plan,
                self.database,
                f"{now():%Y-%m-%d}",
                self.seed,
                self.jobs,
                self.kills.total(),
                places,
            ),
            *(self.acts["zombies"], self.refused, others),
        )
        return f"| {' | '.join(map(str, cells))} |"


def write_row(figures: Figures, page: Path = PAGE) -> None:
    """Put the row of a run in which everything held into the table, in the place of the same plan and database."""
    _put(HEAD, figures.row(), page)


def write_other(run: str, using: str, seed: int | None, amount: str, page: Path = PAGE) -> None:
    """Put a run of another kind, in which everything held too, into the table of those.

    Args:
        run: What was done; with `using`, what it was done to, it names the row.
        seed: None where nothing is decided by chance.
        amount: How much of it there was.
    """
    cells = (run, using, f"{now():%Y-%m-%d}", "none" if seed is None else seed, amount)
    _put(OTHERS, f"| {' | '.join(map(str, cells))} |", page)


def _put(head: str, row: str, page: Path) -> None:
    """Put a row below that head, in the place of the one whose first two cells are the same."""
    text = page.read_text(encoding="utf-8")
    before, head, rest = text.partition(head)
    rule, _, rows = rest.lstrip("\n").partition("\n")
    kept, rows_end = [], 0
    for line in rows.splitlines(keepends=True):
        if not line.startswith("|"):
            break
        rows_end += len(line)
        if line.split("|")[1:3] != row.split("|")[1:3]:
            kept.append(line.rstrip("\n"))
    table = sorted([*kept, row])
    page.write_text("\n".join([before + head, rule, *table, rows[rows_end:]]), encoding="utf-8")
