"""Which of the producer's files an operator may delete, and the deletion."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from persistentq import clock
from persistentq.errors import InvalidArgument
from persistentq.interface import PersistentQInterface
from persistentq.job import UNFINISHED
from persistentq.job_files import PREFIX, SIGNATURE, SUFFIX, is_job_file, is_stamped

FRESH = timedelta(minutes=1)
_LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FilesToDelete:
    """The producer's files below a directory.

    Attributes:
        paths: Those that may be deleted.
        total_bytes: How big these are together.
        in_use: How many more are named by an unfinished job, so they stay.
        fresh: How many more nobody has stamped and are younger than a minute, so they stay: their job may be on
            its way.
    """

    paths: tuple[Path, ...]
    total_bytes: int
    in_use: int
    fresh: int


def find_job_files(queue: PersistentQInterface, directory: Path) -> FilesToDelete:
    """Look for the producer's files in and below `directory`, without following any symlink.

    Raises:
        InvalidArgument: it is not a directory.
    """
    if not directory.is_dir():
        raise InvalidArgument("directory", str(directory), "is not a directory")
    # Files first, then jobs: a job enqueued in between is seen, one finished in between only keeps its file.
    found = list(_job_files(directory.resolve(strict=True)))
    named = set(_named_files(queue))
    oldest_fresh = (clock.now() - FRESH).timestamp()
    deletable, size, in_use, fresh = [], 0, 0, 0
    for path, status, content in found:
        if str(path) in named:
            in_use += 1
        elif not is_stamped(content) and status.st_mtime > oldest_fresh:
            fresh += 1
        else:
            deletable.append(path)
            size += status.st_size
    return FilesToDelete(tuple(deletable), size, in_use, fresh)


def delete_job_files(queue: PersistentQInterface, directory: Path, chosen: FilesToDelete) -> FilesToDelete:
    """Delete the files of `chosen` that may still be deleted, and return those that were.

    Args:
        chosen: What `find_job_files` returned and the operator agreed to; files that came since are left alone.
    """
    agreed, now = set(chosen.paths), find_job_files(queue, directory)
    deleted, size = [], 0
    for path in now.paths:
        if path in agreed:
            length = path.lstat().st_size
            path.unlink(missing_ok=True)
            deleted.append(path)
            size += length
    return FilesToDelete(tuple(deleted), size, now.in_use, now.fresh)


def _job_files(directory: Path) -> Iterator[tuple[Path, os.stat_result, bytes]]:
    for folder, _, names in os.walk(directory, followlinks=False):
        for name in names:
            if name.startswith(PREFIX) and name.endswith(SUFFIX):
                path = Path(folder, name)
                if (read := _read(path)) and is_job_file(read[1]):
                    yield path, *read


def _read(path: Path) -> tuple[os.stat_result, bytes] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        # A symlink, or gone meanwhile, or not ours to read: not a file to delete.
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        start = file.read(len(SIGNATURE))
        return status, start + file.read(_LARGEST)


def _named_files(queue: PersistentQInterface) -> Iterator[str]:
    after: str | None = None
    while True:
        page = queue.list_jobs(status=UNFINISHED, limit=1000, after=after)
        for job in page:
            for value in job.args.values():
                if isinstance(value, str) and "\0" not in value:
                    yield value
                    yield os.path.realpath(value)
        if (after := page.next) is None:
            return
