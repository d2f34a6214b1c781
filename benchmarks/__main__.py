"""`python -m benchmarks`: measures the queue beside a reference, in turn, and writes the ratios to BENCHMARKS.md."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy

from benchmarks import beside, draining, flatness, latency, loading, payloads, snapshot, throughput, writers
from benchmarks.report import Options, measured
from persistentq.clock import now
from persistentq.sql.sqlite import choose_driver

ROOT = Path(__file__).resolve().parent.parent
THEMES = (throughput, latency, draining, loading, flatness, payloads, writers, snapshot, beside)
"""Each has `benchmarks(options)`; its docstring heads its table."""


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


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; a wrong one ends the program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=5, help="pairs per row, at least 5 for a figure to quote"
    )
    parser.add_argument(
        "--postgresql", metavar="URL", help="also measure on this database, in schemas of our own"
    )
    parser.add_argument(
        "--peers", action="store_true", help="also measure beside other queues, those that are installed"
    )
    parser.add_argument("--only", default="", help="only what has this in its name")
    parser.add_argument("--long", action="store_true", help="also what takes many minutes")
    parser.add_argument("--write", action="store_true", help="write the tables to BENCHMARKS.md")
    arguments = parser.parse_args(argv)
    if arguments.write and arguments.only:
        parser.error("--write takes all rows, so it cannot go with --only")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks and return 0; 2 if there is none of that name."""
    arguments = parsed(argv)
    options = Options(arguments.postgresql, arguments.long, arguments.peers)
    sections = []
    for theme in THEMES:
        chosen = [one for one in theme.benchmarks(options) if arguments.only in one.name]
        if chosen:
            title, _, text = (theme.__doc__ or "").partition(": ")
            print(f"\n## {title}\n\n{text}", flush=True)
            table = "\n".join(measured(chosen, arguments.rounds))
            sections.append(f"## {title}\n\n{text}\n{table}\n")
    if not sections:
        print(f"error: no benchmark has {arguments.only!r} in its name", file=sys.stderr)
        return 2
    if arguments.write:
        head = f"# Benchmarks\n\nWritten by `python -m benchmarks --write`; {describe_machine(arguments.rounds)}\n"
        (ROOT / "BENCHMARKS.md").write_text("\n".join([head, *sections]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
