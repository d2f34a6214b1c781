"""The help: the binding table, the commands and the query language in words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from persistentq.query.fields import FIELDS, PATHS

from .cells import Line, fit, plain, wrap
from .commands import COMMANDS
from .keys import BINDINGS, HELP, JOBS, LISTS, NO_DIALOG, VIEWS, shown
from .views import VIEWS as VIEW_TABLE

SECTIONS = {
    "everywhere": NO_DIALOG,
    "all views": VIEWS,
    "jobs": JOBS,
    "other views": LISTS,
    **{view.name: frozenset({place}) for place, view in VIEW_TABLE.items() if place not in JOBS},
    "help": HELP,
}
MARGIN = 18


def sections() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each section of the help: its title, and keys with what they do."""
    for title, places in SECTIONS.items():
        here = [binding for binding in BINDINGS if binding.places & NO_DIALOG == places]
        rows = [
            (" ".join(shown(binding) for binding in same), does)
            for does, same in groupby(here, lambda binding: binding.does)
        ]
        if rows:
            yield title, rows
    yield "commands, behind :", [(f"{name} {one.usage}".rstrip(), one.does) for name, one in COMMANDS.items()]
    yield "queries, behind /", [(field.example, field.help) for field in (*FIELDS.values(), *PATHS.values())]


def help_lines(width: int) -> list[Line]:
    """Return a line or more for every key outside the dialogs, which name their own keys."""
    lines: list[Line] = []
    for title, rows in sections():
        lines.append(plain(title, "class:title"))
        for keys, does in rows:
            margin = MARGIN if len(keys) < MARGIN - 2 else min(len(keys) + 4, width // 2)
            label = fit(f"  {keys}", margin)
            for text in wrap(does, max(2, width - margin)):
                lines.append([("class:key", label), ("", text)])
                label = " " * margin
    return lines


def help_tables() -> str:
    """Return the help as the documentation has it: a table for each section."""
    parts = []
    for title, rows in sections():
        lines = [f"| `{keys.replace('|', chr(92) + '|')}` | {does} |" for keys, does in rows]
        parts.append("\n".join([f"### {title[0].upper()}{title[1:]}", "", "| | |", "| --- | --- |", *lines]))
    return "\n\n".join(parts)
