"""`python -m benchmarks`: runs the pairs in turn and writes the ratios to BENCHMARKS.md."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy

from benchmarks.cases import Case, postgresql_cases, sqlite_cases
from persistentq.clock import now
from persistentq.sql.sqlite import choose_driver

ROOT = Path(__file__).resolve().parent.parent


def measure(case: Case, rounds: int) -> str:
    """Run queue and reference in turn and return the case's row: the median of the ratios, pair by pair."""
    case.queue(case.jobs // 10), case.reference(case.jobs // 10)
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(case.reference(case.jobs))
        ours.append(case.queue(case.jobs))
    ratios = sorted(reference / queue for reference, queue in zip(theirs, ours, strict=True))
    ratio = statistics.median(ratios)
    rate, limit = (case.jobs / statistics.median(seconds) for seconds in (ours, theirs))
    verdict = "reached" if ratio >= case.target else "missed"
    row = (
        f"| {case.name} | {rate:,.0f} | {limit:,.0f} ({case.beside}) | {ratio:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) "
        f"| {case.target:.2f} | {verdict} |"
    )
    print(row, flush=True)
    return row


def describe_machine(rounds: int) -> str:
    """Return what the figures were measured on."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return (
        f"{now():%Y-%m-%d}, commit {commit.stdout.strip() or 'unknown'}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"SQLAlchemy {sqlalchemy.__version__}, SQLite {choose_driver().sqlite_version}; "
        f"median of {rounds} interleaved pairs."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=5, help="pairs per case, at least 5 for a figure to quote"
    )
    parser.add_argument(
        "--postgresql", metavar="URL", help="also measure on this database, whose queue is emptied"
    )
    parser.add_argument("--only", default="", help="only the cases whose name contains this")
    parser.add_argument("--write", action="store_true", help="write the table to BENCHMARKS.md")
    arguments = parser.parse_args(argv)
    cases = sqlite_cases() + (postgresql_cases(arguments.postgresql) if arguments.postgresql else [])
    head = [
        "| work | jobs/s | reference | ratio (min-max) | target | |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(head), flush=True)
    rows = [measure(case, arguments.rounds) for case in cases if arguments.only in case.name]
    if arguments.write:
        text = f"# Benchmarks\n\nWritten by `python -m benchmarks --write`; {describe_machine(arguments.rounds)}\n\n"
        (ROOT / "BENCHMARKS.md").write_text(text + "\n".join([*head, *rows]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
