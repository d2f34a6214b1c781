"""What the page says when there is nothing to show: no database, no job, a lock, or what else is wrong."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta
from pathlib import Path

import streamlit as st

import ops_guard
from ops_text import moment, plain, span
from persistentq import clock
from persistentq.errors import PersistentQError, StorageUnavailable

LOOK_AGAIN = timedelta(seconds=2)
INTERVALS = {"off": None} | {f"{seconds} s": timedelta(seconds=seconds) for seconds in (1, 2, 5, 15, 30, 60)}
STALE_AFTER = 3
"""So many intervals old is what nobody should take for the present."""

# In a wheel this folder lies inside the library; there the programs have other names, and there is no Makefile.
IN_CHECKOUT = not Path(__file__).resolve().parents[1].joinpath("launch.py").is_file()


def _program(name: str) -> str:
    return f"python -m {name}.{name}" if IN_CHECKOUT else f"persistentq {name}"


def admin(*words: str) -> str:
    """Return the command line that these words make."""
    return f"{_program('admin')} {shlex.join(words)}"


def explain(error: PersistentQError) -> None:
    """Say what is wrong and what to do about it."""
    st.error(plain(error.summary), icon=":material/error:")
    if error.hint:
        st.caption(plain(error.hint))


def no_database(location: str) -> None:
    """Say where the queue was looked for, and how one comes to be."""
    st.subheader("There is no queue yet", anchor=False)
    st.text("The dashboard looked for its database here:")
    st.code(location, language=None, wrap_lines=True)
    st.text("To start one:")
    everything = ["make run"] if IN_CHECKOUT else []
    commands(*everything, _program("producer"))
    st.caption(
        "This page appears by itself as soon as the database does. QUEUE_DB_FILE or QUEUE_DB_URL, in the "
        "environment or in .env, name another one."
    )


def no_jobs() -> None:
    """Say that the queue is empty and how a first job comes in."""
    st.info("The queue is empty. A first job, and a consumer that does it:", icon=":material/inbox:")
    commands(f"{_program('producer')} --count 1", f"{_program('consumer')} --burst")


def nobody_works(waiting: int) -> None:
    """Warn that jobs are ready and nobody takes them."""
    jobs = "1 job is" if waiting == 1 else f"{waiting:,} jobs are"
    st.error(f"{jobs} pending and no consumer is alive. To start some:", icon=":material/error:")
    supervised = ["supervisorctl -c supervisor/supervisord.conf start consumer:*"] if IN_CHECKOUT else []
    commands(*supervised, _program("consumer"))


def commands(*lines: str) -> None:
    """Show commands to be copied."""
    # Not as bash: Streamlit's colour for options hardly stands out from the light theme's background.
    st.code("\n".join(lines), language=None, wrap_lines=True)


def interval() -> timedelta | None:
    """Return how often the live parts are drawn again; None for not at all."""
    return INTERVALS[st.session_state.get("refresh") or "off"]


def as_of(at: datetime, problem: StorageUnavailable | None) -> None:
    """Say when the data was read; if it is not of now, say so and why."""
    every, age = interval(), clock.now() - at
    is_stale = every is not None and age > STALE_AFTER * every
    if problem is None:
        more = " · refresh is off" if every is None else f" · stale, {span(age)} old" if is_stale else ""
        st.caption(f"as of {moment(at)}{more}")
        return
    st.warning(
        f"{plain(problem.summary)}. What you see is {'stale: it is ' if is_stale else ''}of {moment(at)}, "
        f"{span(age)} ago.",
        icon=":material/lock_clock:",
    )


def other_machines_refused(why: str) -> None:
    """Say that this server may be reached by others and therefore shows nothing."""
    st.error(plain(why), icon=":material/lock:")
    st.caption(plain(ops_guard.HINT))
