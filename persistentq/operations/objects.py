"""JSON objects as people type them."""

from __future__ import annotations

import json
from typing import Any

from persistentq.errors import InvalidArgument


def read_object(name: str, text: str, example: str = '{"kind": "long"}') -> dict[str, Any]:
    """Return the JSON object that `text` is.

    Args:
        name: What it is called if it is none.
        example: What one looks like, for the error.

    Raises:
        InvalidArgument: it is none.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(name, text, f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgument(name, text, f"is not a JSON object such as {example}")
    return value
