"""The lines above the table: the database and how fresh its data is, the counts, what the table shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from persistentq.errors import PersistentQError, StorageUnavailable
from persistentq.operations import GLYPHS, ago, safe

from .cells import Click, Line, fit, flow, plain
from .help import help_lines
from .moves import show_status
from .snapshot import INTERVALS, Place
from .sorting import sort_text
from .state import FILTERS, State
from .views import VIEWS
from .wording import number_text

NAME = "persistentq  "
NOT_LATELY = timedelta(seconds=2)
"""Counts that are so much older than what is beside them say so."""

GRACE = timedelta(seconds=1.5)
"""What is read may come so much later than it was promised before it counts as stale."""

ROOM_FOR_LOCATION = 24


def header_lines(state: State, now: datetime, click: Click) -> list[Line]:
    """Return as many lines as `state.header_lines` says."""
    counts = flow(_counts(state, click), state.columns)
    return [
        _first_line(state, now),
        *[*counts, []][: state.header_lines - 2],
        caption(state),
    ]


def freshness(state: State, now: datetime) -> tuple[str, str]:
    """Return style and words for how far the data can be trusted."""
    if state.snapshot is None:
        return ("class:stale", "NO DATA") if state.problem else ("", "opening …")
    age = max(timedelta(0), now - state.snapshot.read_at)
    if state.problem is not None:
        return "class:stale", f"STALE {ago(age)}: {_reason(state.problem)}"
    if state.is_frozen:
        return "class:warn", f"FROZEN {ago(age)}"
    if age > state.snapshot.next_in + GRACE:
        return "class:stale", f"STALE {ago(age)}: the database does not answer"
    words = f"{state.snapshot.read_at:%H:%M:%S} UTC, {ago(age)} ago"
    if state.every is None:
        return "class:warn", f"{words}, refresh off"
    return "class:live", f"live {words}, every {_interval(state.snapshot.next_in)}"


def _interval(pause: timedelta) -> str:
    """Return how often is read, in steps, so that it stands still where reading itself takes long."""
    step = next((step for step in INTERVALS if step >= pause), INTERVALS[-1])
    return f"{step.total_seconds():g}s"


def _reason(problem: Exception) -> str:
    if isinstance(problem, StorageUnavailable):
        return safe(f"database {problem.problem}")
    return safe(problem.summary if isinstance(problem, PersistentQError) else repr(problem))


def _first_line(state: State, now: datetime) -> Line:
    style, words = freshness(state, now)
    badge = "READ-ONLY " if state.is_readonly else ""
    location = safe(state.snapshot.location if state.snapshot else state.location)
    longest = state.columns - len(NAME) - len(badge) - min(ROOM_FOR_LOCATION, len(location) + 1)
    words = words if len(words) <= longest else fit(words, longest)
    room = state.columns - len(NAME) - len(badge) - len(words) - 1
    if len(location) > room:
        location = "…" + location[1 - room :]  # The file's name is at the end.
    return [("class:title", NAME), ("class:warn", badge), ("", fit(location, room + 1)), (style, words)]


def _counts(state: State, click: Click) -> Iterator[Line]:
    counts = state.snapshot.totals if state.snapshot else {}
    for status in FILTERS:
        number = sum(counts.values()) if status is None else counts.get(status, 0)
        word = f"{GLYPHS[status]} {status}" if status else "all"
        text = f"{word} {number_text(number) if state.snapshot else '?'}"
        is_chosen = status is state.only_status and state.place is Place.JOBS
        style = "class:chosen" if is_chosen else f"class:status.{status}" if status else ""
        yield [(style, f"[{text}]" if is_chosen else f" {text} ", click(show_status(status), None))]
    if state.snapshot and (age := state.snapshot.read_at - state.snapshot.counted_at) > NOT_LATELY:
        yield plain(f" counted {ago(age)} ago ", "class:warn")


def caption(state: State) -> Line:
    """Return what the body shows, and how many consumers are alive."""
    if state.place is Place.HELP:
        count = len(help_lines(state.columns))
        end = min(count, state.scroll + state.body_lines)
        return plain(f"help · lines {state.scroll + 1} to {end} of {count}", "class:title")
    name = f"[{list(VIEWS).index(state.view) + 1}] {VIEWS[state.view].name}"
    parts = [name, *(_about_the_list(state) if state.view is Place.JOBS else _about_the_rows(state))]
    line: Line = plain(" · ".join(parts), "class:title")
    if state.snapshot:
        alive = sum(consumer.is_alive for consumer in state.consumers)
        is_down = bool(state.consumers) and not alive
        words = "all consumers are down" if is_down else f"{alive} of {len(state.consumers)} consumers alive"
        line += [("class:title", " · "), ("class:silent" if is_down else "class:title", words)]
    return line


def _about_the_rows(state: State) -> Iterator[str]:
    if state.is_current:
        yield f"{state.row_number + 1 if state.rows else 0} of {len(state.rows):,}"
        if sort := state.sorts.get(state.view):
            yield sort_text(VIEWS[state.view].heads, sort)
    else:
        yield "reading …"


def _about_the_list(state: State) -> Iterator[str]:
    if state.query:
        yield safe(state.query, max(20, state.columns - 60))
    yield f"page {len(state.pages)}{_of_pages(state)}, newest first"
    if state.is_all:
        yield "all that match are marked"
    elif state.marks:
        gone = len(state.snapshot.gone & state.marks) if state.snapshot else 0
        yield f"{len(state.marks):,} marked" + (f", {gone:,} of them gone" if gone else "")
    if state.snapshot and not state.is_current:
        yield "reading …"
    elif state.job_id is not None and all(job.id != state.job_id for job in state.jobs):
        yield f"job {state.job_id} is selected, on another page"


def _of_pages(state: State) -> str:
    if state.snapshot is None:
        return ""
    matching = state.snapshot.matching
    total = sum(state.snapshot.totals.values())
    if state.query and not state.where and state.only_status is not None:
        total = state.snapshot.totals.get(state.only_status, 0)
    elif matching is not None:
        if matching.is_capped:
            return f", at least {matching.number:,} match"
        total = matching.number
    return f" of {max(len(state.pages), -(-total // state.page_size)):,}"
