"""Write docs/commands/index.md anew from the help of the command line.

python -m scripts.commands
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from admin.admin import PROGRAM, app

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "commands" / "index.md"
WIDTH = 100
HEAD = """# Commands

Every command of `python -m admin.admin`, of which an installed wheel has the same as `persistentq admin`: what its
`--help` says, written here by `make docs`.
"""


def page() -> str:
    """Return the text of the page."""
    blocks = [
        f"## {title}\n\n```\n{text}\n```\n" for title, text in _helps(typer.main.get_command(app), PROGRAM)
    ]
    return "\n".join([HEAD, *blocks])


def _helps(command: Any, name: str, parent: Any = None) -> Iterator[tuple[str, str]]:
    widths = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    with command.make_context(name, [], parent=parent, resilient_parsing=True, **widths) as context:
        title = context.command_path.partition(" admin.admin ")[2] or "All of them"
        yield title, "\n".join(line.rstrip() for line in context.get_help().rstrip().splitlines())
        if isinstance(command, TyperGroup):
            for own, found in command.commands.items():
                yield from _helps(found, own, context)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
