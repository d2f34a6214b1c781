"""The environment and `.env` as one frozen Settings; every setting is listed here once."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from persistentq.checks import check_consumer, check_int, check_span
from persistentq.errors import ConfigurationError, InvalidArgument
from persistentq.job import LONGEST_LEASE
from persistentq.redaction import SECRETS


class Setting(NamedTuple):
    """One key: its default as it would stand in a `.env`, its unit, what it is for, and how its text is read."""

    key: str
    default: str
    unit: str
    help: str
    read: Callable[[str], Any]


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise InvalidArgument("", text, f"is not a whole number from {low:,} to {high:,}") from None
        return check_int("", number, low, high)

    return read


def _span(low: timedelta, high: timedelta) -> Callable[[str], timedelta]:
    bounds = f"is not a number of seconds from {low.total_seconds():g} to {high.total_seconds():g}"

    def read(text: str) -> timedelta:
        try:
            seconds = float(text)
            span = timedelta(seconds=seconds) if math.isfinite(seconds) else None
        except (ValueError, OverflowError):
            span = None
        if span is None or not low <= span <= high:
            raise InvalidArgument("", text, bounds)
        return check_span("", span, low, high)

    return read


def _word(*known: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in known:
            raise InvalidArgument("", text, f"is not one of {', '.join(known)}")
        return text.lower()

    return read


def _flag(text: str) -> bool:
    return _word("0", "1", "false", "true", "no", "yes")(text) in {"1", "true", "yes"}


def _words(text: str) -> tuple[str, ...]:
    if "\0" in text:
        raise InvalidArgument("", text, "holds a NUL character")
    return () if text.lower() == "none" else tuple(filter(None, map(str.strip, text.split(","))))


def _path(text: str) -> Path:
    if "\0" in text:
        raise InvalidArgument("", text, "holds a NUL character")
    return Path(text).expanduser()


SETTINGS: tuple[Setting, ...] = (
    Setting("QUEUE_DB_FILE", "queue.db", "path", "the SQLite file that holds the queue", _path),
    Setting("QUEUE_DB_URL", "", "URL", "a database URL; if set, it is used instead of QUEUE_DB_FILE", str),
    Setting(
        "QUEUE_LOCK_TIMEOUT",
        "10",
        "seconds",
        "how long a call waits for another process to finish writing before it gives up",
        _span(timedelta(0), timedelta(hours=1)),
    ),
    Setting("MAX_ATTEMPTS", "3", "attempts", "after this many attempts a job is failed", _whole(1, 10_000)),
    Setting(
        "TIMEOUT_SECONDS",
        "60",
        "seconds",
        "the lease: how long a silent consumer keeps a job before another may take it",
        _span(timedelta(seconds=1), LONGEST_LEASE),
    ),
    Setting(
        "INTERVAL_TIME",
        "5",
        "seconds",
        "how long the producer waits between two jobs",
        _span(timedelta(0), timedelta(days=1)),
    ),
    Setting(
        "JOB_FILES_DIR",
        "job_files",
        "path",
        "where the producer's files are; consumers touch no other",
        _path,
    ),
    Setting(
        "CONSUMER_ID",
        "",
        "name",
        "a consumer's id; unset for one made of host, process and chance. Supervisor sets it for each consumer",
        check_consumer,
    ),
    Setting(
        "LOG_FORMAT",
        "text",
        "word",
        "how producers and consumers write their log: text or json",
        _word("text", "json"),
    ),
    Setting(
        "LOG_LEVEL",
        "info",
        "word",
        "what is less important is not written: debug, info, warning or error",
        _word("debug", "info", "warning", "error"),
    ),
    Setting(
        "QUEUE_READONLY",
        "0",
        "flag",
        "1 lets the command line, the manager and the dashboard change nothing",
        _flag,
    ),
    Setting(
        "REDACT",
        ",".join(SECRETS),
        "patterns",
        "arguments whose names contain one of these are not shown; * stands for anything; none shows everything",
        _words,
    ),
    Setting(
        "TRASH_DAYS",
        "7",
        "days",
        "how long a job that an operator deleted can be brought back",
        _whole(0, 3_650),
    ),
    Setting(
        "OPS_PASSWORD",
        "",
        "password",
        "if set, the dashboard asks for it, and may listen on other addresses than this machine's own",
        str,
    ),
    Setting(
        "OPS_VIEWER_PASSWORD",
        "",
        "password",
        "who gives this one to the dashboard may look, and change nothing",
        str,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the processes need to know. Paths are absolute.

    Attributes:
        db_file: QUEUE_DB_FILE: the SQLite file, used if `db_url` is None.
        db_url: QUEUE_DB_URL.
        lock_timeout: QUEUE_LOCK_TIMEOUT.
        max_attempts: MAX_ATTEMPTS.
        lease: TIMEOUT_SECONDS.
        interval: INTERVAL_TIME.
        job_files_dir: JOB_FILES_DIR.
        consumer_id: CONSUMER_ID; None for one made anew at each start.
        log_format: LOG_FORMAT.
        log_level: LOG_LEVEL.
        is_readonly: QUEUE_READONLY.
        redacted: REDACT.
        trash: TRASH_DAYS.
        ops_password: OPS_PASSWORD.
        ops_viewer_password: OPS_VIEWER_PASSWORD.
        env_file: The `.env` that was read, or None.
    """

    db_file: Path
    db_url: str | None
    lock_timeout: timedelta
    max_attempts: int
    lease: timedelta
    interval: timedelta
    job_files_dir: Path
    consumer_id: str | None
    log_format: str
    log_level: str
    is_readonly: bool
    redacted: tuple[str, ...]
    trash: timedelta
    ops_password: str | None = field(repr=False)
    ops_viewer_password: str | None = field(repr=False)
    env_file: Path | None


def load_settings(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Read the settings: the environment, then the nearest `.env` upwards from `directory`, then the defaults.

    A relative path is taken from the folder of the `.env` that set it, else from `directory`. An empty value is
    the same as none.

    Args:
        environ: None for this process's environment.
        directory: None for the current directory.

    Raises:
        ConfigurationError: a value cannot be used, or the `.env` cannot be read.
    """
    source = _Source(os.environ if environ is None else environ, (directory or Path.cwd()).absolute())
    return Settings(
        db_file=source.path("QUEUE_DB_FILE"),
        db_url=source.value("QUEUE_DB_URL"),
        lock_timeout=source.value("QUEUE_LOCK_TIMEOUT"),
        max_attempts=source.value("MAX_ATTEMPTS"),
        lease=source.value("TIMEOUT_SECONDS"),
        interval=source.value("INTERVAL_TIME"),
        job_files_dir=source.path("JOB_FILES_DIR"),
        consumer_id=source.value("CONSUMER_ID"),
        log_format=source.value("LOG_FORMAT"),
        log_level=source.value("LOG_LEVEL"),
        is_readonly=source.value("QUEUE_READONLY"),
        redacted=source.value("REDACT"),
        trash=timedelta(days=source.value("TRASH_DAYS")),
        ops_password=source.value("OPS_PASSWORD"),
        ops_viewer_password=source.value("OPS_VIEWER_PASSWORD"),
        env_file=source.env_file,
    )


class _Source:
    """Where values come from, in order of precedence, and the folder each place's relative paths start from."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self._environ, self._directory = environ, directory
        self._known = {setting.key: setting for setting in SETTINGS}
        folders = (directory, *directory.parents)
        self.env_file = next((folder / ".env" for folder in folders if (folder / ".env").is_file()), None)
        self._file = _read_env(self.env_file) if self.env_file else {}

    def value(self, key: str) -> Any:
        text, where, _ = self._find(key)
        if text == "":
            return None
        try:
            return self._known[key].read(text)
        except InvalidArgument as error:
            raise ConfigurationError(key, text, where, error.problem) from None

    def path(self, key: str) -> Path:
        path, (_, _, base) = self.value(key), self._find(key)
        return Path(os.path.abspath(base / path))  # noqa: PTH100 - resolve() would follow a link to the file

    def _find(self, key: str) -> tuple[str, str, Path]:
        if text := self._environ.get(key, "").strip():
            return text, "the environment", self._directory
        if self.env_file and (text := (self._file.get(key) or "").strip()):
            return text, str(self.env_file), self.env_file.parent
        return self._known[key].default, "the defaults", self._directory


def _read_env(path: Path) -> Mapping[str, str | None]:
    from dotenv import dotenv_values

    try:
        return dotenv_values(path, interpolate=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigurationError(".env", str(path), str(path.parent), f"cannot be read: {error}") from error
