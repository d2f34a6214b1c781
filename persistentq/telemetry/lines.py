"""How a log record becomes one line, as text or as JSON: whatever it holds, it is never two, and shows no password."""

from __future__ import annotations

import json
import logging
import re
import time
from enum import StrEnum
from functools import lru_cache
from typing import Any

from persistentq.context import find_current_job
from persistentq.text import safe

PASSWORD = re.compile(r"(://[^\s:/@\"']*):[^\s\"']*@")


class LogFormat(StrEnum):
    """How the programs write their log.

    Attributes:
        TEXT: Time, level and a sentence.
        JSON: An object with a time, a level, a sentence, and an event's name and facts.
    """

    TEXT = "text"
    JSON = "json"


def hide_passwords(text: str) -> str:
    """Return `text` with `***` for each password within a URL."""
    # Nearly every text has none, and this is by far the quicker look.
    return PASSWORD.sub(r"\1:***@", text) if "://" in text else text


class TextLine(logging.Formatter):
    r"""`2026-01-31T12:00:00.000Z INFO job 7 mail.send attempt 1 done in 0.003 s`.

    What code says that runs for a job begins with the job: `[job 7 mail.send attempt 1]`. A traceback follows with
    its line breaks written as `\n`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        said = f"{_time(record)} {record.levelname} {_mark(record)}{_message(record)}"
        if trace := _trace(self, record):
            said = f"{said} {trace}"
        return safe(hide_passwords(said))


class JsonLine(logging.Formatter):
    """An object per line, in ASCII: `time`, `level`, `logger` and `message`; an event's `event` and its facts.

    What code says that runs for a job has its `job`, `task` and `attempt`. An error's traceback is in `traceback`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if (event := getattr(record, "event", None)) is not None:
            line |= {"event": event, **getattr(record, "facts", {})}
        elif (context := find_current_job()) is not None:
            job = context.job
            line |= {"job": job.id, "task": job.task, "attempt": job.attempt}
        if trace := _trace(self, record):
            line["traceback"] = trace
        shown = {
            name: hide_passwords(value) if isinstance(value, str) else value for name, value in line.items()
        }
        return _encode(shown)


# Made once: `json.dumps` makes one for each call that says anything about how.
_encode = json.JSONEncoder(default=str).encode


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@lru_cache(maxsize=1)
def _second(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        # Arguments that do not fit; logging itself would print a traceback of many lines instead.
        return f"{record.msg} {record.args}"


def _mark(record: logging.LogRecord) -> str:
    if hasattr(record, "event") or (context := find_current_job()) is None:
        return ""
    job = context.job
    return f"[job {job.id} {job.task} attempt {job.attempt}] "


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [
        formatter.formatException(record.exc_info) if record.exc_info else record.exc_text,
        formatter.formatStack(record.stack_info) if record.stack_info else None,
    ]
    return "\n".join(filter(None, parts))
