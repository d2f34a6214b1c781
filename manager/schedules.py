"""A schedule as it is typed: its fields as texts, what they mean, and the words of the command line for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from persistentq.errors import InvalidArgument
from persistentq.redaction import REDACTED
from persistentq.schedule import Schedule

Texts = tuple[tuple[str, str], ...]
"""Fields of a schedule by name, as they were typed."""


class Field(NamedTuple):
    """One field of a schedule.

    Attributes:
        label: What it is called in the dialog.
        read: Makes its value of what was typed.
    """

    label: str
    read: Callable[[str], Any] = str


def _arguments(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidArgument("args", text, 'is not a JSON object, such as {"kind": "long"}')
    if REDACTED in text:
        raise InvalidArgument("args", text, "has no value where a secret is; type the secret, too")
    return found


FIELDS: Mapping[str, Field] = {
    "expression": Field("when"),
    "zone": Field("time zone"),
    "task": Field("task"),
    "args": Field("arguments", _arguments),
    "queue": Field("queue"),
    "catch_up": Field("missed ticks"),
}
NAMED = ("expression", "task")
"""What stands behind the name of a new one, without an option."""


def read_texts(texts: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the values of a schedule's fields.

    Raises:
        InvalidArgument: one cannot be read.
    """
    return {name: FIELDS[name].read(text.strip()) for name, text in texts}


def new_schedule(name: str, texts: Iterable[tuple[str, str]]) -> Schedule:
    """Return the schedule with these fields, and the usual ones otherwise.

    Raises:
        InvalidArgument: one cannot be used, or a needed one is missing.
    """
    values = read_texts(texts)
    return Schedule(name.strip(), values.pop("expression", ""), values.pop("task", ""), **values)


def texts_of(schedule: Schedule) -> dict[str, str]:
    """Return the fields of a schedule as they would be typed."""
    values = {name: getattr(schedule, name) for name in FIELDS}
    return {**values, "args": json.dumps(dict(schedule.args), ensure_ascii=False)}


def words_of(texts: Texts, without: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the options of `schedules add` and `schedules edit` for these fields."""
    return tuple(word for name, text in texts if name not in without for word in (flag(name), text))


def flag(name: str) -> str:
    """Return the option of a field: `--catch-up`."""
    return f"--{name.replace('_', '-')}"
