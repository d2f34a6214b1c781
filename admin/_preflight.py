"""preflight: whether new code can run what is stored."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from persistentq import open_queue
from persistentq.app import load_app
from persistentq.job_files import TASK
from persistentq.operations import safe
from persistentq.operations.preflight import Misfit, Preflight
from persistentq.operations.preflight import preflight as check

from ._options import Report
from ._render import SCHEMA, print_json
from ._terminal import hint

MISFITS = 6

App = Annotated[
    str,
    typer.Option(
        "--app", metavar="MODULE[:OBJECT]", help="The module that holds the new tasks.", show_default=False
    ),
]


def preflight(*, app: App, output: Report = "text") -> int:
    """Check that new code can run every unfinished job and every schedule, before it is put to work."""
    tasks = load_app(app)
    with open_queue(create=False) as store:
        # Every consumer brings the demonstration's task along.
        found, location = check(store, tasks, known=[TASK]), store.location
    if output == "json":
        print_json(
            {
                "schema": SCHEMA,
                "jobs": found.jobs,
                "schedules": found.schedules,
                "tasks": len(tasks),
                "items": [_record(misfit) for misfit in found.misfits],
            }
        )
    else:
        sys.stdout.writelines(f"{safe(line)}\n" for line in _lines(found, location))
        if found.misfits:
            hint("keep the old task beside the new one until these are done, or cancel them")
    return MISFITS if found.misfits else 0


def _record(misfit: Misfit) -> dict[str, object]:
    return {
        "task": misfit.task,
        "problem": str(misfit.problem),
        "reason": misfit.reason,
        "jobs": misfit.jobs,
        "job_ids": misfit.job_ids,
        "schedules": misfit.schedules,
    }


def _lines(found: Preflight, location: str) -> Iterator[str]:
    if not found.misfits:
        yield f"all of {found.jobs:,} unfinished jobs and {found.schedules:,} schedules in {location} fit"
        return
    for misfit in found.misfits:
        yield f"{misfit.task}: {_numbers(misfit)}: {misfit.reason}"
    jobs = sum(misfit.jobs for misfit in found.misfits)
    schedules = sum(len(misfit.schedules) for misfit in found.misfits)
    yield (
        f"{jobs:,} of {found.jobs:,} unfinished jobs and {schedules:,} of {found.schedules:,} schedules"
        f" in {location} do not fit"
    )


def _numbers(misfit: Misfit) -> str:
    parts = []
    if misfit.jobs:
        ids = ", ".join(map(str, misfit.job_ids)) + (", …" if misfit.jobs > len(misfit.job_ids) else "")
        parts.append(f"{misfit.jobs:,} job{'s' if misfit.jobs > 1 else ''} ({ids})")
    if misfit.schedules:
        parts.append(f"schedule{'s' if len(misfit.schedules) > 1 else ''} {', '.join(misfit.schedules)}")
    return " and ".join(parts)
