"""What needs a person now, the most urgent first, each with what mends it."""

from __future__ import annotations

import shlex
from typing import NamedTuple

import streamlit as st

import ops_live
import ops_states
from ops_text import plain
from persistentq.operations import Operator
from persistentq.operations.attention import Alert, Urgency

SAID = {
    Urgency.NOW: (st.error, "now", ":material/emergency_home:"),
    Urgency.SOON: (st.warning, "soon", ":material/warning:"),
    Urgency.LATER: (st.info, "later", ":material/schedule:"),
}


class Way(NamedTuple):
    """A page where something is mended, as a link names it."""

    page: str
    label: str
    parameters: dict[str, str]


def read_alerts(operator: Operator) -> list[Alert]:
    """Ask for everything that needs a person."""
    return operator.attention(ops_live.surroundings())


def show() -> None:
    """Draw it; called again and again."""
    reading = ops_live.read(read_alerts)
    ops_states.as_of(reading.at, reading.problem)
    if not reading.value:
        st.success("Nothing needs a person.", icon=":material/check_circle:")
    for alert in reading.value:
        _draw(alert)


def _draw(alert: Alert) -> None:
    draw, word, icon = SAID[alert.urgency]
    with st.container(border=True, gap="small"):
        remedy = f"  \n{plain(alert.remedy)}" if alert.remedy else ""
        draw(f"**{word} · {plain(alert.kind)}** — {plain(alert.text)}{remedy}", icon=icon)
        if alert.command:
            ops_states.commands(ops_states.admin(*shlex.split(alert.command)))
        if way := way_to(alert):
            st.page_link(
                f"ops_{way.page}.py",
                label=plain(way.label),
                icon=":material/arrow_forward:",
                query_params=way.parameters,
            )


def way_to(alert: Alert) -> Way | None:
    """Return the page that shows what the alert's command shows or mends; None if no page does."""
    match shlex.split(alert.command):
        case ["show" | "why", job]:
            return Way("job", f"Job {job}", {"job": job})
        case ["list-jobs" | "assign-job", *_, "--where", query]:
            return Way("jobs", "These jobs", {"q": query})
        case ["queues"]:
            _, resume, name = alert.remedy.rpartition("resume ")
            return Way("queues", f"Queue {name}", {"queue": name}) if resume else Way("queues", "Queues", {})
        case ["consumers"]:
            return Way("consumers", "Consumers", {})
        case ["doctor"]:
            return Way("health", "Health", {})
    return None


st.subheader("Attention", anchor=False)
ops_live.live(show)
