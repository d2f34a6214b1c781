"""Jobs with their secrets as a file: asked for first, and noted in the journal by whoever downloads it."""

from __future__ import annotations

from functools import partial

import streamlit as st

import ops_dialog
import ops_download
import ops_forms
import ops_live
from ops_download import Wanted
from persistentq.operations import safe
from persistentq.operations.formats import Format
from persistentq.operations.typed import meant, with_reason


def button(query: str) -> None:
    """Draw the button that asks whether the jobs that a query means are to be taken out."""
    ops_forms.opens("With secrets", "with-secrets", partial(ask, query))


def ask(query: str) -> None:
    """Ask, and give the link that downloads the file once."""
    st.text("Export every job that matches, with its secrets? The journal will tell that you did.")
    st.code(safe(query) or "every job", language=None, wrap_lines=True)
    form = st.radio(
        "Format", list(ops_download.KINDS), format_func=str.upper, horizontal=True, key="secrets-format"
    )
    reason, is_agreed = ops_forms.agreed("Export with secrets")
    if is_agreed:
        with ops_live.acting() as operator:
            operator.may("reveal")
        address = ops_download.ticket(Wanted(query, Format(form), reveal=True, reason=reason))
        st.link_button(f"Download jobs.{form}", address, icon=":material/download:")
        st.caption(f"The link works once, for {ops_download.LASTING_S} seconds.")
    words = ["export", f"jobs.{form}", *meant((), query), "--reveal"]
    ops_dialog.in_a_terminal(*with_reason(words, reason))
