"""What must be known for some acts beside the jobs: for whom, when, how urgent, which arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

import ops_data
import ops_live
import ops_states
from ops_forms import read_args
from persistentq.acts import MARKED_FAILED, Act
from persistentq.errors import ConsumerNotFound
from persistentq.operations import Action
from persistentq.operations.times import read_when

ANYONE = "(anyone)"
Wish = Mapping[str, Any]


def any_act(verb: str) -> Act:
    """Return an act with this verb, to look which jobs it would be about."""
    return Act(verb, without=("any",))


def draw(verb: str) -> Wish:
    """Draw what else must be known, and return it."""
    match verb:
        case "assign":
            names = ops_live.read(ops_data.read_names).value.consumers
            return {
                "consumer": st.selectbox("Consumer", [ANYONE, *names], index=None, accept_new_options=True)
            }
        case "reschedule":
            text = st.text_input(
                "When", placeholder="10m, or 2026-11-24T18:30 (UTC); empty for now", key="when"
            )
            return {"when": text.strip()}
        case "set-priority":
            priority = st.number_input(
                "Priority", -1_000_000, 1_000_000, 0, key="priority", help="Higher leaves earlier."
            )
            return {"priority": int(priority)}
        case "edit-arguments":
            text = st.text_area("Set", placeholder='{"to": "a@example.org"}', key="set", height=100)
            names_text = st.text_input("Drop", placeholder="names, with commas between them", key="drop")
            return {"set": text.strip(), "drop": names_text}
    return {}


def is_complete(action: Action, wish: Wish) -> bool:
    """Whether nothing is missing; if something is, say what."""
    if action.verb != "assign":
        return True
    consumer = (wish["consumer"] or "").strip()
    if not consumer:
        st.error("Choose a consumer.")
        return False
    known = (ANYONE, *ops_live.read(ops_data.read_names).value.consumers)
    if consumer in known or st.session_state.get("unknown") == consumer:
        return True
    st.session_state["unknown"] = consumer
    ops_states.explain(ConsumerNotFound(consumer))
    st.caption(f"Press {action.label} once more to confirm.")
    return False


def act_of(verb: str, wish: Wish, reason: str) -> Act:
    """Return what is to be done.

    Raises:
        InvalidArgument: what was typed cannot be read.
    """
    match verb:
        case "assign":
            return Act(verb, consumer=None if wish["consumer"] == ANYONE else wish["consumer"].strip())
        case "mark-failed":
            return Act(verb, error=reason or MARKED_FAILED)
        case "reschedule":
            return Act(verb, run_at=read_when("when", wish["when"]) if wish["when"] else None)
        case "set-priority":
            return Act(verb, priority=wish["priority"])
        case "edit-arguments":
            names = tuple(filter(None, map(str.strip, wish["drop"].split(","))))
            return Act(verb, arguments=read_args("arguments", wish["set"]), without=names)
    return Act(verb)
