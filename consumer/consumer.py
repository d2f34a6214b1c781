"""`python -m consumer.consumer`: takes jobs from the queue and runs them, until it is told to stop."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from persistentq import PersistentQError, PersistentQInterface, Tasks, load_settings, open_queue
from persistentq.app import load_app
from persistentq.clock import Deadline
from persistentq.command_line import LogFormatOption, make_app, run_app
from persistentq.job_files import TASK
from persistentq.program import log_to_stderr, print_error, stop_signals
from persistentq.restarts import Restarts, told
from persistentq.runtime import Consumer, read_queues
from persistentq.runtime.consumer import DRAIN_S
from persistentq.runtime.notifier import Notifier
from persistentq.runtime.watchdog import STUCK_S, Watchdog
from persistentq.tasks import TASKS

from .stamping import make_stamp_task

PROGRAM = "python -m consumer.consumer" if __package__ == "consumer" else "persistentq consumer"

MIB = 1024 * 1024

app = make_app()

EXIT_CODES = """\
Exit codes: 0 stopped in good order, 1 failed, 2 a wrong call, setting or module, 4 no database, or one that could not
be told at the end what became of jobs, 70 its loop was stuck, 75 another consumer that is alive has its id."""

App = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="MODULE[:OBJECT]",
        help="Import this module, which holds your tasks; OBJECT is a Tasks registry of its own.",
    ),
]
Queues = Annotated[
    str,
    typer.Option(
        help="The queues to serve, strictly in this order; or with weights, as in default=3,mail=1."
    ),
]


class Unknown(StrEnum):
    """What becomes of jobs whose task this consumer does not know."""

    FAIL = "fail"
    LEAVE = "leave"


Concurrency = Annotated[int, typer.Option(min=1, max=1000, help="How many jobs run at once.")]
ConsumerId = Annotated[
    str | None,
    typer.Option(help="A name no other consumer has; by default CONSUMER_ID, else a made-up one."),
]
WhatOfUnknown = Annotated[
    Unknown,
    typer.Option(
        help="What becomes of jobs whose task is not known here: fail, or leave for other consumers."
    ),
]
MemoryLimit = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="MIB", help="Address space of each child process, for tasks that run in one."
    ),
]
Drain = Annotated[
    float,
    typer.Option(
        min=0,
        max=86_400,
        metavar="SECONDS",
        help="How long a stop waits for running jobs; keep it well below Supervisor's stopwaitsecs.",
    ),
]
StuckAfter = Annotated[
    float,
    typer.Option(
        min=3,
        max=86_400,
        metavar="SECONDS",
        help="Exit 70 when the consumer's own loop stands still for so long; waiting for the database does not count.",
    ),
]
Burst = Annotated[bool, typer.Option("--burst", help="End when no job is ready.")]
Metrics = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST:]PORT",
        help="Serve metrics for Prometheus here, a port for each consumer; without HOST for this machine only.",
    ),
]
FailRate = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, help="For demonstrations: this share of attempts fails on purpose."),
]


@app.command(epilog=EXIT_CODES)
def consume(  # noqa: PLR0913, PLR0917 - the options of the command
    tasks_from: App = None,
    queues: Queues = "default",
    concurrency: Concurrency = 1,
    consumer_id: ConsumerId = None,
    unknown: WhatOfUnknown = Unknown.FAIL,
    memory_limit: MemoryLimit = None,
    drain: Drain = DRAIN_S,
    stuck_after: StuckAfter = STUCK_S,
    burst: Burst = False,
    metrics: Metrics = None,
    log_format: LogFormatOption = None,
    fail_rate: FailRate = 0.0,
) -> int:
    """Take jobs from the queue and run them.

    The built-in task appends a timestamp line to the file that the job names. SIGTERM: take no more, finish what
    runs or give it back, exit 0; a second one gives it back at once. One that ends soon after its start, again and
    again under the same id, waits at each start for longer, up to a minute.

    Example: python -m consumer.consumer --concurrency 4 --fail-rate 0.2
    """
    stop = _Stop()
    with stop_signals(stop), Restarts(consumer_id or os.environ.get("CONSUMER_ID")) as restarts:
        _pause(restarts)
        settings = load_settings()
        log_to_stderr(log_format or settings.log_format, settings.log_level)
        with open_queue(settings=settings) as queue:
            consumer = Consumer(
                queue,
                read_queues(queues),
                concurrency,
                consumer_id or settings.consumer_id,
                lease=settings.lease,
                drain=timedelta(seconds=drain),
                leave_unknown=unknown is Unknown.LEAVE,
                app=tasks_from,
                memory_limit=None if memory_limit is None else memory_limit * MIB,
                trouble=restarts.trouble,
            )
            with _serving(consumer, metrics):
                # Before the tasks, which may take long to load, and may not load at all.
                consumer.introduce()
                consumer.tasks = _load_tasks(tasks_from, queue, consumer)
                consumer.tasks.add(TASK, make_stamp_task(settings.job_files_dir, fail_rate))
                stop.act = consumer.stop
                code = _run(consumer, burst, stuck_after, restarts)
    return _end(consumer, code)


class _Stop:
    """What a signal to stop does: it ends the process, until there is a consumer to stop."""

    def __init__(self) -> None:
        self.act: Callable[[], object] = self._leave
        self._notifier = Notifier()

    def __call__(self) -> None:
        self._notifier.tell("STOPPING=1")
        self.act()

    @staticmethod
    def _leave() -> None:
        raise SystemExit(0)


def _pause(restarts: Restarts) -> None:
    if restarts.pause:
        print(
            f"warning: {restarts.trouble()}; this one begins in {restarts.pause:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        Deadline(restarts.pause).pause(restarts.pause)


def _serving(consumer: Consumer, address: str | None) -> AbstractContextManager[object]:
    if address is None:
        return nullcontext()
    from persistentq.telemetry.metrics import serving

    return serving(consumer, address)


def _load_tasks(name: str | None, queue: PersistentQInterface, consumer: Consumer) -> Tasks:
    if name is None:
        return TASKS
    try:
        return load_app(name)
    except BaseException as error:
        queue.retire(consumer.id, trouble=told(error))
        raise


def _run(consumer: Consumer, burst: bool, stuck_after: float, restarts: Restarts) -> int:
    """Run it and return the exit code; raises what it raises, unless code of tasks may still run."""
    try:
        with Watchdog(consumer, stuck_after):
            consumer.run(burst)
    except PersistentQError as error:
        if not consumer.may_still_run:
            raise
        print_error(error)
        restarts.note(error)
        return error.exit_code
    return 0


def _end(consumer: Consumer, code: int) -> int:
    if consumer.may_still_run:
        # The jobs are given back; Python would wait for threads that their tasks started.
        logging.shutdown()
        os._exit(code)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the consumer with these arguments (None: the process's own) and return the exit code."""
    return run_app(app, PROGRAM, argv)


if __name__ == "__main__":
    raise SystemExit(main())
