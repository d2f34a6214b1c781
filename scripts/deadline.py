"""The one place where a script waits."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.1


def wait_until(is_so: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again until the answer is yes; False if it still is no when the seconds are over."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True
