"""What stands for each sign that is not ASCII where the terminal can show nothing else, cell by cell."""

from __future__ import annotations

import codecs
import locale

from prompt_toolkit.utils import get_cwidth

PAIRS = str.maketrans(
    {
        # The statuses.
        "◷": "@",
        "○": "o",
        "▶": ">",
        "✓": "+",
        "✗": "x",
        "⊘": "/",
        # The lives of consumers, and what is paused.
        "●": "*",
        "◌": ".",
        "‖": "=",
        # Keys and directions.
        "↑": "^",
        "↓": "v",
        "←": "<",
        "→": ">",
        # Between words, and where text is cut.
        "·": "-",
        "…": "~",
        # Borders.
        "│": "|",
        "─": "-",
        "┌": "+",
        "┐": "+",
        "└": "+",
        "┘": "+",
        # Bars, from the lowest.
        **dict(zip("▁▂▃▄▅▆▇█", "._-:=+*#", strict=True)),
    }
)


def in_ascii(text: str) -> str:
    """Return the text in ASCII, in as many cells: our own signs by their pairs, others as question marks."""
    paired = text.translate(PAIRS)
    if paired.isascii():
        return paired
    return "".join(char if char.isascii() else "?" * get_cwidth(char) for char in paired)


def is_ascii_only(encoding: str | None) -> bool:
    """Whether only ASCII can be shown: the terminal's locale or what is written to it has not UTF-8.

    Args:
        encoding: Of what is written to; None if that takes any text.
    """
    # Python writes UTF-8 in the locale C, too; the terminal need not read it.
    return any(codecs.lookup(name).name != "utf-8" for name in (encoding, locale.getencoding()) if name)
