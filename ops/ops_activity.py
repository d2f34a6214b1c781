"""How fast the queue moves: what came, was done and failed, how long jobs waited and ran; by queue and by task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote

import pandas as pd
import streamlit as st

import ops_charts
import ops_live
import ops_states
from ops_data import USUAL_WINDOW, WINDOWS
from ops_tables import link, table
from ops_text import span
from persistentq.operations import Operator, safe
from persistentq.operations.rates import Rates, Spread, Throughput, rates
from persistentq.query import Comparison, Term, unparse

BY = ("queue", "task")


def read_rates(operator: Operator, window: str, queue: str | None, task: str | None) -> Rates:
    """Ask what happened within a window, of one queue and one task or of all."""
    known = WINDOWS[window]
    return rates(operator.queue, known.span, known.buckets, queue=queue, task=task)


def show() -> None:
    """Draw the page."""
    st.subheader("Activity", anchor=False)
    st.segmented_control(
        "Window", list(WINDOWS), key="within", default=USUAL_WINDOW, required=True, bind="query-params"
    )
    window = st.session_state["within"]
    every = ops_live.read(read_rates, window, None, None).value
    queue, task = st.columns(2)
    with queue:
        one = _choose("Queue", every.queues, "queue")
    with task:
        other = _choose("Task", every.tasks, "task")
    ops_live.live(lambda: moves(window, one, other))


def _choose(label: str, known: Mapping[str, Throughput], key: str) -> str | None:
    return st.selectbox(
        label,
        list(known),
        index=None,
        placeholder="all",
        key=key,
        bind="query-params",
        accept_new_options=True,
    )


def moves(window: str, queue: str | None, task: str | None) -> None:
    """Draw the charts and the tables; called again and again."""
    reading = ops_live.read(read_rates, window, queue, task)
    found = reading.value
    ops_states.as_of(reading.at, reading.problem)
    if found.is_sample:
        st.caption(f"Not everything was read, but {found.scanned:,} rows: the numbers are estimates.")
    charts(found, window)
    for by, numbers in zip(BY, (found.queues, found.tasks), strict=True):
        if numbers:
            st.caption(f"**By {by}**")
            table(numbers_rows(numbers, by), f"by-{by}", f"What happened, by {by}", **{by: link(r"#(.*)$")})


def charts(found: Rates, window: str) -> None:
    """Draw each number over time; one that there is none of says so."""
    rows = bucket_rows(found)
    each = span(WINDOWS[window].bucket)
    told = (
        (
            "Throughput",
            ("enqueued", "done"),
            f"jobs per {each}",
            ",d",
            found.total.enqueued + found.total.done,
        ),
        ("Failures", ("failed",), f"attempts that failed per {each}", ",d", found.total.failed),
        (
            "Wait",
            ("wait p50", "wait p95"),
            "seconds from ready to running",
            ",.3~f",
            rows["wait p50"].count(),
        ),
        ("Run", ("run p50", "run p95"), "seconds that an attempt took", ",.3~f", rows["run p50"].count()),
    )
    places = [*st.columns(2), *st.columns(2)]
    for place, (title, series, what, form, known) in zip(places, told, strict=True):
        with place, st.container(border=True):
            st.caption(f"**{title}** · {what}")
            if not known:
                st.caption(f"Nothing in the last {window}.")
                continue
            st.altair_chart(
                ops_charts.series_chart(rows, series, form),
                key=f"chart-{title}",
                alt=f"{title} over the last {window}: {what}",
            )


def bucket_rows(found: Rates) -> pd.DataFrame:
    """Return one row per span of time; waits and runs in seconds, empty where there was none."""
    rows = [
        (one.start, one.enqueued, one.done, one.failed, *_seconds(one.wait), *_seconds(one.run))
        for one in found.buckets
    ]
    names = ["start", "enqueued", "done", "failed", "wait p50", "wait p95", "run p50", "run p95"]
    return pd.DataFrame(rows, columns=names)


def _seconds(spread: Spread) -> Iterator[float | None]:
    return (None if time is None else time.total_seconds() for time in (spread.p50, spread.p95))


def numbers_rows(found: Mapping[str, Throughput], by: str) -> pd.DataFrame:
    """Return one row per queue or task; the first column is the address of its jobs, and ends with its name."""
    rows = [
        (
            f"jobs?q={quote(unparse(Term(by, Comparison.IS, name)))}#{safe(name)}",
            one.enqueued,
            one.started,
            one.done,
            one.failed,
            *(
                "-" if time is None else span(time)
                for time in (one.wait.p50, one.wait.p95, one.run.p50, one.run.p95)
            ),
        )
        for name, one in found.items()
    ]
    times = ["wait p50", "wait p95", "run p50", "run p95"]
    return pd.DataFrame(rows, columns=[by, "enqueued", "started", "done", "failed", *times])


show()
