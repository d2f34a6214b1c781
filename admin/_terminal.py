"""Talking to the person at the terminal: hints, warnings and questions, all on standard error."""

from __future__ import annotations

import sys

from persistentq import PersistentQError
from persistentq.command_line import Refused
from persistentq.operations import safe

_COUNT_IS_TYPED_ABOVE = 100


def error_record(error: PersistentQError) -> dict[str, str | int]:
    """Return an error as the JSON outputs show it."""
    return {"error": error.summary, "code": error.exit_code, "hint": error.hint}


def say(text: str) -> None:
    """Write one line that is not data; whatever stands in it cannot steer the terminal."""
    sys.stderr.write(f"{safe(text)}\n")


def hint(text: str) -> None:
    """Say what to do or know next."""
    say(f"hint: {text}")


def confirmed(question: str, *, yes: bool, count: int = 1) -> bool:
    """Return whether the operator agrees, asking on the terminal unless `yes`; the default answer is no.

    Above a hundred, the count itself must be typed, so that no habit of the fingers answers.

    Raises:
        Refused: there is no terminal to ask on.
    """
    if yes:
        return True
    if not _can_ask():
        raise Refused(f"there is no terminal to ask on: {question}", "add --yes to go on without being asked")
    if count > _COUNT_IS_TYPED_ABOVE:
        return _answer(f"{question} Type the number to go on:").replace(",", "") == str(count)
    return _answer(f"{question} [y/N]").lower() in {"y", "yes"}


def may_talk(output: str) -> bool:
    """Return whether plain words may stand on standard error: not where a program will read it as JSON."""
    return output != "json" or _can_ask()


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _answer(question: str) -> str:
    sys.stderr.write(f"{question} ")
    sys.stderr.flush()
    line = ""
    try:
        line = sys.stdin.readline()
    finally:
        # After Ctrl-C or Ctrl-D the cursor still stands behind the question.
        if not line.endswith("\n"):
            say("")
    return line.strip()
