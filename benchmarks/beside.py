"""Other queues: the same work done by each, with its best documented settings, in turn with this one.

Jobs have the same arguments and tasks do nothing. Beside each one's rate stands what of its commits survives a power
cut, as its own connection answered; ours is FULL on SQLite and `synchronous_commit=on` on PostgreSQL. A backlog of
10,000 jobs is drained by one and by four consumer processes, as under "Consumers", for five seconds at most; then two
producers and two consumers work at once for five seconds, and the worst of all calls is shown. What each of them is
set to is said in its module in `benchmarks/peers/`. `poetry install --with peers` installs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import crew
from benchmarks.peers import OTHERS, find, find_version
from benchmarks.report import Benchmark, Options, Row, compared

JOBS, WITHIN_S = 10_000, 5.0
CALLS_S, MIXED_S, MIXED_ROUNDS = 2.0, 5.0, 3
TARGETS = {("huey", 1): 8.0, ("pgqueuer", 1): 1.5, ("pgqueuer", 4): 1.5}
"""The least ratio that is aimed at in a drain by so many consumers; 1.0 for the others."""


def benchmarks(options: Options) -> list[Benchmark]:
    """Return one benchmark for each of the others, if they are asked for; on a server only if one is given."""
    if not options.peers:
        return []
    return [
        Beside(module, options.postgresql if find(module).ON_SERVER else None)
        for module in OTHERS
        if options.postgresql or not find(module).ON_SERVER
    ]


@dataclass(frozen=True)
class Beside:
    """This queue and another one, in turn."""

    module: str
    server: str | None

    @property
    def name(self) -> str:
        """The other's name."""
        return find(self.module).NAME

    def rows(self, rounds: int) -> Iterator[Row]:
        """Yield a row for single calls, for each number of consumers, and for the worst call while they work."""
        peer = find(self.module)
        version = find_version(peer)
        if version is None:
            needed = " ".join(peer.NEEDS)
            yield Row(self.name, "", f"{needed}: not installed here", "", "", None)
            return
        with crew.place_for(peer, self.server) as place:
            beside = f"{self.name} {version}, {peer.durability(place)}"
        calls = [(self._alone("ours"), self._alone(self.module)) for _ in range(rounds)]
        yield compared(f"{self.name}: enqueue one", calls, None, beside)
        for consumers in (1, 4):
            yield self._drained(consumers, rounds, beside)
        yield self._worst(min(rounds, MIXED_ROUNDS), beside)

    def _alone(self, module: str) -> float:
        with crew.place_for(find(module), self.server) as place:
            return crew.mix(module, place, 1, 0, CALLS_S).waits.rate

    def _drained(self, consumers: int, rounds: int, beside: str) -> Row:
        pairs, repeated = [], 0
        for _ in range(rounds):
            ours, theirs = (self._drain(module, consumers) for module in ("ours", self.module))
            pairs.append((ours.rate, theirs.rate))
            repeated += theirs.repeated
        if repeated:
            beside += f"; {repeated:,} jobs ran twice"
        name = f"{self.name}: drain, {consumers} consumer{'s' * (consumers > 1)}"
        return compared(name, pairs, TARGETS.get((self.module, consumers), 1.0), beside)

    def _drain(self, module: str, consumers: int) -> crew.Drained:
        peer = find(module)
        with crew.place_for(peer, self.server) as place:
            peer.store(place, JOBS)
            return crew.drain(module, place, JOBS, consumers, within=WITHIN_S)

    def _worst(self, rounds: int, beside: str) -> Row:
        pairs = [(self._mix("ours"), self._mix(self.module)) for _ in range(rounds)]
        ours, theirs = (max(mixed.waits.at(1.0) for mixed in some) for some in zip(*pairs, strict=True))
        return Row(
            f"{self.name}: worst enqueue, 2 producers, 2 consumers",
            f"{ours:.1f} ms",
            f"{theirs:.1f} ms ({beside})",
            f"{ours / theirs:.2f} times",
            "",
            None,
        )

    def _mix(self, module: str) -> crew.Mixed:
        with crew.place_for(find(module), self.server) as place:
            return crew.mix(module, place, 2, 2, MIXED_S)
