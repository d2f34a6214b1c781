"""What an operator does to the consumers that supervisord keeps, with a note in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from persistentq.errors import SupervisionError
from persistentq.operations.operator import Operator
from persistentq.operations.scale import PROGRAM, Scaled, scale

STEPS: Mapping[str, tuple[str, ...]] = {
    "stop-consumer": ("stopProcess",),
    "start-consumer": ("startProcess",),
    "restart-consumer": ("stopProcess", "startProcess"),
}
"""What supervisord is asked for each verb."""

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
