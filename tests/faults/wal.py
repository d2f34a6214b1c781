"""The WAL-reset storm: writers and processes that do nothing but checkpoint, on one file; then rows are compared.

    python -m tests.faults.wal --seconds 60 --library system
    python -m tests.faults.wal --seconds 60 --library system --unguarded     what the guard is for

The bug needs one process that checkpoints while another resets the WAL (https://sqlite.org/wal.html#walresetbug).
Syncs are left out: they have no part in it, and there are more commits without.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from persistentq import PersistentQError, PersistentQSQLAlchemy
from persistentq.clock import Deadline
from persistentq.sql.sqlite import choose_driver, is_safe
from tests.faults.figures import write_other
from tests.faults.power import AT_ONCE, Ledger, Nursery, Verdict, nursery
from tests.faults.power_writer import Order

ROLES = ("write", "enqueue", "enqueue", "checkpoint")
EAGER_BYTES = 64 * 1024


def storm(
    writers: Nursery, folder: Path, seconds: float, library: str, *, guarded: bool = True
) -> tuple[int, Verdict]:
    """Let them work for so long; return how much was acknowledged, and what is not there."""
    url = f"sqlite:///{folder}/queue.db"
    files = [folder / f"ledger-{n}" for n in range(len(ROLES))]
    with PersistentQSQLAlchemy(url) as queue, queue.engine.begin() as connection:
        connection.execute(text("CREATE TABLE effects (job_id BIGINT NOT NULL)"))
    for n, (role, file) in enumerate(zip(ROLES, files, strict=True)):
        writers.start(
            Order(
                url=url,
                ledger=str(file),
                name=f"writer-{n}",
                role=role,
                library=library,
                is_guarded=guarded,
                checkpoint_at=EAGER_BYTES,
                pragmas=["synchronous=OFF"],
            )
        )
    limit = Deadline(seconds)
    limit.wait_for(lambda: not writers.live(), 0.1)
    has_survived = writers.live()
    writers.kill()
    ledger = Ledger.read(*files)
    try:
        with PersistentQSQLAlchemy(url, create=False) as queue:
            verdict = ledger.judge(queue, len(ROLES) * AT_ONCE)
    except (PersistentQError, DatabaseError) as error:
        verdict = Verdict(set(), set(), 0, f"{error}")
    if not has_survived:
        verdict = verdict._replace(damage=f"{verdict.damage}; a writer could not go on")
    return len(ledger.stored) + len(ledger.ended), verdict


def main() -> int:
    """Run one storm as asked for, and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--library", choices=["safe", "system"], default="system")
    parser.add_argument("--unguarded", action="store_true")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/reliability.md")
    given = parser.parse_args()
    driver = sqlite3 if given.library == "system" else choose_driver()
    with tempfile.TemporaryDirectory(prefix="persistentq-wal-") as name, nursery(may_fail=True) as writers:
        acknowledged, verdict = storm(
            writers, Path(name), given.seconds, given.library, guarded=not given.unguarded
        )
    held = not verdict.lost and not verdict.damage
    using = f"SQLite {driver.sqlite_version}"
    if not is_safe(driver.sqlite_version_info):
        using += ", without the guard" if given.unguarded else ", under the guard"
    amount = f"{given.seconds:g} s, {acknowledged:,} acknowledged"
    print(f"{using}: {amount}, {len(verdict.lost)} lost, damage: {verdict.damage or 'none'}")
    if given.write and held and not given.unguarded:
        write_other("storm of checkpoints", using, None, amount)
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
