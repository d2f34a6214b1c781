"""Producers and consumers as processes of their own, and how fast they were."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.crew_member import CELLS
from benchmarks.peers import Peer, find
from benchmarks.queues import schema
from benchmarks.writers import Waits
from persistentq.clock import Deadline

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 120.0
LOOK_S = 0.003


class Crew:
    """Processes of one peer that wait for `start`, work, and are gone at the end of the block, whatever they do.

    Args:
        module: The peer's; see `peers`.
        place: Where its jobs are.
        consumers: How many consume.
        producers: How many produce, beside them.
        seconds: For how long these do.
        options: Handed to `consume`.
    """

    def __init__(
        self,
        module: str,
        place: str,
        consumers: int,
        producers: int = 0,
        seconds: float = 0.0,
        options: tuple[int, ...] = (),
    ) -> None:
        self._peer = [module, place]
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            self._tally = Path(folder, "tally")
            self._tally.write_bytes(bytes(8 * CELLS * max(1, consumers)))
            self._consumers = [
                self._hire(stack, "consume", self._tally, number, *options) for number in range(consumers)
            ]
            self._producers = [self._hire(stack, "produce", seconds) for _ in range(producers)]
            self._stack = stack.pop_all()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _hire(self, stack: ExitStack, deed: str, *more: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "benchmarks.crew_member", deed, *self._peer, *map(str, more)]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # Leaving a Popen closes its pipes, which ends the process, and waits for it.
        return stack.enter_context(process)

    def start(self) -> None:
        """Let all begin at once, when each of them is ready."""
        every = [*self._producers, *self._consumers]
        for process in every:
            if (said := _line(process)) != "ready":
                raise RuntimeError(f"{self._peer[0]} said {said!r} instead of being ready")
        for process in every:
            process.stdin.write("go\n")
            process.stdin.flush()

    @property
    def handled(self) -> int:
        """How many jobs ran."""
        return sum(self._cells()[1::CELLS])

    @property
    def began(self) -> float:
        """When the first job began, in seconds on `time.perf_counter`; 0.0 while none has."""
        return min(filter(None, self._cells()[::CELLS]), default=0) / 1e9

    def _cells(self) -> list[int]:
        return memoryview(self._tally.read_bytes()).cast("q").tolist()

    def produced(self) -> list[dict[str, Any]]:
        """Wait for the producers, and return what each tells."""
        return [json.loads(_line(process)) for process in self._producers]


def _line(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip()


class Drained(NamedTuple):
    """What came of a backlog.

    Attributes:
        rate: Jobs per second, from the start of the first until the last was stored as done.
        repeated: How many ran more than once.
    """

    rate: float
    repeated: int


def drain(
    module: str,
    place: str,
    number: int,
    consumers: int = 1,
    options: tuple[int, ...] = (),
    within: float = PATIENCE_S,
) -> Drained:
    """Let consumers do the jobs that are stored there.

    Args:
        number: How many there are.
        within: The time that is given to them; what is not done then does not count.
    """
    with find(module).counter(place) as left, Crew(module, place, consumers, options=options) as crew:
        crew.start()
        if not Deadline(PATIENCE_S).wait_for(lambda: crew.began > 0, LOOK_S):
            raise RuntimeError(f"{module} did not begin")
        while crew.handled < number or left():
            if time.perf_counter() - crew.began > within:
                return Drained(crew.handled / (time.perf_counter() - crew.began), 0)
            time.sleep(LOOK_S)
        return Drained(number / (time.perf_counter() - crew.began), crew.handled - number)


class Mixed(NamedTuple):
    """What came of producing and consuming at once.

    Attributes:
        waits: The producers' calls.
        late: Seconds from the end of the last call until every job was done.
        repeated: How many ran more than once.
    """

    waits: Waits
    late: float
    repeated: int


def mix(module: str, place: str, producers: int, consumers: int, seconds: float) -> Mixed:
    """Let producers and consumers work at the same time; without consumers nothing is waited for.

    Raises:
        RuntimeError: the jobs were not done within two minutes.
    """
    with find(module).counter(place) as left, Crew(module, place, consumers, producers, seconds) as crew:
        crew.start()
        told = crew.produced()
        calls = sorted(call for one in told for call in one["calls"])
        numbers = [len(one["calls"]) for one in told]
        waits = Waits(calls, 0, len(calls) / seconds, (min(numbers), max(numbers)))
        if not consumers:
            return Mixed(waits, 0.0, 0)
        # Each stores one job before the clock starts.
        number = len(calls) + producers
        if not Deadline(PATIENCE_S).wait_for(lambda: crew.handled >= number and not left(), LOOK_S):
            raise RuntimeError(f"{module}: {left()} of {number} jobs are not done")
        late = time.perf_counter() - max(one["ended"] for one in told) / 1e9
        return Mixed(waits, late, crew.handled - number)


@contextmanager
def place_for(peer: Peer, server: str | None) -> Iterator[str]:
    """Yield a new place for its jobs: a schema on the server, or a folder; see `peers`."""
    if server is None:
        with tempfile.TemporaryDirectory() as folder:
            peer.prepare(folder)
            yield folder
    else:
        with schema(server, peer.NAME.replace(" ", "_")) as url:
            place = url.set(drivername="postgresql").render_as_string(hide_password=False)
            peer.prepare(place)
            yield place
