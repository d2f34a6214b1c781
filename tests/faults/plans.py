"""How large a run is: what is done to the workers, and how much they have to do meanwhile."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from tests.faults.failpoints import Act, Arm, places

ZOMBIES_AT = ("handler-begin", "handler-middle", "handler-end", "settle-before", "claim-after")
FAILED_AT = (
    *("claim-before", "claim-made", "claim-after", "settle-before", "settle-made", "settle-after"),
    *("commit-before", "commit-after", "heartbeat-before", "heartbeat-after", "effect-written"),
    *(
        "handler-middle",
        "reap-made",
        "due-made",
        "renew-made",
        "enqueue-before",
        "enqueue-stored",
        "enqueue-after",
    ),
)
OFTEN = ("claim", "settle", "handler", "commit", "enqueue")
"""What a worker passes many times in its life begins like this: it need not be struck the first time."""
AIMED, OF_PRODUCERS = 0.7, 0.15


class Plan(NamedTuple):
    """So many of each; `rate` in jobs per second, `minutes` is when a run is given up.

    Attributes:
        stops: Workers that are frozen within a transaction, for a moment.
        failures: Places at which the database seems to fail, or to be slow.
        storms: How often somebody else keeps everybody from writing.
        fills: How often the disk is full (SQLite).
        terminations: How many sessions an administrator ends (PostgreSQL).
        disk_mib: The size of the disk that is full now and then.
        supervisors: How often a supervisord is killed and started again.
    """

    jobs: int
    kills: int
    zombies: int
    stops: int
    failures: int
    poison: int
    bad: int
    rate: float
    minutes: float
    consumers: int = 4
    producers: int = 2
    storms: int = 0
    fills: int = 0
    terminations: int = 0
    supervisors: int = 0
    disk_mib: int = 48


PLANS = {
    "c1": Plan(
        jobs=400, kills=60, zombies=25, stops=6, failures=12, poison=8, bad=20, rate=20.0, minutes=1.5
    ),
    "c2": Plan(
        jobs=5_000,
        kills=500,
        zombies=200,
        stops=50,
        failures=60,
        poison=40,
        bad=60,
        rate=40.0,
        minutes=8,
        storms=20,
        fills=20,
        terminations=30,
        supervisors=2,
    ),
    "c3": Plan(
        jobs=50_000,
        kills=10_000,
        zombies=2_000,
        stops=500,
        failures=600,
        poison=200,
        bad=200,
        rate=60.0,
        minutes=180,
        storms=200,
        fills=200,
        terminations=300,
        supervisors=10,
        disk_mib=512,
    ),
}

Fate = Arm | None
"""Where a worker is struck; None: it is killed from outside, wherever it is."""


def deal(plan: Plan, engine: str, role: str, chance: Random) -> list[Fate]:
    """Return what happens to the workers of this role, in the order of their births."""

    def at(name: str, act: Act) -> Arm:
        return Arm(name, act, chance.randrange(4) if name.startswith(OFTEN) else 0)

    known = places(engine, role)
    share = OF_PRODUCERS if role == "producer" else 1 - OF_PRODUCERS
    aimed = round(plan.kills * share * AIMED)
    names = sorted(known)
    chance.shuffle(names)
    fates: list[Fate] = [at(names[n % len(names)], Act.KILL) for n in range(aimed)]
    fates += [None] * (round(plan.kills * share) - aimed)
    failed = sorted(set(FAILED_AT) & known.keys())
    fates += [
        at(chance.choice(failed), chance.choice((Act.RAISE, Act.RAISE, Act.DELAY)))
        for _ in range(round(plan.failures * share))
    ]
    if role == "consumer":
        fates += [at(ZOMBIES_AT[n % len(ZOMBIES_AT)], Act.STOP) for n in range(plan.zombies)]
        inside = sorted(name for name, place in known.items() if place.is_inside)
        fates += [at(inside[n % len(inside)], Act.STOP) for n in range(plan.stops)]
    chance.shuffle(fates)
    return fates
