"""The demonstration's task: append a timestamp line to the job's file."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from persistentq import NoRetry, current_job
from persistentq.job_files import JobFileError, stamp


class DemonstrationError(Exception):
    """Raised on purpose, so that retries can be watched."""


def make_stamp_task(root: Path, fail_rate: float) -> Callable[[str], None]:
    """Return the task `file.stamp`.

    Args:
        root: JOB_FILES_DIR; no other file is touched.
        fail_rate: 0.0 to 1.0: the share of attempts that fail on purpose, before anything is written.
    """

    def stamp_file(path: str) -> None:
        context = current_job()
        if random.random() < fail_rate:
            raise DemonstrationError(f"failed on purpose (--fail-rate {fail_rate:g})")
        job = context.job
        try:
            stamp(root, path, job.consumer or "", job.attempt, context.require_lease)
        except JobFileError as error:
            raise NoRetry(str(error)) from error

    return stamp_file
