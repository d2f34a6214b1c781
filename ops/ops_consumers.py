"""Who works: each consumer as it reports itself and as Supervisor sees it; stopping, starting and scaling them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pandas as pd
import streamlit as st

import ops_data
import ops_deeds
import ops_dialog
import ops_live
import ops_states
from ops_deeds import Deed
from ops_tables import link, table
from ops_text import LONGEST_BLOCK, block, plain
from persistentq.errors import ExtraMissing, SupervisionError
from persistentq.job import ConsumerInfo, JobStatus
from persistentq.operations import Operator, safe
from persistentq.operations.steering import scale_consumers, steer

if TYPE_CHECKING:
    from persistentq.operations.supervised import Program

PROGRAM = "consumer"
MOST = 100
LOG_LINES = 50


@dataclass(frozen=True, slots=True)
class Workforce:
    """Who works.

    Attributes:
        consumers: As they report themselves.
        programs: Supervisor's processes, by name.
        pending: How many jobs wait for them.
    """

    consumers: Sequence[ConsumerInfo]
    programs: Mapping[str, Program]
    pending: int


def read_workforce(operator: Operator) -> Workforce:
    """Ask the queue and Supervisor who works."""
    counts = ops_data.count_statuses(operator.queue.count_jobs())
    return Workforce(operator.queue.list_consumers(), programs(), counts[JobStatus.PENDING])


def programs() -> dict[str, Program]:
    """Return Supervisor's processes by name; none if it does not run, or is not installed."""
    conf = ops_live.surroundings().supervisor_conf
    if conf is None or not conf.is_file():
        return {}
    from persistentq.operations.supervised import Supervised

    try:
        supervised = Supervised(conf)
        found = supervised.programs() if supervised.socket.exists() else []
    except (ExtraMissing, SupervisionError):
        return {}
    return {one.name: one for one in found}


def read_log(operator: Operator, program: str) -> list[str]:
    """Ask for the last lines that a supervised process has written, without the secrets in them.

    Raises:
        SupervisionError: they cannot be read here.
    """
    from persistentq.operations.supervised import Supervised

    lines = Supervised(_conf()).log_tail(program)
    return [operator.redaction.text(line) for line in lines[-LOG_LINES:]]


def show() -> None:
    """Draw the page."""
    st.subheader("Consumers", anchor=False)
    ops_dialog.last_result()
    ops_live.live(standing)
    st.subheader("Supervisor", anchor=False)
    known = ops_live.read(read_workforce).value.programs
    if not known:
        st.info("No supervisord answers here, so consumers are stopped and started where they run.")
        return
    act_on_one(known)
    scaling(known)


def standing() -> None:
    """Draw who works; called again and again."""
    reading = ops_live.read(read_workforce)
    found = reading.value
    ops_states.as_of(reading.at, reading.problem)
    if found.pending and not any(one.is_alive for one in found.consumers):
        ops_states.nobody_works(found.pending)
    if not found.consumers:
        st.caption("No consumer has reported to this queue yet.")
    else:
        alive = sum(one.is_alive for one in found.consumers)
        table(
            consumer_rows(found),
            "consumers",
            f"Consumers: {alive} of {len(found.consumers)} are alive",
            times=("started",),
            holds=link(r"#(\d+)$"),
        )
    if found.programs:
        st.caption("**Processes that Supervisor keeps**")
        table(program_rows(found.programs), "programs", f"{len(found.programs)} supervised processes")


def consumer_rows(found: Workforce) -> pd.DataFrame:
    """Return one row per consumer; `holds` is the address of the jobs that it holds, and ends with their number."""
    rows = ops_data.consumer_rows(found.consumers)
    supervised = {name.partition(":")[2]: one for name, one in found.programs.items()}
    kept = [supervised.get(one.id) for one in found.consumers]
    rows["state"] = list(map(_state, found.consumers, kept))
    rows.insert(2, "supervisor", [one.state if one else "-" for one in kept])
    rows["holds"] = [
        f"jobs?status=processing&q={quote(f'consumer:{one.id}')}#{one.held}" for one in found.consumers
    ]
    rows["trouble"] = [safe(one.trouble, 300) or None for one in found.consumers]
    return rows


def _state(consumer: ConsumerInfo, kept: Program | None) -> str:
    if not consumer.is_alive and kept is not None and kept.is_stopped:
        return f"■ {kept.state.lower()} in Supervisor - Start runs it"
    return ops_data.consumer_state(consumer)


def program_rows(found: Mapping[str, Program]) -> pd.DataFrame:
    """Return one row per supervised process."""
    rows = [(one.name, one.state, one.pid or None, safe(one.why, 200), one.log) for one in found.values()]
    return pd.DataFrame(rows, columns=["process", "state", "pid", "what it says", "log"])


def act_on_one(known: Mapping[str, Program]) -> None:
    """Draw what may be done with one supervised process."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Process", list(known), index=None, placeholder="choose one", key="process", width=300
        )
        name = chosen or ""
        runs = name in known and known[name].state in {"RUNNING", "STARTING"}
        ops_deeds.button(steering(name, "stop-consumer", "Stop"), "stop", is_off=not runs)
        ops_deeds.button(steering(name, "start-consumer", "Start"), "start", is_off=chosen is None or runs)
        ops_deeds.button(steering(name, "restart-consumer", "Restart"), "restart", is_off=not runs)
    if name in known:
        with st.expander(f"Log of {plain(name)}", key="log"):
            ops_live.live(lambda: log(name))


def log(program: str) -> None:
    """Draw the last lines of a process; called again and again."""
    reading = ops_live.read(read_log, program)
    ops_states.as_of(reading.at, reading.problem)
    # The end is what counts, and a block is cut at its end.
    text = "\n".join(reading.value)[-LONGEST_BLOCK:]
    st.code(block(text) or "It has written nothing yet.", language=None, wrap_lines=True)


def scaling(known: Mapping[str, Program]) -> None:
    """Draw how many consumers there are, and the way to another number."""
    now = sum(name.startswith(f"{PROGRAM}:") for name in known)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.number_input("Consumers", 0, MOST, now, key="number_of_consumers", width=300)
        ops_deeds.button(scaled_to(int(number)), "scale", is_off=number == now)


def steering(program: str, verb: str, label: str) -> Deed:
    """Return the deed that stops, starts or restarts a supervised process."""

    def do(operator: Operator, reason: str) -> str:
        steer(operator, _conf(), verb, program, reason=reason)
        return f"{label} worked for {program}."

    note = " It finishes what it runs, or gives it back." if verb != "start-consumer" else ""
    words = (verb.removesuffix("-consumer"), program)
    return Deed(label, f"{label} {program}?{note}", words, do)


def scaled_to(number: int) -> Deed:
    """Return the deed that lets so many consumers run."""

    def do(operator: Operator, reason: str) -> str:
        scaled = scale_consumers(operator, _conf(), number, reason=reason)
        failed = "".join(f" {name} does not run: {why}." for name, why in scaled.failed.items())
        return f"{number} consumers: {len(scaled.added)} added, {len(scaled.removed)} removed.{failed}"

    question = f"Let {number} consumers run? The others go on; those that are too many finish what they run."
    return Deed("Scale", question, ("scale", str(number)), do)


def _conf() -> Path:
    conf = ops_live.surroundings().supervisor_conf
    if conf is None:
        raise SupervisionError("no supervisord.conf was found from here", "start the dashboard in a checkout")
    return conf


show()
