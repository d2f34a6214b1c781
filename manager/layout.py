"""The whole screen as lines of text, from the state and the time alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from persistentq.errors import DatabaseMissing, PersistentQError
from persistentq.operations import safe

from .cells import Click, Line, fit, flow, pad, plain, wrap
from .detail import detail_lines
from .header import freshness, header_lines
from .help import help_lines
from .keys import hints
from .moves import scroll
from .state import FOOTER_LINES, LOWEST, NARROWEST, Place, State
from .table import consumer_lines, job_lines
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
        end = len(detail_lines(state, now, width)) - height
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
    if words := _words(state):
        return [plain(line) for text in words for line in wrap(text, width)]
    if state.place is Place.CONSUMERS:
        return consumer_lines(state, width, height)
    if not state.shows_details:
        return job_lines(state, now, width, height, click)
    details = _details(state, now, click)
    if not state.is_wide:
        return [*job_lines(state, now, width, height - len(details), click), *details]
    table_width = width - _detail_size(state)[0] - 3
    table = _filled(job_lines(state, now, table_width, height, click), height)
    return [
        [*pad(left, table_width), ("class:dim", " │ "), *right]
        for left, right in zip(table, details, strict=True)
    ]


def _detail_size(state: State) -> tuple[int, int]:
    """Return width and height of the job's details without their caption."""
    if state.is_wide:
        return state.columns * 2 // 5, state.body_lines - 1
    table = min(max(4, state.body_lines // 3), 1 + len(state.jobs))
    return state.columns, state.body_lines - table - 1


def _details(state: State, now: datetime, click: Click) -> list[Line]:
    width, height = _detail_size(state)
    lines = detail_lines(state, now, width)
    seen = lines[state.scroll : state.scroll + height]
    extent = f": lines {state.scroll + 1} to {state.scroll + len(seen)} of {len(lines)}, ] and [ scroll"
    caption = plain(fit("details" + (extent if len(lines) > height else ""), width), "class:head")
    scrollable: list[Line] = [[(*piece[:2], click(None, scroll)) for piece in line] for line in seen]
    return [caption, *_filled(scrollable, height)]


def _words(state: State) -> list[str]:
    """Return what to say in place of a table; empty if there is something to show."""
    if state.snapshot is None:
        return ["", *_words_without_data(state.problem)]
    if state.place is Place.CONSUMERS:
        return (
            []
            if state.consumers
            else ["", "No consumer has reported yet.", f"Start one: {command('consumer')}"]
        )
    if state.jobs or not state.is_current:
        return []
    if not sum(state.snapshot.counts.values()):
        return ["", "The queue is empty.", f"Enqueue a first job: {command('producer', '--count 1')}"]
    status = f"{state.only_status} jobs" if state.only_status else "jobs"
    of = f" of {safe(state.only_consumer)}" if state.only_consumer else ""
    return [
        "",
        f"There are no {status}{of}.",
        "0 shows all statuses, Tab the next one, Esc takes filters away.",
    ]


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
    if state.busy:
        return [plain(state.busy, "class:title")]
    if state.message is None:
        return [[]]
    text = ("error: " if state.message.is_error else "") + safe(state.message.text)
    style = "class:error" if state.message.is_error else "class:title"
    return [plain(line, style) for line in wrap(text, state.columns)[:MOST_MESSAGE_LINES]]


def _footer(state: State) -> list[Line]:
    if state.dialog is not None:
        return _filled([], FOOTER_LINES)  # It has the keys to itself, and names them.
    pieces: list[Line] = [[("class:key", key), ("", f" {hint}  ")] for key, hint in hints(state.place)]
    return _filled(flow(pieces, state.columns), FOOTER_LINES)
