"""The binding table: every key, what it does and where. Help, footer and the dialogs' hints are made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from persistentq.operations import ACTIONS

from . import dialogs, moves
from .state import FILTERS, Move, Place, State

JOBS = frozenset({Place.JOBS})
CONSUMERS = frozenset({Place.CONSUMERS})
VIEWS = JOBS | CONSUMERS
HELP = frozenset({Place.HELP})
NO_DIALOG = VIEWS | HELP
CONFIRM, NUMBER, PICK = (frozenset({place}) for place in (Place.CONFIRM, Place.NUMBER, Place.PICK))
TYPING = NUMBER | PICK
DIALOGS = CONFIRM | TYPING
EVERYWHERE = frozenset(Place)

ALL_FILTERS = ", ".join(status or "all" for status in FILTERS)


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
    return Binding(tuple(keys.split()), dialogs.ask(verb), does, JOBS, label.lower())


BINDINGS: tuple[Binding, ...] = (
    Binding(("?",), moves.go_to(Place.HELP), "this help, and back", NO_DIALOG, "help"),
    Binding(("q",), moves.quit_manager, "quit", NO_DIALOG | {Place.TOO_SMALL}, "quit"),
    Binding(("c-c",), moves.quit_manager, "quit, from anywhere", EVERYWHERE),
    Binding(("enter",), moves.toggle_details, "show or hide the job's details", JOBS, "details"),
    Binding(("enter",), moves.show_consumers_jobs, "show the consumer's jobs", CONSUMERS, "its jobs"),
    Binding(("c",), moves.go_to(Place.CONSUMERS), "consumers, and back", NO_DIALOG, "consumers"),
    Binding(("tab",), moves.cycle_status(1), "next status", JOBS, "status"),
    Binding(("s-tab",), moves.cycle_status(-1), "previous status", JOBS),
    *(
        Binding((str(digit),), moves.show_status(status), f"show {ALL_FILTERS}", JOBS)
        for digit, status in enumerate(FILTERS)
    ),
    Binding(("space",), moves.toggle_mark, "mark the job, or take the mark away", JOBS, "mark"),
    _act("R", "resubmit"),
    _act("C", "cancel"),
    _act("F", "mark-failed"),
    _act("A M", "assign"),
    _act("D", "delete"),
    Binding(("n", "pagedown"), moves.next_page, "next page: older jobs", JOBS, "next page"),
    Binding(("N", "pageup"), moves.previous_page, "previous page: newer jobs", JOBS),
    Binding(("up", "k"), moves.step_row(-1), "up", JOBS),
    Binding(("down", "j"), moves.step_row(1), "down", JOBS),
    Binding(("g", "home"), moves.newest, "the newest job", JOBS),
    Binding(("end",), moves.last_row, "the last job on the page", JOBS),
    Binding(("a",), moves.mark_page, "mark every job on the page", JOBS),
    Binding(("u",), moves.unmark_all, "take every mark away", JOBS),
    Binding(("]",), moves.scroll(1), "scroll the details down", JOBS),
    Binding(("[",), moves.scroll(-1), "scroll the details up", JOBS),
    Binding(("up", "k"), moves.step_consumer(-1), "up", CONSUMERS),
    Binding(("down", "j"), moves.step_consumer(1), "down", CONSUMERS),
    Binding(("down", "j", "pagedown"), moves.scroll(1), "scroll the help down", HELP, "scroll"),
    Binding(("up", "k", "pageup"), moves.scroll(-1), "scroll the help up", HELP),
    Binding(
        ("escape",), moves.step_back, "back: help, consumers, details, marks, filters", NO_DIALOG, "back"
    ),
    Binding(("tab", "s-tab", "left", "right"), dialogs.switch_button, "switch", CONFIRM, "switch"),
    Binding(("enter",), dialogs.press, "press", CONFIRM, "press"),
    Binding(("y",), dialogs.confirm, "confirm", CONFIRM, "confirm"),
    Binding(("n",), dialogs.dismiss, "leave", CONFIRM),
    Binding(("up",), dialogs.step_choice(-1), "up", PICK),
    Binding(("down",), dialogs.step_choice(1), "down", PICK, "choose"),
    Binding(("enter",), dialogs.press, "go on", TYPING, "go on"),
    Binding(("backspace",), dialogs.erase, "erase", TYPING),
    Binding(("escape",), dialogs.dismiss, "leave", DIALOGS, "leave"),
)

NAMES = {
    "c-c": "Ctrl-C",
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

    @bindings.add(Keys.Any, filter=heard_at(TYPING))
    @bindings.add(Keys.BracketedPaste, filter=heard_at(TYPING))
    def _(event: KeyPressEvent) -> None:
        key = event.key_sequence[0].key
        if key is Keys.BracketedPaste or len(key) == 1:  # not an arrow or a function key
            press(dialogs.type_text(event.data))

    return bindings
