"""More or fewer consumers under a running supervisord, now and after its next start."""

from __future__ import annotations

import fcntl
import fnmatch
import os
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistentq.checks import check_int
from persistentq.clock import Deadline
from persistentq.errors import SupervisionError

if TYPE_CHECKING:
    from persistentq.operations.supervised import Program, Supervised

PROGRAM = "consumer"
MOST = 100
FILE = "zz-scale.conf"
HEAD = "; Written by `admin scale`. What it says goes before what the files above it in the alphabet say.\n"

LOOK_S = 0.2
SLACK_S = 15.0
UNKNOWN_METHOD, BAD_NAME = 1, 10
"""Supervisor's numbers: it has no such method; it knows no process or group of that name."""

GONE = {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}

Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """What became of the processes of a program; their names are without that of their group.

    Attributes:
        program: The program.
        added: Those that were started.
        removed: Those that were told to stop, and have.
        kept: Those that were left alone.
        is_restarted: Whether there was no other way than to stop all and start as many as are wanted.
        failed: Those that do not run, and why.
    """

    program: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    is_restarted: bool
    failed: dict[str, str]


def scale(conf: Path, number: int, *, program: str = PROGRAM, tell: Tell = lambda _: None) -> Scaled:
    """Let so many processes of a program run, and wait until they do.

    Those that were stopped by hand, or ended, are started. The number is kept in a file beside the other local
    configuration, so that it outlasts supervisord. Consumers that are too many drain and stop; the others are not
    touched, if supervisord has our RPC interface (see `persistentq.supervision`). If it has not, all of them drain
    and are started anew.

    May be repeated. Two at the same time take turns.

    Args:
        conf: supervisord's configuration file.
        number: 0 to 100.
        program: Which one, as in `[program:consumer]`.
        tell: Told in a line what takes its time, and beforehand if all have to be restarted.

    Raises:
        InvalidArgument: the number is out of bounds.
        ExtraMissing: Supervisor is not installed here.
        SupervisionError: no supervisord answers, or the configuration cannot be changed; nothing was changed.
    """
    check_int(f"number of {program}s", number, 0, MOST)
    supervised = _open(conf)
    supervised.configs(program)
    if (state := supervised.call("getState")["statename"]) != "RUNNING":
        raise SupervisionError(f"supervisord is in state {state}", "wait until it runs")
    file = _override_of(supervised)
    with _alone(file.parent):
        before = file.read_text(encoding="utf-8") if file.exists() else None
        try:
            _write(file, _with_number(before or "", program, number))
            patience = max(
                _patience(supervised, program), _patience(_checked(conf, program, number, file), program)
            )
            applied = _with_stopped(supervised, program, _apply(supervised, program, patience, tell))
        except SupervisionError as error:
            if not error.is_unknown:
                _write(file, before)
            raise
        return _settle(supervised, program, applied, patience, tell)


# --- the file


def _open(conf: Path) -> Supervised:
    # It speaks HTTP, which nobody loads who does not scale.
    from persistentq.operations.supervised import Supervised

    return Supervised(conf)


def _override_of(supervised: Supervised) -> Path:
    """Return the path of the file that says how many there are: where the last of the included files may be."""
    from supervisor.options import expand

    parser = RawConfigParser(strict=False)
    parser.read(supervised.conf, encoding="utf-8")
    here = str(supervised.conf.absolute().parent)
    expansions = {"here": here, "host_node_name": os.uname().nodename} | {
        f"ENV_{name}": value for name, value in os.environ.items()
    }
    patterns = expand(parser.get("include", "files", fallback=""), expansions, "include.files").split()
    for pattern in reversed(patterns):
        place = Path(here, pattern)
        if fnmatch.fnmatch(FILE, place.name) and place.parent.is_dir():
            return place.parent / FILE
    raise SupervisionError(
        f"{supervised.conf} includes no folder of files",
        "add [include] with files=conf.d/*.conf, and make that folder",
    )


def _with_number(text: str, program: str, number: int) -> str:
    """Return the file's text, which may have other programs', with so many processes of this one."""
    parser = RawConfigParser(strict=False)
    parser.read_string(text)
    section = f"program:{program}"
    if not parser.has_section(section):
        parser.add_section(section)
    parser.set(section, "numprocs", str(number))
    lines = [
        "\n".join((f"[{name}]", *(f"{key}={value}" for key, value in parser.items(name))))
        for name in parser.sections()
    ]
    return HEAD + "\n".join(lines) + "\n"


def _write(file: Path, text: str | None) -> None:
    """Put the text in the file's place, at once and as a whole; None takes the file away."""
    try:
        if text is None:
            file.unlink(missing_ok=True)
            return
        # Supervisor reads no file of this name.
        fresh = file.with_name(f".{file.name}.new")
        with fresh.open("w", encoding="utf-8") as output:
            output.write(text)
            output.flush()
            os.fsync(output.fileno())
        fresh.replace(file)
    except OSError as error:
        raise SupervisionError(
            f"{file} cannot be written: {error.strerror}", "make it possible, and try again"
        ) from error


def _checked(conf: Path, program: str, number: int, file: Path) -> Supervised:
    """Read the configuration anew, and make sure that supervisord will find that number in it."""
    supervised = _open(conf)
    if (found := len(supervised.configs(program))) != number:
        problem = f"another file says numprocs={found} of {program}, and goes before {file}"
        raise SupervisionError(problem, f"take it out of that file, which is read after {file.name}")
    return supervised


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise SupervisionError(f"{folder} cannot be opened: {error.strerror}", "make it possible") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


# --- the processes


def _apply(supervised: Supervised, program: str, patience: float, tell: Tell) -> dict[str, Any]:
    """Have supervisord take the number over."""
    try:
        answer = supervised.call("persistentq.applyNumprocs", program)
    except SupervisionError as error:
        if error.fault == BAD_NAME:
            problem = f"the running supervisord has no program {program}, or one of another kind"
            raise SupervisionError(problem, "supervisorctl update, and try again", BAD_NAME) from None
        if error.fault != UNKNOWN_METHOD:
            raise
        tell(
            f"this supervisord has no [rpcinterface:persistentq], so every {program} has to drain and is started anew; "
            "docs/supervision.md says how to add it"
        )
        return {**_restart(supervised, program, patience), "is_restarted": True}
    return {**answer, "is_restarted": False}


def _with_stopped(supervised: Supervised, program: str, applied: dict[str, Any]) -> dict[str, Any]:
    """Start those that were left alone but do not run: so many are wanted at work."""
    idle = {_short(one) for one in _of(supervised, program) if one.state in GONE} & {*applied["kept"]}
    for name in sorted(idle):
        with suppress(SupervisionError):  # What does not start is told when all have settled.
            supervised.call("startProcess", f"{program}:{name}", False)
    kept = [name for name in applied["kept"] if name not in idle]
    return {**applied, "added": sorted({*applied["added"], *idle}), "kept": kept}


def _restart(supervised: Supervised, program: str, patience: float) -> dict[str, list[str]]:
    before = _names(supervised, program)
    supervised.call("reloadConfig")
    supervised.call("stopProcessGroup", program, False)
    if not Deadline(patience).wait_for(
        lambda: all(one.state in GONE for one in _of(supervised, program)), every=LOOK_S
    ):
        raise SupervisionError(f"not every {program} stops; see {supervised.log}", "try again")
    supervised.call("removeProcessGroup", program)
    supervised.call("addProcessGroup", program)
    after = _names(supervised, program)
    return {"added": sorted(after), "removed": sorted(before - after), "kept": []}


def _settle(
    supervised: Supervised, program: str, applied: dict[str, Any], patience: float, tell: Tell
) -> Scaled:
    """Wait until what was added runs and what was removed is gone."""
    if applied["removed"]:
        tell(f"waiting for {', '.join(applied['removed'])} to drain and stop")
    added, removed = set(applied["added"]), set(applied["removed"])

    def is_settled() -> bool:
        there = {_short(one): one.state for one in _of(supervised, program)}
        is_up = all(there.get(name) in {"RUNNING", "FATAL"} for name in added)
        return is_up and not removed & there.keys()

    Deadline(patience).wait_for(is_settled, every=LOOK_S)
    there = {_short(one): one for one in _of(supervised, program)}
    failed = {
        name: f"it is {there[name].state}: {there[name].why}; see {there[name].log}"
        for name in sorted(added & there.keys())
        if there[name].state != "RUNNING"
    }
    failed |= dict.fromkeys(sorted(removed & there.keys()), "it does not stop")
    return Scaled(
        program=program,
        added=tuple(applied["added"]),
        removed=tuple(applied["removed"]),
        kept=tuple(applied["kept"]),
        is_restarted=applied["is_restarted"],
        failed=failed,
    )


def _patience(supervised: Supervised, program: str) -> float:
    """Return for how many seconds at most a process of this program takes to stop or to start."""
    # Its module speaks HTTP, which nobody loads who does not scale.
    from persistentq.operations.supervised import longest_wait

    return longest_wait(supervised.configs(program)) + SLACK_S


def _of(supervised: Supervised, program: str) -> list[Program]:
    return [one for one in supervised.programs() if one.name.startswith(f"{program}:")]


def _names(supervised: Supervised, program: str) -> set[str]:
    return {_short(one) for one in _of(supervised, program)}


def _short(one: Program) -> str:
    return one.name.partition(":")[2]
