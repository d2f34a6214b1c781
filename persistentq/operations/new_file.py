"""A file that is there as a whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from persistentq.errors import InvalidArgument


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """Give a file, its owner's alone, that is durable under the name `path` when the block ends without an error.

    Until then it has another name in the same folder; if the block raises, nothing is left of it.

    Args:
        force: Whether a file of that name may be replaced.

    Raises:
        InvalidArgument: there is something under that name that is no file, or a file and no `force`; or no folder.
        OSError: it cannot be written.
    """
    check_free(path, force=force)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    made = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if force:
            made.replace(path)
        else:
            # Unlike a rename, it fails where somebody else has made such a file meanwhile.
            path.hardlink_to(made)
    except FileExistsError:
        raise InvalidArgument(
            "file", str(path), "exists already; name another, or replace it with --force"
        ) from None
    finally:
        made.unlink(missing_ok=True)
    _sync(path.parent)


def check_free(path: Path, *, force: bool) -> None:
    """Raise InvalidArgument unless a new file may have this name."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise InvalidArgument(
                "file", str(path), "is in a folder that is not there; make it first"
            ) from None
        return
    if not stat.S_ISREG(mode):
        # A folder or a device in its place would be lost, or a link would be, and not what it leads to.
        raise InvalidArgument("file", str(path), "is there, and is no plain file")
    if not force:
        raise InvalidArgument("file", str(path), "exists already; name another, or replace it with --force")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
