"""What went wrong lately: failures that are the same, and jobs that take their workers with them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import NamedTuple

from persistentq.insight import Mishap, Mishaps
from persistentq.interface import PersistentQInterface
from persistentq.job import Count, Outcome
from persistentq.query import All, Comparison, Term, parse, unparse
from persistentq.redaction import REDACTED

DAY = timedelta(days=1)
SAMPLE = 5
LONGEST_SAID = 200
COUNTED = 1000
POISON = 2
"""A job whose worker died so often may well be the cause."""

_FRAME = re.compile(r'^[\s|+-]*File "([^"\n]*)", line (\d+), in (.+)$', re.MULTILINE)
_NUMBER = re.compile(r"\d+")


class Frame(NamedTuple):
    """Where an error was raised: the innermost line of its traceback that can be read."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{PurePosixPath(self.file).name}:{self.line} in {self.function}"


@dataclass(slots=True)
class FailureGroup:
    """Attempts that failed in the same way: the same task, the same error type, raised in the same function.

    Attributes:
        fingerprint: Twelve letters and digits, the same for the same failure in whatever process and release; a line
            that moves within its function does not change it.
        frame: Of the latest; None if it had no traceback.
        error: The latest's message.
        attempts: How many failed.
        jobs: Of how many jobs.
        job_ids: Of up to five of these, the latest first.
        first_at: When the earliest of those that were read failed.
        last_at: When the latest did.
    """

    fingerprint: str
    task: str
    error_type: str
    frame: Frame | None
    error: str
    first_at: datetime
    last_at: datetime
    attempts: int = 0
    jobs: int = 0
    job_ids: list[int] = field(default_factory=list)

    @property
    def query(self) -> str:
        """What means its jobs that are still failed, in the query language: by the task, and the error but for numbers.

        Of another failure of the task that says the same, it means the jobs too.
        """
        said = max(_NUMBER.split(self.error.partition("\n")[0]), key=len).strip()[:LONGEST_SAID]
        terms = [Term("status", Comparison.IS, "failed"), Term("task", Comparison.IS, self.task)]
        if said and REDACTED not in said:
            terms.append(Term("error", Comparison.IS, said))
        return unparse(All(tuple(terms)))


class Poison(NamedTuple):
    """A job that was lost with its worker again and again."""

    job_id: int
    task: str
    queue: str
    times: int
    last_at: datetime


class Errors(NamedTuple):
    """What went wrong within a window.

    Attributes:
        groups: The most frequent first.
        poison: The most often lost first.
        attempts: How many attempts were read.
        is_capped: There were more, which are older.
    """

    groups: list[FailureGroup]
    poison: list[Poison]
    attempts: int
    is_capped: bool


def errors(queue: PersistentQInterface, window: timedelta = DAY, *, limit: int = 5000) -> Errors:
    """Return the failures of the last `window`, grouped.

    Args:
        window: Up to 366 days.
        limit: So many failed attempts are read, the latest (1 to 20,000).
    """
    return grouped(queue.list_mishaps(window, limit=limit))


def count_failed(queue: PersistentQInterface, query: str) -> Count:
    """Return how many jobs the query of a group means, counted no further than `COUNTED`."""
    return queue.count_matching(parse(query), up_to=COUNTED)


def grouped(found: Mishaps) -> Errors:
    """Group what was read."""
    groups: dict[str, FailureGroup] = {}
    jobs: dict[str, set[int]] = {}
    for one in found.items:
        frame, kind = top_frame(one.traceback), one.error_type or "Error"
        name = fingerprint(one, frame)
        group = groups.setdefault(
            name, FailureGroup(name, one.task, kind, frame, one.error or "", one.at, one.at)
        )
        group.attempts += 1
        group.first_at = min(group.first_at, one.at)
        known = jobs.setdefault(name, set())
        if one.job_id not in known and len(group.job_ids) < SAMPLE:
            group.job_ids.append(one.job_id)
        known.add(one.job_id)
        group.jobs = len(known)
    by_number = sorted(groups.values(), key=lambda group: (-group.attempts, group.fingerprint))
    return Errors(by_number, _poison(found.items), len(found.items), found.is_capped)


def _poison(items: Iterable[Mishap]) -> list[Poison]:
    lost = [one for one in items if one.outcome is Outcome.LOST]
    times = Counter(one.job_id for one in lost)
    latest = {one.job_id: one for one in reversed(lost)}
    return [
        Poison(job_id, latest[job_id].task, latest[job_id].queue, number, latest[job_id].at)
        for job_id, number in times.most_common()
        if number >= POISON
    ]


def fingerprint(mishap: Mishap, frame: Frame | None) -> str:
    """Return what the same failures have in common: without a traceback, the message but for its numbers."""
    parts = [mishap.task, mishap.error_type or ""]
    if frame is not None:
        parts += [PurePosixPath(frame.file).name, frame.function]
    elif mishap.outcome is not Outcome.LOST:
        parts.append(_NUMBER.sub("0", mishap.error or "")[:200])
    return hashlib.blake2s("\0".join(parts).encode(), digest_size=6).hexdigest()


def top_frame(traceback: str | None) -> Frame | None:
    """Return where the error was raised, from a traceback or the end of one; None if it shows no line."""
    frames = _FRAME.findall(traceback or "")
    if not frames:
        return None
    file, line, function = frames[-1]
    return Frame(file, int(line), function.strip())
