"""What is typed behind the admin program's name for the same deed, so that every face can show it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from persistentq.acts import Act
from persistentq.job import NewJob

_COMMANDS = {"assign": "assign-job", "delete": "delete-db-jobs"}


def meant(ids: Sequence[int], where: str | None) -> tuple[str, ...]:
    """Return the words that say which jobs: those that a query means, every one if it is empty; else those named."""
    if where is None:
        return tuple(map(str, ids))
    return ("--where", where) if where else ("--all",)


def act_words(verb: str, ids: Sequence[int], where: str | None, act: Act | None = None) -> tuple[str, ...]:
    """Return the words for an act on jobs; while `act` is not known, with what is open in capitals."""
    which, more = meant(ids, where), tuple[str, ...]()
    match verb:
        case "assign":
            more = ("CONSUMER" if act is None else act.consumer or "--anyone",)
        case "reschedule":
            more = _moment(act)
        case "set-priority":
            return verb, *_priority(which, where, act)
        case "edit-arguments":
            more = _changes(act)
    return _COMMANDS.get(verb, verb), *which, *more


def with_reason(words: Sequence[str], reason: str) -> tuple[str, ...]:
    """Return the words with the reason where it is still read as an option; the same ones if there is none."""
    if not reason:
        return tuple(words)
    at = words.index("--") if "--" in words else len(words)
    return *words[:at], "--reason", reason, *words[at:]


def enqueue_words(new: NewJob) -> tuple[str, ...]:
    """Return the words that enqueue this job."""
    words = ["enqueue", new.task, *(("--args", json.dumps(dict(new.args))) if new.args else ())]
    if new.queue != "default":
        words += ["--queue", new.queue]
    if new.priority:
        words += ["--priority", str(new.priority)]
    words += [word for tag in new.tags for word in ("--tag", tag)]
    if new.run_at is not None:
        words += ["--at", new.run_at.isoformat()]
    return tuple(words)


def _moment(act: Act | None) -> tuple[str, ...]:
    if act is None:
        return "--at", "TIME"
    return ("--at", act.run_at.isoformat()) if act.run_at else ("--now",)


def _priority(which: tuple[str, ...], where: str | None, act: Act | None) -> tuple[str, ...]:
    # A negative number stands behind --, and so do the ids before it.
    numbers = *(() if where is not None else which), "PRIORITY" if act is None else str(act.priority)
    options = () if where is None else which
    return (*options, "--", *numbers) if act is not None and act.priority < 0 else (*options, *numbers)


def _changes(act: Act | None) -> tuple[str, ...]:
    if act is None:
        return "--set", "NAME=VALUE"
    sets = (("--set", f"{name}={json.dumps(value)}") for name, value in act.arguments.items())
    drops = (("--drop", name) for name in act.without)
    return tuple(word for pair in (*sets, *drops) for word in pair)
