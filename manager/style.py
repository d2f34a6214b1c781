"""Themes. Whatever colours say is said by a word or a sign too, and with NO_COLOR only bold and reverse remain."""

from __future__ import annotations

from collections.abc import Mapping

from prompt_toolkit.styles import Style

_SHAPES = {
    "title": "bold",
    "key": "bold",
    "head": "bold underline",
    "chosen": "reverse",
    "selected": "reverse",
    "stale": "bold reverse",
    "error": "bold",
    "warn": "bold",
    "silent": "bold",
    "status.processing": "bold",
    "status.failed": "bold",
    "frame.label": "bold",
    "button.focused": "bold reverse",
}
"""What every theme has, and all that the theme without colours has."""

_DARK = {
    "dim": "ansibrightblack",
    "live": "ansigreen",
    "stale": "ansired",
    "error": "ansired",
    "warn": "ansiyellow",
    "label": "ansibrightblack",
    "status.scheduled": "ansimagenta",
    "status.processing": "ansicyan",
    "status.done": "ansigreen",
    "status.failed": "ansired",
    "status.cancelled": "ansibrightblack",
    "alive": "ansigreen",
    "silent": "ansired",
    "stopped": "ansibrightblack",
    "frame.border": "ansibrightblack",
}
_LIGHT = _DARK | {
    "dim": "#555555",
    "label": "#555555",
    "live": "#006000",
    "alive": "#006000",
    "warn": "#7a4b00",
    "status.scheduled": "#7a007a",
    "status.processing": "#005a7a",
    "status.done": "#006000",
    "status.cancelled": "#555555",
    "stopped": "#555555",
}
_CONTRAST = {
    "": "#ffffff bg:#000000",
    "live": "#00ff00",
    "alive": "#00ff00",
    "stale": "#ff8080",
    "error": "#ff8080",
    "silent": "#ff8080",
    "warn": "#ffff00",
    "status.scheduled": "#ff80ff",
    "status.processing": "#00ffff",
    "status.done": "#00ff00",
    "status.failed": "#ff8080",
    "selected": "noreverse #000000 bg:#ffff00",
    "chosen": "noreverse #000000 bg:#ffff00",
    "button.focused": "noreverse #000000 bg:#ffff00",
}
_COLOURS: Mapping[str, Mapping[str, str]] = {
    "dark": _DARK,
    "light": _LIGHT,
    "high-contrast": _CONTRAST,
    "mono": {},
}
THEMES = tuple(_COLOURS)


def make_style(theme: str) -> Style:
    """Return one of THEMES."""
    colours = _COLOURS[theme]
    names = [*dict.fromkeys((*_SHAPES, *_DARK, *colours))]
    return Style.from_dict(
        {name: f"{_SHAPES.get(name, '')} {colours.get(name, '')}".strip() for name in names}
    )
