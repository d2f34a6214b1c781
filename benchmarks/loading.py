"""Start: what loading the library costs a new interpreter, beside SQLAlchemy's ORM, in CPU time."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable

from benchmarks.report import Case, Options, in_turn

ROUNDS = 15
BESIDE = "import sqlalchemy.orm"


def benchmarks(_: Options) -> list[Case]:
    """Return the pairs."""
    beside = _running(BESIDE)
    return [
        # 0.87: no more than 1.15 times as much.
        Case(code, 1, target, in_turn(_running(code), beside), BESIDE, "starts", ROUNDS)
        for code, target in (
            ("import persistentq", 0.87),
            ("from persistentq import PersistentQSQLAlchemy", 0.75),
        )
    ]


def _running(code: str) -> Callable[[int], float]:
    """Return a run of `code` in so many new interpreters, one after the other; it returns CPU seconds."""

    def run(number: int) -> float:
        before = _children()
        for _ in range(number):
            subprocess.run([sys.executable, "-c", code], check=True)
        return _children() - before

    return run


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
