"""An act in one process while a consumer works in another: each job goes one way, and the journal says which."""

from __future__ import annotations

import subprocess
import sys

from persistentq import JobStatus, NewJob, PersistentQSQLAlchemy

ACTING = """
import sys
from persistentq import Act, open_queue
from persistentq.operations import Operator

with open_queue(sys.argv[1], create=False) as queue:
    operator = Operator(queue, actor="ann", face="cli")
    seen = operator.preview(Act("cancel"), where="status:pending")
    print("seen", flush=True)
    result = operator.apply(seen)
    print(result.entry, len(result.done), sum(result.reasons.values()), seen.count)
"""
NUMBER = 1_500


def test_no_job_goes_two_ways(own_url: str) -> None:
    with PersistentQSQLAlchemy(own_url) as queue:
        queue.enqueue_many([NewJob("t")] * NUMBER)
        with subprocess.Popen(
            [sys.executable, "-c", ACTING, own_url], stdout=subprocess.PIPE, text=True
        ) as acting:
            assert acting.stdout is not None
            assert acting.stdout.readline() == "seen\n"
            completed: set[int] = set()
            while jobs := queue.dequeue("c", limit=5):
                refused = {job.id for job in queue.complete_many(jobs)}
                completed |= {job.id for job in jobs} - refused
            entry, done, skipped, count = map(int, acting.stdout.read().split())
        assert acting.returncode == 0
        cancelled = {job_id for job_id, _ in queue.find_ids().items} - completed
        assert done + skipped == count == NUMBER
        assert set(queue.get_entry_ids(entry)) == cancelled
        assert queue.count_jobs()["default"] == {
            status: number
            for status, number in ((JobStatus.DONE, len(completed)), (JobStatus.CANCELLED, done))
            if number
        }
