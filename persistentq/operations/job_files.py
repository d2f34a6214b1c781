"""Which of the producer's files an operator may delete, and the deletion."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from persistentq import clock
from persistentq.errors import InvalidArgument
from persistentq.interface import PersistentQInterface
from persistentq.job import UNFINISHED
from persistentq.job_files import PREFIX, SUFFIX, is_job_file, is_stamped

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
        refused: After a deletion: those that the operating system would not delete, with its reason.
    """

    paths: tuple[Path, ...]
    total_bytes: int
    in_use: int
    fresh: int
    refused: tuple[tuple[Path, str], ...] = ()


def find_job_files(queue: PersistentQInterface, directory: Path) -> FilesToDelete:
    """Look for the producer's files in and below `directory`, without following any symlink.

    Raises:
        InvalidArgument: it is not a directory, or one that holds the home directory.
    """
    # Files first, then jobs: a job enqueued in between is seen, one finished in between only keeps its file.
    found = list(_walk(directory))
    named = set(_named_files(queue))
    oldest_fresh = (clock.now() - FRESH).timestamp()
    deletable, size, in_use, fresh = [], 0, 0, 0
    for file in found:
        if str(file.path) in named:
            in_use += 1
        elif not is_stamped(file.content) and file.changed_at > oldest_fresh:
            fresh += 1
        else:
            deletable.append(file.path)
            size += file.size
    return FilesToDelete(tuple(deletable), size, in_use, fresh)


def delete_job_files(queue: PersistentQInterface, directory: Path, chosen: FilesToDelete) -> FilesToDelete:
    """Delete the files of `chosen` that may still be deleted, and return those that were.

    Args:
        chosen: What `find_job_files` returned and the operator agreed to; files that came since are left alone.
    """
    now = find_job_files(queue, directory)
    agreed = set(chosen.paths) & set(now.paths)
    deleted, refused, size = [], [], 0
    for file in _walk(directory):
        if file.path in agreed:
            # By the open folder, not by the path: a folder that is swapped for a link meanwhile leads nowhere else.
            try:
                os.unlink(file.path.name, dir_fd=file.folder)
            except OSError as error:
                refused.append((file.path, error.strerror or str(error)))
            else:
                deleted.append(file.path)
                size += file.size
    return FilesToDelete(tuple(deleted), size, now.in_use, now.fresh, tuple(refused))


class _Found(NamedTuple):
    path: Path
    folder: int
    content: bytes
    size: int
    changed_at: float


def _walk(directory: Path) -> Iterator[_Found]:
    """Yield the producer's files; the open folder is valid until the next one is asked for."""
    for place, _, names, folder in os.fwalk(_checked(directory), follow_symlinks=False):
        for name in sorted(names):
            if (
                name.startswith(PREFIX)
                and name.endswith(SUFFIX)
                and (found := _read(Path(place, name), folder))
            ):
                yield found


def _checked(directory: Path) -> Path:
    """Return the directory itself, wherever links lead; nobody means all that they have, or the whole machine."""
    if not _is_directory(directory):
        raise InvalidArgument("directory", str(directory), "is not a directory")
    real = directory.resolve(strict=True)
    home = _home()
    if home is not None and home.is_relative_to(real):
        raise InvalidArgument("directory", str(directory), "holds your home directory; name one within it")
    return real


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:
        # Nobody with this user id is known here, as in some containers.
        return None


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        # Too long a name, too many links, a NUL.
        return False


def _read(path: Path, folder: int) -> _Found | None:
    try:
        descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        # A symlink, or gone meanwhile, or not ours to read: not a file to delete.
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        content = file.read(_LARGEST) if stat.S_ISREG(status.st_mode) else b""
    if not is_job_file(content):
        return None
    return _Found(path, folder, content, status.st_size, status.st_mtime)


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
