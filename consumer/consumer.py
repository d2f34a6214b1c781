"""`python -m consumer.consumer`: takes jobs from the queue and runs them, until it is told to stop."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from persistentq import load_settings, open_queue
from persistentq.app import load_app
from persistentq.command_line import make_app, run_app
from persistentq.job_files import TASK
from persistentq.program import log_to_stderr, stop_signals
from persistentq.runtime import Consumer, read_queues
from persistentq.tasks import TASKS
from persistentq.telemetry.lines import LogFormat

from .stamping import make_stamp_task

PROGRAM = "python -m consumer.consumer" if __package__ == "consumer" else "persistentq consumer"

MIB = 1024 * 1024

app = make_app()

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
Burst = Annotated[bool, typer.Option("--burst", help="End when no job is ready.")]
Format = Annotated[
    LogFormat | None, typer.Option(help="How the log is written; by default LOG_FORMAT, else text.")
]
FailRate = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, help="For demonstrations: this share of attempts fails on purpose."),
]


@app.command()
def consume(  # noqa: PLR0913, PLR0917 - the options of the command
    tasks_from: App = None,
    queues: Queues = "default",
    concurrency: Concurrency = 1,
    consumer_id: ConsumerId = None,
    unknown: WhatOfUnknown = Unknown.FAIL,
    memory_limit: MemoryLimit = None,
    burst: Burst = False,
    log_format: Format = None,
    fail_rate: FailRate = 0.0,
) -> None:
    """Take jobs from the queue and run them.

    The built-in task appends a timestamp line to the file that the job names. SIGTERM: take no more, finish what
    runs or give it back, exit 0; a second one gives it back at once.

    Example: python -m consumer.consumer --concurrency 4 --fail-rate 0.2
    """
    settings = load_settings()
    log_to_stderr(log_format or settings.log_format, settings.log_level)
    tasks = TASKS if tasks_from is None else load_app(tasks_from)
    tasks.add(TASK, make_stamp_task(settings.job_files_dir, fail_rate))
    with open_queue(settings=settings) as queue:
        consumer = Consumer(
            queue,
            read_queues(queues),
            concurrency,
            consumer_id or settings.consumer_id,
            tasks=tasks,
            lease=settings.lease,
            leave_unknown=unknown is Unknown.LEAVE,
            app=tasks_from,
            memory_limit=None if memory_limit is None else memory_limit * MIB,
        )
        with stop_signals(consumer.stop):
            consumer.run(burst)
    if consumer.may_still_run:
        # The jobs are given back; Python would wait for threads that their tasks started.
        logging.shutdown()
        os._exit(0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the consumer with these arguments (None: the process's own) and return the exit code."""
    return run_app(app, PROGRAM, argv)


if __name__ == "__main__":
    raise SystemExit(main())
