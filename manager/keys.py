"""The binding table: every key, what it does and where. Help, footer and the dialogs' hints are made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from persistentq.operations import ACTIONS

from . import dialogs, moves, prompt
from .snapshot import Place
from .state import Move, State
from .views import VIEWS as VIEW_TABLE

FAR = 1_000_000

JOBS = frozenset({Place.JOBS})
VIEWS = frozenset(VIEW_TABLE)
LISTS = VIEWS - JOBS
HELP = frozenset({Place.HELP})
NO_DIALOG = VIEWS | HELP
BUTTONS, FIELD, PICK, PROMPT = (
    frozenset({place}) for place in (Place.BUTTONS, Place.FIELD, Place.PICK, Place.PROMPT)
)
TYPING = FIELD | PICK
DIALOGS = BUTTONS | TYPING
EVERYWHERE = frozenset(Place)


class Binding(NamedTuple):
    """Some keys, what they do, and where they are heard.

    Attributes:
        keys: As prompt_toolkit names them.
        does: For the help.
        hint: For the footer, shorter; empty if it is not to stand there.
    """

    keys: tuple[str, ...]
    move: Move
    does: str
    places: frozenset[Place]
    hint: str = ""


def _act(keys: str, verb: str) -> Binding:
    label = ACTIONS[verb].label
    does = f"{label.lower()}: the marked jobs, else the selected one (asks first)"
    return Binding((keys,), dialogs.ask_verb(verb), does, JOBS, label.lower())


def _at(place: Place, key: str, move: Move, does: str, hint: str) -> Binding:
    return Binding((key,), move, f"{does} (asks first)", frozenset({place}), hint)


BINDINGS: tuple[Binding, ...] = (
    Binding(("?",), moves.toggle_help, "this help, and back", NO_DIALOG, "help"),
    Binding(("q",), moves.quit_manager, "quit", NO_DIALOG | {Place.TOO_SMALL}, "quit"),
    Binding(("c-c",), moves.quit_manager, "quit, from anywhere", EVERYWHERE),
    Binding(("c-z",), moves.suspend, "back to the shell, whose `fg` brings the manager back", EVERYWHERE),
    *(
        Binding((str(digit),), moves.go_to(place), view.does, NO_DIALOG)
        for digit, (place, view) in enumerate(VIEW_TABLE.items(), 1)
    ),
    Binding(("!",), moves.go_to(Place.ATTENTION), "straight to what needs a person now", NO_DIALOG),
    Binding(("/",), prompt.open_query, "ask for jobs, in the query language", NO_DIALOG, "query"),
    Binding((":",), prompt.open_command, "type a command", NO_DIALOG, "command"),
    Binding(("enter",), moves.toggle_details, "show or hide the job's details", JOBS, "details"),
    Binding(("enter",), moves.show_rows_jobs, "show the jobs that the row is about", LISTS, "its jobs"),
    Binding(("space",), moves.toggle_details, "show or hide the row's details", LISTS, "details"),
    Binding(("tab",), moves.cycle_status(1), "next status", JOBS, "status"),
    Binding(("s-tab",), moves.cycle_status(-1), "previous status", JOBS),
    Binding(("0",), moves.show_query(""), "every job: no status and no query", NO_DIALOG),
    Binding(("space",), moves.toggle_mark, "mark the job, or take the mark away", JOBS, "mark"),
    _act("R", "resubmit"),
    _act("C", "cancel"),
    _act("F", "mark-failed"),
    _act("M", "assign"),
    _act("D", "delete"),
    Binding(("n", "pagedown"), moves.next_page, "next page: older jobs", JOBS, "next page"),
    Binding(("N", "pageup"), moves.previous_page, "previous page: newer jobs", JOBS),
    Binding(("up", "k"), moves.step_row(-1), "up", JOBS),
    Binding(("down", "j"), moves.step_row(1), "down", JOBS),
    Binding(("g", "home"), moves.newest, "the newest job", JOBS),
    Binding(("G", "end"), moves.last_row, "the last job on the page", JOBS),
    Binding(("V",), moves.mark_range, "mark from the job that was marked last to this one", JOBS),
    Binding(("a",), moves.mark_page, "mark every job on the page", JOBS),
    Binding(("A",), moves.mark_all, "mark every job that the query means, on all pages", JOBS, "all"),
    Binding(("u",), moves.unmark_all, "take every mark away", JOBS),
    Binding(("w",), moves.toggle_columns, "more columns, or the usual ones again", JOBS),
    Binding(("]",), moves.scroll(1), "scroll the details down", VIEWS),
    Binding(("[",), moves.scroll(-1), "scroll the details up", VIEWS),
    Binding(("up", "k"), moves.step_rows(-1), "up", LISTS),
    Binding(("down", "j"), moves.step_rows(1), "down", LISTS),
    Binding(("g", "home"), moves.step_rows(-FAR), "the first row", LISTS),
    Binding(("G", "end"), moves.step_rows(FAR), "the last row", LISTS),
    Binding(("pagedown",), moves.turn_rows(1), "a screen further down", LISTS),
    Binding(("pageup",), moves.turn_rows(-1), "a screen further up", LISTS),
    Binding(("s",), moves.next_sort, "sort by the next column, or by none again", LISTS, "sort"),
    Binding(("S",), moves.reverse_sort, "sort the other way round", LISTS),
    _at(
        Place.FAILURES,
        "R",
        dialogs.ask_group("resubmit"),
        "resubmit the failed jobs of the group",
        "resubmit",
    ),
    _at(Place.QUEUES, "P", dialogs.ask_row("pause", "resume"), "pause or resume the queue", "pause/resume"),
    _at(
        Place.CONSUMERS,
        "X",
        dialogs.ask_row("stop-consumer", "start-consumer"),
        "stop the consumer, or start it",
        "stop/start",
    ),
    _at(Place.CONSUMERS, "R", dialogs.ask_row("restart-consumer"), "restart the consumer", "restart"),
    Binding(
        ("l",),
        moves.toggle_log,
        "the last lines of the consumer's log, or its details again",
        frozenset({Place.CONSUMERS}),
        "log",
    ),
    _at(Place.CONSUMERS, "+", dialogs.ask_scale(1), "one consumer more", "more"),
    _at(Place.CONSUMERS, "-", dialogs.ask_scale(-1), "one consumer fewer", "fewer"),
    _at(
        Place.SCHEDULES,
        "P",
        dialogs.ask_row("pause-schedule", "resume-schedule"),
        "pause or resume the schedule",
        "pause/resume",
    ),
    _at(Place.SCHEDULES, "A", dialogs.ask_schedule, "add a schedule", "add"),
    _at(Place.SCHEDULES, "E", dialogs.ask_edit, "edit the schedule", "edit"),
    _at(Place.SCHEDULES, "D", dialogs.ask_row("remove-schedule"), "remove the schedule", "remove"),
    _at(Place.SCHEDULES, "R", dialogs.ask_row("run-schedule"), "enqueue the schedule's job now", "run now"),
    _at(Place.JOURNAL, "U", dialogs.ask_row("undo"), "take back what the entry did", "undo"),
    Binding(
        ("z",),
        dialogs.ask_undo,
        "take back what was done last from here (asks first)",
        NO_DIALOG,
        "undo last",
    ),
    Binding(("f",), moves.toggle_freeze, "freeze the screen, or go on", NO_DIALOG, "freeze"),
    Binding((">",), moves.step_interval(1), "read less often, at last not by itself any more", NO_DIALOG),
    Binding(("<",), moves.step_interval(-1), "read more often", NO_DIALOG),
    Binding(
        ("y",), moves.copy, "copy the command that does the same, or lists the same", VIEWS, "copy command"
    ),
    Binding(("Y",), moves.copy_id, "copy the id under the cursor", VIEWS),
    Binding(("down", "j", "pagedown"), moves.scroll(1), "scroll the help down", HELP, "scroll"),
    Binding(("up", "k", "pageup"), moves.scroll(-1), "scroll the help up", HELP),
    Binding(
        ("escape",),
        moves.step_back,
        "back: log, help or view, details, marks, query, status",
        NO_DIALOG,
        "back",
    ),
    Binding(("tab", "right"), dialogs.step_focus(1), "switch", BUTTONS, "switch"),
    Binding(("s-tab", "left"), dialogs.step_focus(-1), "switch", BUTTONS),
    Binding(("enter",), dialogs.press, "press", BUTTONS, "press"),
    Binding(("y",), dialogs.confirm, "confirm", BUTTONS, "confirm"),
    Binding(("r",), dialogs.to_reason, "say why", BUTTONS, "say why"),
    Binding(("n",), dialogs.dismiss, "leave", BUTTONS),
    Binding(("tab", "down"), dialogs.step_focus(1), "next field", FIELD, "next field"),
    Binding(("s-tab", "up"), dialogs.step_focus(-1), "previous field", FIELD),
    Binding(("up",), dialogs.step_choice(-1), "up", PICK),
    Binding(("down",), dialogs.step_choice(1), "down", PICK, "choose"),
    Binding(("enter",), dialogs.press, "go on", TYPING, "go on"),
    Binding(("backspace",), dialogs.erase, "erase", TYPING),
    Binding(("c-u",), dialogs.empty, "empty", TYPING),
    Binding(("escape",), dialogs.dismiss, "leave", DIALOGS, "leave"),
    Binding(("enter",), prompt.enter, "go", PROMPT, "go"),
    Binding(("tab",), prompt.offer(1), "complete", PROMPT, "complete"),
    Binding(("s-tab",), prompt.offer(-1), "complete", PROMPT),
    Binding(("up",), prompt.recall(1), "earlier", PROMPT),
    Binding(("down",), prompt.recall(-1), "later", PROMPT),
    Binding(("left",), prompt.step(-1), "left", PROMPT),
    Binding(("right",), prompt.step(1), "right", PROMPT),
    Binding(("home",), prompt.to_start, "to the start", PROMPT),
    Binding(("end",), prompt.to_end, "to the end", PROMPT),
    Binding(("c-u",), prompt.empty, "empty", PROMPT),
    Binding(("backspace",), prompt.erase, "erase", PROMPT),
    Binding(("escape",), prompt.close, "leave", PROMPT, "leave"),
)

NAMES = {
    "c-c": "Ctrl-C",
    "c-u": "Ctrl-U",
    "c-z": "Ctrl-Z",
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "s-tab": "Shift-Tab",
    "space": "Space",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "backspace": "Backspace",
}


def shown(binding: Binding) -> str:
    """Return the binding's keys as a person reads them: `n PgDn`."""
    return " ".join(NAMES.get(key, key) for key in binding.keys)


def hints(place: Place) -> Iterator[tuple[str, str]]:
    """Yield first key and hint of the bindings that belong into the footer, or below the dialog, at `place`."""
    for binding in BINDINGS:
        if place in binding.places and binding.hint:
            yield NAMES.get(binding.keys[0], binding.keys[0]), binding.hint


def make_key_bindings(get_state: Callable[[], State], press: Callable[[Move], None]) -> KeyBindings:
    """Return the table as prompt_toolkit wants it.

    Args:
        get_state: Tells where keys are heard now.
        press: Called with the move of the key that was pressed.
    """
    bindings = KeyBindings()

    def heard_at(places: frozenset[Place]) -> Condition:
        return Condition(lambda: get_state().heard_at in places)

    def bind(binding: Binding) -> None:
        for key in binding.keys:
            bindings.add(key, filter=heard_at(binding.places))(lambda _: press(binding.move))

    for binding in BINDINGS:
        bind(binding)

    @bindings.add(Keys.Any, filter=heard_at(TYPING | PROMPT))
    @bindings.add(Keys.BracketedPaste, filter=heard_at(TYPING | PROMPT))
    def _(event: KeyPressEvent) -> None:
        key = event.key_sequence[0].key
        if key is Keys.BracketedPaste or len(key) == 1:  # not an arrow or a function key
            is_prompt = get_state().heard_at is Place.PROMPT
            press((prompt.insert if is_prompt else dialogs.type_text)(event.data))

    return bindings
