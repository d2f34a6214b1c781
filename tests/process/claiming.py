"""Claim jobs one at a time until none is left, and print their ids. Usage: claiming.py URL CONSUMER"""

import sys

from persistentq import open_queue

if __name__ == "__main__":
    with open_queue(sys.argv[1], create=False) as queue:
        print("ready", flush=True)
        sys.stdin.readline()
        while jobs := queue.dequeue(sys.argv[2]):
            print(*(f"{job.id}:{job.attempt}:{job.consumer}" for job in jobs), flush=True)
