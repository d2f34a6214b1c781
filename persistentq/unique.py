"""What a task's `unique=` means: the key that no second unfinished job may have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import blake2b
from string import Formatter
from typing import Any, TypeAlias

from persistentq.errors import InvalidArgument
from persistentq.signature import Signature

UniqueRule: TypeAlias = bool | str | Callable[..., object]
LONGEST_KEY = 255


class Unique:
    """A rule that makes the unique key of a task's job from its arguments.

    Args:
        task: The task's name; the key begins with it, so that tasks do not meet.
        rule: True for all arguments, a format of them such as "{order}", or a function that takes them as the task
            does, by name, and returns what tells them apart.
        signature: What the task takes.

    Raises:
        InvalidArgument: the format names something that the task does not take.
    """

    def __init__(self, task: str, rule: UniqueRule, signature: Signature) -> None:
        self._task, self._rule, self._signature = task, rule, signature
        if isinstance(rule, str):
            _check_format(rule, signature.names)
        elif rule is not True and not callable(rule):
            raise InvalidArgument(
                "unique", rule, "is not True, a format of the arguments or a function of them"
            )

    def key(self, stored: Mapping[str, Any]) -> str:
        """Return the key of a job with these stored arguments."""
        if self._rule is True:
            text = _digest(json.dumps(self._signature.distinct(stored), sort_keys=True))
        elif isinstance(self._rule, str):
            text = self._rule.format_map(self._signature.effective(stored))
        else:
            text = str(self._rule(**self._signature.effective(stored)))  # type: ignore[operator]
        key = f"{self._task}:{text}"
        return key if len(key) <= LONGEST_KEY else f"{self._task}:{_digest(text)}"


def _check_format(rule: str, names: frozenset[str]) -> None:
    try:
        fields = [field for _, field, _, _ in Formatter().parse(rule) if field is not None]
    except ValueError as error:
        raise InvalidArgument("unique", rule, f"is not a format: {error}") from None
    unknown = [field for field in fields if field.split(".")[0].split("[")[0] not in names]
    if unknown or not fields:
        problem = f"names {unknown[0]!r}, which the task does not take" if unknown else "names no argument"
        raise InvalidArgument("unique", rule, problem)


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
