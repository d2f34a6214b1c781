"""Text measured in terminal cells: a wide character takes two, a combining one none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.mouse_events import MouseEvent
from prompt_toolkit.utils import get_cwidth

from .state import Move

Line = StyleAndTextTuples
"""One line of the screen: pieces of text, each with its style and perhaps what a click on it does."""

Click = Callable[[Move | None, Callable[[int], Move] | None], Callable[[MouseEvent], object]]
"""Makes the handler that a piece of text carries: of what a click on it does, and what one step of the wheel does."""


def plain(text: str, style: str = "") -> Line:
    """Return a line of one piece."""
    return [(style, text)]


def fit(text: str, width: int, *, is_number: bool = False) -> str:
    """Return `text` in exactly `width` cells: cut with `…`, or padded; numbers on the left."""
    if (missing := width - get_cwidth(text)) < 0:
        text = text[: _count_fitting(text, width - 1)] + "…" if width > 0 else ""
        missing = width - get_cwidth(text)
    return " " * missing + text if is_number else text + " " * missing


def wrap(text: str, width: int) -> list[str]:
    """Return `text` in lines of at most `width` cells (2 or more), broken at spaces that are late enough."""
    lines = []
    while (end := _count_fitting(text, width)) < len(text):
        space = text.rfind(" ", end // 2, end + 1)
        end = space if space > 0 else end
        lines.append(text[:end])
        text = text[end:].lstrip(" ")
    return [*lines, text]


def pad(line: Line, width: int, style: str = "") -> Line:
    """Return `line` in exactly `width` cells, filled up in `style`."""
    padded: Line = []
    for piece in line:
        text = piece[1] if get_cwidth(piece[1]) <= width else fit(piece[1], width)
        padded.append((piece[0], text, *piece[2:]))
        width -= get_cwidth(text)
    return [*padded, (style, " " * width)]


def flow(pieces: Iterable[Line], width: int) -> list[Line]:
    """Return the pieces in as many lines of at most `width` cells as they need, each piece whole."""
    lines: list[Line] = [[]]
    room = width
    for piece in pieces:
        needed = sum(get_cwidth(part[1]) for part in piece)
        if needed > room and lines[-1]:
            lines.append([])
            room = width
        lines[-1].extend(piece)
        room -= needed
    return lines


def _count_fitting(text: str, width: int) -> int:
    """Return how many characters of `text` fit into `width` cells, at least one."""
    for index, char in enumerate(text):
        width -= get_cwidth(char)
        if width < 0:
            return max(index, 1)
    return len(text)
