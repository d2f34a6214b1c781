"""scale: more or fewer consumers under the running supervisord."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from persistentq import PersistentQError
from persistentq.operations import safe
from persistentq.operations.scale import MOST, PROGRAM, Scaled
from persistentq.operations.scale import scale as apply

from ._operator import allow, operating
from ._options import Report
from ._render import SCHEMA, print_json
from ._selection import Why
from ._terminal import hint, may_talk, say

FAILED = 1

Number = Annotated[
    int | None,
    typer.Argument(
        metavar="N",
        help=f"How many there shall be, 0 to {MOST}. Without it: what supervisord says of every process.",
        show_default=False,
    ),
]
Which = Annotated[
    str,
    typer.Option("--program", metavar="NAME", help="Which one, as in [program:NAME] of the configuration."),
]
Configuration = Annotated[
    Path | None,
    typer.Option(
        "--configuration",
        "-c",
        metavar="PATH",
        help="supervisord's; by default supervisor/supervisord.conf, else where Supervisor itself looks.",
        show_default=False,
    ),
]


def scale(
    number: Number = None,
    *,
    program: Which = PROGRAM,
    configuration: Configuration = None,
    reason: Why = "",
    output: Report = "text",
) -> int:
    """Let N consumers run under supervisord, also after its next start. Those that stay are not touched.

    Those that are too many finish what they run, or give it back, and stop.
    """
    # It speaks HTTP, which no other command needs.
    from persistentq.operations.supervised import find_configuration

    conf = configuration or find_configuration()
    if number is None:
        return _show(conf, output)
    allow("scale")
    scaled = apply(conf, number, program=program, tell=say if may_talk(output) else lambda _: None)
    if output == "json":
        print_json({"schema": SCHEMA, **asdict(scaled)})
    else:
        sys.stdout.write(f"{safe(_told(scaled, number))}\n")
        for name, why in scaled.failed.items():
            say(f"error: {program}:{name} does not do as it shall: {why}")
    _note(scaled, number, reason, output)
    return FAILED if scaled.failed else 0


def _note(scaled: Scaled, number: int, reason: str, output: str) -> None:
    """Note it in the journal. Consumers can be scaled before there is a queue, and while its database is away."""
    details = {"number": number, **asdict(scaled)}
    try:
        with operating() as operator:
            operator.write_journal("scale", details, reason=reason)
    except PersistentQError as error:
        if may_talk(output):
            say(f"warning: this does not stand in the journal: {error.summary}")


def _told(scaled: Scaled, number: int) -> str:
    parts = [
        f"{word} {', '.join(names)}"
        for word, names in (
            ("all restarted:" if scaled.is_restarted else "added", scaled.added),
            ("removed", scaled.removed),
            ("left alone", scaled.kept),
        )
        if names
    ]
    return f"{scaled.program}: {number}; {'; '.join(parts) or 'nothing to do'}"


def _show(conf: Path, output: str) -> int:
    from persistentq.operations.supervised import Supervised

    programs = Supervised(conf).programs()
    bad = [one for one in programs if one.state in {"FATAL", "BACKOFF", "UNKNOWN"}]
    if output == "json":
        print_json({"schema": SCHEMA, "items": [asdict(one) for one in programs]})
    else:
        width = max((len(one.name) for one in programs), default=0)
        sys.stdout.writelines(
            f"{safe(one.name):<{width}}  {one.state:<8}  {safe(one.why)}\n" for one in programs
        )
        for one in bad:
            hint(f"{one.name} is not running; its log is {one.log}, and `logs {one.name}` shows its end")
    return FAILED if bad else 0
