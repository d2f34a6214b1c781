"""What tells one start of a consumer from every other, and whether it still lasts.

Process ids are used again: by the next process, after a restart of the machine, and in each container from 1 on. So a
life names the machine's start, the namespace in which its process id counts, that id, when that process began, and a
number of its own.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from secrets import token_hex

from persistentq.job import SILENT_AFTER

_PROC = Path("/proc")
_HERE: set[str] = set()
os.register_at_fork(after_in_child=_HERE.clear)


def begin_life() -> str:
    """Return what no other start of a consumer has, in this process or elsewhere; it lasts until `end_life`."""
    pid = os.getpid()
    life = "/".join((*_machine(), str(pid), _look_at(pid)[0], token_hex(8)))
    _HERE.add(life)
    return life


def end_life(life: str) -> None:
    """Note that a life of this process is over. May be repeated."""
    _HERE.discard(life)


def lasts(life: str, silent_for: timedelta) -> bool:
    """Return whether a consumer's life lasts, as far as can be told from here.

    A process of this machine is looked at. One that was stopped by a signal, and one of another machine or container,
    is taken for alive as long as it has reported within `SILENT_AFTER`.

    Args:
        life: As `begin_life` returned it somewhere; anything else is nobody's process.
        silent_for: Since it reported last.
    """
    seen = _is_seen(life)
    return silent_for <= SILENT_AFTER if seen is None else seen


def _is_seen(life: str) -> bool | None:
    """Return whether the process is seen to live, or None if that cannot be seen from here."""
    if life in _HERE:
        return True
    there = life.split("/")
    if len(there) != 5 or tuple(there[:2]) != _machine() or not (all(there) and there[2].isdecimal()):
        return None
    pid, began = int(there[2]), there[3]
    if pid == os.getpid():
        # It has ended within this process, or was that of another which had our number.
        return False
    now_began, state = _look_at(pid)
    if not now_began:
        return None if _is_hidden(pid) else False
    is_same = now_began == began and state not in {"Z", "X"}
    return None if is_same and state in {"T", "t"} else is_same


def _machine() -> tuple[str, str]:
    """Return the machine's start and the namespace of process ids; both empty on machines that do not tell."""
    with suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return boot, str((_PROC / "self/ns/pid").readlink())
    return "", ""


def _look_at(pid: int) -> tuple[str, str]:
    """Return when a process began, in ticks since the machine's start, and its state; empty if that is not told."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", ""
    # The name before the last bracket may hold anything.
    fields = text.rpartition(")")[2].split()
    return fields[19], fields[0]


def _is_hidden(pid: int) -> bool:
    """Return whether a process has this id although it is not shown to us."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
