"""The dialogs as text: the question, the jobs it is about, the buttons or the field, the keys."""

from __future__ import annotations

from collections.abc import Iterator

from persistentq.operations import ACTIONS, ago, safe

from . import dialogs
from .cells import Click, Line, fit, flow, pad, plain, wrap
from .keys import hints
from .state import Confirm, Dialog, Move, PickConsumer, State, TypeNumber
from .wording import jobs_text, life_text, status_text

JOBS_SHOWN = 5
CHOICES_SHOWN = 8
OTHER_LINES = 12
"""What the largest question needs besides the jobs: the buttons must be seen on the lowest terminal."""


def popup_width(state: State) -> int:
    """Return how many cells the text of a dialog may take."""
    return min(66, state.columns - 6)


def popup_title(state: State) -> str:
    """Return the name of the action that the open dialog asks about."""
    match state.dialog:
        case Confirm(verb) | TypeNumber(verb):
            return ACTIONS[verb].label
        case PickConsumer():
            return ACTIONS["assign"].label
    return ""


def popup_lines(state: State, click: Click) -> list[Line]:
    """Return the lines of the open dialog; none if none is open."""
    width, dialog = popup_width(state), state.dialog
    if dialog is None:
        return []
    keys = flow(([("class:key", key), ("", f" {hint}  ")] for key, hint in hints(state.heard_at)), width)
    return [pad(line, width) for line in (*_content(state, dialog, width, click), [], *keys)]


def _content(state: State, dialog: Dialog, width: int, click: Click) -> Iterator[Line]:
    match dialog:
        case Confirm(verb, job_ids, consumer, warning, is_yes):
            yield from _question(state, verb, job_ids, width)
            if verb == "assign":
                yield [("class:title", f"for {safe(consumer)}" if consumer else "for anyone")]
            yield from _problem(warning, width)
            yield []
            yield _buttons(verb, click, is_yes=is_yes)
        case TypeNumber(verb, job_ids, typed, problem):
            yield from _question(state, verb, job_ids, width)
            yield []
            yield [("", f"type {len(job_ids)} to confirm: "), *_field(typed)]
            yield from _problem(problem, width)
        case PickConsumer():
            yield from _choices(dialog, width)


def _question(state: State, verb: str, job_ids: tuple[int, ...], width: int) -> Iterator[Line]:
    action = ACTIONS[verb]
    yield from (plain(line, "class:title") for line in wrap(action.question(job_ids), width))
    room = min(JOBS_SHOWN, state.lines - OTHER_LINES)
    yield from (_job_line(state, job_id, width) for job_id in job_ids[:room])
    if (more := len(job_ids) - room) > 0:
        yield [("class:dim", f"  … and {more:,} more")]
    if action.is_final:
        yield [("class:error", "The command line can undo this for some days.")]


def _job_line(state: State, job_id: int, width: int) -> Line:
    job = state.find(job_id)
    if job is None:
        is_gone = state.snapshot is not None and job_id in state.snapshot.gone
        return [("", f"  {job_id} gone" if is_gone else f"  {job_id}")]
    style, status = status_text(job.status)
    return [("", f"  {job_id} "), (style, status), ("", f" {safe(job.task, width - 40)}")]


def _buttons(verb: str, click: Click, *, is_yes: bool) -> Line:
    # Beside "Cancel job", a button "Cancel" would be read as the same thing.
    keep = "Keep job" if verb == "cancel" else "Cancel"
    return [
        *_button(keep, click, dialogs.dismiss, is_focused=not is_yes),
        ("", "   "),
        *_button(ACTIONS[verb].label, click, dialogs.confirm, is_focused=is_yes),
    ]


def _button(label: str, click: Click, move: Move, *, is_focused: bool) -> Line:
    style = "class:button.focused" if is_focused else "class:button"
    sign = ">" if is_focused else " "
    return [("", sign), (style, f"[ {label} ]", click(move, None))]


def _choices(dialog: PickConsumer, width: int) -> Iterator[Line]:
    yield [("class:title", f"Who shall take {jobs_text(dialog.job_ids)} next?")]
    rows: list[Line] = [[("", "anyone (no reservation)")]]
    for consumer in dialog.consumers:
        style, life = life_text(consumer)
        name = fit(safe(consumer.id), width - 24)
        rows.append([("", name + " "), (style, life), ("", f" {ago(consumer.silent_for)} ago")])
    first = min(max(0, dialog.row - CHOICES_SHOWN + 1), max(0, len(rows) - CHOICES_SHOWN))
    for number, row in enumerate(rows[first : first + CHOICES_SHOWN], first):
        is_chosen = number == dialog.row and not dialog.typed
        yield [("class:chosen" if is_chosen else "", "> " if is_chosen else "  "), *row]
    yield [("", "or type a name: "), *_field(dialog.typed)]
    yield from _problem(dialog.problem, width)


def _field(typed: str) -> Line:
    return [("class:title", safe(typed)), ("class:chosen", " ")]


def _problem(problem: str, width: int) -> Iterator[Line]:
    yield from (plain(line, "class:error") for line in wrap(safe(problem), width) if line)
