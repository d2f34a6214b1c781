"""The arguments and options that several commands share, each described once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from persistentq import JobStatus

from ._completers import job_ids, queue_names

ListFormat = Literal["table", "tsv", "csv", "json", "jsonl"]
JobFormat = Literal["table", "tsv", "csv", "json", "jsonl", "ids"]
ReportFormat = Literal["text", "json"]

JobId = Annotated[
    str,
    typer.Argument(metavar="JOB", help="The job's id.", autocompletion=job_ids, show_default=False),
]
JobIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="JOB",
        help="Ids of jobs; - reads them from standard input.",
        autocompletion=job_ids,
        show_default=False,
    ),
]
Statuses = Annotated[
    list[JobStatus] | None,
    typer.Option(
        "--status",
        "-s",
        metavar="STATUS",
        help=f"Only jobs with this status ({', '.join(JobStatus)}); may be repeated.",
        show_default=False,
    ),
]
QueueName = Annotated[
    str | None,
    typer.Option(
        "--queue",
        "-q",
        metavar="NAME",
        help="Only jobs of this queue.",
        autocompletion=queue_names,
        show_default=False,
    ),
]
Headers = Annotated[bool, typer.Option("--no-headers", help="Leave the line of column names out.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def _output(formats: str) -> Any:
    text = f"{formats}. Without it: a table on a terminal, else tsv with full values."
    return typer.Option("--output", "-o", metavar="FORMAT", help=text, show_default=False)


Output = Annotated[ListFormat | None, _output("table, tsv, csv, json or jsonl")]
JobOutput = Annotated[JobFormat | None, _output("table, tsv, csv, json, jsonl or ids")]
Report = Annotated[
    ReportFormat, typer.Option("--output", "-o", metavar="FORMAT", help="text or json.", show_default=False)
]
App = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="MODULE[:OBJECT]",
        help="Check the arguments by the tasks of this module.",
        show_default=False,
    ),
]
