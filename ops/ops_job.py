"""One job's own page; `/job?job=ID` is its address, and `?job=ID` on any page leads to it."""

from __future__ import annotations

import streamlit as st

import ops_actions
import ops_data
import ops_details
import ops_dialog
import ops_live
from ops_data import Target
from persistentq.errors import InvalidArgument, JobNotFound


def show() -> None:
    """Ask for an id, and draw that job."""
    asked = st.text_input(
        "Job id", key="job", bind="query-params", placeholder="its number", width=200
    ).strip()
    ops_dialog.last_result()
    if not asked:
        st.caption("Type the number of a job.")
    elif asked.isascii() and asked.isdigit():
        ops_live.live(lambda: one(int(asked)))
    else:
        st.info("A job's id is a whole number.", icon=":material/info:")


def one(job_id: int) -> None:
    """Draw the job and what may be done with it."""
    try:
        job = ops_live.read(ops_data.read_job, job_id).value.job
    except (JobNotFound, InvalidArgument):
        st.info(f"There is no job {job_id}. It was deleted, or never existed.", icon=":material/search_off:")
        return
    ops_actions.bar([Target(job.id, job.status, job.task)])
    ops_details.draw(job_id)


show()
