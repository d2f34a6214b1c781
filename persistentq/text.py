"""Text that came from a job, made fit for a terminal, a table or a page."""

from __future__ import annotations

from datetime import timedelta

from persistentq.job import JobStatus


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
