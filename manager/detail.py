"""One job in full: its data, arguments, attempts, errors and tracebacks, as lines of text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from persistentq.job import Attempt, Job, JobStatus
from persistentq.operations import ago, safe

from .cells import Line, wrap
from .state import State
from .wording import moment_text, span_text, status_text

LONGEST_VALUE = 20_000
"""Characters of arguments or result that are shown; the rest is counted."""

MOST_ATTEMPTS = 20
MOST_LOG_LINES = 200
LONGEST_BAR = 10


class Part(NamedTuple):
    """A paragraph: a label in the margin, then text that wraps beside it; without a label the margin is empty."""

    label: str
    text: str
    style: str = ""
    margin: int = 11


def row_details(state: State, width: int) -> list[Line]:
    """Return everything about the row under the cursor in lines of at most `width` cells."""
    if state.chosen is None or not state.chosen.about:
        return [[("class:dim", "there is no more to tell")]]
    return [[(style, text)] for style, whole in state.chosen.about for text in wrap(whole, max(2, width))]


def log_lines(state: State, width: int) -> list[Line]:
    """Return the last lines of a consumer's log, the latest at the end, in lines of at most `width` cells."""
    if not state.output:
        return [[("class:dim", "reading …" if state.output is None else "it has written nothing yet")]]
    shown = (safe(line.expandtabs(4)) for line in state.output)
    return [[("", text)] for line in shown for text in wrap(line, max(2, width))]


def detail_lines(state: State, now: datetime, width: int) -> list[Line]:
    """Return everything about the selected job in lines of at most `width` cells."""
    job = state.selected
    if job is None:
        return [[("class:dim", "no job is selected")]]
    lines: list[Line] = []
    for part in (
        *_facts(job, now),
        *_reasons(state),
        *_values(job),
        *_history(state.attempts, now),
        *_told(state),
    ):
        label = part.label.ljust(part.margin)
        for text in wrap(part.text, max(2, width - part.margin)):
            lines.append([("class:label", label), (part.style, text)])
            label = " " * part.margin
    return lines


def _facts(job: Job, now: datetime) -> Iterator[Part]:
    style, status = status_text(job.status)
    yield Part(f"job {job.id}", status + (", asked to cancel" if job.cancel_requested else ""), style)
    yield Part("task", safe(job.task))
    yield Part("queue", f"{safe(job.queue)}, priority {job.priority}")
    yield Part("attempts", f"{job.attempt} of {job.max_attempts}")
    if job.consumer:
        yield Part("consumer", safe(job.consumer))
    if job.reserved_for:
        yield Part("reserved", f"for {safe(job.reserved_for)}")
    if job.unique_key:
        yield Part("unique key", safe(job.unique_key))
    if job.tags:
        yield Part("tags", safe(" ".join(job.tags)))
    moments = {
        "enqueued": job.created_at,
        "due" if job.status is JobStatus.SCHEDULED else "ready": job.run_at,
        "started": job.started_at,
        "lease ends": job.lease_until,
        "finished": job.finished_at,
    }
    for label, moment in moments.items():
        if moment is not None:
            yield Part(label, moment_text(moment, now))
    if job.started_at and job.finished_at and job.finished_at >= job.started_at:
        yield Part("took", span_text(job.finished_at - job.started_at))
    label = "error"
    for line in (job.error or "").splitlines():
        yield Part(label, safe(line), "class:error")
        label = ""


def _reasons(state: State) -> Iterator[Part]:
    if state.snapshot is None or state.attempts is None:
        return
    label = "why"
    for fact in state.snapshot.facts:
        over = f" (over {ago(-fact.over_in)})" if fact.over_in else ""
        yield Part(label, safe(fact.text) + over)
        if fact.remedy:
            yield Part("", f"→ {safe(fact.remedy)}", "class:dim")
        label = ""


def _told(state: State) -> Iterator[Part]:
    if state.snapshot is None or state.attempts is None:
        return
    log = state.snapshot.log
    if log.progress is not None:
        yield Part(
            "", f"progress {log.progress.fraction:.0%} {safe(log.progress.note)}".rstrip(), "class:title", 0
        )
    if not log.lines:
        return
    dropped = f", {log.dropped:,} older lines are not kept" if log.dropped else ""
    yield Part("", f"log, latest first{dropped}", "class:title", 0)
    for line in log.lines[: -MOST_LOG_LINES - 1 : -1]:
        yield Part("", f"{line.at:%H:%M:%S} #{line.attempt} {safe(line.text)}", "", 2)
    if (more := len(log.lines) - MOST_LOG_LINES) > 0:
        yield Part("", f"… and {more:,} earlier lines", "class:dim", 2)


def _values(job: Job) -> Iterator[Part]:
    yield from _value("arguments", job.args)
    if job.metadata:
        yield from _value("metadata", job.metadata)
    if job.result is not None:
        yield from _value("result", job.result)


def _value(name: str, value: Any) -> Iterator[Part]:
    yield Part("", name, "class:title", 0)
    text = json.dumps(value, indent=2, ensure_ascii=False)
    yield from _block(text[:LONGEST_VALUE])
    if (more := len(text) - LONGEST_VALUE) > 0:
        yield Part("", f"… and {more:,} more characters", "class:dim", 2)


def _block(text: str, style: str = "", margin: int = 2) -> Iterator[Part]:
    for line in text.splitlines():
        yield Part("", safe(line.expandtabs(4)), style, margin)


def _history(attempts: tuple[Attempt, ...] | None, now: datetime) -> Iterator[Part]:
    yield Part("", "attempts, latest first", "class:title", 0)
    if not attempts:
        yield Part("", "reading …" if attempts is None else "none yet", "class:dim", 2)
        return
    longest = max((one.ended_at - one.started_at for one in attempts if one.ended_at), default=timedelta(0))
    for attempt in attempts[: -MOST_ATTEMPTS - 1 : -1]:
        yield from _attempt(attempt, longest, now)
    if (more := len(attempts) - MOST_ATTEMPTS) > 0:
        yield Part("", f"… and {more:,} earlier", "class:dim", 2)


def _bar(attempt: Attempt, longest: timedelta) -> str:
    """Return how long an attempt took beside the longest, as a bar, if it has ended."""
    if attempt.ended_at is None or longest == timedelta(0):
        return ""
    return " " + "█" * max(1, round(LONGEST_BAR * ((attempt.ended_at - attempt.started_at) / longest)))


def _attempt(attempt: Attempt, longest: timedelta, now: datetime) -> Iterator[Part]:
    outcome = attempt.outcome or "running"
    took = f", {span_text(attempt.ended_at - attempt.started_at)}" if attempt.ended_at else ""
    started = moment_text(attempt.started_at, now)
    bar = _bar(attempt, longest)
    yield Part("", f"#{attempt.attempt} {outcome} at {safe(attempt.consumer)}{took}{bar}", "class:title", 2)
    yield Part("", f"started {started}", "", 4)
    if attempt.error:
        yield from _block(f"{attempt.error_type}: {attempt.error}", "class:error", 4)
    yield from _block(attempt.traceback or "", "", 4)
