"""The help: the binding table in words."""

from __future__ import annotations

from itertools import groupby

from .cells import Line, fit, plain, wrap
from .keys import BINDINGS, CONSUMERS, HELP, JOBS, NO_DIALOG, shown

SECTIONS = {"everywhere": NO_DIALOG, "jobs": JOBS, "consumers": CONSUMERS, "help": HELP}
MARGIN = 18


def help_lines(width: int) -> list[Line]:
    """Return a line or more for every key outside the dialogs, which name their own keys."""
    lines: list[Line] = []
    for title, places in SECTIONS.items():
        lines.append(plain(title, "class:title"))
        here = [binding for binding in BINDINGS if min(binding.places, NO_DIALOG) == places]
        for does, same in groupby(here, lambda binding: binding.does):
            keys = " ".join(shown(binding) for binding in same)
            for text in wrap(does, max(2, width - MARGIN)):
                lines.append([("class:key", fit(f"  {keys}", MARGIN)), ("", text)])
                keys = ""
    return lines
