"""The line that is being typed, with its cursor, and below it what may follow or where it is wrong."""

from __future__ import annotations

from prompt_toolkit.utils import get_cwidth

from persistentq.operations import safe

from .asking import Prompt
from .cells import Line, fit, flow, plain
from .keys import hints
from .snapshot import Place
from .state import State


def prompt_lines(state: State, prompt: Prompt) -> list[Line]:
    """Return both lines."""
    text = safe(prompt.text)
    # What is left of the screen is what was typed first.
    skipped = max(0, get_cwidth(text[: prompt.at]) - state.columns + 4)
    before, under, behind = (
        text[skipped : prompt.at],
        text[prompt.at : prompt.at + 1] or " ",
        text[prompt.at + 1 :],
    )
    line: Line = [("class:title", prompt.sign), ("", before), ("class:chosen", under), ("", behind)]
    if prompt.problem:
        return [line, _caret(prompt, skipped)]
    if prompt.offers:
        return [line, fit_offers(prompt, state.columns)]
    keys: list[Line] = [[("class:key", key), ("", f" {hint}  ")] for key, hint in hints(Place.PROMPT)]
    return [line, flow(keys, state.columns)[0]]


def _caret(prompt: Prompt, skipped: int) -> Line:
    """Return what points at the place that is wrong."""
    if prompt.wrong_at is None:
        return []
    return plain(
        " " * (1 + get_cwidth(safe(prompt.text)[skipped : prompt.wrong_at])) + "^ here", "class:error"
    )


def fit_offers(prompt: Prompt, width: int) -> Line:
    """Return the offers in one line, the one that stands in the typed line first of those that are seen."""
    first = prompt.offered or 0
    line: Line = []
    for number, (word, does) in enumerate(prompt.offers[first:], first):
        shown = safe(word).rpartition(" ")[2]
        style = "class:chosen" if number == prompt.offered else "class:key"
        line += [(style, shown), ("class:dim", f" {safe(does, 40)}  " if does else "  ")]
    used = 0
    seen: Line = []
    for style, text, *_ in line:
        if used >= width:
            break
        room = min(width - used, get_cwidth(text))
        seen.append((style, fit(text, room)))
        used += room
    return seen
