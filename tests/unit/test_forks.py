"""One handler of the interpreter for all that is open, and none for what has gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import gc, os
from persistentq import forks

class Owner:
    def __init__(self, name):
        self.name = name

    def before(self):
        print("before", self.name, flush=True)

    def after(self):
        print("after", self.name, flush=True)

owners = [Owner(name) for name in "abc"]
for owner in owners:
    forks.at_fork(owner, before=Owner.before)
    forks.at_fork(owner, after_in_child=Owner.after)
known = len(forks._TENDINGS)
del owner, owners[1]
gc.collect()
print(known - len(forks._TENDINGS), flush=True)
if os.fork():
    os.wait()
"""


def test_what_came_last_goes_first_and_comes_back_last_and_what_has_gone_leaves_nothing() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert ended.stdout.splitlines() == ["2", "before c", "before a", "after a", "after c"]
