"""Spans and times as people type them."""

from __future__ import annotations

from datetime import datetime, timedelta

from persistentq import clock
from persistentq.errors import InvalidArgument
from persistentq.query.fields import FIELDS


def read_span(name: str, text: str) -> timedelta:
    """Return the span that `text` is, such as 90s or 1h30m.

    Args:
        name: What it is called if it is none.

    Raises:
        InvalidArgument: it is none.
    """
    span = _read("age", name, text)
    if not isinstance(span, timedelta):
        raise TypeError(f"an age is read as {span!r}")
    return span


def read_time(name: str, text: str) -> datetime:
    """Return the time that `text` is, in UTC if it does not say its zone.

    Args:
        name: What it is called if it is none.

    Raises:
        InvalidArgument: it is none.
    """
    moment = _read("run", name, text)
    if not isinstance(moment, datetime):
        raise TypeError(f"a time is read as {moment!r}")
    return moment


def read_when(name: str, text: str) -> datetime:
    """Return the time that `text` is, or so long from now as it says.

    Args:
        name: What it is called if it is neither.

    Raises:
        InvalidArgument: it is neither.
    """
    try:
        return clock.now() + read_span(name, text)
    except InvalidArgument:
        return read_time(name, text)


def _read(field: str, name: str, text: str) -> object:
    try:
        return FIELDS[field].read(text)
    except InvalidArgument as error:
        raise InvalidArgument(name, text, error.problem) from None
