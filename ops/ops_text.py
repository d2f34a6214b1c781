"""Text that came from outside, made fit for a web page: nothing in it may become markup, a link or a request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from persistentq.job import Count, JobStatus
from persistentq.operations import GLYPHS, safe

LONGEST_BLOCK = 20_000
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_LINKED = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)
APART = "\u2060"
"""Takes no room and joins words. Streamlit makes links of addresses, escaped or not, unless something is in them."""


def plain(value: object) -> str:
    """Return `value` for a place where Streamlit expects Markdown, so that it shows as it is."""
    return _PUNCTUATION.sub(r"\\\1", _LINKED.sub(APART, safe(value)))


def block(text: str) -> str:
    """Return a text of many lines for `st.code`: no invisible characters, and cut after LONGEST_BLOCK of them."""
    shown = text[:LONGEST_BLOCK].replace("\r\n", "\n").expandtabs()
    lines = "\n".join(safe(line) for line in shown.split("\n")).rstrip()
    left_out = len(text) - LONGEST_BLOCK
    return f"{lines}\n… {left_out:,} more characters" if left_out > 0 else lines


def as_json(value: Any, indent: int | None = 2) -> str:
    """Return `value` as JSON, on many lines or, with None, on one."""
    return json.dumps(value, indent=indent, ensure_ascii=False)


def status_word(status: JobStatus) -> str:
    """Return glyph and word."""
    return f"{GLYPHS[status]} {status}"


def number_text(count: Count) -> str:
    """Return a count; one that was broken off has a plus."""
    return f"{count.number:,}{'+' if count.is_capped else ''}"


def moment(at: datetime) -> str:
    """Return a time of day."""
    return f"{at:%H:%M:%S} UTC"


def moment_and_day(at: datetime | None) -> str:
    """Return a point in time; `-` for None."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "-"


def took(start: datetime | None, end: datetime | None) -> str:
    """Return how long something took, to the digit that matters; `-` if it has not begun or not ended."""
    return "-" if start is None or end is None else span(end - start)


def span(length: timedelta) -> str:
    """Return a length of time: `12 ms`, `3.4 s`, `5 min 3 s`, `2 h`, `3 d 4 h`."""
    seconds = max(0.0, length.total_seconds())
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = int(seconds)
    for large, size, small, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {large} {rest} {small}" if rest else f"{whole // size} {large}"
    return f"{seconds:.1f}".removesuffix(".0") + " s"


def some(ids: Iterable[int], most: int = 20) -> str:
    """Return ids as a list in words, at most so many of them."""
    known = list(ids)
    more = f" and {len(known) - most:,} more" if len(known) > most else ""
    return ", ".join(str(one) for one in known[:most]) + more
