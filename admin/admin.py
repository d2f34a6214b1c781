"""The command line: which commands there are, and how a call ends."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from persistentq import PersistentQError
from persistentq.command_line import Refused, make_app, run_app
from persistentq.program import print_error

from ._actions import assign_job, cancel, mark_failed, resubmit
from ._completion import answer, asked_line, completion
from ._consumers import consumers, stats
from ._delete import delete_db_jobs, delete_job_files
from ._edits import edit_arguments, reschedule, set_priority
from ._enqueue import enqueue, wait
from ._exporting import export, import_
from ._insight import attention, doctor, errors, why
from ._jobs import list_jobs
from ._journal import journal, undo
from ._logs import logs
from ._migrate import migrate
from ._monitor import monitor_activity
from ._moving import backup, graduate, restore
from ._operator import READONLY
from ._preflight import preflight
from ._queues import pause, queues, resume
from ._render import to_json
from ._scale import scale
from ._schedules import SCHEDULE_COMMANDS
from ._show import show
from ._steering import restart, start, stop
from ._terminal import error_record, say

PROGRAM = "python -m admin.admin" if __package__ == "admin" else "persistentq admin"

app = make_app(
    "Look at the jobs of the queue, and act on them.",
    "Exit codes: 0 done (or nothing found), 1 failed, 2 wrong call or refused, 3 partly done, "
    "4 database missing, locked or of another version, 5 no such job or schedule, 6 new code does not fit, a check of "
    "doctor failed or what was waited for did not come, 130 interrupted.",
)

COMMANDS: tuple[tuple[Callable[..., Any], str], ...] = (
    (list_jobs, "list-jobs --status failed --limit 20"),
    (show, "show 7"),
    (resubmit, "list-jobs --status failed --output ids | {program} resubmit -"),
    (mark_failed, "mark-failed 7 --reason 'the customer is gone'"),
    (cancel, "cancel 7 8 9"),
    (assign_job, "assign-job 7 consumer_00"),
    (reschedule, "reschedule 7 8 --in 10m"),
    (set_priority, "set-priority 7 8 100"),
    (edit_arguments, "edit-arguments 7 --set parts=3 --drop note"),
    (delete_db_jobs, "delete-db-jobs --status done --status cancelled"),
    (delete_job_files, "delete-job-files --directory ."),
    (journal, "journal --limit 50"),
    (undo, "undo 17 --reason 'the wrong queue'"),
    (enqueue, "enqueue mail.send --arg parts=3 --queue mail --in 10m"),
    (wait, "wait 10 --for finished --timeout 5m"),
    (queues, "queues"),
    (pause, "pause mail --for 1h --reason 'the server is down'"),
    (resume, "resume mail"),
    (consumers, "consumers"),
    (stats, "stats --output json"),
    (monitor_activity, "monitor-activity --interval 5"),
    (export, "export failed.jsonl --where status:failed"),
    (import_, "import failed.jsonl --again"),
    (backup, "backup queue.backup"),
    (restore, "restore queue.backup --dry-run"),
    (graduate, "graduate postgresql+psycopg://user:password@host/database"),
    (migrate, "migrate"),
    (preflight, "preflight --app shop:tasks"),
    (scale, "scale 6"),
    (start, "start consumer_00 --yes"),
    (stop, "stop consumer_00 --reason 'its host is worked on'"),
    (restart, "restart consumer_00 --yes"),
    (logs, "logs consumer_00 --lines 50"),
    (why, "why 7"),
    (attention, "attention --window 1h"),
    (errors, "errors --window 1h"),
    (doctor, "doctor --output json"),
    (completion, "completion bash"),
)
_WANTS_JSON = re.compile(r"(^| )(-o|--output)[ =]?jsonl?( |$)")

schedules = make_app("Look at the schedules, which enqueue jobs again and again, and change them.")


@app.callback()
def _allow(
    *, readonly: Annotated[bool, typer.Option("--readonly", help="Refuse every change.")] = False
) -> None:
    READONLY.set(readonly)


def _epilog(example: str) -> str:
    # \b: the lines stand as they are.
    return f"\b\nExample:\n  {PROGRAM} {example.format(program=PROGRAM)}"


for function, example in COMMANDS:
    # `import` itself cannot be the name of a function.
    app.command(function.__name__.rstrip("_").replace("_", "-"), epilog=_epilog(example))(function)
for name, (function, example) in SCHEDULE_COMMANDS.items():
    schedules.command(name, epilog=_epilog(f"schedules {example}"))(function)
app.add_typer(schedules, name="schedules")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's own name; `sys.argv[1:]` if None.

    Returns:
        The exit code, as the help lists them.
    """
    if (line := asked_line()) is not None:
        return answer(app, PROGRAM, line)
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, TextIOWrapper):
        # JSON is UTF-8 by its standard, and the glyphs exist in no smaller encoding.
        sys.stdout.reconfigure(encoding="utf-8")
    # Even if the call cannot be understood, its errors take the form that it asks for.
    as_json = _WANTS_JSON.search(" ".join(arguments)) is not None
    code = run_app(app, PROGRAM, arguments or ["--help"], _tell_json if as_json else print_error)
    return code if arguments else Refused.exit_code


def _tell_json(error: PersistentQError) -> None:
    say(to_json(error_record(error)))


if __name__ == "__main__":
    raise SystemExit(main())
