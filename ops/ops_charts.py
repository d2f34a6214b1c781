"""Rows to charts. Done and failed are told apart by place and title; the colour is only a third sign."""

from __future__ import annotations

from collections.abc import Sequence
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


def series_chart(rows: pd.DataFrame, series: Sequence[str], form: str) -> alt.Chart:
    """Return one line per series over time; colour and dash tell them apart, and so does a legend.

    Args:
        rows: As `ops_activity.bucket_rows` returns them, at least two.
        series: The columns, one or two.
        form: How a value is written, as d3 formats numbers.
    """
    long = rows.melt("start", list(series), "series", "value").dropna()
    whole = rows["start"].iloc[-1] - rows["start"].iloc[0]
    colours = (FAILED,) if tuple(series) == ("failed",) else (DONE, FAILED)
    told = (
        alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=300) if len(series) > 1 else None
    )
    names = list(series)
    chart: alt.Chart = (
        alt.Chart(long, height=180)
        .mark_line(point=alt.OverlayMarkDef(size=14), strokeWidth=1.8)
        .encode(
            x=alt.X(
                "start:T",
                title=None,
                scale=alt.Scale(
                    type="utc", nice=False, domain=[rows["start"].iloc[0], rows["start"].iloc[-1]]
                ),
                axis=alt.Axis(format=_clock(whole), tickCount=6, labelOverlap=True),
            ),
            y=alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=4, format=form, minExtent=_AXIS)),
            color=alt.Color(
                "series:N", scale=alt.Scale(domain=names, range=colours[: len(names)]), legend=told
            ),
            strokeDash=alt.StrokeDash(
                "series:N", scale=alt.Scale(domain=names, range=[[1, 0], [5, 3]][: len(names)]), legend=told
            ),
            tooltip=[
                alt.Tooltip("start:T", title="UTC", format="%b %d %H:%M:%S"),
                alt.Tooltip("series:N", title="what"),
                alt.Tooltip("value:Q", title="value", format=form),
            ],
        )
    )
    return chart


def timeline_chart(rows: pd.DataFrame) -> alt.Chart:
    """Return one bar per attempt over time, named by its number and how it ended.

    Args:
        rows: With the columns attempt, outcome, start, end and took.
    """
    whole = rows["end"].max() - rows["start"].min()
    form = "%H:%M:%S.%L" if whole < timedelta(seconds=10) else _clock(whole)
    known = ["done", "running", "failed", "lost", "given back"]
    colours = [DONE, "#009E73", FAILED, "#CC79A7", "#8A8A8A"]
    chart: alt.Chart = (
        alt.Chart(rows, height=alt.Step(26))
        .mark_bar(height=12, cornerRadius=2)
        .encode(
            x=alt.X(
                "start:T",
                title=None,
                scale=alt.Scale(type="utc"),
                axis=alt.Axis(format=form, tickCount=4, labelOverlap=True),
            ),
            x2="end:T",
            y=alt.Y("attempt:N", title=None, sort=None),
            color=alt.Color("kind:N", scale=alt.Scale(domain=known, range=colours), legend=None),
            tooltip=[
                alt.Tooltip("attempt:N", title="attempt"),
                alt.Tooltip("outcome:N", title="outcome"),
                alt.Tooltip("took:N", title="took"),
            ],
        )
    )
    return chart
