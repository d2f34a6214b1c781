"""Produce and consume until standard input ends, one line for each round. Usage: old_worker.py URL NAME"""

import sys
from threading import Event, Thread

from persistentq import NewJob, open_queue

if __name__ == "__main__":
    over = Event()
    Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    with open_queue(sys.argv[1], create=False) as queue:
        while not over.is_set():
            queue.enqueue_many([NewJob("any.task")] * 3)
            first, *others = queue.dequeue(sys.argv[2], limit=3)
            queue.complete(first, "alone")
            assert queue.complete_many(others) == []
            print(*(job.id for job in (first, *others)), flush=True)
