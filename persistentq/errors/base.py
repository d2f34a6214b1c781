"""The root of the tree, and what is wrong with what a caller gave."""

from __future__ import annotations

from typing import ClassVar


def shown(value: object, longest: int) -> str:
    """Return `value` as a message may show it: its repr, cut to `longest` characters; never raises."""
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


class PersistentQError(Exception):
    """The root: catch this to catch everything the library raises on purpose.

    Attributes:
        exit_code: What a command line returns for it (1 failed, 2 usage or refused, 4 database, 5 not found, 75 taken).
    """

    exit_code: ClassVar[int] = 1

    @property
    def summary(self) -> str:
        """Subject and values in one line, without the remedy."""
        return " ".join(str(argument) for argument in self.args) or type(self).__name__

    @property
    def hint(self) -> str:
        """The remedy in one line; empty if there is none."""
        return ""

    def __str__(self) -> str:
        return f"{self.summary}; {self.hint}" if self.hint else self.summary


class InvalidArgument(PersistentQError, ValueError):
    """An argument was refused before anything was written."""

    exit_code = 2

    def __init__(self, name: str, value: object, problem: str) -> None:
        super().__init__(name, value, problem)
        self.name, self.value, self.problem = name, value, problem

    @property
    def summary(self) -> str:
        """Names the argument, the value (shortened) and what is wrong with it."""
        return f"{self.name} {shown(self.value, 80)} {self.problem}"


class PayloadError(InvalidArgument):
    """Arguments or a result that cannot be stored: not JSON, too deep or too large."""


class InvalidQuery(InvalidArgument):
    """A query cannot be read; `at` is the place in it, from 0."""

    def __init__(self, query: str, at: int, problem: str) -> None:
        super().__init__("query", query, problem)
        self.args = (query, at, problem)
        self.at = at

    @property
    def summary(self) -> str:
        """Names the place, what stands there and what is wrong with it."""
        here = self.value[self.at :].split(maxsplit=1)[:1] if isinstance(self.value, str) else []
        place = f"at {shown(here[0], 40)}, character {self.at + 1}," if here else "at its end"
        return f"the query {place} {self.problem}"

    @property
    def hint(self) -> str:
        """What a query looks like."""
        return 'for example: status:failed task:mail.* age>10m -tag:test (queue:a OR error:"timed out")'


class ConfigurationError(PersistentQError):
    """A setting has a value that cannot be used."""

    exit_code = 2

    def __init__(self, key: str, value: str, source: str, problem: str) -> None:
        super().__init__(key, value, source, problem)
        self.key, self.value, self.source, self.problem = key, value, source, problem

    @property
    def summary(self) -> str:
        """Names the setting, its value and where it was read."""
        return f"{self.key}={self.value!r} in {self.source} {self.problem}"

    @property
    def hint(self) -> str:
        """Where the settings are explained."""
        return "see .env.example for every setting with its unit and default"
