"""The schedules: when each ticks next and ticked last; running, pausing, adding, changing and removing one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pandas as pd
import streamlit as st

import ops_deeds
import ops_dialog
import ops_forms
import ops_live
import ops_rhythms
import ops_states
from ops_deeds import Deed
from ops_tables import link, table
from ops_text import moment_and_day
from persistentq import clock
from persistentq.errors import InvalidArgument
from persistentq.operations import Operator, safe
from persistentq.schedule import ScheduleInfo

NEXT = 5
# By verb: the button, the question, how it is done, and what is said then.
CHANGES: Mapping[str, tuple[str, str, Callable[..., object], str]] = {
    "pause": (
        "Pause",
        "Let schedule {} enqueue nothing until it is resumed?",
        Operator.pause_schedule,
        "Schedule {} is paused.",
    ),
    "resume": ("Resume", "Let schedule {} tick again?", Operator.resume_schedule, "Schedule {} ticks again."),
    "remove": (
        "Remove",
        "Remove schedule {} for ever? The jobs that it has enqueued stay.",
        Operator.remove_schedule,
        "Schedule {} is removed.",
    ),
}


def read_schedules(operator: Operator) -> list[ScheduleInfo]:
    """Ask for every schedule."""
    return operator.list_schedules()


def show() -> None:
    """Draw the page."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Schedules", anchor=False, width="content")
        ops_forms.button(ops_rhythms.adding(), "add")
    ops_dialog.last_result()
    ops_live.live(standing)
    found = {one.schedule.name: one for one in ops_live.read(read_schedules).value}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Schedule",
            list(found),
            index=None,
            placeholder="choose one",
            key="schedule",
            bind="query-params",
            width=300,
        )
        one = found.get(chosen or "")
        ops_deeds.button(running(chosen or ""), "run", is_off=one is None)
        ops_deeds.button(changing("pause", chosen or ""), "pause", is_off=one is None or one.is_paused)
        ops_deeds.button(changing("resume", chosen or ""), "resume", is_off=one is None or not one.is_paused)
        ops_forms.button(
            ops_rhythms.editing(one.schedule if one else ops_rhythms.USUAL), "edit", is_off=one is None
        )
        ops_deeds.button(changing("remove", chosen or ""), "remove", is_off=one is None)
    if one is not None:
        next_ticks(one)


def standing() -> None:
    """Draw how they stand; called again and again."""
    reading = ops_live.read(read_schedules)
    ops_states.as_of(reading.at, reading.problem)
    if not reading.value:
        st.info("There is no schedule yet. To add one:", icon=":material/inbox:")
        ops_states.commands(ops_states.admin("schedules", "add", "nightly", "0 3 * * *", "report.make"))
        return
    table(
        schedule_rows(reading.value),
        "schedules",
        f"{len(reading.value)} schedules, by name",
        times=("next", "last"),
        **{"last job": link(r"job=(\d+)")},
    )


def schedule_rows(found: Iterable[ScheduleInfo]) -> pd.DataFrame:
    """Return one row per schedule; `last job` is the address of its page."""
    rows = [
        (
            one.schedule.name,
            _state(one),
            safe(one.schedule.expression, 80),
            one.schedule.zone,
            None if one.is_paused else one.next_at,
            one.last_at,
            f"job?job={one.last_job_id}" if one.last_job_id is not None else None,
            safe(one.schedule.task, 80),
            one.schedule.queue,
            safe(one.error, 300) or None,
        )
        for one in found
    ]
    names = ["schedule", "state", "when", "zone", "next", "last", "last job", "task", "queue", "trouble"]
    return pd.DataFrame(rows, columns=names)


def _state(one: ScheduleInfo) -> str:
    if one.is_paused:
        return "‖ paused"
    return "▶ active" if one.error is None else "✗ broken"


def next_ticks(one: ScheduleInfo) -> None:
    """Say when it ticks next."""
    st.caption("**Next runs**" + (", if it were not paused" if one.is_paused else ""))
    try:
        ticks = one.preview(clock.now(), NEXT)
    except InvalidArgument as error:
        ops_states.explain(error)
        return
    zone = one.schedule.zone
    st.code(
        "\n".join(f"{moment_and_day(tick)}   {one.schedule.local(tick):%a %H:%M} {zone}" for tick in ticks),
        language=None,
    )


def running(name: str) -> Deed:
    """Return the deed that runs a schedule now."""

    def do(operator: Operator, reason: str) -> str:
        job = operator.run_schedule(name, reason=reason)
        standing = "was there already: its last run is unfinished" if job.duplicate else f"is {job.status}"
        return f"Job {job.id} of schedule {name} {standing}."

    return Deed("Run now", f"Enqueue the job of schedule {name} now?", ("schedules", "run-now", name), do)


def changing(verb: str, name: str) -> Deed:
    """Return the deed that pauses, resumes or removes a schedule."""
    label, question, change, told = CHANGES[verb]

    def do(operator: Operator, reason: str) -> str:
        change(operator, name, reason=reason)
        return told.format(name)

    return Deed(label, question.format(name), ("schedules", verb, name), do)


show()
