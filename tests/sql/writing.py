"""Enqueue one job after the other for some seconds; print how many, and the longest call in milliseconds.

Usage: writing.py URL SECONDS
"""

import sys
import time

from persistentq import open_queue
from persistentq.clock import Deadline

if __name__ == "__main__":
    with open_queue(sys.argv[1], create=False) as queue:
        print("ready", flush=True)
        sys.stdin.readline()
        number, longest, deadline = 0, 0.0, Deadline(float(sys.argv[2]))
        while not deadline.passed:
            began = time.perf_counter()
            queue.enqueue("any.task", {"to": "a@example.org"})
            number, longest = number + 1, max(longest, time.perf_counter() - began)
        print(number, longest * 1000)
