"""What a running task tells of itself, as it is kept with its job: log lines and progress, both bounded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from persistentq.errors import InvalidArgument

MAX_LINES = 1_000
MAX_BYTES = 128 * 1024
MAX_LINE_CHARS = 2_000
MAX_NOTE_CHARS = 200


class Progress(NamedTuple):
    """How far a task has come.

    Attributes:
        fraction: 0.0 to 1.0.
        note: What it is at, in one line; empty if it does not say.
    """

    fraction: float
    note: str = ""


class LogLine(NamedTuple):
    """One line that a task has logged.

    Attributes:
        attempt: Of which attempt.
        at: When it was written, by the database's clock.
        text: At most 2,000 characters.
    """

    attempt: int
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class JobLog:
    """What a job's tasks have told.

    Attributes:
        lines: Of all its attempts, oldest first: the last 1,000, or fewer if they have more than 128 KiB of UTF-8.
        dropped: How many older lines are kept no more.
        progress: The latest; None if none was told.
    """

    lines: tuple[LogLine, ...] = ()
    dropped: int = 0
    progress: Progress | None = None


def to_lines(text: object) -> list[str]:
    """Return a logged text as the lines that are kept; never raises. A text of several lines is as many."""
    # Both databases must be able to store it: no NUL, no lone surrogate.
    clean = str(text).replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    lines = (
        line if len(line) <= MAX_LINE_CHARS else f"{line[: MAX_LINE_CHARS - 1]}…"
        for line in clean.split("\n")
    )
    return list(lines)[-MAX_LINES:]


def check_progress(fraction: object, note: object = "") -> Progress:
    """Return a progress that can be stored.

    Raises:
        InvalidArgument: the fraction is not a number from 0 to 1.
    """
    if not isinstance(fraction, int | float) or not (math.isfinite(fraction) and 0 <= fraction <= 1):
        raise InvalidArgument("fraction", fraction, "is not a number from 0.0 to 1.0")
    return Progress(float(fraction), " ".join(to_lines(note))[:MAX_NOTE_CHARS])
