"""`python -m producer.producer`: makes files and enqueues a job for each, until it is told to stop."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from persistentq import NewJob, PersistentQInterface, StorageUnavailable, load_settings, open_queue
from persistentq.clock import Bell
from persistentq.command_line import LogFormatOption, make_app, run_app
from persistentq.job_files import TASK, make_job_file
from persistentq.program import log_to_stderr, stop_signals
from persistentq.telemetry.events import ENQUEUE_FAILED, JOB_ENQUEUED, tell

PROGRAM = "python -m producer.producer" if __package__ == "producer" else "persistentq producer"

app = make_app()


@app.command()
def produce(
    interval: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=86_400.0, help="Seconds between two jobs; by default INTERVAL_TIME, else 5."
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="End after this many jobs; by default, never.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Jobs per interval, in one transaction.")] = 1,
    directory: Annotated[
        Path | None, typer.Option(file_okay=False, help="Where the files go; by default JOB_FILES_DIR.")
    ] = None,
    log_format: LogFormatOption = None,
) -> None:
    """Make a file with random content every few seconds and enqueue a job that names it.

    If the job cannot be stored, its file is removed. SIGTERM ends the producer between two jobs, with exit code 0.

    Example: python -m producer.producer --interval 1 --count 20
    """
    settings = load_settings()
    log_to_stderr(log_format or settings.log_format, settings.log_level)
    bell, stopped = Bell(), False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        bell.ring()

    pause = settings.interval if interval is None else timedelta(seconds=interval)
    folder, left = directory or settings.job_files_dir, count
    with stop_signals(stop), open_queue(settings=settings) as queue:
        while not stopped and left != 0:
            size = batch if left is None else min(batch, left)
            if _produce(queue, folder, size) and left is not None:
                left -= size
            if left != 0 and not stopped:
                bell.wait(pause.total_seconds())


def _produce(queue: PersistentQInterface, folder: Path, size: int) -> bool:
    """Make `size` files and their jobs; return whether they were stored. Either both or neither are left."""
    with ExitStack() as undo:
        files = []
        for _ in range(size):
            file = make_job_file(folder)
            undo.callback(file.unlink, missing_ok=True)
            files.append(file)
        try:
            jobs = queue.enqueue_many(NewJob(TASK, {"path": str(file)}) for file in files)
        except StorageUnavailable as error:
            tell(ENQUEUE_FAILED, error=str(error))
            return False
        undo.pop_all()
    for job, file in zip(jobs, files, strict=True):
        tell(JOB_ENQUEUED, job=job.id, task=job.task, queue=job.queue, file=str(file))
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run the producer with these arguments (None: the process's own) and return the exit code."""
    return run_app(app, PROGRAM, argv)


if __name__ == "__main__":
    raise SystemExit(main())
