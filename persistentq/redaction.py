"""What of a job is not for every eye: values whose keys look like secrets, however deep they lie, in texts too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import translate
from functools import cached_property
from typing import Any

from persistentq.job import Attempt, Job
from persistentq.job_log import JobLog
from persistentq.journal import JournalEntry
from persistentq.schedule import Schedule, ScheduleInfo

REDACTED = "[redacted]"
SECRETS = (
    *("password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "api-key"),
    *("authorization", "cookie", "credential", "private_key", "access_key"),
)
"""What stands in a key whose value is a secret, where the settings do not say."""

_KEY = re.compile(
    r"""(?P<name>[\w.-]{1,100}) (?:\\?["'])? [ \t]{0,3} (?: := | => | =(?!=) | :(?![:/]) ) [ \t]{0,3}""",
    re.VERBOSE,
)
"""A key and what stands between it and its value: `key=`, `key: `, `"key": ` and, in quoted JSON, `\\"key\\": `."""

_VALUE = re.compile(
    r"""
    "(?:[^"\\]|\\.)*"? | '(?:[^'\\]|\\.)*'? | \\(?P<quote>["']).*?(?:\\(?P=quote)|\Z) |
    \{[^{}]*\}? | \[[^\[\]]*\]? | (?:(?:basic|bearer|digest|token)[ ]+)?[^\s,;&"'()\[\]{}]+
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
"""A value in quotes or brackets, or up to where a bare one ends. One that does not end is a secret as a whole."""

_IN_URL = re.compile(r"(?<=://)([^\s/:@]*):[^\s/@]+@")


@dataclass(frozen=True)
class Redaction:
    """Which values are kept from view.

    Attributes:
        patterns: A word means every key in which it stands; a pattern with `*` or `?` a whole key. Upper and lower
            case are the same.
    """

    patterns: tuple[str, ...] = SECRETS

    @cached_property
    def _hides(self) -> re.Pattern[str] | None:
        forms = [
            translate(one) if set(one) & set("*?[") else f".*{re.escape(one)}.*"
            for one in self.patterns
            if one
        ]
        return (
            re.compile("|".join(f"(?:{form})" for form in forms), re.IGNORECASE | re.DOTALL)
            if forms
            else None
        )

    def hides(self, key: str) -> bool:
        """Return whether the value of this key is kept from view."""
        return self._hides is not None and self._hides.fullmatch(key) is not None

    def shown(self, value: Any) -> Any:
        """Return JSON values as they may be seen."""
        if isinstance(value, Mapping):
            return {key: REDACTED if self.hides(key) else self.shown(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.shown(one) for one in value]
        return value

    def text(self, text: str) -> str:
        """Return a text as it may be seen: without the value behind each such key, and the passwords in URLs."""
        if self._hides is None:
            return text
        parts, start = [], 0
        for key in _KEY.finditer(text):
            # What stands within a hidden value is hidden with it.
            if key.start() < start or not self.hides(key["name"]):
                continue
            if (value := _VALUE.match(text, key.end())) is not None:
                parts += [text[start : value.start()], REDACTED]
                start = value.end()
        return _IN_URL.sub(rf"\1:{REDACTED}@", "".join([*parts, text[start:]]))

    def _maybe(self, text: str | None) -> str | None:
        return None if text is None else self.text(text)

    def job(self, job: Job) -> Job:
        """Return a job as it may be seen: its arguments, its metadata, its result and its error without secrets."""
        return replace(
            job,
            args=self.shown(job.args),
            metadata=self.shown(job.metadata),
            result=self.shown(job.result),
            error=self._maybe(job.error),
        )

    def attempts(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """Return attempts as they may be seen: their errors and tracebacks without secrets."""
        return [
            replace(one, error=self._maybe(one.error), traceback=self._maybe(one.traceback))
            for one in attempts
        ]

    def log(self, log: JobLog) -> JobLog:
        """Return what a job's tasks have told as it may be seen."""
        progress = log.progress and log.progress._replace(note=self.text(log.progress.note))
        return replace(
            log,
            lines=tuple(line._replace(text=self.text(line.text)) for line in log.lines),
            progress=progress,
        )

    def schedule(self, info: ScheduleInfo) -> ScheduleInfo:
        """Return a schedule as it may be seen, readable or not."""
        values = {one.name: getattr(info.schedule, one.name) for one in fields(Schedule)}
        values["args"] = self.shown(info.schedule.args)
        return replace(info, schedule=Schedule.restored(**values), error=self._maybe(info.error))

    def entry(self, entry: JournalEntry) -> JournalEntry:
        """Return an entry of the journal as it may be seen: texts in its details, its query and its reason."""
        details = {
            key: self.text(one) if isinstance(one, str) else self.shown(one)
            for key, one in entry.details.items()
        }
        return replace(entry, details=details, query=self.text(entry.query), reason=self.text(entry.reason))

    def jobs(self, jobs: Iterable[Job]) -> list[Job]:
        """Return jobs as they may be seen."""
        return [self.job(one) for one in jobs]
