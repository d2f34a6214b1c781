"""The queues: what is in each, how long it waits, when it would be empty; pausing and resuming one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from urllib.parse import quote

import pandas as pd
import streamlit as st

import ops_deeds
import ops_dialog
import ops_live
import ops_states
from ops_deeds import Deed
from ops_tables import link, table
from ops_text import moment_and_day, plain, span
from persistentq.job import JobStatus, QueueInfo
from persistentq.operations import Operator, safe
from persistentq.operations.queues import QueueView, last_pause, queues
from persistentq.query import Comparison, Term, unparse

UNTIL = {
    "until resumed": None,
    "10 min": timedelta(minutes=10),
    "1 h": timedelta(hours=1),
    "1 d": timedelta(days=1),
}
SHOWN = (JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.SCHEDULED, JobStatus.FAILED)


def read_queues(operator: Operator) -> list[QueueView]:
    """Ask how each queue stands."""
    return queues(operator.queue)


def show() -> None:
    """Draw the page."""
    st.subheader("Queues", anchor=False)
    ops_dialog.last_result()
    ops_live.live(standing)
    found = {one.info.name: one for one in ops_live.read(read_queues).value}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Queue",
            # One without jobs can be paused beforehand; what was typed stays among the choices.
            sorted({*found, *filter(None, [st.session_state.get("queue") or st.query_params.get("queue")])}),
            index=None,
            placeholder="choose or type one",
            key="queue",
            bind="query-params",
            accept_new_options=True,
            width=300,
        )
        name = chosen or ""
        said = pause_said(found[name].info) if name in found and found[name].info.is_paused else ""
        ops_deeds.button(pausing(name), "pause", is_off=bool(said) or not name)
        ops_deeds.button(resuming(name, said), "resume", is_off=not said)
    if said:
        st.caption(plain(said))


def standing() -> None:
    """Draw how they stand; called again and again."""
    reading = ops_live.read(read_queues)
    ops_states.as_of(reading.at, reading.problem)
    if not reading.value:
        ops_states.no_jobs()
        return
    table(
        queue_rows(reading.value),
        "queues",
        f"{len(reading.value)} queues, by name",
        queue=link(r"#(.*)$"),
    )


def queue_rows(found: Iterable[QueueView]) -> pd.DataFrame:
    """Return one row per queue; `queue` is the address of its jobs, and ends with its name."""
    rows = [
        (
            f"jobs?q={quote(unparse(Term('queue', Comparison.IS, one.info.name)))}#{one.info.name}",
            _state(one),
            *(one.info.counts.get(status, 0) for status in SHOWN),
            span(one.info.oldest_pending) if one.info.oldest_pending is not None else "-",
            f"{one.pace:.1f}/s" if one.pace else "-",
            _empty_in(one),
            ", ".join(safe(consumer.id) for consumer in one.consumers) or "none",
        )
        for one in found
    ]
    names = ["queue", "state", *map(str, SHOWN), "oldest waits", "pace", "empty in", "consumers"]
    return pd.DataFrame(rows, columns=names)


def _state(one: QueueView) -> str:
    if not one.info.is_paused:
        return "▶ open"
    until = f" until {moment_and_day(one.info.paused_until)}" if one.info.paused_until else ""
    return f"‖ paused{until}"


def _empty_in(one: QueueView) -> str:
    if one.drains_in is None:
        return "paused" if one.info.is_paused else "never at this pace"
    return span(one.drains_in)


def pause_said(info: QueueInfo) -> str:
    """Return who paused a queue, when and why, as far as the journal knows, and until when."""
    entry = ops_live.read(last_pause, info.name).value
    until = f"until {moment_and_day(info.paused_until)}" if info.paused_until else "until it is resumed"
    if entry is None:
        return f"Paused {until}; the journal does not tell by whom."
    why = f"Reason: {entry.reason}" if entry.reason else "No reason was given."
    return f"Paused by {entry.actor} at {moment_and_day(entry.at)}, {until}. {why}"


def pausing(name: str) -> Deed:
    """Return the deed that pauses a queue."""

    def do(operator: Operator, reason: str, limit: str) -> str:
        info = operator.pause_queue(name, lasting=UNTIL[limit], reason=reason)
        until = f" until {moment_and_day(info.paused_until)}" if info.paused_until else ""
        return f"Queue {name} is paused{until}."

    return Deed("Pause", f"Hand out no more jobs of queue {name}?", ("pause", name), do, tuple(UNTIL))


def resuming(name: str, note: str) -> Deed:
    """Return the deed that resumes a queue; the note says who paused it."""

    def do(operator: Operator, reason: str) -> str:
        operator.resume_queue(name, reason=reason)
        return f"Queue {name} is not paused any more."

    question = f"Hand out the jobs of queue {name} again?"
    return Deed("Resume", question, ("resume", name), do, note=note)


show()
