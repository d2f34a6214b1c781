"""The one dialog of a page: a question, the deed that answers it, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd
import streamlit as st

import ops_live
import ops_states
from ops_text import plain, some
from persistentq.errors import PersistentQError
from persistentq.operations import ActResult, safe
from persistentq.text import counted


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a deed, as the page says it until it is dismissed or left.

    Attributes:
        done: What was done; empty if nothing was.
        skipped: What was not, and why, in a line.
        error: What failed.
        rows: The skipped jobs, one by one.
        entry: The journal's entry by which it can be taken back; None if it cannot.
    """

    done: str = ""
    skipped: str = ""
    error: str = ""
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    entry: int | None = None


def ask(title: str, draw: Callable[[], None]) -> None:
    """Open a dialog in which `draw` asks; the page is drawn anew."""
    st.session_state["asking"] = title, draw
    st.rerun(scope="app")


def open_question() -> None:
    """Draw the dialog that was asked for, if any was.

    It is drawn by the page itself, and no part of the page is drawn again meanwhile: a refresh that meets an answer
    would swallow it.
    """
    if asking := st.session_state.get("asking"):
        title, draw = asking
        st.dialog(title, width="medium", on_dismiss=_close)(_guarded)(draw)


def _guarded(draw: Callable[[], None]) -> None:
    try:
        draw()
    except PersistentQError as error:
        ops_states.explain(error)


def _close() -> None:
    st.session_state["asking"] = None


def settle(told: Told) -> None:
    """Close the dialog and let the page say what came of it."""
    st.session_state.update(result=told, acts=acts_so_far() + 1, asking=None)
    st.rerun(scope="app")


def acts_so_far() -> int:
    """Return how many deeds this visit has seen; after each one the selection starts anew."""
    return int(st.session_state.get("acts", 0))


def told_of(result: ActResult, label: str) -> Told:
    """Return an act's result in words."""
    skipped = sum(result.reasons.values())
    reasons = ", ".join(f"{number:,} {safe(reason, 200)}" for reason, number in result.reasons.items())
    rows = [(job_id, safe(error, 300)) for job_id, error in result.skipped.items()]
    return Told(
        f"{label} worked for {counted(len(result.done), 'job')}: {some(result.done)}" if result.done else "",
        f"{label} skipped {counted(skipped, 'job')}: {reasons}" if skipped else "",
        f"{label} did not reach {counted(result.failed, 'job')}: {result.error.summary}"
        if result.error
        else "",
        pd.DataFrame(rows, columns=["id", "why"]),
        result.entry if result.done else None,
    )


def forget_elsewhere(page: str) -> None:
    """Forget what came of the last deed as soon as another page is open; the journal tells of it."""
    if st.session_state.setdefault("told_on", page) != page:
        st.session_state["told_on"] = page
        st.session_state.pop("result", None)


def last_result() -> None:
    """Say what came of the last deed, until it is dismissed or the page is left, and offer to take it back."""
    told: Told | None = st.session_state.get("result")
    if told is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if told.done:
            st.success(plain(told.done), icon=":material/check:")
        if told.skipped:
            st.warning(plain(told.skipped), icon=":material/skip_next:")
        if told.error:
            st.error(plain(told.error), icon=":material/error:")
        if told.entry is not None:
            st.button("Undo", on_click=_undo, args=(told.entry,), key="undo", icon=":material/undo:")
        st.button("Dismiss", on_click=st.session_state.pop, args=("result",), key="dismiss")
    if not told.rows.empty:
        st.dataframe(
            told.rows,
            hide_index=True,
            key="skipped",
            height="content",
            alt="The skipped jobs, and why",
            column_config={"id": st.column_config.NumberColumn(format="%d", width="small")},
        )


def _undo(entry: int) -> None:
    try:
        with ops_live.acting() as operator:
            told = told_of(operator.undo(entry), "Undo")
    except PersistentQError as error:
        told = Told(error=error.summary)
    st.session_state.update(result=told, acts=acts_so_far() + 1)


def in_a_terminal(*words: str) -> None:
    """Show the command that does the same, to be copied."""
    st.caption("The same in a terminal")
    ops_states.commands(ops_states.admin(*words))
