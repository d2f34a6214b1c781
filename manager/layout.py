"""The whole screen as lines of text, from the state and the time alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from persistentq.errors import DatabaseMissing, PersistentQError
from persistentq.operations import safe

from .cells import Click, Line, fit, flow, pad, plain, wrap
from .detail import detail_lines, log_lines, row_details
from .header import freshness, header_lines
from .help import help_lines
from .keys import hints
from .moves import equivalent, scroll
from .snapshot import Place, Snapshot
from .state import FOOTER_LINES, LOWEST, NARROWEST, State
from .table import job_lines, row_lines
from .typing_line import prompt_lines
from .views import VIEWS
from .wording import command

MOST_MESSAGE_LINES = 3


def screen(state: State, now: datetime, click: Click) -> list[Line]:
    """Return the lines of the screen, each as wide as the terminal and as many as it has."""
    if state.is_too_small:
        return _too_small(state, now)
    message = _message(state)
    body = _filled(_body(state, now, click), state.body_lines)[: state.body_lines + 1 - len(message)]
    lines = [*header_lines(state, now, click), *body, *message, *_footer(state)]
    return [pad(line, state.columns) for line in lines]


def clamp_scroll(state: State, now: datetime) -> State:
    """Return the state with its scroll position within what there is to scroll."""
    if state.scroll == 0:
        return state
    if state.place is Place.HELP:
        end = len(help_lines(state.columns)) - state.body_lines
    else:
        width, height = _detail_size(state)
        end = len(_all_details(state, now, width)) - height
    return replace(state, scroll=max(0, min(state.scroll, end)))


def _filled(lines: list[Line], height: int) -> list[Line]:
    return [*lines, *([[]] * height)][:height]


def _too_small(state: State, now: datetime) -> list[Line]:
    words = f"terminal too small: {state.columns}x{state.lines}, needs {NARROWEST}x{LOWEST} · q quits"
    style, fresh = freshness(state, now)
    lines = [plain(line) for line in wrap(words, max(2, state.columns))]
    return [*lines, plain(fit(fresh, state.columns), style)][: state.lines]


def _body(state: State, now: datetime, click: Click) -> list[Line]:
    width, height = state.columns, state.body_lines
    if state.place is Place.HELP:
        return help_lines(width)[state.scroll :]
    if words := words_instead(state):
        return [plain(line) for text in words for line in wrap(text, width)]
    if not state.shows_details:
        return _table(state, now, width, height, click)
    details = _details(state, now, click)
    if not state.is_beside:
        return [*_table(state, now, width, height - len(details), click), *details]
    table_width = width - _detail_size(state)[0] - 3
    table = _filled(_table(state, now, table_width, height, click), height)
    return [
        [*pad(left, table_width), ("class:dim", " │ "), *right]
        for left, right in zip(table, details, strict=True)
    ]


def _table(state: State, now: datetime, width: int, height: int, click: Click) -> list[Line]:
    if state.view is Place.JOBS:
        return job_lines(state, now, width, height, click)
    return row_lines(state, width, height, click)


def _all_details(state: State, now: datetime, width: int) -> list[Line]:
    if state.shows_log:
        return log_lines(state, width)
    return detail_lines(state, now, width) if state.view is Place.JOBS else row_details(state, width)


def _detail_size(state: State) -> tuple[int, int]:
    """Return width and height of the job's details without their caption."""
    if state.is_beside:
        return state.columns * 2 // 5, state.body_lines - 1
    rows = len(state.jobs) if state.view is Place.JOBS else len(state.rows)
    table = min(max(4, state.body_lines // 3), 1 + rows)
    return state.columns, state.body_lines - table - 1


def _details(state: State, now: datetime, click: Click) -> list[Line]:
    width, height = _detail_size(state)
    lines = _all_details(state, now, width)
    start = max(0, len(lines) - height - state.scroll) if state.shows_log else state.scroll
    seen = lines[start : start + height]
    name = f"log of {safe(state.log_of)}" if state.shows_log else "details"
    extent = f": lines {start + 1} to {start + len(seen)} of {len(lines)}, ] and [ scroll"
    caption = plain(fit(name + (extent if len(lines) > height else ""), width), "class:head")
    scrollable: list[Line] = [[(*piece[:2], click(None, scroll)) for piece in line] for line in seen]
    return [caption, *_filled(scrollable, height)]


def words_instead(state: State) -> list[str]:
    """Return what to say in place of a table; empty if there is something to show."""
    if state.snapshot is None:
        return ["", *_words_without_data(state.problem)]
    if not state.is_current:
        return []
    if state.view is not Place.JOBS:
        return [] if state.rows else ["", *VIEWS[state.view].empty, *_next_step(state)]
    return [] if state.jobs else ["", *_words_without_jobs(state, state.snapshot)]


def _words_without_jobs(state: State, snapshot: Snapshot) -> list[str]:
    if not sum(snapshot.totals.values()):
        return ["The queue is empty.", f"Enqueue a first job: {command('producer', '--count 1')}"]
    if snapshot.page.next is not None:
        looked = snapshot.page.scanned or 0
        return [f"None of the {looked:,} newest jobs is meant; n looks at those before them."]
    without = [
        f"  without {safe(term, 60)}: {'at least ' if count.is_capped else ''}{count.number:,}"
        for term, count in snapshot.removals
    ]
    return [f"No job is meant by: {safe(state.query)}", *without, "", "0 shows every job, / asks for others."]


def _next_step(state: State) -> list[str]:
    return [f"Start one: {command('consumer')}"] if state.view is Place.CONSUMERS else []


def _words_without_data(problem: Exception | None) -> list[str]:
    match problem:
        case None:
            return ["Opening the database …"]
        case DatabaseMissing():
            start = command("producer", "--count 1")
            return [safe(f"There is {problem.summary}."), f"It is shown as soon as it exists: {start}"]
        case PersistentQError():
            return [safe(f"error: {problem.summary}"), safe(f"hint: {problem.hint}"), "Trying again …"]
    return [safe(f"error: {problem!r}"), "Trying again …"]


def _message(state: State) -> list[Line]:
    if state.prompt is not None and state.prompt.problem:
        text = f"error: {safe(state.prompt.problem)}"
        return [plain(line, "class:error") for line in wrap(text, state.columns)[:MOST_MESSAGE_LINES]]
    if state.busy:
        return [plain(state.busy, "class:title")]
    if state.message is None:
        return [plain(fit(f"= {safe(equivalent(state))}", state.columns), "class:dim")]
    text = ("error: " if state.message.is_error else "") + safe(state.message.text)
    style = "class:error" if state.message.is_error else "class:title"
    return [plain(line, style) for line in wrap(text, state.columns)[:MOST_MESSAGE_LINES]]


def _footer(state: State) -> list[Line]:
    if state.dialog is not None:
        return _filled([], FOOTER_LINES)  # It has the keys to itself, and names them.
    if state.prompt is not None:
        return prompt_lines(state, state.prompt)
    pieces: list[Line] = [[("class:key", key), ("", f" {hint}  ")] for key, hint in hints(state.place)]
    return _filled(flow(pieces, state.columns), FOOTER_LINES)
