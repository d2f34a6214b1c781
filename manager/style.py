"""Colours. Whatever they say is said by a word or a sign too, and with NO_COLOR only bold and reverse remain."""

from __future__ import annotations

from prompt_toolkit.styles import Style

STYLE = Style.from_dict(
    {
        "title": "bold",
        "dim": "ansibrightblack",
        "key": "bold",
        "head": "bold underline",
        "chosen": "reverse",
        "selected": "reverse",
        "live": "ansigreen",
        "stale": "bold reverse ansired",
        "error": "bold ansired",
        "label": "ansibrightblack",
        "status.scheduled": "ansimagenta",
        "status.pending": "",
        "status.processing": "bold ansicyan",
        "status.done": "ansigreen",
        "status.failed": "bold ansired",
        "status.cancelled": "ansibrightblack",
        "alive": "ansigreen",
        "silent": "bold ansired",
        "stopped": "ansibrightblack",
        "frame.border": "ansibrightblack",
        "frame.label": "bold",
        "dialog": "",
        "button": "",
        "button.focused": "bold reverse",
    }
)
