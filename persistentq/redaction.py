"""What of a job is not for every eye: values whose keys look like secrets, however deep they lie."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cached_property
from typing import Any

from persistentq.job import Job

REDACTED = "[redacted]"
SECRETS = (
    *("password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "api-key"),
    *("authorization", "cookie", "credential", "private_key", "access_key"),
)
"""What stands in a key whose value is a secret, where the settings do not say."""


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

    def job(self, job: Job) -> Job:
        """Return a job as it may be seen: its arguments, its metadata and its result without secrets."""
        return replace(
            job, args=self.shown(job.args), metadata=self.shown(job.metadata), result=self.shown(job.result)
        )

    def jobs(self, jobs: Iterable[Job]) -> list[Job]:
        """Return jobs as they may be seen."""
        return [self.job(one) for one in jobs]
