"""What an operator may do with the chosen jobs: the buttons, the question, the deed and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd
import streamlit as st

import ops_data
import ops_live
import ops_states
from ops_data import Target
from ops_text import some, status_word
from persistentq.acts import MARKED_FAILED, Act
from persistentq.errors import ConsumerNotFound, PersistentQError
from persistentq.job import JobStatus
from persistentq.operations import ACTIONS, Action, ActResult, safe

ANYONE = "(anyone)"
SAMPLE = 10
NOTES = {
    "cancel": "A job that is processing is asked to stop, and becomes cancelled when its attempt ends.",
    "assign": "A job that is processing is taken from its consumer; that attempt does not count.",
}


def bar(chosen: Sequence[Target]) -> None:
    """Draw a button per action; one that works on none of the chosen jobs is off."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for action in ACTIONS.values():
            fitting = sum(target.status in action.works_on for target in chosen)
            number = f" {fitting:,}" if len(chosen) > 1 and fitting else ""
            if st.button(action.label + number, key=f"act-{action.verb}", disabled=not fitting):
                st.session_state.update(asking=(action.verb, tuple(chosen)), unknown=None)
                st.rerun(scope="app")
        if not chosen:
            st.caption("Select rows to act on them.", width="content")
        elif len(chosen) > 1:
            st.caption(f"{len(chosen):,} selected", width="content")


def open_question() -> None:
    """Draw the dialog about what was asked for, if anything was.

    It is drawn by the page itself, and no part of the page is drawn again meanwhile: a refresh that meets an answer
    would swallow it.
    """
    if asking := st.session_state.get("asking"):
        verb, chosen = asking
        st.dialog(ACTIONS[verb].label, on_dismiss=_close_question)(ask)(ACTIONS[verb], chosen)


def _close_question() -> None:
    st.session_state["asking"] = None


def ask(action: Action, chosen: Sequence[Target]) -> None:
    """Draw the question and, when it is answered, do the deed."""
    st.text(action.question(target.id for target in chosen))
    lines = [
        f"{target.id}  {status_word(target.status)}  {safe(target.task, 60)}" for target in chosen[:SAMPLE]
    ]
    more = [f"… and {len(chosen) - SAMPLE:,} more"] if len(chosen) > SAMPLE else []
    st.code("\n".join(lines + more), language=None)
    if unfit := Counter(target.status for target in chosen if target.status not in action.works_on):
        reasons = ", ".join(f"{number:,} {status}" for status, number in unfit.items())
        st.caption(f"These will be skipped, because it does not work on them: {reasons}.")
    if action.verb in NOTES and any(target.status == JobStatus.PROCESSING for target in chosen):
        st.caption(NOTES[action.verb])
    try:
        with st.form("ask", border=False):
            wish = _wish(action, len(chosen))
            agreed = st.form_submit_button(action.label, type="primary")
        if agreed and _is_settled(action, len(chosen), wish):
            _do(action, [target.id for target in chosen], wish)
    except PersistentQError as error:
        ops_states.explain(error)


def _wish(action: Action, number: int) -> str:
    """Draw what else must be known, and return it."""
    match action.verb:
        case "assign":
            names = ops_live.read(ops_data.read_names).value.consumers
            wish = st.selectbox("Consumer", [ANYONE, *names], index=None, accept_new_options=True)
            return (wish or "").strip()
        case "mark-failed":
            return st.text_input("Reason", value=MARKED_FAILED).strip()
    if action.is_final:
        return st.text_input(f"Type {number} to confirm").strip()
    return ""


def _is_settled(action: Action, number: int, wish: str) -> bool:
    """Whether the answer is complete; if not, say what is missing."""
    if action.is_final and wish.replace(",", "") != str(number):
        st.error(f"Nothing was changed. Type {number} to confirm.")
        return False
    if action.verb == "assign" and not wish:
        st.error("Choose a consumer.")
        return False
    return action.verb != "assign" or _is_known_or_confirmed(wish, action.label)


def _is_known_or_confirmed(consumer: str, label: str) -> bool:
    known = (ANYONE, *ops_live.read(ops_data.read_names).value.consumers)
    if consumer in known or st.session_state.get("unknown") == consumer:
        return True
    st.session_state["unknown"] = consumer
    ops_states.explain(ConsumerNotFound(consumer))
    st.caption(f"Press {label} once more to confirm.")
    return False


def _do(action: Action, ids: Sequence[int], wish: str) -> None:
    consumer = None if wish == ANYONE else wish or None
    what = Act(
        action.verb,
        consumer=consumer if action.verb == "assign" else None,
        error=wish if action.verb == "mark-failed" and wish else MARKED_FAILED,
    )
    with ops_live.acting() as operator:
        result = operator.act(what, ids)
    st.session_state.update(result=result, acts=acts_so_far() + 1, asking=None)
    st.rerun(scope="app")


def acts_so_far() -> int:
    """Return how many actions this visit has seen; after each one the selection starts anew."""
    return int(st.session_state.get("acts", 0))


def last_result() -> None:
    """Say what came of the last action, until it is dismissed."""
    result: ActResult | None = st.session_state.get("result")
    if result is None:
        return
    label = ACTIONS[result.verb].label
    with st.container(horizontal=True, vertical_alignment="center"):
        if result.done:
            st.success(
                f"{label} worked for {_jobs(len(result.done))}: {some(result.done)}", icon=":material/check:"
            )
        if result.skipped:
            skipped = sum(result.reasons.values())
            st.warning(f"{label} skipped {_jobs(skipped)}", icon=":material/skip_next:")
        if result.error is not None:
            st.error(f"{label} did not reach {_jobs(result.failed)}: {safe(result.error.summary, 300)}")
        st.button("Dismiss", on_click=st.session_state.pop, args=("result",), key="dismiss")
    if result.skipped:
        rows = [(job_id, safe(error, 300)) for job_id, error in result.skipped.items()]
        st.dataframe(
            pd.DataFrame(rows, columns=["id", "why"]),
            hide_index=True,
            key="skipped",
            alt="The skipped jobs, and why",
            column_config={"id": st.column_config.NumberColumn(format="%d", width="small")},
        )


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number:,} jobs"
