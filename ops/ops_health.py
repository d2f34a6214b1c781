"""Everything that is known to go wrong, looked at one by one: the database, the consumers, this machine."""

from __future__ import annotations

import streamlit as st

import ops_live
import ops_states
from ops_text import plain
from persistentq.insight import Check, Grade
from persistentq.operations import Operator
from persistentq.operations.doctor import doctor, worst

SAID = {
    Grade.OK: ("ok", ":material/check_circle:"),
    Grade.WARN: ("warning", ":material/warning:"),
    Grade.FAIL: ("failed", ":material/error:"),
}
VERDICTS = {
    Grade.OK: (st.success, "Everything that was looked at is well."),
    Grade.WARN: (st.warning, "Something should be mended."),
    Grade.FAIL: (st.error, "Jobs may be lost or stand still."),
}


def read_checks(operator: Operator) -> list[Check]:
    """Look at everything once."""
    return doctor(operator.queue, ops_live.surroundings())


def show() -> None:
    """Draw the checks as of now; they are made anew when the page is opened and when it is asked for."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Health", anchor=False, width="content")
        st.button("Check again", icon=":material/refresh:")
    reading = ops_live.read(read_checks)
    ops_states.as_of(reading.at, reading.problem)
    draw, verdict = VERDICTS[worst(reading.value)]
    draw(verdict, icon=SAID[worst(reading.value)][1])
    with st.container(border=True, gap="small"):
        for check in reading.value:
            word, icon = SAID[check.grade]
            st.markdown(f"{icon} {word} · **{plain(check.name)}** — {plain(check.found)}")
            if check.remedy:
                st.caption(plain(check.remedy))
    st.caption("The same in a terminal")
    ops_states.commands(ops_states.admin("doctor"))


show()
