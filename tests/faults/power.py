"""Power cuts: writers are killed at one moment, and the disk is what was synced; then nothing acknowledged is missing.

python -m tests.faults.power --cuts 100
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from sqlalchemy import text

from persistentq import PersistentQSQLAlchemy
from persistentq.clock import Deadline
from persistentq.sql.sqlite import choose_driver
from tests.faults.figures import write_other
from tests.faults.power_writer import Order
from tests.process.programs import ROOT

HERE = Path(__file__).parent
PATIENCE_S = 30
WRITERS, AT_ONCE = 2, 5
SECTOR = 4096
CUTS_PER_DISK = 10
LONGEST_S = 0.7
WAYS = ("safe", "system")
"""The SQLite that the queue chooses by itself, and the standard library's, under the guard if it needs one."""


class Verdict(NamedTuple):
    """What of the ledger is not in the database.

    Attributes:
        lost: Ids of acknowledged jobs, completions, failures or claims that are not there.
        halved: Ids of jobs without the effect that was committed with them, or the other way round.
        invented: Jobs beyond the acknowledged and those that may have been on their way.
        damage: What the database's own check says, if it is not "ok".
    """

    lost: set[int]
    halved: set[int]
    invented: int
    damage: str


NOTHING = Verdict(set(), set(), 0, "")


@dataclass
class Ledger:
    """What writers were told, read from their files."""

    stored: set[int] = field(default_factory=set)
    ended: dict[int, str] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)

    @classmethod
    def read(cls, *files: Path) -> Ledger:
        known = cls()
        for file in files:
            for line in file.read_text().splitlines() if file.exists() else ():
                what, id, attempt = line.split()
                if what == "stored":
                    known.stored.add(int(id))
                elif what == "claimed":
                    known.attempts[int(id)] = int(attempt)
                else:
                    known.ended[int(id)] = what
        return known

    def judge(self, queue: PersistentQSQLAlchemy, on_their_way: int = WRITERS * AT_ONCE) -> Verdict:
        """Compare with the database, by SQL of the judge's own."""
        with queue.engine.connect() as connection:
            damage = ""
            if connection.dialect.name == "sqlite":
                said = [
                    *connection.exec_driver_sql("PRAGMA integrity_check").scalars(),
                    *connection.exec_driver_sql("PRAGMA foreign_key_check").scalars(),
                ]
                damage = "" if said == ["ok"] else "; ".join(map(str, said))
            found = connection.execute(text("SELECT id, task, status, attempt FROM persistentq_jobs")).all()
            effects = set(connection.execute(text("SELECT job_id FROM effects")).scalars())
        status = {row.id: row.status for row in found}
        attempt = {row.id: row.attempt for row in found}
        lost = self.stored - status.keys()
        lost |= {id for id, end in self.ended.items() if status.get(id) != end}
        lost |= {id for id, number in self.attempts.items() if attempt.get(id, 0) < number}
        return Verdict(
            lost=lost,
            halved=effects ^ {row.id for row in found if row.task == "joined"},
            invented=max(0, len(status.keys() - self.stored) - on_their_way),
            damage=damage,
        )


class Nursery:
    """Forks writers from one process that has everything loaded."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self._pids = process, list[int]()

    def start(self, order: Order) -> None:
        """Start a writer and wait until something was acknowledged to it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        self._pids.append(int(self._process.stdout.readline()))

    def kill(self) -> None:
        """Kill every writer at once and wait until they are gone."""
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert Deadline(PATIENCE_S).wait_for(lambda: not any(map(_lives, self._pids)), 0.001)
        self._pids.clear()

    def live(self) -> bool:
        """Whether every writer lives, as it has to until it is killed."""
        return all(map(_lives, self._pids))


def _lives(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@contextmanager
def nursery(preload: Path | None = None, *, may_fail: bool = False) -> Iterator[Nursery]:
    """Yield a nursery, whose writers load this library first.

    Args:
        may_fail: Otherwise whatever they say on stderr is an error.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | ({"LD_PRELOAD": str(preload)} if preload else {})
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, str(HERE / "power_writer.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        made = Nursery(process)
        try:
            yield made
        finally:
            made.kill()
            process.stdin.close()
            process.wait(PATIENCE_S)
            errors.seek(0)
            said = errors.read()
            assert may_fail or not said, said


def build(folder: Path) -> Path:
    """Compile the library that stands for the disk, and return it."""
    compiler = shutil.which("cc")
    assert compiler, (
        "there is no C compiler: install one that is called cc (on Debian: apt-get install gcc libc6-dev)"
    )
    library = folder / "power.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library), str(HERE / "power.c")],
        check=True,
    )
    return library


class Disk:
    """A folder on which a queue lives from power cut to power cut."""

    def __init__(self, base: Path) -> None:
        self.base, self.lives = base, 0
        self.root, self.images = base / "0", base / "images"
        self.root.mkdir(parents=True)
        self.url = f"sqlite:///{self.root}/queue.db"

    def begin(self) -> dict[str, str]:
        """Everything on it is synced; return what makes a process use it."""
        shutil.rmtree(self.images, ignore_errors=True)
        self.images.mkdir()
        names = []
        for file in self.root.iterdir():
            inode = file.stat().st_ino
            shutil.copy(file, self.images / str(inode))
            names.append(f"{inode} {file.name}\n")
        (self.images / "names").write_text("".join(names))
        return {"POWER_ROOT": str(self.root), "POWER_IMAGES": str(self.images)}

    def lose_power(self, chance: Random) -> None:
        """Go on with what was synced; of what was not, with nothing or with sectors here and there."""
        self.lives += 1
        after = self.base / str(self.lives)
        after.mkdir()
        takes_some = chance.random() < 0.5
        for line in (self.images / "names").read_text().splitlines():
            inode, _, name = line.partition(" ")
            image, live = self.images / inode, self.root / name
            kept = image.read_bytes() if image.exists() else b""
            if takes_some and live.exists() and str(live.stat().st_ino) == inode:
                kept = _mixed(kept, live.read_bytes(), chance)
            (after / name).write_bytes(kept)
            (after / name).chmod(0o600)
        shutil.rmtree(self.root)
        self.root, self.url = after, f"sqlite:///{after}/queue.db"


def _mixed(kept: bytes, live: bytes, chance: Random) -> bytes:
    """Return the synced content with some of the sectors that were not synced."""
    size = chance.choice([len(kept), len(live)])
    sectors = []
    for start in range(0, size, SECTOR):
        there = [part[start : start + SECTOR] for part in (kept, live)]
        sectors.append(chance.choice([part for part in there if part] or [b""]).ljust(SECTOR, b"\0"))
    return b"".join(sectors)[:size].ljust(size, b"\0")


@dataclass
class Cuts:
    """Cuts the power again and again, and counts.

    Attributes:
        pragmas: Set by the writers on each connection, after the queue's own.
        acknowledged: Commits that were told to a writer.
    """

    folder: Path
    writers: Nursery
    chance: Random
    pragmas: tuple[str, ...] = ()
    cuts: int = 0
    acknowledged: int = 0

    def run(self, cuts: int, goes_on: Callable[[Verdict], bool]) -> Iterator[Verdict]:
        """Yield the verdict of each cut, up to so many, until one says that it is enough."""
        while self.cuts < cuts:
            for verdict in self._one_disk(min(cuts - self.cuts, CUTS_PER_DISK)):
                yield verdict
                if not goes_on(verdict):
                    return

    def _one_disk(self, cuts: int) -> Iterator[Verdict]:
        disk = Disk(self.folder / f"disk-{self.cuts}")
        files = [disk.base / f"ledger-{n}" for n in range(WRITERS)]
        with PersistentQSQLAlchemy(disk.url) as queue, queue.engine.begin() as connection:
            connection.execute(text("CREATE TABLE effects (job_id BIGINT NOT NULL)"))
        for n in range(cuts):
            before = Ledger.read(*files)
            environment = disk.begin()
            self._write_for_a_while(disk, files, environment, WAYS[(self.cuts + n) % len(WAYS)])
            disk.lose_power(self.chance)
            after = Ledger.read(*files)
            self.acknowledged += len(after.stored) - len(before.stored) + len(after.ended) - len(before.ended)
            with PersistentQSQLAlchemy(disk.url, create=False) as queue:
                yield after.judge(queue, WRITERS * AT_ONCE * (n + 1))
        self.cuts += cuts
        shutil.rmtree(disk.base)

    def _write_for_a_while(
        self, disk: Disk, files: list[Path], environment: dict[str, str], library: str
    ) -> None:
        sizes = [file.stat().st_size if file.exists() else 0 for file in files]
        pages = self.chance.choice([20, 1000])
        for n, file in enumerate(files):
            self.writers.start(
                Order(
                    url=disk.url,
                    ledger=str(file),
                    name=f"writer-{disk.lives}-{n}",
                    library=library,
                    checkpoint_at=pages * SECTOR,
                    # Under the guard nobody checkpoints by himself.
                    pragmas=[*self.pragmas, *([f"wal_autocheckpoint={pages}"] if library == "safe" else [])],
                    environment=environment,
                )
            )
        told = Deadline(PATIENCE_S).wait_for(
            lambda: (
                all(
                    file.exists() and file.stat().st_size > size
                    for file, size in zip(files, sizes, strict=True)
                )
                or not self.writers.live()
            ),
            0.005,
        )
        assert told
        assert self.writers.live(), "a writer ended by itself"
        Deadline(PATIENCE_S).pause(self.chance.uniform(0, LONGEST_S))
        assert self.writers.live(), "a writer ended by itself"
        self.writers.kill()


def main() -> int:
    """Cut the power as often as is asked for, and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=Random().randrange(2**32))
    parser.add_argument("--write", action="store_true", help="write the figures into docs/reliability.md")
    given = parser.parse_args()
    using = f"SQLite {choose_driver().sqlite_version} and {sqlite3.sqlite_version}"
    print(f"seed {given.seed}, {using}")
    lost, bad = 0, 0
    with tempfile.TemporaryDirectory(prefix="persistentq-power-") as name:
        folder = Path(name)
        with nursery(build(folder)) as writers:
            cutting = Cuts(folder, writers, Random(given.seed))
            for number, verdict in enumerate(cutting.run(given.cuts, lambda _: True), start=1):
                lost += len(verdict.lost)
                if verdict != NOTHING:
                    bad += 1
                    print(f"cut {number}: {verdict}")
    amount = f"{given.cuts} cuts, {cutting.acknowledged:,} acknowledged"
    print(f"{amount}, {lost} lost, {bad} bad cuts")
    if given.write and not bad:
        write_other("power cuts", using, given.seed, amount)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
