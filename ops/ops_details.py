"""One job: why it is not running, its facts, arguments, result, attempts, tracebacks and log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

import ops_charts
import ops_data
import ops_deeds
import ops_live
import ops_states
from ops_deeds import Deed
from ops_text import as_json, block, moment_and_day, plain, span, status_word, took
from persistentq.job import Attempt, Job
from persistentq.job_log import JobLog
from persistentq.operations import Operator, safe
from persistentq.operations.why import Fact
from persistentq.redaction import REDACTED

TRACEBACKS = 5


def draw(job_id: int) -> None:
    """Draw everything about the job.

    Raises:
        PersistentQError: there is no such job, or it cannot be read.
    """
    reading = ops_live.read(ops_data.read_job, job_id)
    job, attempts, log, why = reading.value
    st.subheader(f"Job {job.id} · {status_word(job.status)}", anchor=False)
    reasons(why)
    facts(job)
    ops_states.as_of(reading.at, reading.problem)
    if log.progress is not None:
        st.progress(log.progress.fraction, text=plain(log.progress.note) or None)
    if job.error:
        st.caption("**Error**")
        st.code(block(job.error), language=None, wrap_lines=True)
    payload(job)
    history(attempts, reading.at)
    lines(log)


def reasons(why: Sequence[Fact]) -> None:
    """Say why the job is not running, or how it stands."""
    for fact in why:
        over = f" (over in {span(fact.over_in)})" if fact.over_in is not None else ""
        st.info(plain(f"{fact.text}{over}"), icon=":material/help:")
        if fact.remedy:
            st.caption(plain(fact.remedy))


def payload(job: Job) -> None:
    """Draw what the job was given and what it gave back."""
    shown: Job = st.session_state.get("revealed") or job
    job = shown if shown.id == job.id else job
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
    if REDACTED in as_json([job.args, job.result]):
        ops_deeds.button(revealing(job.id), "reveal")


def revealing(job_id: int) -> Deed:
    """Return the deed that shows a job's secrets to this visit."""

    def do(operator: Operator, reason: str) -> str:
        st.session_state["revealed"] = operator.reveal(job_id, reason=reason)
        return f"Job {job_id} shows its secrets; the journal tells of it."

    question = f"Show the secrets of job {job_id}? The journal will tell that you looked."
    return Deed("Reveal secrets", question, ("show", str(job_id), "--reveal"), do)


def lines(log: JobLog) -> None:
    """Draw what the job's tasks have logged."""
    if not log.lines:
        return
    st.caption("**Log**" + (f" · {log.dropped:,} older lines are kept no more" if log.dropped else ""))
    told = (f"{one.at:%H:%M:%S.%f}"[:-3] + f"  {one.attempt}  {one.text}" for one in log.lines)
    st.code(block("\n".join(told)), language=None, wrap_lines=True, height=300)


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


def history(attempts: Sequence[Attempt], now: datetime) -> None:
    """Draw the attempts, the latest first, and the latest tracebacks."""
    st.caption("**Attempts**")
    if not attempts:
        st.text("none yet")
        return
    rows = ops_data.timeline_rows(attempts, now)
    st.altair_chart(
        ops_charts.timeline_chart(rows),
        key="timeline",
        alt=f"When each of {len(rows)} attempts began and ended",
    )
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
