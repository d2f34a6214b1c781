"""What an operator does to the consumers that supervisord keeps, with a note in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from persistentq.errors import SupervisionError
from persistentq.operations.operator import Operator
from persistentq.operations.scale import PROGRAM, Scaled, scale

if TYPE_CHECKING:
    from persistentq.operations.supervised import Program

STEPS: Mapping[str, tuple[str, ...]] = {
    "stop-consumer": ("stopProcess",),
    "start-consumer": ("startProcess",),
    "restart-consumer": ("stopProcess", "startProcess"),
}
"""What supervisord is asked for each verb."""

DRAINS = "What it runs is finished, or given back."
"""What a question says of one that is to be stopped."""

NOT_RUNNING = 70
"""Supervisor's number: what shall be stopped does not run."""


def steer(operator: Operator, conf: Path, verb: str, program: str, *, reason: str = "") -> None:
    """Stop, start or restart one supervised process, and wait until that is done. A stopped one drains first.

    Args:
        conf: supervisord's configuration file.
        verb: stop-consumer, start-consumer or restart-consumer.
        program: `group:process`, as supervisord calls it.

    Raises:
        ReadOnlyMode: nothing may be changed from here.
        SupervisionError: no supervisord answers, or it refuses.
    """
    from persistentq.operations.supervised import Supervised

    operator.may(verb)
    supervised = Supervised(conf)
    for method in STEPS[verb]:
        try:
            supervised.call(method, program, True)
        except SupervisionError as error:
            if verb != "restart-consumer" or error.fault != NOT_RUNNING:
                raise
    operator.write_journal(verb, {"program": program}, reason=reason)


def find_program(conf: Path, name: str) -> Program:
    """Return the supervised process that a person means: `consumer:consumer_00`, or `consumer_00` for short.

    Raises:
        SupervisionError: no supervisord answers, or it keeps no process, or several, of this name; then it names all.
    """
    from persistentq.operations.supervised import Supervised

    programs = Supervised(conf).programs()
    found = [one for one in programs if name in {one.name, one.name.partition(":")[2]}]
    if len(found) != 1:
        number = "several processes" if found else "no process"
        known = ", ".join(sorted(one.name for one in programs))
        raise SupervisionError(f"supervisord keeps {number} {name!r}", f"it keeps {known or 'none at all'}")
    return found[0]


def scale_consumers(
    operator: Operator, conf: Path, number: int, *, program: str = PROGRAM, reason: str = ""
) -> Scaled:
    """Let so many consumers run, and note it; see `scale.scale`, which it raises as.

    Raises:
        ReadOnlyMode: nothing may be changed from here.
    """
    operator.may("scale")
    scaled = scale(conf, number, program=program)
    operator.write_journal("scale", {"number": number, **asdict(scaled)}, reason=reason)
    return scaled
