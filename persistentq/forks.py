"""What a fork of the process does to what is open in it, as long as that is there."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple, TypeVar

Owner = TypeVar("Owner")


class _Tending(NamedTuple):
    owner: weakref.ref[Any]
    before: Callable[[Any], None] | None
    after_in_child: Callable[[Any], None] | None


# The interpreter keeps what is registered with it for ever, so it is given one handler for all of these.
_TENDINGS: dict[int, _Tending] = {}
_NUMBERS = count()


def at_fork(
    owner: Owner,
    *,
    before: Callable[[Owner], None] | None = None,
    after_in_child: Callable[[Owner], None] | None = None,
) -> None:
    """Call these with `owner` before each fork and in each forked child, as long as somebody else refers to it.

    As `os.register_at_fork` has it, what came last is called first before the fork, and last in the child.
    """
    number = next(_NUMBERS)
    _TENDINGS[number] = _Tending(weakref.ref(owner), before, after_in_child)
    weakref.finalize(owner, _TENDINGS.pop, number, None).atexit = False


def _before() -> None:
    for tending in reversed(list(_TENDINGS.values())):
        if tending.before is not None and (owner := tending.owner()) is not None:
            tending.before(owner)


def _after_in_child() -> None:
    for tending in list(_TENDINGS.values()):
        if tending.after_in_child is not None and (owner := tending.owner()) is not None:
            tending.after_in_child(owner)


os.register_at_fork(before=_before, after_in_child=_after_in_child)
