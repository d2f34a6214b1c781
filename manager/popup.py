"""The dialogs as text: the question, the jobs it is about, the buttons or the field, the keys."""

from __future__ import annotations

from collections.abc import Iterator

from prompt_toolkit.utils import get_cwidth

from persistentq.job import Job
from persistentq.operations import Preview, ago, safe

from . import dialogs
from .asking import Dialog, Focus, Form, PickConsumer, Question
from .cells import Click, Line, fit, flow, pad, plain, wrap
from .keys import hints
from .state import Move, State
from .wording import jobs_text, life_text, status_text

JOBS_SHOWN = 5
CHOICES_SHOWN = 8
OTHER_LINES = 12
"""What the largest question needs besides the jobs: the buttons must be seen on the lowest terminal."""


def popup_width(state: State) -> int:
    """Return how many cells the text of a dialog may take."""
    return min(66, state.columns - 6)


def popup_lines(state: State, click: Click) -> list[Line]:
    """Return the lines of the open dialog in its frame, which takes two cells more; none if none is open."""
    width, dialog = popup_width(state), state.dialog
    if dialog is None:
        return []
    keys = flow(([("class:key", key), ("", f" {hint}  ")] for key, hint in hints(state.heard_at)), width)
    return _framed([*_content(state, dialog, width, click), [], *keys], dialog.deed.label, width)


def _framed(lines: list[Line], title: str, width: int) -> list[Line]:
    side = ("class:frame.border", "│")
    name = f" {fit(title, width - 4).rstrip()} "
    left = (width - get_cwidth(name) - 2) // 2
    top: Line = [
        ("class:frame.border", f"┌{'─' * left}|"),
        ("class:frame.label", name),
        ("class:frame.border", f"|{'─' * (width - left - get_cwidth(name) - 2)}┐"),
    ]
    bottom = plain(f"└{'─' * width}┘", "class:frame.border")
    return [top, *([side, *pad(line, width), side] for line in lines), bottom]


def _content(state: State, dialog: Dialog, width: int, click: Click) -> Iterator[Line]:
    if isinstance(dialog, PickConsumer):
        yield from _choices(dialog, width)
        return
    if isinstance(dialog, Form):
        yield from _form(dialog, width)
        return
    yield from question_lines(state, dialog, width)
    yield from _problem(dialog.problem, width)
    if dialog.wants_number:
        number = "…" if dialog.fitting is None else f"{dialog.fitting}"
        yield _input(f"type {number} to confirm: ", dialog.typed, is_focused=dialog.focus is Focus.NUMBER)
    if dialog.reason or dialog.focus is Focus.REASON:
        reason = dialog.reason[-max(10, width - 12) :]
        yield _input("reason: ", reason, is_focused=dialog.focus is Focus.REASON)
    if not dialog.wants_number:
        yield _buttons(dialog, click)


def question_lines(state: State, dialog: Question, width: int) -> Iterator[Line]:
    """Yield what is asked, and which jobs are meant."""
    deed, seen = dialog.deed, dialog.seen
    question = deed.question(None if seen is None else seen.count)
    yield from (plain(line, "class:title") for line in wrap(question, width))
    if deed.act is not None and deed.act.verb == "assign":
        yield plain(f"for {safe(deed.act.consumer)}" if deed.act.consumer else "for anyone", "class:title")
    if deed.act is None:
        return
    if seen is None:
        yield plain("looking which jobs these are …", "class:dim")
        return
    room = min(JOBS_SHOWN, state.lines - OTHER_LINES - len(seen.will_skip))
    yield from (_job_line(job, width) for job in seen.sample[: max(1, room)])
    if seen.count > 1:
        yield plain(fit(_extent(seen), width).rstrip(), "class:dim")
    for reason, number in seen.will_skip.items():
        yield plain(f"  {number:,} would be skipped: {reason}", "class:warn")
    if deed.is_final:
        yield plain("z takes it back, for some days.", "class:dim")


def _extent(seen: Preview) -> str:
    more = "at least " if seen.is_capped else ""
    ends = [f"{word} {job.id}" for word, job in (("oldest", seen.oldest), ("newest", seen.newest)) if job]
    return f"  {more}{seen.count:,} jobs; {', '.join(ends)}"


def _job_line(job: Job, width: int) -> Line:
    style, status = status_text(job.status)
    return [("", f"  {job.id} "), (style, status), ("", f" {safe(job.task, max(8, width - 40))}")]


def _input(label: str, typed: str, *, is_focused: bool) -> Line:
    return [("", label), *_field(typed)] if is_focused else [("", label), ("class:title", safe(typed))]


def _buttons(dialog: Question, click: Click) -> Line:
    # Beside "Cancel job", a button "Cancel" would be read as the same thing.
    keep = "Keep job" if dialog.deed.verb == "cancel" else "Cancel"
    return [
        *_button(keep, click, dialogs.dismiss, is_focused=dialog.focus is Focus.KEEP),
        ("", "   "),
        *_button(dialog.deed.label, click, dialogs.confirm, is_focused=dialog.focus is Focus.DO),
    ]


def _button(label: str, click: Click, move: Move, *, is_focused: bool) -> Line:
    style = "class:button.focused" if is_focused else "class:button"
    sign = ">" if is_focused else " "
    return [("", sign), (style, f"[ {label} ]", click(move, None))]


def _choices(dialog: PickConsumer, width: int) -> Iterator[Line]:
    yield [
        (
            "class:title",
            f"Who shall take {jobs_text(dialog.deed.ids) if dialog.deed.ids else 'every job that matches'} next?",
        )
    ]
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


def _form(dialog: Form, width: int) -> Iterator[Line]:
    margin = max(get_cwidth(entry.label) for entry in dialog.entries) + 2
    for number, entry in enumerate(dialog.entries):
        room = width - margin - 1
        text = entry.text if get_cwidth(safe(entry.text)) <= room else f"…{entry.text[1 - room :]}"
        yield _input(fit(entry.label, margin), text, is_focused=number == dialog.at)
    yield from _problem(dialog.problem, width)


def _field(typed: str) -> Line:
    return [("class:title", safe(typed)), ("class:chosen", " ")]


def _problem(problem: str, width: int) -> Iterator[Line]:
    yield from (plain(line, "class:error") for line in wrap(safe(problem), width) if line)
