"""The dialogs' deeds: what opens one, what the keys do in it, and the order it ends in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from persistentq.checks import check_consumer
from persistentq.errors import ConsumerNotFound, InvalidArgument, InvalidTransition
from persistentq.job import ConsumerInfo, require_before
from persistentq.operations import ACTIONS

from .state import Act, Confirm, Dialog, Move, PickConsumer, State, TypeNumber
from .wording import jobs_text


def ask(verb: str) -> Move:
    """Open the dialog for this action on the marked jobs, else on the selected one.

    The jobs are fixed here: what is read while the dialog is open does not change what it is about.
    """

    def open_dialog(state: State) -> State:
        if state.busy:
            return state.says(f"still busy: {state.busy}", is_error=True)
        if not state.targets:
            return state.says("no job is selected", is_error=True)
        if not state.marks and state.selected:
            try:
                require_before(verb, state.selected.id, state.selected.status)
            except InvalidTransition as refusal:
                return state.says(str(refusal), is_error=True)
        return replace(state, dialog=_first_dialog(verb, state))

    return open_dialog


def _first_dialog(verb: str, state: State) -> Dialog:
    if verb == "assign":
        return PickConsumer(state.targets, tuple(sorted(state.consumers, key=_likeliest_first)))
    if ACTIONS[verb].is_final and len(state.targets) > 1:
        return TypeNumber(verb, state.targets)
    return Confirm(verb, state.targets)


def _likeliest_first(consumer: ConsumerInfo) -> tuple[bool, bool, str]:
    return (not consumer.is_alive, consumer.stopped_at is not None, consumer.id)


def dismiss(state: State) -> State:
    """Close the dialog without doing anything."""
    return replace(state, dialog=None)


def switch_button(state: State) -> State:
    """Move the focus to the other button."""
    match state.dialog:
        case Confirm() as dialog:
            return replace(state, dialog=dialog._replace(is_yes=not dialog.is_yes))
    return state


def press(state: State) -> State:
    """Do what Enter means in the dialog: press the focused button, compare the number, or take the consumer."""
    match state.dialog:
        case Confirm(is_yes=True):
            return confirm(state)
        case TypeNumber() as dialog:
            if dialog.typed == str(len(dialog.job_ids)):
                return confirm(state)
            problem = f"type {len(dialog.job_ids)} to go on, or Esc to leave"
            return replace(state, dialog=dialog._replace(problem=problem))
        case PickConsumer() as dialog:
            return replace(state, dialog=_chosen(dialog))
    return dismiss(state)


def confirm(state: State) -> State:
    """Close the dialog and order what it asks about."""
    match state.dialog:
        case Confirm(verb, job_ids, consumer):
            order = Act(verb, job_ids, consumer)
        case TypeNumber(verb, job_ids):
            order = Act(verb, job_ids)
        case _:
            return state
    return replace(state, dialog=None, order=order, busy=f"{verb} {jobs_text(job_ids)} …")


def _chosen(dialog: PickConsumer) -> Dialog:
    if not dialog.typed:
        chosen = dialog.consumers[dialog.row - 1].id if dialog.row else None
        return Confirm("assign", dialog.job_ids, chosen)
    try:
        check_consumer(dialog.typed)
    except InvalidArgument as refusal:
        return dialog._replace(problem=str(refusal))
    is_known = any(consumer.id == dialog.typed for consumer in dialog.consumers)
    warning = "" if is_known else str(ConsumerNotFound(dialog.typed))
    return Confirm("assign", dialog.job_ids, dialog.typed, warning)


def step_choice(by: int) -> Move:
    """Highlight the consumer so many rows further down; what was typed is dropped."""

    def step(state: State) -> State:
        match state.dialog:
            case PickConsumer() as dialog:
                row = min(max(dialog.row + by, 0), len(dialog.consumers))
                return replace(state, dialog=dialog._replace(row=row, typed="", problem=""))
        return state

    return step


def type_text(text: str) -> Move:
    """Add `text` to what was typed into the dialog; line ends of pasted text are left out."""
    return _retype(lambda typed: (typed + "".join(filter(str.isprintable, text)))[:128])


def erase(state: State) -> State:
    """Take the last typed character away."""
    return _retype(lambda typed: typed[:-1])(state)


def _retype(change: Callable[[str], str]) -> Move:
    def retype(state: State) -> State:
        match state.dialog:
            case (TypeNumber() | PickConsumer()) as dialog:
                return replace(state, dialog=dialog._replace(typed=change(dialog.typed), problem=""))
        return state

    return retype
