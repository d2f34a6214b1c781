"""JSON as it is typed, value by value."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from persistentq import InvalidArgument


def read_pairs(name: str, words: Iterable[str]) -> dict[str, Any]:
    """Return the values by name that words such as `to="a@example.org"` and `parts=[1,2]` are.

    Args:
        name: What one is called if it is none.

    Raises:
        InvalidArgument: one is none, or gives a name for the second time.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not key or not equals:
            raise InvalidArgument(name, word, "is not NAME=JSON, such as parts=3")
        if key in found:
            raise InvalidArgument(name, word, f"gives {key} for the second time")
        try:
            found[key] = json.loads(text)
        except ValueError:
            quoted = json.dumps(text, ensure_ascii=False)
            raise InvalidArgument(name, word, f"is not NAME=JSON; as a text it is {key}={quoted}") from None
    return found
