"""How every process of the system begins and ends: private files, our errors in two lines, an exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from persistentq.errors import PersistentQError
from persistentq.telemetry.lines import JsonLine, LogFormat, TextLine
from persistentq.text import safe

INTERRUPTED = 130
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_program(body: Callable[[], int], on_error: Callable[[PersistentQError], None] | None = None) -> int:
    """Run `body` as a process's main part and return the exit code.

    Files that the process makes are its owner's alone. One of our own errors, and a file that cannot be read or
    written, is told in two lines, `error: …` and `hint: …`, without a traceback; Ctrl-C ends quietly with 130; a
    reader that closed our output early (`| head`) ends quietly with 0.

    Args:
        on_error: Tells the error in another form; None for the two lines on stderr.
    """
    os.umask(0o077)
    tell = on_error or print_error
    if sys.stdout is None:
        # Started with its output closed (`>&-`): there is nobody to write to.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    try:
        code = body()
        sys.stdout.flush()
    except PersistentQError as error:
        tell(error)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return 0
    except OSError as error:
        _drop_output()
        tell(PersistentQError(safe(error)))
        return PersistentQError.exit_code
    return code


def _drop_output() -> None:
    # What is still buffered would raise once more at interpreter exit.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def stop_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop` at each SIGTERM and SIGINT while the block runs, in the main thread.

    Afterwards they are ignored, for the process is about to end: Python itself would give them their deadly default
    back while it shuts down, and a process that ended in good order would seem killed.

    Args:
        stop: Must be safe to call at any moment.
    """

    def handle(_number: int, _frame: object) -> None:
        stop()

    for number in STOP_SIGNALS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def log_to_stderr(form: LogFormat | str, level: str) -> None:
    """Write the process's log to stderr, one line for each record: ours, and those of the tasks and their libraries.

    Args:
        form: A LogFormat or its name.
        level: What is less important than this is not written: a name of a level of `logging`.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLine() if form == LogFormat.JSON else TextLine())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())


def log_in_force() -> tuple[str, str] | None:
    """Return what `log_to_stderr` was called with, for another process to do the same; None if it was not."""
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler.formatter, JsonLine | TextLine):
            form = LogFormat.JSON if isinstance(handler.formatter, JsonLine) else LogFormat.TEXT
            return form, logging.getLevelName(root.level)
    return None


def print_error(error: PersistentQError) -> None:
    """Print one of our errors on stderr: `error: …`, and `hint: …` if there is a remedy; neither steers a terminal."""
    sys.stderr.write(f"error: {safe(error.summary)}\n")
    if error.hint:
        sys.stderr.write(f"hint: {safe(error.hint)}\n")
