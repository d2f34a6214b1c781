"""Fairness between queues: each is served in proportion to its weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from persistentq.checks import check_int, check_queue
from persistentq.errors import InvalidArgument


def read_queues(text: str) -> list[str] | dict[str, int]:
    """Return the queues that a command line names: `a,b` in this order, `a=3,b` by weight, 1 for one that has none.

    Raises:
        InvalidArgument: a weight is not a whole number. The names and bounds are checked by `Shares`.
    """
    parts = [part.partition("=") for part in text.split(",")]
    if not any(equals for _, equals, _ in parts):
        return [name.strip() for name, _, _ in parts]
    weights = {}
    for name, equals, weight in parts:
        if equals and not weight.strip().isdecimal():
            raise InvalidArgument(
                "queues", text, f"has {weight.strip()!r} where a weight from 1 to 1,000 belongs"
            )
        weights[name.strip()] = int(weight) if equals else 1
    return weights


class Shares:
    """The queues of a consumer in the order in which to ask them.

    With weights, a queue's `pass` grows with each job it gave, the less the more it weighs, and the least comes first.

    Attributes:
        names: The queues as they were named.

    Args:
        queues: Names, to be served strictly in that order; or names with weights of 1 to 1000.

    Raises:
        InvalidArgument: a name or a weight cannot be used, or there is none.
    """

    def __init__(self, queues: Sequence[str] | Mapping[str, int]) -> None:
        self.names = self._order = tuple(dict.fromkeys(check_queue(name) for name in queues))
        check_int("number of queues", len(self._order), 1, 1000)
        self._weights: dict[str, int] | None = None
        if isinstance(queues, Mapping):
            self._weights = {
                name: check_int(f"weight of {name}", one, 1, 1000) for name, one in queues.items()
            }
        self._passes = dict.fromkeys(self._order, 0.0)

    @property
    def order(self) -> tuple[str, ...]:
        """The queues in the order in which they are to be asked now."""
        return self._order

    def note(self, claimed: Mapping[str, int], room: int) -> None:
        """Remember how many jobs each queue gave when they were asked in this order for so many in all."""
        if self._weights is None:
            return
        if sum(claimed.values()) < room:
            # None has a job left; whoever gave less than its share had none to give, and nothing to make up for.
            self._passes = dict.fromkeys(self._passes, 0.0)
            return
        for name, number in claimed.items():
            self._passes[name] += number / self._weights[name]
        last = max(self._order.index(name) for name, number in claimed.items() if number)
        for emptied in self._order[:last]:
            self._passes[emptied] = max(self._passes[emptied], self._passes[self._order[last]])
        self._order = tuple(sorted(self._order, key=self._passes.__getitem__))
