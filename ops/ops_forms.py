"""Deeds that need more than a reason: a dialog of fields, each with its own error, and the same as a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import streamlit as st

import ops_dialog
import ops_live
import ops_states
from ops_dialog import Told
from persistentq.errors import InvalidArgument
from persistentq.operations import Operator
from persistentq.operations.objects import read_object
from persistentq.operations.typed import with_reason

T = TypeVar("T")
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """One thing that may be done, and what must be known for it.

    Attributes:
        label: For the button.
        fields: Each draws one field and returns what is in it, by the name that an error calls it.
        read: Returns what is wanted; raises InvalidArgument if a field is wrong.
        words: What is typed for the same behind the admin program's name.
        do: Does it for a reason, and returns what came of it; may raise InvalidArgument too.
    """

    label: str
    fields: Mapping[str, Callable[[], Any]]
    read: Callable[[Values], T]
    words: Callable[[T], Sequence[str]]
    do: Callable[[Operator, T, str], Told]


def opens(label: str, key: str, draw: Callable[[], None], *, is_off: bool = False) -> None:
    """Draw a button that opens a dialog in which `draw` asks; it is off for those who may change nothing."""
    may = ops_live.may_change()
    why = None if may else "This is read-only"
    if st.button(label, key=key, disabled=is_off or not may, help=why):
        ops_dialog.ask(label, draw)


def button(form: Form[T], key: str, *, is_off: bool = False) -> None:
    """Draw the button; pressed, it opens the dialog."""
    opens(form.label, key, partial(_ask, form), is_off=is_off)


def agreed(label: str, *, is_off: bool = False) -> tuple[str, bool]:
    """Draw the reason and the button that ends a dialog; return the one, and whether the other was pressed."""
    reason = st.text_input("Reason", key="reason", max_chars=1000, help="It stands in the journal.").strip()
    return reason, st.button(label, key="agree", disabled=is_off)


def _ask(form: Form[T]) -> None:
    values, places = {}, {}
    for name, draw in form.fields.items():
        values[name] = draw()
        places[name] = st.container()
    reason, is_agreed = agreed(form.label)
    try:
        wish = form.read(values)
        told = _done(form, wish, reason) if is_agreed else None
    except InvalidArgument as error:
        if is_agreed:
            with places.get(error.name) or st.container():
                ops_states.explain(error)
        return
    if told is not None:
        ops_dialog.settle(told)
    ops_dialog.in_a_terminal(*with_reason(form.words(wish), reason))


def _done(form: Form[T], wish: T, reason: str) -> Told:
    with st.spinner(form.label), ops_live.acting() as operator:
        return form.do(operator, wish, reason)


def read_args(name: str, text: str) -> dict[str, Any]:
    """Return the JSON object that was typed; an empty one for nothing.

    Raises:
        InvalidArgument: it is none.
    """
    return read_object(name, text, '{"to": "a@example.org"}') if text.strip() else {}


def read_tags(text: str) -> tuple[str, ...]:
    """Return the words that were typed with commas or spaces between them."""
    return tuple(text.replace(",", " ").split())
