"""Schedules as they are written: what is asked to add one and to change one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

import ops_enqueue
import ops_forms
from ops_dialog import Told
from ops_forms import Form, Values
from persistentq.errors import InvalidArgument
from persistentq.operations import Operator
from persistentq.schedule import CatchUp, Schedule

USUAL = Schedule("usual", "@daily", "usual")
Changes = Mapping[str, Any]


def adding() -> Form[Schedule]:
    """Return the form of a new schedule."""
    asked: Mapping[str, Callable[[], Any]] = {
        "schedule": lambda: st.text_input("Name", key="new-schedule", placeholder="nightly"),
        **_fields(None),
    }
    return Form("Add", asked, _read_new, _add_words, _add)


def _read_new(values: Values) -> Schedule:
    named = replace(USUAL, name=values["schedule"].strip())
    return replace(named, **_changes(values, USUAL))


def _add_words(new: Schedule) -> Sequence[str]:
    first = "expression", "task"
    found = {name: getattr(new, name) for name in OPTIONS if name not in first}
    more = {name: value for name, value in found.items() if value != getattr(USUAL, name)}
    return "schedules", "add", new.name, new.expression, new.task, *_options(more)


def _add(operator: Operator, new: Schedule, reason: str) -> Told:
    if operator.has_schedule(new.name):
        raise InvalidArgument("schedule", new.name, "exists already; Edit changes it")
    return _told(operator, new, reason)


def editing(now: Schedule) -> Form[Changes]:
    """Return the form that changes a schedule; what is left as it is stays."""

    def read(values: Values) -> Changes:
        if not (changes := _changes(values, now)):
            raise InvalidArgument("schedule", now.name, "would stay as it is")
        replace(now, **changes)
        return changes

    def words(changes: Changes) -> Sequence[str]:
        return "schedules", "edit", now.name, *_options(changes)

    def do(operator: Operator, changes: Changes, reason: str) -> Told:
        # Its own, as the one that is shown has no secrets in its arguments.
        return _told(operator, replace(operator.queue.get_schedule(now.name).schedule, **changes), reason)

    return Form("Edit", _fields(now), read, words, do)


def _told(operator: Operator, schedule: Schedule, reason: str) -> Told:
    info = operator.put_schedule(schedule, reason=reason)
    standing = "is paused" if info.is_paused else f"ticks next at {info.next_at:%Y-%m-%d %H:%M:%S} UTC"
    return Told(f"Schedule {schedule.name} {standing}.")


def _fields(of: Schedule | None) -> Mapping[str, Callable[[], Any]]:
    now = of or USUAL
    return {
        "expression": lambda: st.text_input(
            "When",
            of.expression if of else "",
            key="new-expression",
            placeholder="30 2 * * mon-fri, @hourly, or every 90s",
        ),
        "zone": lambda: st.text_input("Time zone", now.zone, key="new-zone"),
        "task": partial(ops_enqueue.choose_task, of.task if of else None),
        "args": partial(ops_enqueue.type_args, "empty: they stay as they are" if of else '{"kind": "long"}'),
        "queue": partial(ops_enqueue.choose_queue, now.queue),
        "priority": partial(ops_enqueue.choose_priority, now.priority),
        "tag": partial(ops_enqueue.type_tags, now.tags),
        "max_attempts": lambda: st.number_input(
            "Attempts", 0, 10_000, now.max_attempts or 0, key="new-attempts", help="0: what the settings say"
        ),
        "unique": lambda: st.checkbox(
            "Enqueue nothing while the job of an earlier tick is unfinished", now.unique, key="new-unique"
        ),
        "catch_up": lambda: st.selectbox(
            "Missed ticks enqueue",
            list(map(str, CatchUp)),
            list(CatchUp).index(now.catch_up),
            key="new-catch-up",
        ),
        "catch_up_limit": lambda: st.number_input(
            "At most, if all of them", 1, 1000, now.catch_up_limit, key="new-limit"
        ),
    }


def _changes(values: Values, now: Schedule) -> Changes:
    """Return the fields that differ from those of `now`."""
    found = {
        "expression": values["expression"].strip(),
        "task": values["task"],
        "zone": values["zone"].strip(),
        "queue": values["queue"],
        "priority": values["priority"],
        "max_attempts": values["max_attempts"] or None,
        "tags": ops_forms.read_tags(values["tag"]),
        "unique": values["unique"],
        "catch_up": CatchUp(values["catch_up"]),
        "catch_up_limit": values["catch_up_limit"],
    }
    if values["args"].strip():
        found["args"] = ops_forms.read_args("args", values["args"])
    return {name: value for name, value in found.items() if value != getattr(now, name)}


OPTIONS: Mapping[str, Callable[[Any], Sequence[str]]] = {
    "expression": lambda value: ("--expression", value),
    "task": lambda value: ("--task", value),
    "args": lambda value: ("--args", json.dumps(dict(value))),
    "zone": lambda value: ("--zone", value),
    "queue": lambda value: ("--queue", value),
    "priority": lambda value: ("--priority", str(value)),
    "max_attempts": lambda value: ("--max-attempts", str(value or 0)),
    "tags": lambda value: [word for tag in value for word in ("--tag", tag)],
    "unique": lambda value: ("--unique" if value else "--no-unique",),
    "catch_up": lambda value: ("--catch-up", value),
    "catch_up_limit": lambda value: ("--catch-up-limit", str(value)),
}
"""How the admin program is told each field of a schedule."""


def _options(changes: Changes) -> list[str]:
    return [word for name, value in changes.items() for word in OPTIONS[name](value)]
