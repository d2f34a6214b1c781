"""What the last hour did, beside the hour before it: one tile per number, with the difference in words."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, NamedTuple

import streamlit as st

import ops_live
from ops_text import span
from persistentq.operations import Operator
from persistentq.operations.rates import HOUR, RateBucket, Rates, rates

Judged = Literal["off", "normal", "inverse"]
KINDS: tuple[tuple[str, Judged], ...] = (("enqueued", "off"), ("done", "normal"), ("failed", "inverse"))
"""What is counted, and whether more of it is neither good nor bad, good, or bad."""

HELP = {
    "enqueued": "Of the jobs that are still stored.",
    "done": "Jobs.",
    "failed": "Attempts that failed or were lost.",
    "wait p95": "95 of 100 attempts began within this time after they were ready.",
}


class Tile(NamedTuple):
    """One number of the last hour.

    Attributes:
        change: The difference to the hour before, with its sign; 0 for none, None where it cannot be known.
        said: The same in words.
        judged: Whether more is neither good nor bad, good, or bad.
    """

    name: str
    value: str
    change: str | int | None
    said: str
    judged: Judged


def read_pace(operator: Operator) -> Rates:
    """Ask what happened within the last two hours, each as a whole; what it costs is bounded, see `rates`."""
    return rates(operator.queue, 2 * HOUR, 2)


def show() -> None:
    """Draw the tiles; called again and again, and read less often."""
    found = ops_live.read_lately(read_pace).value
    estimated = ", estimated from a sample" if found.is_sample else ""
    st.caption(f"**The last hour**, and how it differs from the hour before{estimated}")
    told = tiles(*found.buckets)
    for place, tile in zip(st.columns(len(told), gap="small"), told, strict=True):
        place.metric(
            tile.name,
            tile.value,
            tile.change,
            tile.judged,
            delta_description=tile.said,
            border=True,
            help=HELP[tile.name],
            height="stretch",
        )


def tiles(before: RateBucket, last: RateBucket) -> list[Tile]:
    """Return the last hour's numbers, each beside that of the hour before."""
    counted = [_number(name, getattr(last, name), getattr(before, name), judged) for name, judged in KINDS]
    return [*counted, _wait(last.wait.p95, before.wait.p95)]


def _number(name: str, now: int, then: int, judged: Judged) -> Tile:
    change = now - then
    said = _said("as many", "more" if change > 0 else "fewer", change, judged)
    return Tile(name, f"{now:,}", f"{change:+,}" if change else 0, said, judged)


def _wait(now: timedelta | None, then: timedelta | None) -> Tile:
    if now is None or then is None:
        said = "none began" if now is None else "none began the hour before"
        return Tile("wait p95", "-" if now is None else span(now), None, said, "inverse")
    change = (now - then).total_seconds()
    said = _said("as long", "longer" if change > 0 else "shorter", change, "inverse")
    sign = "+" if change > 0 else "-"
    return Tile("wait p95", span(now), f"{sign}{span(abs(now - then))}" if change else 0, said, "inverse")


def _said(equal: str, word: str, change: float, judged: Judged) -> str:
    if not change:
        return equal
    verdict = "" if judged == "off" else ", better" if (change > 0) is (judged == "normal") else ", worse"
    return word + verdict
