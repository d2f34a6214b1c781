"""How much a consumer claims: what it will have begun within a moment, as far as it has measured its jobs."""

from __future__ import annotations

from collections.abc import Iterable

HORIZON_S = 0.05
"""What is claimed ahead is about to begin within so long."""

MOST_AHEAD = 500
SMOOTHING = 0.1
SIZES = (1000, 500, 400, 300, 250, 200, 150, 125, 100, 80, 64, 50, 40, 32, 25, 20)
"""A claim's statement is made for its limit: beyond sixteen, these are enough."""


class Pace:
    """The mean run time of the jobs that ended lately, and what follows from it.

    Args:
        places: How many jobs run at once.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._mean: float | None = None

    def note(self, seconds: Iterable[float]) -> None:
        """Remember how long jobs ran that ended now."""
        for each in seconds:
            self._mean = each if self._mean is None else self._mean + SMOOTHING * (each - self._mean)

    def room(self, in_hand: int, running: Iterable[float]) -> int:
        """Return how many jobs to claim now; 0 if none.

        Args:
            in_hand: How many jobs are held: running, waiting here, or ended and not told yet.
            running: For how many seconds each of those has run that run now.
        """
        stuck = sum(1 for seconds in running if seconds > HORIZON_S)
        turning = self._places - stuck
        ahead = 0 if self._mean is None else int(min(MOST_AHEAD, turning * HORIZON_S / max(self._mean, 1e-6)))
        free = stuck + max(turning, ahead) - in_hand
        if free <= 16:
            return max(0, free)
        return next((size for size in SIZES if size <= free), 16)
