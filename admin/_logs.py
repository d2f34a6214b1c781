"""logs: what a process that supervisord keeps has written, and goes on writing."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from persistentq import load_settings
from persistentq.operations import safe
from persistentq.operations.following import Following
from persistentq.operations.steering import find_program
from persistentq.redaction import Redaction

from ._monitor import idle
from ._scale import Configuration
from ._steering import ProcessName

EVERY_S = 0.25
LINE_BYTES = 1_000
"""So much room is reckoned for each line that is asked for."""

Lines = Annotated[
    int, typer.Option("--lines", "-n", metavar="N", min=1, max=10_000, help="So many, the last.")
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")]


def logs(
    name: ProcessName, *, lines: Lines = 20, follow: Follow = False, configuration: Configuration = None
) -> None:
    """Show the last lines of a supervised consumer's log, without what could steer the terminal."""
    # It speaks HTTP, which few other commands need.
    from persistentq.operations.supervised import Supervised, find_configuration

    conf = configuration or find_configuration()
    program = find_program(conf, name)
    size = lines * LINE_BYTES
    # What a job tells may hold secrets; the queue itself need not be there to see why it is away.
    redaction = Redaction(load_settings().redacted)
    if not follow:
        _print(redaction, Supervised(conf).log_tail(program.name, size)[-lines:])
        return
    with closing(Following(Path(program.log), size)) as log:
        _print(redaction, log.read()[-lines:])
        while True:
            idle(EVERY_S)
            _print(redaction, log.read())


def _print(redaction: Redaction, lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{safe(redaction.text(line))}\n" for line in lines)
    sys.stdout.flush()
