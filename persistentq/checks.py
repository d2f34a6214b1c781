"""What a name, a number, a time or a span may be: one rule each, checked before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from persistentq.errors import InvalidArgument

_QUEUE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TASK = re.compile(r"[^\s\x00-\x1f\x7f\ud800-\udfff]{1,200}")
_TAG = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_SCHEDULE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_CONSUMER = re.compile(r"[A-Za-z0-9_.:@-]{1,128}")
MAX_ID = 2**63 - 1
MAX_LIMIT = 1000
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_queue(name: object) -> str:
    """Return `name` if it can name a queue, else raise InvalidArgument."""
    return _matched("queue", name, _QUEUE, "is not 1 to 64 of A-Z a-z 0-9 _ . -")


def check_task(name: object) -> str:
    """Return `name` if it can name a task, else raise InvalidArgument."""
    return _matched("task", name, _TASK, "is not 1 to 200 printable characters without spaces")


def check_consumer(name: object) -> str:
    """Return `name` if it can name a consumer, else raise InvalidArgument."""
    return _matched("consumer", name, _CONSUMER, "is not 1 to 128 of A-Z a-z 0-9 _ . : @ -")


def check_tag(name: object) -> str:
    """Return `name` if it can be a tag, else raise InvalidArgument."""
    return _matched("tag", name, _TAG, "is not 1 to 64 of A-Z a-z 0-9 _ . : -")


def check_schedule(name: object) -> str:
    """Return `name` if it can name a schedule, else raise InvalidArgument."""
    return _matched("schedule", name, _SCHEDULE, "is not 1 to 100 of A-Z a-z 0-9 _ . : -")


def check_int(name: str, value: object, low: int, high: int) -> int:
    """Return `value` if it is an int in low..high, else raise InvalidArgument."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidArgument(name, value, f"is not a whole number from {low:,} to {high:,}")
    return value


def check_id(value: object) -> int:
    """Return `value` if it can be a job's id, else raise InvalidArgument."""
    return check_int("job id", value, 1, MAX_ID)


def check_limit(value: object) -> int:
    """Return `value` if it can bound one call, else raise InvalidArgument."""
    return check_int("limit", value, 1, MAX_LIMIT)


def check_text(name: str, value: object, longest: int) -> str:
    """Return `value` if it is storable text of 1 to `longest` characters, else raise InvalidArgument."""
    if not isinstance(value, str) or not 1 <= len(value) <= longest or "\0" in value:
        raise InvalidArgument(name, value, f"is not text of 1 to {longest} characters without NUL")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidArgument(name, value, "holds a lone surrogate, which is not valid UTF-8") from None
    return value


def check_report(  # noqa: PLR0913, PLR0917 - as a consumer says it
    consumer: object,
    host: object,
    pid: object,
    queues: Iterable[object],
    life: object,
    trouble: object,
    tasks: Iterable[object] | None,
) -> None:
    """Raise InvalidArgument if a consumer cannot say this of itself; see `PersistentQInterface.heartbeat`."""
    check_consumer(consumer), check_text("host", host, 255), check_int("pid", pid, 0, 2**31 - 1)
    for name in queues:
        check_queue(name)
    for name in tasks or ():
        check_task(name)
    if life != "":
        check_text("life", life, 128)
    check_trouble(trouble)


def check_trouble(value: object) -> None:
    """Raise InvalidArgument if this cannot be what is wrong with a consumer; None is nothing."""
    if value is not None:
        check_text("trouble", value, 500)


def check_time(name: str, value: object) -> datetime:
    """Return `value` if it is an aware datetime of the years 1970 to 9998, else raise InvalidArgument."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidArgument(name, value, "is not an aware datetime; give it a time zone, for example UTC")
    if not _EPOCH <= value < _LATEST:
        raise InvalidArgument(name, value, "is not within the years 1970 to 9998")
    return value


def check_span(name: str, value: object, low: timedelta, high: timedelta) -> timedelta:
    """Return `value` if it is a timedelta in low..high, else raise InvalidArgument."""
    if not isinstance(value, timedelta) or not low <= value <= high:
        raise InvalidArgument(name, value, f"is not a timedelta from {low} to {high}")
    return value


def _matched(what: str, name: object, pattern: re.Pattern[str], problem: str) -> str:
    if not isinstance(name, str) or not _fits(pattern, name):
        raise InvalidArgument(what, name, problem)
    return name


@lru_cache(maxsize=1024)
def _fits(pattern: re.Pattern[str], name: str) -> bool:
    return pattern.fullmatch(name) is not None
