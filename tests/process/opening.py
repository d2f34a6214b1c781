"""For each URL on standard input: open that queue, store one job, and print its id."""

import sys

from persistentq import open_queue

if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        with open_queue(line.strip()) as queue:
            print(queue.enqueue("any.task").id, flush=True)
