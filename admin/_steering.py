"""start, stop and restart: one process that supervisord keeps."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from persistentq.command_line import Refused
from persistentq.operations import safe
from persistentq.operations.steering import DRAINS, find_program, steer

from ._completers import consumer_names
from ._operator import operating
from ._options import Report, ReportFormat, Yes
from ._render import SCHEMA, print_json
from ._scale import Configuration
from ._selection import Why
from ._terminal import confirmed, say

ProcessName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The process, such as consumer_00, or consumer:consumer_00 with its group.",
        autocompletion=consumer_names,
        show_default=False,
    ),
]


def _command(word: str, effect: str, note: str = DRAINS) -> Callable[..., int]:
    def command(
        name: ProcessName,
        *,
        configuration: Configuration = None,
        yes: Yes = False,
        reason: Why = "",
        output: Report = "text",
    ) -> int:
        # It speaks HTTP, which few other commands need.
        from persistentq.operations.supervised import find_configuration

        verb = f"{word}-consumer"
        with operating() as operator:
            operator.may(verb)
            conf = configuration or find_configuration()
            program = find_program(conf, name).name
            if not confirmed(f"{word.capitalize()} {safe(program)}? {note}".rstrip(), yes=yes):
                say("nothing was changed")
                return Refused.exit_code
            steer(operator, conf, verb, program, reason=reason)
        _tell(verb, program, output)
        return 0

    command.__name__, command.__doc__ = word, f"{effect} {note}".rstrip()
    return command


def _tell(verb: str, program: str, output: ReportFormat) -> None:
    if output == "json":
        print_json({"schema": SCHEMA, "verb": verb, "program": program})
    else:
        sys.stdout.write(f"{verb} worked for {safe(program)}\n")


start = _command("start", "Start a supervised consumer that does not run, and wait until it does.", "")
stop = _command("stop", "Stop a supervised consumer, and wait until it has.")
restart = _command("restart", "Stop a supervised consumer and start it again.")
