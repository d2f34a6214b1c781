"""The first page: how many jobs stand where, what was done, who works, what failed."""

from __future__ import annotations

import streamlit as st

import ops_charts
import ops_data
import ops_live
import ops_pace
import ops_states
from ops_data import WINDOWS, Overview
from ops_text import span, status_word
from persistentq.job import JobStatus


def show() -> None:
    """Draw what is of now; called again and again."""
    chosen = st.session_state.get("window") or ops_data.USUAL_WINDOW
    reading = ops_live.read(ops_data.read_overview, WINDOWS[chosen])
    overview = reading.value
    tiles(overview)
    ops_states.as_of(reading.at, reading.problem)
    if overview.is_empty:
        ops_states.no_jobs()
    elif overview.nobody_works:
        ops_states.nobody_works(overview.counts[JobStatus.PENDING])
    if not overview.is_empty:
        ops_pace.show()
    activity(overview, chosen)
    consumers(overview)
    failures(overview)


def tiles(overview: Overview) -> None:
    """Draw one tile per status; its title leads to those jobs."""
    with st.container(horizontal=True, gap="small"):
        for status, number in overview.counts.items():
            with st.container(border=True, width="stretch", gap=None, horizontal_alignment="center"):
                st.metric(status, f"{number:,}", label_visibility="collapsed", width="content")
                st.page_link("ops_jobs.py", label=status_word(status), query_params={"status": status})


def activity(overview: Overview, last: str) -> None:
    """Draw what was done and what failed over time."""
    length = WINDOWS[last].bucket
    rows = ops_data.activity_rows(overview.activity, length)
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.subheader("Activity", anchor=False, width="content")
            st.segmented_control(
                "Window",
                list(WINDOWS),
                key="window",
                default=ops_data.USUAL_WINDOW,
                required=True,
                label_visibility="collapsed",
                persist_state="session",
            )
        for column, colour, height, title, none in (
            ("done", ops_charts.DONE, 150, "Jobs done", f"No job was done in the last {last}."),
            ("failed", ops_charts.FAILED, 100, "Attempts failed", f"No attempt failed in the last {last}."),
        ):
            total = int(rows[column].sum())
            if total == 0:
                st.caption(none)
                continue
            st.caption(f"**{title}: {total:,}** in the last {last}, one bar per {span(length)}")
            chart = ops_charts.activity_chart(rows, column, colour, height=height, what=title)
            st.altair_chart(chart, alt=f"{title} over the last {last}: {total} in all", key=f"chart-{column}")


def consumers(overview: Overview) -> None:
    """Draw who works."""
    st.subheader("Consumers", anchor=False)
    if not overview.consumers:
        st.caption("No consumer has reported to this queue yet.")
        return
    alive = sum(one.is_alive for one in overview.consumers)
    st.dataframe(
        ops_data.consumer_rows(overview.consumers),
        hide_index=True,
        key="consumers",
        alt=f"Consumers: {alive} of {len(overview.consumers)} are alive",
        column_config={"started": st.column_config.DatetimeColumn(format="MMM D, HH:mm:ss", timezone="UTC")},
    )


def failures(overview: Overview) -> None:
    """Draw the jobs that failed last."""
    st.subheader("Latest failures", anchor=False)
    if overview.failures.empty:
        st.caption("No job has failed.")
        return
    st.dataframe(
        overview.failures,
        hide_index=True,
        key="failures",
        alt="The jobs that failed last",
        column_config={
            "job": st.column_config.LinkColumn(display_text=r"job=(\d+)", width="small"),
            "failed at": st.column_config.DatetimeColumn(format="MMM D, HH:mm:ss", timezone="UTC"),
        },
    )


ops_live.live(show)
