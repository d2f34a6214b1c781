"""One job: its facts, arguments, result, attempts and tracebacks."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

import ops_data
import ops_live
import ops_states
from ops_text import as_json, block, moment_and_day, status_word, took
from persistentq.job import Attempt, Job
from persistentq.operations import safe

TRACEBACKS = 5


def draw(job_id: int) -> None:
    """Draw everything about the job.

    Raises:
        PersistentQError: there is no such job, or it cannot be read.
    """
    reading = ops_live.read(ops_data.read_job, job_id)
    job, attempts = reading.value
    st.subheader(f"Job {job.id} · {status_word(job.status)}", anchor=False)
    facts(job)
    ops_states.as_of(reading.at, reading.problem)
    if job.error:
        st.caption("**Error**")
        st.code(block(job.error), language=None, wrap_lines=True)
    left, right = st.columns(2)
    with left:
        st.caption("**Arguments**")
        st.code(block(as_json(job.args)), language="json", wrap_lines=True)
    with right:
        st.caption("**Result**")
        if job.result is None:
            st.text("none")
        else:
            st.code(block(as_json(job.result)), language="json", wrap_lines=True)
    history(attempts)


def facts(job: Job) -> None:
    """Draw the job's plain values as pairs."""
    pairs = {
        "Task": job.task,
        "Queue": job.queue,
        "Priority": job.priority,
        "Attempt": f"{job.attempt} of {job.max_attempts}",
        "Consumer": job.consumer or "-",
        "Created": moment_and_day(job.created_at),
        "Ready": moment_and_day(job.run_at),
        "Started": moment_and_day(job.started_at),
        "Finished": moment_and_day(job.finished_at),
        "Took": took(job.started_at, job.finished_at),
    }
    pairs |= {
        name: value
        for name, value in {
            "Reserved for": job.reserved_for,
            "Lease until": job.lease_until and moment_and_day(job.lease_until),
            "Unique key": job.unique_key,
            "Asked for": "cancellation" if job.cancel_requested else None,
        }.items()
        if value
    }
    with st.container(border=True, horizontal=True, gap="small"):
        for name, value in pairs.items():
            with st.container(width=168, gap=None):
                st.caption(name)
                st.text(safe(value, 200))


def history(attempts: Sequence[Attempt]) -> None:
    """Draw the attempts, the latest first, and the latest tracebacks."""
    st.caption("**Attempts**")
    if not attempts:
        st.text("none yet")
        return
    st.dataframe(
        ops_data.attempt_rows(attempts),
        hide_index=True,
        key="attempts",
        placeholder="",
        alt=f"{len(attempts)} attempts, the latest first",
        column_config={"started": st.column_config.DatetimeColumn(format="MMM D, HH:mm:ss", timezone="UTC")},
    )
    with_traceback = [one for one in reversed(attempts) if one.traceback]
    for number, one in enumerate(with_traceback[:TRACEBACKS]):
        with st.expander(f"Traceback of attempt {one.attempt}", expanded=number == 0):
            st.code(block(one.traceback or ""), language="python", wrap_lines=True)
    if len(with_traceback) > TRACEBACKS:
        st.caption(f"{len(with_traceback) - TRACEBACKS} earlier tracebacks are not shown.")
