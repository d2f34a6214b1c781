"""Text that came from a job, made fit for a terminal, a table or a page."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

from persistentq.job import JobStatus

_ESCAPE = re.compile(r"\\(\\|[tnr]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|)")
_SHORT = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}


def safe(value: object, longest: int | None = None) -> str:
    """Return `value` as one line without control, escape, bidirectional or invisible characters.

    Args:
        value: Anything; None gives an empty text.
        longest: Cut to this many characters, the last being `…`; None for no limit.
    """
    text = "" if value is None else str(value)
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode("ascii")
            for char in text
        )
    if longest is not None and len(text) > longest:
        return text[: longest - 1] + "…"
    return text


def escaped(text: str) -> str:
    """Return `text` as `safe` does, but so that `unescaped` gives it back: a backslash becomes two."""
    return safe(text.replace("\\", "\\\\"))


def unescaped(text: str) -> str:
    """Return what `escaped` was given.

    Raises:
        ValueError: a backslash begins nothing that `escaped` writes.
    """
    return _ESCAPE.sub(_meant, text) if "\\" in text else text


def _meant(found: re.Match[str]) -> str:
    code = found[1]
    if not code:
        raise ValueError(r"has a backslash that begins no escape; a backslash itself is written \\")
    return _SHORT[code] if code in _SHORT else chr(int(code[1:], 16))


def to_json(value: Any, indent: int | None = None) -> str:
    """Return JSON in which readable characters stand as they are and all others are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def counted(number: int, noun: str) -> str:
    """Return how many there are of something: `1 job`, `1,234 jobs`."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def ago(span: timedelta) -> str:
    """Return a span in whole units of the largest that fits: `3s`, `12m`, `5h`, `9d`; a negative one as `in 3s`."""
    seconds = round(abs(span).total_seconds())
    is_future = span < timedelta(0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if seconds >= size:
            # What lies behind is rounded down and what lies ahead up, as people do.
            number = -(-seconds // size) if is_future else seconds // size
            return f"in {number}{unit}" if is_future else f"{number}{unit}"
    return "0s"


GLYPHS = {
    JobStatus.SCHEDULED: "◷",
    JobStatus.PENDING: "○",
    JobStatus.PROCESSING: "▶",
    JobStatus.DONE: "✓",
    JobStatus.FAILED: "✗",
    JobStatus.CANCELLED: "⊘",
}
"""One narrow character per status; always shown with the word, so that colour is never the only sign."""
