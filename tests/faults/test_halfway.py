"""Killed or held up half-way: while the tables are made or copied, and between a claim and what follows it."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from persistentq import JobStatus, NewJob, PersistentQSQLAlchemy
from persistentq.clock import Deadline
from persistentq.connect import open_copies
from tests.faults.failpoints import places, wrap

ROOT = Path(__file__).resolve().parents[2]

STRUCK = """\
import sys
from pathlib import Path
from persistentq.connect import open_copies, open_queue
from tests.faults.failpoints import Act, Arm, arm, places
place, url, copy = sys.argv[1:]
arm(places(url.partition(":")[0].partition("+")[0])[place], Arm(place, Act.KILL), print)
open_queue(url).close()
open_copies(url).back_up(Path(copy), None)
"""


def kill(place: str, url: str, copy: Path) -> None:
    """Let a process be killed at this place while it opens the queue and copies it."""
    command = [sys.executable, "-c", STRUCK, place, url, str(copy)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_tables_are_made_whole_or_not_at_all(own_url: str, tmp_path: Path) -> None:
    for _ in range(3):
        kill("schema-made", own_url, tmp_path / "none.db")
    with PersistentQSQLAlchemy(own_url) as queue:
        queue.enqueue("any.task")
        assert len(queue.dequeue("c_1")) == 1


@pytest.mark.parametrize("place", ["backup-copied", "backup-checked"])
def test_a_killed_backup_leaves_the_queue_alone(place: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/queue.db"
    with PersistentQSQLAlchemy(url) as queue:
        job = queue.enqueue("any.task")
        kill(place, url, tmp_path / "copy.db")
        # It has no name yet, so there is no half a backup that seems to be a whole one.
        assert not (tmp_path / "copy.db").exists()
        open_copies(url).back_up(tmp_path / "copy.db", None)
    for name in ("queue.db", "copy.db"):
        with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/{name}", create=False) as queue:
            assert queue.get_job(job.id) == job


def test_a_row_that_cannot_be_decoded_may_be_lost_like_any_other(own_url: str) -> None:
    """G7: found by a consumer that was held up after its claim; what it then said of the row ended it."""
    claimed = places(own_url.partition(":")[0].partition("+")[0])["claim-made"]
    with PersistentQSQLAlchemy(own_url) as queue, PersistentQSQLAlchemy(own_url) as other:
        bad, good = queue.enqueue_many([NewJob("any.task")] * 2)
        with queue.engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE persistentq_jobs SET args = '[' WHERE id = {bad.id}")

        def be_held_up() -> None:
            Deadline(1).pause(0.02)
            assert other.cleanup() == 2

        unwrap = wrap(claimed, be_held_up)
        try:
            jobs = queue.dequeue("c_1", limit=10, lease=timedelta(milliseconds=1))
        finally:
            unwrap()
        assert [job.id for job in jobs] == [good.id]
        assert queue.get_job(bad.id).status == JobStatus.PENDING
        assert [job.id for job in queue.dequeue("c_2", limit=10)] == [good.id]
        assert queue.get_job(bad.id).status == JobStatus.FAILED
