"""What operators did: who, from where, to how many jobs and why; taking one act back."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pandas as pd
import streamlit as st

import ops_deeds
import ops_dialog
import ops_live
import ops_states
from ops_deeds import Deed
from ops_dialog import told_of
from ops_tables import table
from persistentq.acts import ACTED_ON, IMPORT
from persistentq.journal import JournalEntry, JournalPage
from persistentq.operations import Operator, safe

PAGE = 100
UNDOABLE = frozenset({*ACTED_ON, IMPORT, "enqueue"})


def read_journal(operator: Operator, job: int | None, after: str | None) -> JournalPage:
    """Ask for some entries, the newest first."""
    return operator.list_journal(job=job, limit=PAGE, after=after)


def show() -> None:
    """Draw the page."""
    st.subheader("Journal", anchor=False)
    ops_dialog.last_result()
    asked = st.text_input(
        "Of one job", key="of", bind="query-params", placeholder="any; its number", width=200
    ).strip()
    if asked and not (asked.isascii() and asked.isdigit()):
        st.info("A job's id is a whole number.", icon=":material/info:")
        return
    job = int(asked) if asked else None
    after = st.query_params.get("after")
    ops_live.live(lambda: entries(job, after))
    page = ops_live.read(read_journal, job, after).value
    with st.container(horizontal=True, vertical_alignment="bottom"):
        undoable = [one.id for one in page.items if _can_be_undone(one)]
        chosen = st.selectbox(
            "Take back an act", undoable, index=None, placeholder="its entry", key="entry", width=200
        )
        ops_deeds.button(undoing(chosen or 0), "undo-entry", is_off=chosen is None)
        st.button("Newest", disabled=after is None, on_click=_newest)
        st.button("Older", disabled=page.next is None, on_click=_turn, args=(page.next,))


def _newest() -> None:
    st.query_params.pop("after", None)


def _turn(after: str) -> None:
    st.query_params["after"] = after


def _can_be_undone(one: JournalEntry) -> bool:
    return one.verb in UNDOABLE and one.done > 0 and one.undone_by is None


def entries(job: int | None, after: str | None) -> None:
    """Draw the entries; called again and again."""
    reading = ops_live.read(read_journal, job, after)
    ops_states.as_of(reading.at, reading.problem)
    if not reading.value.items:
        st.info("Nobody has done anything here yet.", icon=":material/inbox:")
        return
    table(entry_rows(reading.value.items), "journal", "What operators did, the newest first", times=("at",))


def entry_rows(found: Iterable[JournalEntry]) -> pd.DataFrame:
    """Return one row per entry."""
    rows = [
        (
            one.id,
            one.at,
            safe(one.actor, 80),
            one.face,
            one.verb if one.undoes is None else f"undo of {one.undoes}",
            one.done,
            ", ".join(f"{number:,} {safe(why, 80)}" for why, number in one.skipped.items()) or None,
            safe(one.reason, 200) or None,
            safe(one.query, 200) or None,
            safe(json.dumps(dict(one.details), ensure_ascii=False), 200) if one.details else None,
            f"by {one.undone_by}" if one.undone_by is not None else None,
        )
        for one in found
    ]
    names = ["entry", "at", "who", "from", "what", "jobs", "skipped", "why", "query", "details", "undone"]
    return pd.DataFrame(rows, columns=names)


def undoing(entry: int) -> Deed:
    """Return the deed that takes an act back."""

    def do(operator: Operator, reason: str) -> str:
        told = told_of(operator.undo(entry, reason=reason), "Undo")
        return ". ".join(filter(None, (told.done, told.skipped, told.error))) or "There was nothing to undo."

    question = f"Take back what entry {entry} did, where nothing happened since?"
    return Deed("Undo", question, ("undo", str(entry)), do)


show()
