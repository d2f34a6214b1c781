"""Fork while a doorbell is open, and see who hears what. Usage: listening.py memory|URL"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from persistentq import PersistentQMemory, open_queue

IS_ALONE = sys.argv[1] == "memory"
queue = PersistentQMemory() if IS_ALONE else open_queue(sys.argv[1])
bell = queue.listen("c", ["default"])


def calm() -> None:
    while bell.wait(0.3):
        pass


def forked(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def ended(child: int) -> None:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def ring() -> None:
    os.read(begin, 1)
    bell.ring()
    assert bell.wait(5)
    calm()
    bell.ring()


def hear() -> None:
    calm()
    os.write(ready, b"\0")
    assert bell.wait(5)
    calm()


calm()
begin, may_begin = os.pipe()
ringer = forked(ring)
# Before the fork the parent's connection was closed, and with the next one it looks again.
calm()
os.write(may_begin, b"\0")
ended(ringer)
assert not bell.wait(0.3), "a child's ring woke its parent"
bell.ring()
waiting, ready = os.pipe()
if not IS_ALONE:
    child = forked(hear)
    os.read(waiting, 1)
    queue.enqueue("t")
    ended(child)
assert bell.wait(5)
calm()
if not IS_ALONE:
    child = forked(lambda: queue.enqueue("t") and queue.close())
    assert bell.wait(5)
    ended(child)
    calm()
queue.enqueue("t")
assert bell.wait(5)
queue.close()
