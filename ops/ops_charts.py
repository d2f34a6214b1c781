"""Rows to charts. Done and failed are told apart by place and title; the colour is only a third sign."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import altair as alt

if TYPE_CHECKING:
    import pandas as pd

# Two colours of Okabe and Ito that people of any colour vision tell apart; both have at least 3:1 contrast with
# Streamlit's white and with its dark background.
DONE, FAILED = "#0072B2", "#D55E00"
_AXIS = 40


def activity_chart(rows: pd.DataFrame, column: str, colour: str, *, height: int, what: str) -> alt.Chart:
    """Return bars over time.

    Args:
        rows: As `ops_data.activity_rows` returns them, at least one.
        column: `done` or `failed`.
        what: What one bar counts, for the tooltip.
    """
    whole = rows["end"].iloc[-1] - rows["start"].iloc[0]
    time_axis = alt.Axis(format=_clock(whole), tickCount=7, labelOverlap=True)
    # A fixed width keeps the bars of two charts, one below the other, on one time line.
    count_axis = alt.Axis(minExtent=_AXIS, maxExtent=_AXIS, tickMinStep=1, tickCount=3, format=",d")
    chart: alt.Chart = (
        alt.Chart(rows, height=height)
        .mark_bar(color=colour, stroke=None)
        .encode(
            x=alt.X("start:T", title=None, scale=alt.Scale(type="utc", nice=False), axis=time_axis),
            x2="end:T",
            y=alt.Y(f"{column}:Q", title=None, axis=count_axis),
            y2=alt.datum(0),
            tooltip=[
                alt.Tooltip("label:N", title="UTC"),
                alt.Tooltip(f"{column}:Q", title=what, format=",d"),
            ],
        )
    )
    return chart


def _clock(whole: timedelta) -> str:
    """Return how the times below a chart of this length are written."""
    if whole > timedelta(days=1):
        return "%b %d"
    return "%H:%M" if whole > timedelta(minutes=5) else "%H:%M:%S"
