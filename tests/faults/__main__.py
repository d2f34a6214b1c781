"""`python -m tests.faults --plan c1 --engine sqlite`: pull the plug on producers and consumers, and look."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import randbelow
from typing import NamedTuple

from persistentq.program import INTERRUPTED
from tests.conftest import new_database, own_server
from tests.faults.chaos import Chaos
from tests.faults.checking import Evidence, check
from tests.faults.figures import Figures, versions, write_row
from tests.faults.outside import outside
from tests.faults.plans import PLANS, Plan
from tests.faults.scene import Scene
from tests.faults.supervised import restart_supervisors
from tests.faults.weather import Weather, disk
from tests.faults.zygote import zygote

MEMORY = "/dev/shm"  # noqa: S108 - the folder in it is made for us
ENGINES = ("sqlite", "system", "postgresql")


class Run(NamedTuple):
    """What a run found: its figures, and what does not hold."""

    figures: Figures
    wrong: list[str]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--plan", choices=PLANS, default="c1", help="how much: c1 in seconds, c2 in minutes, c3 in hours"
    )
    parser.add_argument("--engine", choices=(*ENGINES, "all"), default="all")
    parser.add_argument(
        "--seed", type=int, help="what a run printed, to do the same again; by default, chance"
    )
    parser.add_argument("--server", help="the URL of a PostgreSQL server; by default, one is started")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="work in this new folder, and leave everything there"
    )
    parser.add_argument("--write", action="store_true", help="write the figures into docs/reliability.md")
    given = parser.parse_args(argv)
    # Whoever stops a run wants no workers, folders and mounts of it left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(INTERRUPTED))
    code = 0
    for engine in ENGINES if given.engine == "all" else (given.engine,):
        seed = randbelow(10**6) if given.seed is None else given.seed
        made = run(given.plan, engine, seed, given.server, given.keep and given.keep / engine)
        if made.wrong:
            code = 1
        elif given.write:
            write_row(made.figures)
    return code


def run(plan_name: str, engine: str, seed: int, server: str | None, keep: Path | None) -> Run:
    """Do one run and print what it did and found."""
    plan, began = PLANS[plan_name], time.monotonic()
    with place(plan, keep) as folder, database(engine, folder, server) as url:
        scene = Scene(engine, url, folder, seed, poison=plan.poison, bad=plan.bad)
        print(f"plan {plan_name}, engine {engine}, seed {seed}", flush=True)
        with disk(scene, plan):
            with zygote(scene) as nursery:
                print(f"{nursery.version}, {versions()}", flush=True)
                with outside(scene) as eyes:
                    chaos = Chaos(scene, plan, nursery, eyes, Weather(scene, plan))
                    chaos.run()
            with outside(scene) as eyes:
                chaos.ledger.look()
                found = Evidence(scene, plan, chaos.done, chaos.ledger.entries, eyes)
                wrong = check(found)
        figures = Figures.of(plan_name, nursery.version, found, time.monotonic() - began)
        print("\n".join(figures.lines()))
    if plan.supervisors and engine == "sqlite":
        wrong += restart_supervisors(plan.supervisors)
    for sentence in wrong:
        print(f"WRONG {sentence}")
    print(f"verdict: {len(wrong)} wrong" if wrong else "verdict: I1 to I10 hold", flush=True)
    return Run(figures, wrong)


@contextmanager
def place(plan: Plan, keep: Path | None) -> Iterator[Path]:
    """Yield an empty folder that only its owner may read.

    A short run is in memory, where it can be: it kills processes and not the machine, and a disk that somebody else
    keeps busy for seconds would be taken for a lost job that does not come back.
    """
    if keep is not None:
        keep.mkdir(mode=0o700, parents=True)
        yield keep.resolve()
        return
    is_short = not plan.fills and os.access(MEMORY, os.W_OK)
    with tempfile.TemporaryDirectory(
        prefix="persistentq-faults-", dir=MEMORY if is_short else None
    ) as folder:
        yield Path(folder).resolve()


@contextmanager
def database(engine: str, folder: Path, server: str | None) -> Iterator[str]:
    """Yield the URL of a new database."""
    if engine != "postgresql":
        yield f"sqlite:///{folder}/disk/queue.db"
        return
    with ExitStack() as stack:
        known = server or os.environ.get("TEST_POSTGRES_URL") or stack.enter_context(own_server())
        yield stack.enter_context(new_database(known))


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
