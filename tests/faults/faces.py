"""Faces: the manager and the dashboard beside a big queue, refreshing for as long as you like.

    python -m tests.faults.faces --minutes 60 --jobs 1000000

Neither grows: its memory in the last sixth of the time is within a tenth of what it was near the beginning, when all
was warm, and it has no more files open. The manager is in a terminal of 120x40, its cursor is moved now and then; the
dashboard's overview is open in a browser; a few jobs come and go.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import median

from playwright.sync_api import expect

from benchmarks.fills import FINISHED, FUTURE, PENDING, fill_file
from persistentq import PersistentQInterface, open_queue
from persistentq.clock import Deadline
from persistentq.sql.sqlite import choose_driver
from tests.faults.figures import ROOT, write_other
from tests.faults.soak import MIB, SETTLED_AFTER_S
from tests.front_ends.ops_server import a_browser, served, tab
from tests.front_ends.pseudo_terminal import PseudoTerminal, a_manager

MANAGER, DASHBOARD = "manager", "dashboard"
PARTS = 6
EARLY, LATE = (5 / 60, 15 / 60), (50 / 60, 1.0)
"""What is compared: of an hour, the minutes 5 to 15 and the last ten."""
STEPS = "jjkjkk"
STEP_EVERY_S = 5
FAILS_EVERY_S = 20


@dataclass(frozen=True)
class Sample:
    """What was seen of a process at one moment: bytes of memory, open files, seconds of CPU."""

    memory: int
    files: int
    cpu: float

    @classmethod
    def of(cls, pid: int) -> Sample:
        """Look at a process."""
        place = Path(f"/proc/{pid}")
        times = (place / "stat").read_text().rpartition(")")[2].split()[11:13]
        return cls(
            memory=int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            files=len(list((place / "fd").iterdir())),
            cpu=sum(map(int, times)) / os.sysconf("SC_CLK_TCK"),
        )


@dataclass
class Watched:
    """One face and what was seen of it, once a second."""

    samples: list[Sample] = field(default_factory=list)

    def median_between(self, start: float, end: float) -> tuple[float, int]:
        """Return the median of memory, and the most files open, in a part of the time given by fractions of it."""
        number = len(self.samples)
        some = self.samples[int(start * number) : max(int(end * number), int(start * number) + 1)]
        return median(one.memory for one in some), max(one.files for one in some)

    def complaints(self, *, is_settled: bool) -> list[str]:
        """Return what grew.

        Args:
            is_settled: Whether it ran for so long that its memory says something.
        """
        (before, files_before), (after, files_after) = (self.median_between(*when) for when in (EARLY, LATE))
        said = []
        if is_settled and not 0.9 <= after / before <= 1.1:
            said.append(f"used {before / MIB:.1f} MiB of memory, then {after / MIB:.1f}")
        if files_after > files_before + 2:
            said.append(f"had {files_before} files open, then {files_after}")
        return said

    def told(self, seconds: float) -> str:
        """Return the figures, for a row."""
        (before, files_before), (after, files_after) = (self.median_between(*when) for when in (EARLY, LATE))
        share = (self.samples[-1].cpu - self.samples[0].cpu) / seconds
        return (
            f"{before / MIB:.1f} MiB, then {after / MIB:.1f}, {files_before} files open, then {files_after}, "
            f"{share:.1%} of a core"
        )


@dataclass
class Faces:
    """One run of it.

    Attributes:
        complaints: What grew.
    """

    folder: Path
    seconds: float
    jobs: int
    watched: dict[str, Watched] = field(default_factory=lambda: {MANAGER: Watched(), DASHBOARD: Watched()})
    complaints: list[str] = field(default_factory=list)
    written: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether it takes so long that its memory says something."""
        return self.seconds >= SETTLED_AFTER_S

    def run(self, tell: Callable[[str], None] = lambda line: None) -> None:
        """Do it all, and compare; `tell` hears of each sixth of the time when it is over."""
        file = self.folder / "queue.db"
        fill_file(file, tuple(kind._replace(number=self.jobs // 3) for kind in (FINISHED, FUTURE, PENDING)))
        with ExitStack() as running:
            queue = running.enter_context(open_queue(f"sqlite:///{file}"))
            terminal = running.enter_context(a_manager(file, (120, 40), ROOT))
            server = running.enter_context(served(file, self.folder))
            browser = running.enter_context(contextmanager(a_browser)())
            page = running.enter_context(tab(browser, server))
            page.goto(server.url)
            as_of = page.get_by_text("as of").first
            begun, written = as_of.inner_text(), terminal.written
            pids = {MANAGER: terminal.process.pid, DASHBOARD: server.process.pid}
            limit, work, told = Deadline(self.seconds), Work(queue, terminal), 0
            while not limit.passed:
                work.go_on()
                for name, pid in pids.items():
                    self.watched[name].samples.append(Sample.of(pid))
                page.wait_for_timeout(1000)
                if (over := int((1 - limit.remaining / self.seconds) * PARTS)) > told:
                    tell(self._part(told, over))
                    told = over
            self.written = terminal.written - written
            terminal.wait_for_text(" live ")
            expect(as_of).not_to_have_text(begun)
        for name, one in self.watched.items():
            self.complaints += [f"the {name} {said}" for said in one.complaints(is_settled=self.is_settled)]

    def _part(self, start: int, end: int) -> str:
        """Return the median of memory in the part of the time that was seen last."""
        minutes, share = self.seconds / 60 / PARTS, start / end
        memory = [
            f"{name} {one.median_between(share, 1)[0] / MIB:.1f} MiB" for name, one in self.watched.items()
        ]
        return f"minutes {start * minutes:.3g} to {end * minutes:.3g}: {', '.join(memory)}"

    def told(self) -> str:
        """Return what was seen, in a line."""
        manager, dashboard = (one.told(self.seconds) for one in self.watched.values())
        rate = self.written / self.seconds
        return (
            f"{self.seconds / 60:g} minutes; manager {manager}, {rate:,.0f} bytes written a second; "
            f"dashboard {dashboard}"
        )


@dataclass
class Work:
    """What happens beside the faces: a job a second, of which some fail, and an operator who moves the cursor."""

    queue: PersistentQInterface
    terminal: PseudoTerminal
    steps: cycle[str] = field(default_factory=lambda: cycle(STEPS))
    count: int = 0

    def go_on(self) -> None:
        """Do a second's worth of it."""
        self.count += 1
        self.queue.enqueue("mail.send", {"n": self.count})
        for job in self.queue.dequeue("consumer_00"):
            if self.count % FAILS_EVERY_S:
                self.queue.complete(job)
            else:
                self.queue.fail(job, "ConnectionRefusedError: smtp.example.org:25", retry=False)
        self.queue.heartbeat("consumer_00", host="box", pid=os.getpid(), queues=["default"])
        if self.count % STEP_EVERY_S == 0:
            self.terminal.press(next(self.steps))


def main() -> int:
    """Watch for as long as is asked for, and print what was seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--write", action="store_true", help="write the figures into docs/reliability.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="persistentq-faces-") as name:
        faces = Faces(Path(name), given.minutes * 60, given.jobs)
        faces.run(lambda line: print(line, flush=True))
    flat = "flat" if faces.is_settled else "too short to say whether memory is flat; nothing else grew"
    print(faces.told(), *(faces.complaints or [flat]), sep="\n")
    if given.write and not faces.complaints:
        using = f"SQLite {choose_driver().sqlite_version}, {given.jobs:,} jobs"
        write_other("manager and dashboard refreshing", using, None, faces.told())
    return 1 if faces.complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
