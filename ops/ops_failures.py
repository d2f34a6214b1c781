"""Failures that are the same, grouped: how many, where they were raised, and what to do with the jobs of one group."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from urllib.parse import quote

import pandas as pd
import streamlit as st

import ops_actions
import ops_dialog
import ops_live
import ops_states
from ops_tables import link, table
from persistentq.operations import Operator, safe
from persistentq.operations.mishaps import Errors, FailureGroup, Poison

WINDOWS = {
    "1 h": timedelta(hours=1),
    "24 h": timedelta(days=1),
    "7 d": timedelta(days=7),
    "30 d": timedelta(days=30),
}


def read_failures(operator: Operator, window: str) -> Errors:
    """Ask for the failures of a window."""
    return operator.errors(WINDOWS[window])


def show() -> None:
    """Draw the page: the groups are read again and again, what is done with one of them rests."""
    st.subheader("Failures", anchor=False)
    st.segmented_control(
        "Window", list(WINDOWS), key="failed_within", default="24 h", required=True, bind="query-params"
    )
    window = st.session_state["failed_within"]
    ops_dialog.last_result()
    ops_live.live(lambda: groups(window))
    act_on_one(ops_live.read(read_failures, window).value.groups)


def groups(window: str) -> None:
    """Draw the groups and the jobs that lose their workers."""
    reading = ops_live.read(read_failures, window)
    found = reading.value
    ops_states.as_of(reading.at, reading.problem)
    if not found.groups:
        st.success(f"No attempt failed in the last {window}.", icon=":material/check_circle:")
        return
    if found.is_capped:
        st.caption(f"Only the latest {found.attempts:,} attempts were read; there were more.")
    table(
        group_rows(found.groups),
        "groups",
        f"{len(found.groups)} groups of failures, the most frequent first",
        times=("first", "last"),
        jobs=link(r"#(\d+)$"),
    )
    if found.poison:
        st.caption("**Jobs that lose their workers again and again**")
        table(
            poison_rows(found.poison),
            "poison",
            "Jobs that lose their workers",
            times=("last",),
            job=link(r"job=(\d+)"),
        )


def group_rows(found: Iterable[FailureGroup]) -> pd.DataFrame:
    """Return one row per group; `jobs` is the address of its jobs, and ends with their number."""
    rows = [
        (
            one.fingerprint,
            safe(one.task, 80),
            safe(one.error_type, 80),
            safe(one.error, 300),
            one.attempts,
            f"jobs?q={quote(one.query)}#{one.jobs}",
            safe(one.frame or "-", 200),
            one.first_at,
            one.last_at,
        )
        for one in found
    ]
    names = ["group", "task", "error", "message", "attempts", "jobs", "raised at", "first", "last"]
    return pd.DataFrame(rows, columns=names)


def poison_rows(found: Iterable[Poison]) -> pd.DataFrame:
    """Return one row per job; `job` is the address of its page."""
    rows = [(f"job?job={one.job_id}", safe(one.task, 80), one.queue, one.times, one.last_at) for one in found]
    return pd.DataFrame(rows, columns=["job", "task", "queue", "lost", "last"])


def act_on_one(found: list[FailureGroup]) -> None:
    """Draw what may be done with the failed jobs of one group."""
    known = {one.fingerprint: one for one in found}
    chosen = st.selectbox(
        "Act on the failed jobs of a group",
        list(known),
        index=None,
        placeholder="choose a group",
        format_func=lambda name: _title(known[name]) if name in known else name,
        key="group",
        bind="query-params",
        disabled=not known,
    )
    if chosen in known:
        st.code(safe(known[chosen].query), language=None, wrap_lines=True)
        ops_actions.bar([], known[chosen].query)


def _title(one: FailureGroup) -> str:
    return f"{one.fingerprint}  {safe(one.task, 60)}: {safe(one.error_type, 60)}, {one.attempts:,} times"


show()
