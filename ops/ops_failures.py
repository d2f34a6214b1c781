"""Failures that are the same, grouped: how many, where they were raised, and what to do with the jobs of one group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from urllib.parse import quote

import pandas as pd
import streamlit as st

import ops_actions
import ops_dialog
import ops_live
import ops_states
from ops_tables import link, table
from ops_text import number_text
from persistentq.job import Count
from persistentq.operations import Operator, safe
from persistentq.operations.mishaps import Errors, FailureGroup, Poison, count_failed

WINDOWS = {
    "1 h": timedelta(hours=1),
    "24 h": timedelta(days=1),
    "7 d": timedelta(days=7),
    "30 d": timedelta(days=30),
}
MOST_GROUPS = 20


def read_failures(operator: Operator, window: str) -> Errors:
    """Ask for the failures of a window."""
    return operator.errors(WINDOWS[window])


def read_standing(operator: Operator, queries: Sequence[str], acts: int) -> dict[str, Count]:  # noqa: ARG001 - after an act they are counted anew
    """Ask how many jobs each of these queries means now."""
    return {one: count_failed(operator.queue, one) for one in queries}


def standing_of(found: Sequence[FailureGroup]) -> Mapping[str, Count]:
    """Return how many jobs of each group are failed now, by its query."""
    queries = tuple(one.query for one in found)
    return ops_live.read_lately(read_standing, queries, ops_dialog.acts_so_far()).value


def show() -> None:
    """Draw the page: the groups are read again and again, what is done with one of them rests."""
    st.subheader("Failures", anchor=False)
    st.segmented_control(
        "Window", list(WINDOWS), key="failed_within", default="24 h", required=True, bind="query-params"
    )
    window = st.session_state["failed_within"]
    ops_dialog.last_result()
    ops_live.live(lambda: groups(window))
    act_on_one(ops_live.read(read_failures, window).value.groups[:MOST_GROUPS])


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
    shown = found.groups[:MOST_GROUPS]
    if len(shown) < len(found.groups):
        st.caption(f"These are the {MOST_GROUPS} most frequent of {len(found.groups):,} groups.")
    table(
        group_rows(shown, standing_of(shown)),
        "groups",
        f"{len(shown)} groups of failures, the most frequent first",
        times=("first", "last"),
        none="none",
        **{"failed now": link(r"#(.+)$"), "latest job": link(r"job=(\d+)")},
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


def group_rows(found: Sequence[FailureGroup], standing: Mapping[str, Count]) -> pd.DataFrame:
    """Return one row per group; `failed now` is the address of those jobs, and ends with their number."""
    rows = [
        (
            one.fingerprint,
            safe(one.task, 80),
            safe(one.error_type, 80),
            safe(one.error, 300),
            one.attempts,
            one.jobs,
            _address(one, standing[one.query]),
            f"job?job={one.job_ids[0]}",
            safe(one.frame or "-", 200),
            one.first_at,
            one.last_at,
        )
        for one in found
    ]
    names = ["group", "task", "error", "message", "attempts", "jobs", "failed now", "latest job"]
    return pd.DataFrame(rows, columns=[*names, "raised at", "first", "last"])


def _address(one: FailureGroup, standing: Count) -> str | None:
    is_any = standing.number or standing.is_capped
    return f"jobs?q={quote(one.query)}#{number_text(standing)}" if is_any else None


def poison_rows(found: Sequence[Poison]) -> pd.DataFrame:
    """Return one row per job; `job` is the address of its page."""
    rows = [(f"job?job={one.job_id}", safe(one.task, 80), one.queue, one.times, one.last_at) for one in found]
    return pd.DataFrame(rows, columns=["job", "task", "queue", "lost", "last"])


def act_on_one(found: Sequence[FailureGroup]) -> None:
    """Draw some jobs of one group, and what may be done with those that are failed now."""
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
        one = known[chosen]
        st.code(safe(one.query), language=None, wrap_lines=True)
        samples(one)
        if _address(one, standing_of(found)[one.query]):
            ops_actions.bar([], one.query)
        else:
            st.info("No job of it is failed now: another attempt of each went well, or will come.")


def samples(one: FailureGroup) -> None:
    """Draw the ways to the jobs of a group that failed last."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"The latest of {one.jobs:,} jobs" if one.jobs > 1 else "Its job", width="content")
        for job in map(str, one.job_ids):
            st.page_link("ops_job.py", label=job, query_params={"job": job})


def _title(one: FailureGroup) -> str:
    return f"{one.fingerprint}  {safe(one.task, 60)}: {safe(one.error_type, 60)}, {one.attempts:,} times"


show()
