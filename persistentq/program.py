"""How every process of the system begins and ends: private files, our errors in two lines, an exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

from persistentq.errors import PersistentQError

INTERRUPTED = 130


def run_program(body: Callable[[], int]) -> int:
    """Run `body` as a process's main part and return the exit code.

    Files that the process makes are its owner's alone. One of our own errors is printed as `error: …` and
    `hint: …` on stderr, without a traceback; Ctrl-C ends quietly with 130; a reader that closed our output early
    (`| head`) ends quietly with 0.
    """
    os.umask(0o077)
    try:
        code = body()
        sys.stdout.flush()
    except PersistentQError as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered would raise once more at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def run_command(app: Callable[..., object], name: str, argv: Sequence[str] | None) -> int:
    """Run a Typer app of one command as the program `name` and return the exit code; wrong usage gives 2."""

    def body() -> int:
        try:
            app(args=None if argv is None else list(argv), prog_name=name)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        return 0

    return run_program(body)


def on_stop_signal(stop: Callable[[], object]) -> None:
    """Call `stop` at each SIGTERM and SIGINT, in the main thread; it must be safe to call at any moment."""

    def handle(_number: int, _frame: object) -> None:
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def log_to_stderr() -> None:
    """Write the library's log records to stderr, one line each, with UTC times."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger = logging.getLogger("persistentq")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def print_error(error: PersistentQError) -> None:
    """Print one of our errors on stderr: `error: …`, and `hint: …` if there is a remedy."""
    sys.stderr.write(f"error: {error.summary}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
