"""A queue with a row in every table, and what two databases must have in common to be the same queue.

Usage: whole_queue.py move|restore|back-up URL ARGUMENT STAGE: does it, and kills itself when the stage is reached.
       whole_queue.py produce|consume URL NAME: does so until the queue has moved, and prints each id that is settled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import make_url

from persistentq import (
    Act,
    ActNote,
    NewJob,
    PersistentQSQLAlchemy,
    QueueMoved,
    Schedule,
    StorageUnavailable,
    open_queue,
)
from persistentq.connect import open_copies
from persistentq.copies_interface import Stage
from persistentq.job_log import Progress
from persistentq.sql.copying import TABLES, read_batches
from persistentq.sql.side import Side
from persistentq.sql.transactions import Defaults

ROOT = Path(__file__).resolve().parents[2]
NOTE = ActNote("ann@mail-1", "cli", "for the test")
DEFAULTS = Defaults(3, timedelta(seconds=60))
LARGE = "é" * 5000
UNTOUCHED = frozenset({"persistentq_journal", "persistentq_consumers"})
"""What is told of a copy in it: its journal has one entry more."""


def fill(queue: PersistentQSQLAlchemy) -> None:
    """Put something into every table: jobs of every status, and all that can go with them."""
    queue.enqueue_many([NewJob("mail.send", {"n": n}, queue="mail", tags=("vip", "eu")) for n in range(20)])
    queue.enqueue_many(
        [
            NewJob("report.make", {"text": LARGE}, unique_key="july", metadata={"by": "ann"}),
            NewJob(
                "report.make", {"text": "\U0001f600 'quoted' \\ % :x"}, priority=7, delay=timedelta(days=3)
            ),
        ]
    )
    done, failed, retried, *others = queue.dequeue("c_1", ("mail",), 6)
    queue.record(retried, lines=["one", "two"], progress=Progress(0.25, "a quarter"))
    queue.complete(done, {"sent": True})
    queue.fail(failed, ValueError("no such address"), retry=False)
    queue.fail(retried, "try later", delay=timedelta(seconds=1))
    queue.release(others)
    queue.cancel(others[0].id)
    queue.act(Act("delete"), [others[1].id], note=NOTE)
    queue.pause_queue("mail", note=NOTE)
    queue.put_schedule(Schedule("nightly", "0 3 * * *", "report.make", zone="Europe/Berlin"))
    queue.heartbeat("c_1", host="mail-1", pid=7, queues=("mail",))
    queue.retire("c_1")
    # Its id is given, and gone: it must never be given again.
    queue.delete_job(queue.enqueue("t").id)


def content(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Return every row by table, sorted; the database's standing does not matter."""
    with Side(url, DEFAULTS, timedelta(seconds=10)) as side, side.reading() as connection:
        return {
            table.name: sorted(
                (tuple(row) for batch in read_batches(connection, table) for row in batch), key=repr
            )
            for table in TABLES
        }


def copied(rows: dict[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    """Return what a copy has in common with its original."""
    return {name: those for name, those in rows.items() if name not in UNTOUCHED}


def dying_at(stage: Stage, what: str, url: str, argument: str) -> int:
    """Do it in a process that kills itself at the stage, and return its exit code."""
    return subprocess.run(
        [sys.executable, __file__, what, url, argument, stage.name],
        env=os.environ | {"PYTHONPATH": str(ROOT), "QUEUE_LOCK_TIMEOUT": "5"},
        capture_output=True,
        check=False,
        timeout=60,
    ).returncode


@contextmanager
def working(what: str, url: str, name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that produces or consumes until the queue has moved."""
    with subprocess.Popen(
        [sys.executable, __file__, what, url, name],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _die_at(what: str, url: str, argument: str, stage: str) -> None:
    def die(reached: Stage, _done: int, _total: int) -> None:
        if reached.name == stage:
            os.kill(os.getpid(), signal.SIGKILL)

    copies = open_copies(url)
    match what:
        case "move":
            copies.move(argument, NOTE, on_stage=die)
        case "restore":
            copies.restore(Path(argument), NOTE, on_stage=die)
        case "back-up":
            copies.back_up(Path(argument), NOTE, on_stage=die)


def _work(what: str, url: str, name: str) -> None:
    with open_queue(make_url(url)) as queue:
        while True:
            try:
                if what == "produce":
                    print(queue.enqueue("t", {"by": name}).id, flush=True)
                else:
                    jobs = queue.dequeue(name, limit=20)
                    refused = {job.id for job in queue.complete_many(jobs)}
                    print(*(job.id for job in jobs if job.id not in refused), flush=True)
            except StorageUnavailable:
                continue
            except QueueMoved:
                return


if __name__ == "__main__":
    if sys.argv[1] in {"produce", "consume"}:
        _work(*sys.argv[1:])
    else:
        _die_at(*sys.argv[1:])
