"""The fields that a query may ask for: what each means, which comparisons it has, and how its values are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import partial

from persistentq.checks import MAX_ID
from persistentq.errors import InvalidArgument
from persistentq.job import LONGEST_DELAY, JobStatus
from persistentq.query.nodes import Comparison, Value

ONLY_IS = (Comparison.IS,)
EVERY = tuple(Comparison)
ORDERED = tuple(one for one in Comparison if one is not Comparison.IS)
_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}
_SPAN = re.compile(r"(?:\d+(?:w|d|h|ms|us|m|s))+")
_PART = re.compile(r"(\d+)(w|d|h|ms|us|m|s)")
LONGEST_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a job.

    Attributes:
        help: What it is, for the help of the language.
        comparisons: Which it has.
        read: Makes a value of a text; raises InvalidArgument.
        example: A term with it.
    """

    help: str
    comparisons: tuple[Comparison, ...]
    read: Callable[[str], Value]
    example: str


def _text(text: str) -> str:
    if not 1 <= len(text) <= LONGEST_TEXT or "\0" in text:
        raise InvalidArgument("", text, f"is not a text of 1 to {LONGEST_TEXT:,} characters without NUL")
    return text


def _status(text: str) -> str:
    if text not in set(JobStatus):
        close = get_close_matches(text, list(JobStatus), 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise InvalidArgument("", text, f"is not one of {', '.join(JobStatus)}{meant}")
    return text


def _number(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"-?\d{1,19}", text) or not low <= int(text) <= high:
        raise InvalidArgument("", text, f"is not a whole number from {low:,} to {high:,}")
    return int(text)


def _span(text: str) -> timedelta:
    problem = "is not a span such as 90s, 10m, 1h30m, 2d or 1w, of at most a hundred years"
    if not _SPAN.fullmatch(text):
        raise InvalidArgument("", text, problem)
    try:
        span = sum((int(number) * _UNITS[unit] for number, unit in _PART.findall(text)), timedelta(0))
    except OverflowError:
        raise InvalidArgument("", text, problem) from None
    if span > LONGEST_DELAY:
        raise InvalidArgument("", text, problem)
    return span


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        problem = "is not a time such as 2026-11-24 or 2026-11-24T18:30:00+01:00 (UTC if no zone is said)"
        raise InvalidArgument("", text, problem) from None
    if not 1970 <= moment.year <= 9000:
        raise InvalidArgument("", text, "is not in the years 1970 to 9000")
    return moment


FIELDS: dict[str, Field] = {
    "id": Field("the job's number", EVERY, partial(_number, low=1, high=MAX_ID), "id>=1000"),
    "status": Field("where the job stands", ONLY_IS, _status, "status:failed"),
    "queue": Field("the queue; * stands for anything", ONLY_IS, _text, "queue:mail*"),
    "task": Field("the task; * stands for anything", ONLY_IS, _text, "task:mail.*"),
    "consumer": Field(
        "who holds the job, held it last or has it reserved; * stands for anything",
        ONLY_IS,
        _text,
        "consumer:consumer_01",
    ),
    "tag": Field("one of the job's tags", ONLY_IS, _text, "tag:vip"),
    "key": Field("the unique key; * stands for anything", ONLY_IS, _text, "key:order-*"),
    "error": Field(
        "contained in the latest error; A to Z in either case", ONLY_IS, _text, 'error:"timed out"'
    ),
    "priority": Field("the priority", EVERY, partial(_number, low=-1_000_000, high=1_000_000), "priority>0"),
    "attempts": Field(
        "how often the job was claimed", EVERY, partial(_number, low=0, high=2**31 - 1), "attempts>=3"
    ),
    "age": Field("the time since it was enqueued", ORDERED, _span, "age>10m"),
    "created": Field("when it was enqueued", ORDERED, _time, "created>=2026-11-24"),
    "run": Field("when it became or becomes ready", ORDERED, _time, "run<2026-11-25T06:00"),
    "started": Field("when its latest attempt began", ORDERED, _time, "started>=2026-11-24"),
    "finished": Field("when it became done, failed or cancelled", ORDERED, _time, "finished<2026-11-01"),
}
PATHS: dict[str, Field] = {
    "args": Field("an argument, by its path; * stands for anything", ONLY_IS, _text, "args.to:a@example.org"),
    "meta": Field("a value of the metadata, by its path", ONLY_IS, _text, "meta.source:import"),
}
_PATH = re.compile(r"(?:args|meta)(?:\.[A-Za-z0-9_-]{1,100}){1,10}")


def find_field(name: str) -> Field:
    """Return the field of this name.

    Raises:
        InvalidArgument: there is none; the nearest is suggested.
    """
    known = FIELDS.get(name)
    if known is not None:
        return known
    if _PATH.fullmatch(name):
        return PATHS[name.partition(".")[0]]
    names = [*FIELDS, *(f"{path}.NAME" for path in PATHS)]
    root, dot, path = name.partition(".")
    close = get_close_matches(root, PATHS if dot else [*FIELDS, *PATHS], 1)
    nearest = f"{close[0]}.{path or 'NAME'}" if close and close[0] in PATHS else "".join(close)
    meant = f"; did you mean {nearest!r}?" if close else ""
    raise InvalidArgument("field", name, f"is not one of {', '.join(names)}{meant}")


def write(value: Value) -> str:
    """Return a value as the language writes it, without quotes."""
    match value:
        case timedelta():
            return _write_span(value)
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


def _write_span(span: timedelta) -> str:
    left, parts = span, []
    for unit, length in _UNITS.items():
        number, left = divmod(left, length)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
