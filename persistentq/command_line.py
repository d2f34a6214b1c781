"""What the Typer programs share: plain help, and wrong usage told as every other error is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

import typer
from typer.exceptions import TyperException

from persistentq.errors import PersistentQError
from persistentq.program import print_error, run_program
from persistentq.telemetry.lines import LogFormat

LogFormatOption = Annotated[
    LogFormat | None,
    typer.Option("--log-format", help="How the log is written; by default LOG_FORMAT, else text."),
]
"""An option that the programs have which write a log."""


class Refused(PersistentQError):
    """The command line itself refused: a wrong call, or a question that nobody was there to answer."""

    exit_code: ClassVar[int] = 2

    def __init__(self, summary: str, hint: str) -> None:
        super().__init__(summary, hint)
        self._summary, self._hint = summary, hint

    @property
    def summary(self) -> str:
        """What was refused."""
        return self._summary

    @property
    def hint(self) -> str:
        """What to type instead."""
        return self._hint


def make_app(help_text: str | None = None, epilog: str | None = None) -> typer.Typer:
    """Return an app whose help is plain text: it can be copied, searched and read aloud."""
    return typer.Typer(
        help=help_text,
        epilog=epilog,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def run_app(
    app: typer.Typer,
    program: str,
    argv: Sequence[str] | None,
    on_error: Callable[[PersistentQError], None] = print_error,
) -> int:
    """Run a program that is a Typer app, as `run_program` does, and return the exit code.

    Args:
        program: What the help calls it.
        argv: Arguments without the program's own name; None for the process's own.
        on_error: Reports one of our errors, wrong usage included.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return run_program(lambda: _run(app, program, arguments), on_error)


def _run(app: typer.Typer, program: str, arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        # Not command.main(): it would give Ctrl-C and a closed pipe endings of its own.
        with command.make_context(program, arguments) as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as end:
        return end.exit_code
    except TyperException as error:
        raise _usage_error(error, program) from error


def _usage_error(error: TyperException, program: str) -> Refused:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else program
    message = " ".join(error.format_message().split()).replace("Value error, ", "").rstrip(".")
    return Refused(message[:1].lower() + message[1:], f"{where} --help shows what can be given")
