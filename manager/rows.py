"""What each view other than the jobs reads, as rows of text; redaction and rules are the operator's own."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from persistentq import clock
from persistentq.errors import PersistentQError, SupervisionError
from persistentq.insight import Check, Grade
from persistentq.job import ConsumerInfo, JobStatus, QueueInfo
from persistentq.journal import JournalEntry
from persistentq.operations import Operator, ago, safe
from persistentq.operations.attention import Alert, Urgency
from persistentq.operations.doctor import doctor
from persistentq.operations.mishaps import FailureGroup
from persistentq.operations.queues import QueueView, queues
from persistentq.operations.rates import Spread, Throughput, rates
from persistentq.operations.surroundings import Surroundings
from persistentq.query import Comparison, Term, unparse
from persistentq.schedule import ScheduleInfo

from .around import Around
from .snapshot import Place, Row, Styled
from .wording import life_text, moment_text, number_text, span_text, sparkline

if TYPE_CHECKING:
    from persistentq.operations.supervised import Program

HELD_SHOWN = 100
ENTRIES = 100
TICKS = 3
WINDOW, SPANS = timedelta(hours=1), 20
"""How far back the activity goes, and how many signs its sparklines have."""

MOVING = (JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.FAILED)
"""The statuses that are counted in the table of queues; its details have all."""

URGENCIES = {
    Urgency.NOW: ("class:silent", "! now"),
    Urgency.SOON: ("class:warn", "~ soon"),
    Urgency.LATER: ("class:dim", "· later"),
}
GRADES = {
    Grade.OK: ("class:alive", "✓ ok"),
    Grade.WARN: ("class:warn", "~ warn"),
    Grade.FAIL: ("class:silent", "✗ fail"),
}


def read_rows(place: Place, operator: Operator, around: Around) -> tuple[Row, ...]:
    """Return the rows of a view, read now.

    Raises:
        StorageError: the database fails.
    """
    return tuple(_READERS[place](operator, around))


def read_output(key: str, rows: Sequence[Row], operator: Operator, around: Around) -> tuple[str, ...]:
    """Return the last lines of the log of the consumer with this row, or why there are none; nothing for no key."""
    if not key:
        return ()
    program = next((row.program for row in rows if row.key == key), "")
    if not program:
        return (f"{key} is not kept by the supervisord of here: its output is where it was started",)
    try:
        return tuple(map(operator.redaction.text, around.log_tail(program)))
    except SupervisionError as problem:
        return (problem.summary,)


def _plain(*texts: object) -> tuple[Styled, ...]:
    return tuple(("", safe(text)) for text in texts)


def _about(**texts: str) -> tuple[Styled, ...]:
    return tuple(("", f"{name.replace('_', ' ')}: {safe(text)}") for name, text in texts.items() if text)


def _term(field: str, value: str) -> str:
    return unparse(Term(field, Comparison.IS, value))


# --- attention and health


def _attention(operator: Operator, around: Around) -> Iterator[Row]:
    return map(_alert, operator.attention(Surroundings(None, around.conf, None)))


def _alert(alert: Alert) -> Row:
    cells = (URGENCIES[alert.urgency], *_plain(alert.kind, alert.text))
    about = _about(what=alert.text, remedy=alert.remedy, command=alert.command)
    *words, last = shlex.split(alert.command) or [""]
    where = last if "--where" in words else f"id:{last}" if last.isdigit() else None
    return Row(f"{alert.kind} {alert.text}", cells, about, where)


def _health(operator: Operator, around: Around) -> Iterator[Row]:
    for number, check in enumerate(doctor(operator.queue, around.surroundings)):
        yield _check(number, check)


def _check(number: int, check: Check) -> Row:
    cells = (GRADES[check.grade], *_plain(check.name, check.found))
    return Row(f"{number} {check.name}", cells, _about(found=check.found, remedy=check.remedy))


# --- failures


def _failures(operator: Operator, _: Around) -> Iterator[Row]:
    now = clock.now()
    return (_group(group, now) for group in operator.errors().groups)


def _group(group: FailureGroup, now: datetime) -> Row:
    error = f"{group.error_type}: {group.error}"
    cells = (
        *_plain(f"{group.attempts:,}", f"{group.jobs:,}", group.task),
        ("class:error", safe(error, 300)),
        *_plain(group.frame or "", f"{ago(now - group.last_at)} ago"),
    )
    about = _about(
        error=error,
        where=str(group.frame or "no traceback"),
        first=moment_text(group.first_at, now),
        latest=moment_text(group.last_at, now),
        jobs=" ".join(map(str, group.job_ids)) + (" …" if group.jobs > len(group.job_ids) else ""),
        query=group.query,
    )
    return Row(group.fingerprint, cells, about, group.query)


# --- queues


def _queues(operator: Operator, _: Around) -> Iterator[Row]:
    return map(_queue, queues(operator.queue))


def _queue(view: QueueView) -> Row:
    info = view.info
    waits = "" if info.oldest_pending is None else ago(info.oldest_pending)
    drains = "never" if view.drains_in is None else ago(view.drains_in)
    served = str(len(view.consumers)) if view.consumers else "none"
    cells = (
        *_plain(info.name),
        ("class:warn", "‖ paused") if info.is_paused else ("class:alive", "▶ open"),
        *_plain(*(number_text(info.counts.get(status, 0)) for status in MOVING)),
        *_plain(waits, drains),
        ("" if view.consumers else "class:silent", served),
    )
    about = _about(
        jobs=", ".join(f"{number:,} {status}" for status, number in info.counts.items()) or "none",
        pause=_pause(info),
        oldest_ready_job="" if not waits else f"waits for {waits}",
        drains="now nothing moves"
        if view.drains_in is None
        else f"in {drains} at {view.pace:,.1f} jobs a second",
        consumers=" ".join(one.id for one in view.consumers) or "no living consumer serves it",
    )
    return Row(info.name, cells, about, _term("queue", info.name), is_paused=info.is_paused)


def _pause(info: QueueInfo) -> str:
    if not info.is_paused:
        return ""
    return f"until {info.paused_until:%Y-%m-%d %H:%M:%S} UTC" if info.paused_until else "until it is resumed"


# --- consumers


def _consumers(operator: Operator, around: Around) -> Iterator[Row]:
    held: defaultdict[str, list[int]] = defaultdict(list)
    for job in operator.queue.list_jobs(status=JobStatus.PROCESSING, limit=HELD_SHOWN):
        held[job.consumer or ""].append(job.id)
    programs = around.programs()
    by_process = {name.rpartition(":")[2]: program for name, program in programs.items()}
    for one in operator.queue.list_consumers():
        yield _consumer(one, held[one.id], by_process.pop(one.id, None))
    for program in by_process.values():
        if program.name.startswith("consumer:"):
            yield _absent(program)


def _consumer(one: ConsumerInfo, held: Sequence[int], program: Program | None) -> Row:
    ids = " ".join(map(str, held))
    cells = (
        *_plain(one.id),
        life_text(one),
        _program_text(program),
        *_plain(
            f"{ago(one.silent_for)} ago", " ".join(one.queues), f"{one.host}:{one.pid}", f"{one.held:,}", ids
        ),
    )
    about = _about(
        trouble=one.trouble or "",
        started=f"{one.started_at:%Y-%m-%d %H:%M:%S} UTC",
        stopped=f"{one.stopped_at:%Y-%m-%d %H:%M:%S} UTC" if one.stopped_at else "",
        queues=" ".join(one.queues),
        tasks=" ".join(one.tasks or ()),
        holds=ids,
        supervisor=f"{program.state}: {program.why}, log {program.log}" if program else "",
    )
    return Row(one.id, cells, about, _term("consumer", one.id), **_kept(program))


def _absent(program: Program) -> Row:
    """Return the row of a supervised consumer that has never reported."""
    cells = (
        *_plain(program.name.rpartition(":")[2]),
        ("class:silent", "! unheard"),
        _program_text(program),
        *_plain("never", "", f":{program.pid}" if program.pid else "", "0", ""),
    )
    about = _about(supervisor=f"{program.state}: {program.why}", log=program.log)
    return Row(program.name, cells, about, **_kept(program))


def _kept(program: Program | None) -> dict[str, Any]:
    """Return what a row keeps of a consumer's supervised process."""
    return {"program": program.name, "is_paused": program.is_stopped} if program else {}


def _program_text(program: Program | None) -> Styled:
    if program is None:
        return "class:dim", "·"
    return ("class:alive" if program.state == "RUNNING" else "class:silent"), safe(program.state.lower())


# --- schedules


def _schedules(operator: Operator, _: Around) -> Iterator[Row]:
    now = clock.now()
    return (_schedule(info, now) for info in operator.list_schedules())


def _schedule(info: ScheduleInfo, now: datetime) -> Row:
    one = info.schedule
    state = ("class:alive", "▶ active")
    if info.is_paused:
        state = ("class:warn", "‖ paused")
    elif info.error is not None:
        state = ("class:silent", "✗ broken")
    cells = (
        *_plain(one.name),
        state,
        *_plain(one.expression, ago(now - info.next_at), one.task, one.queue, info.last_job_id or ""),
    )
    about = _about(
        error=info.error or "",
        zone=one.zone,
        next_runs=_ticks(info, now),
        last_run=moment_text(info.last_at, now) if info.last_at else "never",
        arguments=json.dumps(dict(one.args), ensure_ascii=False),
        missed_ticks=str(one.catch_up),
    )
    return Row(one.name, cells, about, _term("task", one.task), is_paused=info.is_paused, schedule=one)


def _ticks(info: ScheduleInfo, now: datetime) -> str:
    try:
        return ", ".join(f"{tick:%Y-%m-%d %H:%M:%S} UTC" for tick in info.preview(now, TICKS))
    except PersistentQError as error:
        return error.summary


# --- activity


def _activity(operator: Operator, _: Around) -> Iterator[Row]:
    found = rates(operator.queue, WINDOW, SPANS)
    for name in ("enqueued", "started", "done", "failed"):
        numbers = [getattr(bucket, name) for bucket in found.buckets]
        style = "class:error" if name == "failed" and any(numbers) else ""
        per_minute = numbers[-1] / (WINDOW / SPANS).total_seconds() * 60
        texts = (sparkline(numbers), f"{sum(numbers):,}", f"{per_minute:,.1f}/min", "", "")
        yield Row(name, ((style, name), *_plain(*texts)))
    waits = [bucket.wait.p95 for bucket in found.buckets]
    seconds = [wait.total_seconds() if wait else 0.0 for wait in waits]
    yield Row("wait", _plain("wait p95", sparkline(seconds), "", "", *_spreads(found.total)))
    for kind, named in (("queue", found.queues), ("task", found.tasks)):
        for name, one in named.items():
            counts = f"{number_text(one.done)} ✓ {number_text(one.failed)} ✗"
            cells = _plain(f"{kind} {name}", counts, f"{one.started:,}", "", *_spreads(one))
            yield Row(f"{kind} {name}", cells, (), _term(kind, name))


def _spreads(one: Throughput) -> tuple[str, str]:
    return _spread(one.wait), _spread(one.run)


def _spread(spread: Spread) -> str:
    if spread.p50 is None or spread.p95 is None:
        return ""
    return f"{span_text(spread.p50)}, {span_text(spread.p95)}"


# --- journal


def _journal(operator: Operator, _: Around) -> Iterator[Row]:
    now = clock.now()
    return (_entry(entry, now) for entry in operator.list_journal(limit=ENTRIES).items)


def _entry(entry: JournalEntry, now: datetime) -> Row:
    undone = f", undone by {entry.undone_by}" if entry.undone_by else ""
    verb = f"{entry.verb} {entry.undoes or ''}".rstrip() + undone
    details = json.dumps(dict(entry.details), ensure_ascii=False) if entry.details else ""
    skipped = sum(entry.skipped.values())
    what = " · ".join(filter(None, (entry.query, details, entry.reason)))
    cells = _plain(
        entry.id,
        f"{ago(now - entry.at)} ago",
        entry.actor,
        entry.face,
        verb,
        f"{entry.done:,}",
        f"{skipped:,}",
        what,
    )
    about = _about(
        at=moment_text(entry.at, now),
        by=f"{entry.actor}, from {entry.face}",
        did=f"{verb}: {entry.done:,} of {entry.meant:,} jobs",
        skipped="; ".join(f"{number:,} {reason}" for reason, number in entry.skipped.items()),
        query=entry.query,
        details=details,
        reason=entry.reason,
    )
    return Row(str(entry.id), cells, about)


_READERS: Mapping[Place, Callable[[Operator, Around], Iterator[Row]]] = {
    Place.ATTENTION: _attention,
    Place.FAILURES: _failures,
    Place.QUEUES: _queues,
    Place.CONSUMERS: _consumers,
    Place.SCHEDULES: _schedules,
    Place.ACTIVITY: _activity,
    Place.JOURNAL: _journal,
    Place.HEALTH: _health,
}
