"""Deeds that are not about jobs, such as pausing a queue: a button, a question with a reason, and the deed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import streamlit as st

import ops_dialog
import ops_live
from ops_dialog import Told
from ops_text import plain
from persistentq.operations import Operator


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that may be done.

    Attributes:
        label: For the button.
        question: What is asked before it is done.
        words: What is typed for the same behind the admin program's name; empty if nothing is.
        do: Does it for a reason, and returns what was done.
        limits: Choices that the question offers beside, and what `do` is then given; the first is usual.
        note: What to know before the question is answered.
    """

    label: str
    question: str
    words: tuple[str, ...]
    do: Callable[..., str]
    limits: tuple[str, ...] = ()
    note: str = ""


def button(deed: Deed, key: str, *, is_off: bool = False) -> None:
    """Draw the button; pressed, it opens the question."""
    if st.button(deed.label, key=key, disabled=is_off or not ops_live.may_change()):
        ops_dialog.ask(deed.label, partial(_ask, deed))


def _ask(deed: Deed) -> None:
    st.text(deed.question)
    if deed.note:
        st.caption(plain(deed.note))
    with st.form("ask", border=False):
        limit = st.selectbox("For how long", deed.limits, key="limit") if deed.limits else None
        reason = st.text_input(
            "Reason", key="reason", max_chars=1000, help="It stands in the journal."
        ).strip()
        agreed = st.form_submit_button(deed.label)
    if deed.words:
        ops_dialog.in_a_terminal(*deed.words)
    if agreed:
        with st.spinner(deed.label), ops_live.acting() as operator:
            done = _done(deed, operator, limit, reason)
        ops_dialog.settle(Told(done))


def _done(deed: Deed, operator: Operator, limit: str | None, reason: str) -> str:
    return deed.do(operator, reason) if limit is None else deed.do(operator, reason, limit)
