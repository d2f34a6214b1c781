"""What a worker process does: it produces, or it consumes, and writes down what it did."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, NoReturn

from sqlalchemy import text

from persistentq import Consumer, JobContext, NewJob, PersistentQSQLAlchemy, StorageUnavailable, Tasks
from persistentq.clock import Bell, Deadline
from persistentq.program import stop_signals
from persistentq.telemetry.events import Event, listening
from tests.faults.failpoints import Arm, arm, places
from tests.faults.ledger import Ledger
from tests.faults.scene import HARDY, QUICK, Scene

PLACES_OF_CONSUMER = 2
DRAIN_S = 3.0
LINGER_S = 0.25
"""A job that was lost takes so long at its next attempt, for whoever lost it to come back meanwhile."""
LARGE = "x" * 3000
MIB = 1024 * 1024


class Order(NamedTuple):
    """What a new worker is to be.

    Attributes:
        role: `producer` or `consumer`.
        name: Of a consumer: its id.
        rate: Of a producer: jobs in a second.
        armed: Where it is to be struck.
    """

    role: str
    name: str
    seed: int
    rate: float = 0.0
    armed: Arm | None = None


def halfway() -> None:
    """Be in the middle of a task: a place to be struck."""


def work(queue: PersistentQSQLAlchemy, scene: Scene, order: Order) -> None:
    """Be that worker, until a signal to stop comes."""
    ledger = Ledger(scene.folder)
    ledger.note("born", order.role, order.name)
    if order.armed is not None:
        arm(places(scene.engine, order.role)[order.armed.place], order.armed, ledger.note)
    if order.role == "producer":
        produce(queue, order, ledger)
    else:
        consume(queue, scene, order, ledger)
    ledger.note("finished")


@contextmanager
def heeding(stop: Callable[[], object]) -> Iterator[None]:
    """Heed SIGTERM while the block runs, and what came before."""
    with stop_signals(stop):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        yield


# --- producers


def produce(queue: PersistentQSQLAlchemy, order: Order, ledger: Ledger) -> None:
    chance, bell = Random(order.seed), Bell()
    stopped: list[bool] = []

    def stop() -> None:
        stopped.append(True)
        bell.ring()

    with heeding(stop):
        for n in count():
            if stopped:
                return
            new = [
                _new_job(f"{os.getpid()}-{order.seed}-{n}-{m}", chance)
                for m in range(chance.choice((1, 1, 5)))
            ]
            keys = [one.tags[0] for one in new]
            ledger.note("asked", keys)
            try:
                jobs = queue.enqueue_many(new)
            except StorageUnavailable as error:
                ledger.note("refused", keys, error.is_unknown)
                bell.wait(0.05)
                continue
            ledger.note("acked", [[job.id, key] for job, key in zip(jobs, keys, strict=True)])
            bell.wait(len(jobs) / order.rate * chance.uniform(0.5, 1.5))


def _new_job(key: str, chance: Random) -> NewJob:
    # Some outlast a third of their lease, so that it must be renewed.
    args: dict[str, object] = {
        "seconds": 0.5 if chance.random() < 0.04 else round(chance.uniform(0.002, 0.03), 3)
    }
    if chance.random() < 0.05:
        args["filler"] = LARGE
    return NewJob(
        chance.choices(("plain", "exact", "clumsy"), (48, 48, 4))[0],
        args,
        priority=chance.choice((0, 0, 0, 1)),
        delay=timedelta(seconds=0.3) if chance.random() < 0.15 else None,
        tags=(key,),
        max_attempts=HARDY,
        backoff=QUICK,
    )


# --- consumers


def consume(queue: PersistentQSQLAlchemy, scene: Scene, order: Order, ledger: Ledger) -> None:
    consumer = Consumer(
        queue,
        concurrency=PLACES_OF_CONSUMER,
        consumer_id=order.name,
        tasks=make_tasks(ledger),
        lease=timedelta(seconds=scene.lease),
        drain=timedelta(seconds=DRAIN_S),
    )

    def hear(event: Event, facts: Mapping[str, Any]) -> None:
        if event.is_end:
            ledger.note("told", event.name, facts["job"], facts["attempt"])

    with ExitStack() as stack:
        stack.enter_context(heeding(consumer.stop))
        stack.enter_context(listening(hear))
        consumer.run()


def make_tasks(ledger: Ledger) -> Tasks:
    """Return the tasks; each writes down that it began, and that its work was done."""
    tasks = Tasks()

    def begin(context: JobContext, seconds: float) -> None:
        job = context.job
        ledger.note("begun", job.id, job.attempt)
        pause = seconds if job.attempt == 1 else max(seconds, LINGER_S)
        Deadline(pause).pause(pause)
        halfway()

    @tasks.task("plain")
    def plain(context: JobContext, seconds: float, filler: str = "") -> None:
        begin(context, seconds)
        ledger.note("worked", context.job.id, context.job.attempt)

    @tasks.task("exact")
    def exact(context: JobContext, seconds: float, filler: str = "") -> None:
        begin(context, seconds)
        values = {"id": context.job.id, "attempt": context.job.attempt}
        with context.session() as session:
            session.execute(
                text("INSERT INTO faults_effects (job_id, attempt) VALUES (:id, :attempt)"), values
            )
            ledger.note("worked", context.job.id, context.job.attempt)

    @tasks.task("clumsy")
    def clumsy(context: JobContext, seconds: float, filler: str = "") -> None:
        begin(context, seconds)
        if context.job.attempt == 1:
            ledger.note("poisoned", "once")
            die("exit")
        ledger.note("worked", context.job.id, context.job.attempt)

    @tasks.task("bad")
    def bad(context: JobContext, seconds: float) -> None:
        ledger.note("begun", context.job.id, context.job.attempt)

    @tasks.task("poison")
    def poison(context: JobContext, kind: str) -> None:
        ledger.note("begun", context.job.id, context.job.attempt)
        ledger.note("poisoned", kind)
        die(kind)

    return tasks


def die(kind: str) -> NoReturn:
    """End this process as a task may that goes wrong in foreign code."""
    match kind:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "fault":
            ctypes.string_at(0)
        case "memory":
            starve()
    os._exit(3)


def starve() -> NoReturn:
    """Use up all the memory that there is, and end as C code does that gets none."""
    # The other threads get none either, and may say so before that.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + 8 * MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    eaten = []
    try:
        while True:
            eaten.append(bytearray(MIB // 4))
    except MemoryError:
        os.abort()
