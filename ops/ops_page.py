"""Every page's frame: may it be shown at all, is there a queue, which page, how often to read."""

from __future__ import annotations

import streamlit as st

import ops_dialog
import ops_guard
import ops_live
import ops_states
from persistentq.errors import DatabaseMissing, PersistentQError
from persistentq.operations import safe
from persistentq.settings import load_settings

OTHERS = ("failures", "queues", "consumers", "schedules", "activity", "journal", "health")


def show() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title="persistentq", layout="wide")
    try:
        keys = ops_guard.Keys.of(load_settings())
    except PersistentQError as error:
        ops_states.explain(error)
        return
    if why := ops_guard.refusal(st.get_option("server.address"), keys):
        ops_states.other_machines_refused(why)
        return
    job_page = st.Page("ops_job.py", title="Job", url_path="job")
    jobs_page = st.Page("ops_jobs.py", title="Jobs", url_path="jobs")
    page = st.navigation(
        [
            st.Page("ops_overview.py", title="Overview", default=True),
            st.Page("ops_attention.py", title="Attention", url_path="attention"),
            jobs_page,
            job_page,
            *(st.Page(f"ops_{name}.py", title=name.capitalize(), url_path=name) for name in OTHERS),
        ],
        position="top",
    )
    if "job" in st.query_params and page != job_page:
        st.switch_page(job_page, query_params={"job": st.query_params["job"]})
    ops_dialog.forget_elsewhere(page.url_path)
    if page != jobs_page:
        # Whoever comes back to the jobs sees the newest.
        st.session_state.pop("shown", None)
    try:
        head(ops_live.where(), is_job=page == job_page)
        page.run()
        ops_dialog.open_question()
    except DatabaseMissing as error:
        ops_states.no_database(error.location)
        ops_live.draw_again_soon()
    except PersistentQError as error:
        ops_states.explain(error)
        ops_live.draw_again_soon()


def head(location: str, *, is_job: bool) -> None:
    """Draw the line above every page; a job's own has a box for its id already."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.text(safe(location), width="content")
            if not ops_live.may_change():
                st.caption(":material/lock: **read-only**", width="content")
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            if not is_job:
                st.text_input(
                    "Open a job",
                    key="open",
                    on_change=open_job,
                    placeholder="open job, by id",
                    label_visibility="collapsed",
                    width=150,
                )
            st.caption("Refresh every", width="content")
            ops_live.choose_interval()


def open_job() -> None:
    """Go to the job whose id was typed; its page says what is wrong with one that is none."""
    if asked := st.session_state["open"].strip():
        st.query_params["job"] = asked
        st.session_state["open"] = ""


show()
