"""Tick until nothing is due any more, and print which ticks those were. Usage: ticking.py URL LIMIT"""

import sys

from persistentq import open_queue

if __name__ == "__main__":
    with open_queue(sys.argv[1], create=False) as queue:
        print("ready", flush=True)
        sys.stdin.readline()
        # What another process has at hand, on PostgreSQL, is passed by and still due.
        while (left := queue.next_tick()) is not None and not left:
            for job in queue.tick(int(sys.argv[2])):
                print(f"{job.metadata['schedule']}@{job.metadata['tick']}", flush=True)
