"""How long a failed job waits before its next attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from persistentq.checks import check_span

LONGEST = timedelta(days=365)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Backoff:
    """An exponential wait with a cap, spread by chance.

    Attributes:
        base: The longest wait after the first attempt; each further one doubles it. Up to a year.
        cap: No wait is longer. Up to a year, and not less than `base`.

    Raises:
        InvalidArgument: a value is outside these bounds.
    """

    base: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(hours=1)

    def __post_init__(self) -> None:
        check_span("base", self.base, timedelta(0), LONGEST)
        check_span("cap", self.cap, self.base, LONGEST)

    def delay(self, attempt: int, jitter: float) -> timedelta:
        """Return the wait after failed attempt number `attempt`. Pure: the same arguments give the same delay.

        Args:
            attempt: 1 for the first attempt.
            jitter: 0.0 to 1.0, a random number; spreads the wait over its upper half so that jobs that failed
                together do not return together.

        Returns:
            Between half of and the whole of min(cap, base * 2 ** (attempt - 1)).
        """
        # In whole microseconds, which cannot overflow; nobody waits for the 61st doubling.
        full = min(self.base // MICROSECOND << min(max(attempt, 1) - 1, 60), self.cap // MICROSECOND)
        return timedelta(microseconds=round(full * (0.5 + 0.5 * jitter)))


DEFAULT = Backoff()
