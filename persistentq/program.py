"""How every process of the system begins and ends: private files, our errors in two lines, an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

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


def print_error(error: PersistentQError) -> None:
    """Print one of our errors on stderr: `error: …`, and `hint: …` if there is a remedy."""
    sys.stderr.write(f"error: {error.summary}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
