"""Fill the disk with jobs, make room, fill it again; say what the queue said and what is left.

Usage: filling.py tmpfs|limit FOLDER
With tmpfs, a small one is mounted there, and a ballast is deleted to make room; with limit, files may grow further.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from persistentq import NewJob, PersistentQSQLAlchemy, StorageUnavailable

MIB = 1024 * 1024


def fill(queue: PersistentQSQLAlchemy, acknowledged: set[int]) -> str:
    """Enqueue in ones and in batches until the queue refuses; return what it said."""
    try:
        while True:
            acknowledged.add(queue.enqueue("t", {"pad": "x" * 3000}).id)
            acknowledged.update(job.id for job in queue.enqueue_many([NewJob("t", {"pad": "y" * 900})] * 5))
    except StorageUnavailable as error:
        return str(error)


def mounted(folder: Path) -> Iterator[Callable[[], object]]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    ballast = [folder / f"ballast-{n}" for n in range(2)]
    for file in ballast:
        file.write_bytes(b"\0" * MIB)
    yield lambda: None
    for file in ballast:
        yield file.unlink


def limited() -> Iterator[Callable[[], object]]:
    for megabytes in (1, 2, 3):
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (megabytes * MIB, resource.RLIM_INFINITY))  # noqa: B023


def main(kind: str, folder: Path) -> None:
    acknowledged: set[int] = set()
    said: list[str] = []
    room = mounted(folder) if kind == "tmpfs" else limited()
    next(room)()
    with PersistentQSQLAlchemy(f"sqlite:///{folder}/queue.db") as queue:
        said.append(fill(queue, acknowledged))
        found = [len(acknowledged)]
        for make in room:
            assert acknowledged <= {job.id for job in queue.list_jobs(limit=1000)}
            make()
            (taken,) = queue.dequeue("c")
            queue.complete(taken)
            said.append(fill(queue, acknowledged))
            found.append(len(acknowledged))
        with closing(queue.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
            (whole,) = cursor.execute("PRAGMA integrity_check").fetchone()
        counts = {str(status): number for status, number in queue.count_jobs()["default"].items()}
    print(json.dumps({"said": said, "acknowledged": found, "whole": whole, "counts": counts}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
