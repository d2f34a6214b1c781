"""JSON in and out of the database: bounded, strict, never pickle."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

from persistentq.errors import PayloadError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64

_PLAIN = frozenset({str, int, float, bool, type(None)})
_TEXT = frozenset({str})
_FEW = 16
"""So few plain values take no bound of their own: their JSON is no more than so many times as long as the longest."""
_DECODER = json.JSONDecoder()
_SCAN: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]
# `_check` bounds the depth, so nothing circular comes to the encoder.
_ENCODE = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode


def encode_args(args: Mapping[str, Any], name: str = "args") -> str:
    """Return a job's arguments, or other JSON values by name, as JSON text.

    Raises:
        PayloadError: not a mapping with string keys, not JSON, NaN or infinity, a NUL or a lone surrogate in a
            string, deeper than 64 levels, or more than 1 MiB of UTF-8.
    """
    if type(args) is dict:
        return _encode(name, args)
    if not isinstance(args, Mapping):
        raise PayloadError(name, args, "is not a mapping of names to values")
    return _encode(name, dict(args))


def copy_args(args: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return the arguments that `text` stores, without decoding it where a plain copy is the same."""
    if _PLAIN.issuperset(map(type, args.values())):
        return dict(args)
    return decode_args(text) or {}


def encode_result(result: object) -> str | None:
    """Return a job's result as JSON text; None stays None.

    Raises:
        PayloadError: as for `encode_args`.
    """
    return None if result is None else _encode("result", result)


def decode_args(text: str | None) -> dict[str, Any] | None:
    """Return the arguments stored in `text`, or None if it does not hold a JSON object."""
    try:
        value = _decode(text or "")
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def decode_result(text: str | None) -> Any:
    """Return the result stored in `text`; None for none or for text that is not JSON."""
    try:
        return None if text is None else _decode(text)
    except (ValueError, RecursionError):
        return None


def _decode(text: str) -> Any:
    """Decode JSON, without looking for white space around it unless there is some: that takes half of the time."""
    try:
        value, end = _SCAN(text, 0)
    except StopIteration:
        value, end = None, -1
    return value if end == len(text) else _DECODER.decode(text)


def _encode(name: str, value: object) -> str:
    try:
        _check(name, value, 1, MAX_BYTES)
        text = _ENCODE(value)
        size = len(text.encode("utf-8"))
    except PayloadError:
        raise
    except UnicodeEncodeError as error:
        raise PayloadError(name, value, "holds a lone surrogate, which is not valid UTF-8") from error
    except Exception as error:  # a caller's subclass of dict or list may raise anything when it is looked at
        raise PayloadError(name, value, f"is not JSON: {error}") from error
    if size > MAX_BYTES:
        raise PayloadError(name, value, f"is {size:,} bytes of JSON, the limit is {MAX_BYTES:,}")
    # JSON escapes a NUL, so that it would pass; PostgreSQL refuses it, and one contract holds for both.
    if "\\u0000" in text and _holds_nul(value):
        raise PayloadError(name, value, "holds a NUL character")
    return text


def _check(name: str, value: object, depth: int, room: int) -> int:
    """Look at the kinds of what `value` holds; return how many bytes are left of what its JSON may take.

    Lists may hold one another many times over, as the aliases of YAML do, and then a few of them are endless JSON: so
    the least that each can take is counted, and nothing is encoded that cannot fit.
    """
    if depth > MAX_DEPTH:
        raise PayloadError(name, "…", f"is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        if not _TEXT.issuperset(map(type, value)):
            _check_keys(name, value)
        if depth == 1 and len(value) <= _FEW and _PLAIN.issuperset(map(type, value.values())):
            return room
        room -= sum(map(len, value))
        items: Collection[object] = value.values()
    elif isinstance(value, list | tuple):
        items = value
    else:
        return room
    # Each takes a letter and what parts it from the next.
    room -= 2 * len(items)
    for item in items:
        if isinstance(item, str):
            room -= len(item)
        elif type(item) not in _PLAIN:
            room = _check(name, item, depth + 1, room)
    if room < 0:
        raise PayloadError(name, "…", f"is more than {MAX_BYTES:,} bytes of JSON, which is the limit")
    return room


def _check_keys(name: str, value: dict[Any, object]) -> None:
    for key in value:
        if not isinstance(key, str):
            # json.dumps would turn 1 into "1" and the handler would get another key than was enqueued.
            raise PayloadError(name, key, "is a key that is not a string")


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for item in value.items() for part in item)
    return isinstance(value, list | tuple) and any(_holds_nul(item) for item in value)
