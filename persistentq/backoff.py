"""How long a failed job waits before its next attempt."""

from __future__ import annotations

from datetime import timedelta

BASE = timedelta(seconds=1)
CAP = timedelta(hours=1)


def backoff(attempt: int, jitter: float, base: timedelta = BASE, cap: timedelta = CAP) -> timedelta:
    """Return the wait after failed attempt number `attempt`: exponential, capped, spread by jitter.

    Pure: the same arguments give the same delay.

    Args:
        attempt: 1 for the first attempt; each further one doubles the wait.
        jitter: 0.0 to 1.0, a random number; spreads the wait over its upper half so that jobs that failed
            together do not return together.
        base: The wait after the first attempt at full jitter.
        cap: The wait never exceeds this.

    Returns:
        Between half of and the whole of min(cap, base * 2 ** (attempt - 1)).
    """
    # 2 ** 30 seconds is past any cap; without the bound an absurd attempt number would overflow timedelta.
    doublings: int = min(max(attempt, 1) - 1, 30)
    full = min(cap, base * (1 << doublings))
    return full * (0.5 + 0.5 * jitter)
