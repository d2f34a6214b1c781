"""An error as it is kept with an attempt: type, one line, traceback, each capped."""

from __future__ import annotations

from traceback import format_exception
from typing import NamedTuple

MESSAGE_CHARS = 2_000
TRACEBACK_CHARS = 20_000


class Failure(NamedTuple):
    """What is stored of an error; `traceback` is None for one that was given as text."""

    type: str
    message: str
    traceback: str | None


def describe(error: BaseException | Failure | str) -> Failure:
    """Return what is kept of `error`; never raises, whatever the error's own methods do."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, str):
        return Failure("Error", _text(error, MESSAGE_CHARS), None)
    try:
        message = str(error)
        lines = "".join(format_exception(error))
    except Exception as second:
        message, lines = f"(its text cannot be read: {type(second).__name__})", ""
    # The end of a traceback names the failing line; that is the part to keep.
    return Failure(
        _text(type(error).__name__, 200),
        _text(message or type(error).__name__, MESSAGE_CHARS),
        _text(lines[-TRACEBACK_CHARS:], TRACEBACK_CHARS) or None,
    )


def worker_died(consumer: str, attempt: int) -> Failure:
    """Return the reason kept when a lease ran out."""
    return Failure(
        "WorkerDied", f"the worker died: {consumer} did not report back on attempt {attempt}", None
    )


def _text(text: str, longest: int) -> str:
    # Both databases must be able to store it: no NUL, no lone surrogate.
    clean = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"
