"""A job by hand: its task, arguments and the rest, checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import streamlit as st

import ops_data
import ops_forms
import ops_live
from ops_dialog import Told
from ops_forms import Form, Values
from persistentq.job import NewJob
from persistentq.operations import Operator
from persistentq.operations.times import read_when
from persistentq.operations.typed import enqueue_words

USUAL_QUEUE = "default"


def button() -> None:
    """Draw the button that asks for a new job."""
    fields: Mapping[str, Callable[[], Any]] = {
        "task": partial(choose_task, None),
        "args": partial(type_args, '{"to": "a@example.org"}'),
        "queue": partial(choose_queue, USUAL_QUEUE),
        "priority": partial(choose_priority, 0),
        "run_at": lambda: st.text_input(
            "Run at", placeholder="at once; 10m, or 2026-11-24T18:30 (UTC)", key="new-run-at"
        ),
        "tag": partial(type_tags, ()),
    }
    ops_forms.button(Form("Enqueue", fields, read, enqueue_words, do), "enqueue")


def choose_task(now: str | None) -> str:
    """Draw the choice of a task; others than those that consumers know may be typed."""
    known = ops_live.read_lately(ops_data.read_names).value.tasks
    return _choose("Task", now, known, "new-task")


def choose_queue(now: str) -> str:
    """Draw the choice of a queue; a new one may be typed."""
    known = ops_live.read_lately(ops_data.read_names).value.queues
    return _choose("Queue", now, known, "new-queue")


def _choose(label: str, now: str | None, known: list[str], key: str) -> str:
    offered = sorted({*known, *filter(None, [now])})
    index = offered.index(now) if now else None
    chosen = st.selectbox(
        label, offered, index=index, placeholder="choose or type one", key=key, accept_new_options=True
    )
    return chosen or ""


def type_args(example: str) -> str:
    """Draw the place for a job's arguments."""
    return st.text_area("Arguments, a JSON object", placeholder=example, key="new-args", height=100)


def choose_priority(now: int) -> int:
    """Draw the choice of a priority."""
    return st.number_input(
        "Priority", -1_000_000, 1_000_000, now, key="new-priority", help="Higher leaves earlier."
    )


def type_tags(now: tuple[str, ...]) -> str:
    """Draw the place for tags."""
    return st.text_input("Tags", ", ".join(now), placeholder="words to find it by", key="new-tags")


def read(values: Values) -> NewJob:
    """Return the job.

    Raises:
        InvalidArgument: a field is wrong.
    """
    when = values["run_at"].strip()
    return NewJob(
        values["task"],
        ops_forms.read_args("args", values["args"]),
        values["queue"],
        values["priority"],
        run_at=read_when("run_at", when) if when else None,
        tags=ops_forms.read_tags(values["tag"]),
    )


def do(operator: Operator, new: NewJob, reason: str) -> Told:
    """Enqueue it."""
    job = operator.enqueue(new, reason=reason)
    return Told(f"Job {job.id} is {job.status}. Until it is taken, the journal's Undo takes it back.")
