"""Soak: steady work for as long as you like, with a reader that reads for long and a backup in each period.

    python -m tests.faults.soak --minutes 30

Nothing grows: not the log of what was written once the reader is done, not the tables under retention, not the memory
and the open files of the consumers; and each backup is whole.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from threading import Event, Thread

from persistentq import JobStatus, NewJob, PersistentQSQLAlchemy
from persistentq.clock import Deadline
from persistentq.insight import Grade
from persistentq.sql.sqlite import CHECKPOINT_AT, WAL_LIMIT, choose_driver
from persistentq.sql.sqlite_health import check_log
from tests.faults.figures import write_other
from tests.process.programs import Program, Site

CONSUMERS = 2
PER_SECOND = 60
KEPT = 500
BACKLOG = 1_000
SHRINKS_WITHIN_S = 5
SETTLED_AFTER_S = 300
"""Within less time an interpreter's memory says nothing."""
MIB = 1024 * 1024

TASKS = """\
from persistentq import current_job, task

@task("work")
def work(n, pad):
    current_job().log(f"at {n}")
    return {"n": n}
"""

READ_FOR_LONG = """\
import sys
from persistentq.sql.sqlite import choose_driver
connection = choose_driver().connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM persistentq_jobs").fetchall()
print("reads", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Sample:
    """What was seen at one moment: bytes, rows, and per consumer bytes of memory and open files."""

    wal: int
    database: int
    rows: int
    memory: tuple[int, ...]
    files: tuple[int, ...]


@dataclass
class Soak:
    """One run of it.

    Attributes:
        complaints: What grew, or was not as it should be.
    """

    folder: Path
    seconds: float
    period: float
    samples: list[Sample] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    backups: int = 0
    done: int = 0

    def run(self) -> None:
        """Do it all, and compare."""
        (self.folder / "tasks.py").write_text(TASKS)
        site = Site(self.folder, MAX_ATTEMPTS=3)
        with PersistentQSQLAlchemy(f"sqlite:///{self.folder}/queue.db") as queue, closing_all(site):
            consumers = [
                site.consumer(
                    "--app",
                    "tasks",
                    "--concurrency",
                    "4",
                    "--log-format",
                    "json",
                    name=f"c_{n}",
                    LOG_LEVEL="error",
                )
                for n in range(CONSUMERS)
            ]
            with self._working(queue, consumers):
                limit = Deadline(self.seconds)
                while not limit.passed:
                    self._one_period(queue, site, min(self.period, limit.remaining))
            for consumer in consumers:
                consumer.process.terminate()
                if consumer.code() != 0 or consumer.said():
                    self.complaints.append(
                        f"a consumer ended with {consumer.process.returncode}: {consumer.said()}"
                    )
        self._compare()

    @contextmanager
    def _working(self, queue: PersistentQSQLAlchemy, consumers: list[Program]) -> Iterator[None]:
        is_over = Event()
        thread = Thread(target=self._work, args=(queue, consumers, is_over))
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _work(self, queue: PersistentQSQLAlchemy, consumers: list[Program], is_over: Event) -> None:
        """Enqueue, keep to the retention, and look, once a second each."""
        number = 0
        while not is_over.wait(1):
            counts = queue.count_jobs().get("default", {})
            if counts.get(JobStatus.PENDING, 0) < BACKLOG - PER_SECOND:
                queue.enqueue_many(
                    NewJob("work", {"n": number + n, "pad": "x" * 1500}) for n in range(PER_SECOND)
                )
                number += PER_SECOND
            self.done += queue.prune_jobs(JobStatus.DONE, keep=KEPT)
            self.samples.append(self._look(sum(counts.values()), consumers))

    def _look(self, rows: int, consumers: list[Program]) -> Sample:
        database = self.folder / "queue.db"
        places = [Path(f"/proc/{consumer.process.pid}") for consumer in consumers]
        return Sample(
            wal=Path(f"{database}-wal").stat().st_size,
            database=database.stat().st_size,
            rows=rows,
            memory=tuple(int((place / "statm").read_text().split()[1]) * 4096 for place in places),
            files=tuple(len(list((place / "fd").iterdir())) for place in places),
        )

    def _one_period(self, queue: PersistentQSQLAlchemy, site: Site, seconds: float) -> None:
        rest = Deadline(seconds)
        with subprocess.Popen(
            [sys.executable, "-c", READ_FOR_LONG, str(self.folder / "queue.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"reads\n"
            self._see_the_reader(reader.pid, Deadline(seconds * 2 / 3))
            reader.communicate()
        self._see_it_shrink()
        self._back_up(queue, site)
        rest.pause(rest.remaining)

    def _see_the_reader(self, pid: int, limit: Deadline) -> None:
        """Whoever asks is told who makes the log grow."""
        wal, database = self.folder / "queue.db-wal", self.folder / "queue.db"
        if limit.wait_for(lambda: wal.stat().st_size > CHECKPOINT_AT, 0.1):
            said = check_log(database)
            if said.grade is not Grade.WARN or str(pid) not in said.found:
                self.complaints.append(f"doctor does not see who reads for long: {said.found}")
        limit.pause(limit.remaining)

    def _see_it_shrink(self) -> None:
        wal = self.folder / "queue.db-wal"
        if not Deadline(SHRINKS_WITHIN_S).wait_for(lambda: wal.stat().st_size <= WAL_LIMIT, 0.1):
            self.complaints.append(f"the WAL still has {wal.stat().st_size:,} bytes after the reader ended")
        size = wal.stat().st_size
        Deadline(1).pause(1)
        if wal.stat().st_size > max(size, CHECKPOINT_AT) + 2 * MIB:
            self.complaints.append("the WAL goes on growing after the reader ended")

    def _back_up(self, queue: PersistentQSQLAlchemy, site: Site) -> None:
        last = queue.enqueue("work", {"n": -1, "pad": ""})
        copy = self.folder / f"backup-{self.backups}.db"
        command = site.admin("backup", str(copy))
        if command.code() != 0:
            self.complaints.append(f"a backup failed: {command.said()}")
            return
        self.backups += 1
        with closing(choose_driver().connect(copy)) as connection:
            (whole,) = connection.execute("PRAGMA integrity_check").fetchone()
            (newest,) = connection.execute("SELECT max(id) FROM persistentq_jobs").fetchone()
        if whole != "ok" or newest < last.id:
            self.complaints.append(
                f"backup {self.backups} is not whole: {whole}, up to job {newest} of {last.id}"
            )
        copy.unlink()

    def _compare(self) -> None:
        """Compare the second quarter, when all is warm, with the last one."""
        quarter = len(self.samples) // 4
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        if (most := max(one.rows for one in self.samples)) > KEPT + BACKLOG + 3 * PER_SECOND:
            self.complaints.append(
                f"the table had {most:,} rows, of which {KEPT:,} finished ones are to be kept"
            )
        for n in range(CONSUMERS):
            before, after = (max(one.files[n] for one in some) for some in (early, late))
            if after > before + 2:
                self.complaints.append(f"consumer {n} had {before} files open, then {after}")
            before, after = (round(mean(one.memory[n] for one in some)) for some in (early, late))
            if self.seconds >= SETTLED_AFTER_S and not 0.9 <= after / before <= 1.1:
                self.complaints.append(f"consumer {n} used {before:,} bytes of memory, then {after:,}")
        before, after = (max(one.database for one in some) for some in (early, late))
        if self.seconds >= SETTLED_AFTER_S and after > before * 1.1:
            self.complaints.append(f"the database had {before:,} bytes, then {after:,}")

    def told(self) -> str:
        """Return what was seen, in a few lines."""
        first, last = self.samples[len(self.samples) // 4], self.samples[-1]
        version, wal = choose_driver().sqlite_version, max(one.wal for one in self.samples)
        rows = [
            f"{self.seconds:g} s on SQLite {version}, {self.done:,} jobs done and deleted, {self.backups} backups",
            f"WAL at most {wal / MIB:.1f} MiB, at the end {last.wal / MIB:.1f}",
            f"database {first.database / MIB:.1f} MiB, then {last.database / MIB:.1f}",
            f"at most {max(one.rows for one in self.samples):,} rows",
        ]
        for n in range(CONSUMERS):
            memory = f"{first.memory[n] / MIB:.1f} MiB, then {last.memory[n] / MIB:.1f}"
            rows.append(f"consumer {n}: memory {memory}; {first.files[n]} files open, then {last.files[n]}")
        return "\n".join(rows)


@contextmanager
def closing_all(site: Site) -> Iterator[None]:
    """Kill whatever of the site still runs at the end."""
    try:
        yield
    finally:
        for program in site.started:
            program.kill()


def main() -> int:
    """Soak for as long as is asked for, and print what was seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--write", action="store_true", help="write the figures into docs/reliability.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="persistentq-soak-") as name:
        soak = Soak(Path(name), given.minutes * 60, period=60)
        soak.run()
    print(soak.told(), *soak.complaints, sep="\n")
    if given.write and not soak.complaints:
        amount = f"{given.minutes:g} minutes, {soak.done:,} jobs done and deleted, {soak.backups} backups"
        write_other("soak", f"SQLite {choose_driver().sqlite_version}", None, amount)
    return 1 if soak.complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
