"""The dialogs' deeds: what opens one, what the keys do in it, and the order it ends in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from persistentq.acts import Act, works_on
from persistentq.checks import check_consumer
from persistentq.errors import (
    ConsumerNotFound,
    InvalidArgument,
    InvalidTransition,
    PersistentQError,
    ReadOnlyMode,
)
from persistentq.job import ConsumerInfo, Job, JobStatus
from persistentq.operations import Preview
from persistentq.schedule import CatchUp

from .asking import Do, Entry, Focus, Form, Look, PickConsumer, Question
from .deeds import Deed
from .schedules import FIELDS, new_schedule, read_texts, texts_of
from .state import Move, State

LONGEST, LONGEST_TEXT = 200, 4000
"""Of what is typed into a question, and into the field of a form."""


def ask_act(act: Act) -> Move:
    """Ask whether to do this to the marked jobs, else to the selected one.

    The jobs are fixed here: what is read while the dialog is open does not change what it is about.
    """

    def ask_about(state: State) -> State:
        if not state.is_all and not state.targets:
            return state.says("no job is selected", is_error=True)
        deed = Deed(
            act.verb, act, () if state.is_all else state.targets, state.query if state.is_all else None
        )
        return ask(deed)(state)

    return ask_about


def ask_verb(verb: str) -> Move:
    """Ask whether to do what needs nothing but a verb; of an assignment, first for whom."""

    def ask_about(state: State) -> State:
        asked = ask_act(Act(verb))(state)
        if verb != "assign" or not isinstance(asked.dialog, Question):
            return asked
        consumers = tuple(sorted(state.consumers, key=_likeliest_first))
        return replace(asked, dialog=PickConsumer(asked.dialog.deed, consumers), order=None)

    return ask_about


def ask(deed: Deed) -> Move:
    """Open the dialog for this deed; refuse at once what cannot work."""

    def open_dialog(state: State) -> State:
        if (refused_state := _refused(deed, state)) is not None:
            return refused_state
        only = state.find(deed.ids[0]) if len(deed.ids) == 1 else None
        if deed.act is None or only is None:
            return _opened(state, Question(deed))
        if only.status not in works_on(deed.verb):
            refused = InvalidTransition(only.id, only.status, deed.verb, _allowed(deed.verb))
            return state.says(str(refused), is_error=True)
        return _opened(state, Question(deed, _seen(deed.act, only)))

    return open_dialog


def _refused(deed: Deed, state: State) -> State | None:
    """Return the state that says why nothing can be done now; None if it can."""
    if state.busy:
        return state.says(f"still busy: {state.busy}", is_error=True)
    if state.is_readonly and deed.is_change:
        refusal = ReadOnlyMode(deed.verb)
        return state.says(f"{refusal.summary}; {refusal.hint}", is_error=True)
    return None


def _allowed(verb: str) -> str:
    return " or ".join(status for status in JobStatus if status in works_on(verb))


def _seen(act: Act, job: Job) -> Preview:
    """Return the preview of one job, which is on the screen already."""
    return Preview(act, ids=(job.id,), statuses={job.status: 1}, sample=(job,), oldest=job, newest=job)


def _opened(state: State, question: Question) -> State:
    if question.wants_number:
        question = question._replace(focus=Focus.NUMBER)
    order = None if question.is_ready else Look(question.deed)
    return replace(state, dialog=question, order=order, prompt=None)


def ask_undo(state: State) -> State:
    """Ask whether to take back the operator's last act from here."""
    if state.entry is None:
        return state.says(
            "nothing was done from here that can be taken back; 8 shows the journal", is_error=True
        )
    return ask(Deed("undo", number=state.entry))(state)


def ask_row(verb: str, paused_verb: str = "") -> Move:
    """Ask whether to do this to what the cursor is on in another view than the jobs.

    Args:
        paused_verb: What to do instead if that is paused.
    """

    def ask_about(state: State) -> State:
        row = state.chosen
        if row is None:
            return state.says("nothing is selected", is_error=True)
        chosen = paused_verb if row.is_paused and paused_verb else verb
        if verb == "undo":
            return ask(Deed(verb, number=int(row.key)))(state)
        if verb.endswith("-consumer"):
            if not row.program:
                return state.says(f"{row.key} is not kept by the supervisord of here", is_error=True)
            return ask(Deed(chosen, name=row.program))(state)
        return ask(Deed(chosen, name=row.key))(state)

    return ask_about


def ask_group(verb: str) -> Move:
    """Ask whether to do this to every job of the group of failures under the cursor."""

    def ask_about(state: State) -> State:
        if state.chosen is None:
            return state.says("nothing is selected", is_error=True)
        return ask(Deed(verb, Act(verb), where=state.chosen.where))(state)

    return ask_about


def ask_scale(by: int) -> Move:
    """Ask whether to let so many consumers more or fewer run."""

    def ask_about(state: State) -> State:
        running = sum(row.program.startswith("consumer:") for row in state.rows)
        if not running:
            return state.says("no consumer is kept by a supervisord of here", is_error=True)
        return ask(Deed("scale", number=max(0, running + by)))(state)

    return ask_about


def ask_schedule(state: State) -> State:
    """Let the fields of a new schedule be typed."""
    usual = {"zone": "UTC", "args": "{}", "queue": "default", "catch_up": str(CatchUp.ONE)}
    entries = (Entry("name", "name"), *_entries(usual))
    return _form(Form(Deed("add-schedule"), entries), state)


def ask_edit(state: State) -> State:
    """Let the fields of the schedule under the cursor be changed."""
    if state.chosen is None or state.chosen.schedule is None:
        return state.says("nothing is selected", is_error=True)
    deed = Deed("edit-schedule", name=state.chosen.key)
    return _form(Form(deed, _entries(texts_of(state.chosen.schedule))), state)


def _entries(texts: Mapping[str, str]) -> tuple[Entry, ...]:
    return tuple(
        Entry(name, field.label, texts.get(name, ""), texts.get(name, "")) for name, field in FIELDS.items()
    )


def _form(form: Form, state: State) -> State:
    return _refused(form.deed, state) or replace(state, dialog=form, prompt=None)


def _filled_in(form: Form) -> Move:
    """Return the question about what was typed, or say what is wrong with it."""
    texts = {entry.name: entry.text for entry in form.entries}
    changed = tuple((entry.name, entry.text) for entry in form.entries if entry.text != entry.was)
    deed = replace(
        form.deed,
        name=form.deed.name or texts.pop("name").strip(),
        texts=tuple(pair for pair in changed if pair[0] in FIELDS),
    )
    try:
        read_texts(deed.texts)
        new_schedule(deed.name, ((name, text) for name, text in texts.items() if name != "args"))
    except PersistentQError as error:
        problem = str(error)
        return lambda state: replace(state, dialog=form._replace(problem=problem))
    if not deed.texts:
        return lambda state: replace(state, dialog=form._replace(problem="nothing is changed"))
    return lambda state: ask(deed)(replace(state, dialog=None))


def _likeliest_first(consumer: ConsumerInfo) -> tuple[bool, bool, str]:
    return (not consumer.is_alive, consumer.stopped_at is not None, consumer.id)


# --- in the dialog


def dismiss(state: State) -> State:
    """Close the dialog without doing anything."""
    return replace(state, dialog=None)


def step_focus(by: int) -> Move:
    """Move on to the next button or field, round and round."""

    def step(state: State) -> State:
        match state.dialog:
            case Question() as dialog:
                first = (Focus.NUMBER,) if dialog.wants_number else (Focus.KEEP, Focus.DO)
                fields = (*first, Focus.REASON)
                place = fields.index(dialog.focus) if dialog.focus in fields else 0
                return replace(state, dialog=dialog._replace(focus=fields[(place + by) % len(fields)]))
            case Form() as dialog:
                return replace(state, dialog=dialog._replace(at=(dialog.at + by) % len(dialog.entries)))
        return state

    return step


def to_reason(state: State) -> State:
    """Let the reason be typed."""
    match state.dialog:
        case Question() as dialog:
            return replace(state, dialog=dialog._replace(focus=Focus.REASON))
    return state


def press(state: State) -> State:
    """Do what Enter means in the dialog: press the focused button, compare the number, or take the consumer."""
    match state.dialog:
        case Question(focus=Focus.DO):
            return confirm(state)
        case Question(focus=Focus.REASON):
            return step_focus(1)(state)
        case Question(focus=Focus.NUMBER) as dialog:
            return _compared(dialog)(state)
        case PickConsumer() as dialog:
            return _pick(dialog)(state)
        case Form() as dialog:
            return _filled_in(dialog)(state)
    return dismiss(state)


def _compared(dialog: Question) -> Move:
    if not dialog.is_ready or dialog.typed == str(dialog.fitting):
        return confirm
    problem = f"type {dialog.fitting} to go on, or Esc to leave"
    return lambda state: replace(state, dialog=dialog._replace(problem=problem))


def confirm(state: State) -> State:
    """Close the dialog and order what it asks about, once it is known which jobs those are."""
    match state.dialog:
        case Question(is_ready=False) as dialog:
            return replace(
                state, dialog=dialog._replace(problem="wait: which jobs are meant is being looked at")
            )
        case Question(deed, seen, reason=reason) as dialog:
            if dialog.fitting == 0:
                return dismiss(state).says("no job would be changed")
            return replace(state, dialog=None, order=Do(deed, seen, reason), busy=f"{deed.what()} …")
    return state


def _pick(dialog: PickConsumer) -> Move:
    chosen: str | None = None
    warning = ""
    if dialog.typed:
        try:
            chosen = check_consumer(dialog.typed)
        except InvalidArgument as refusal:
            problem = str(refusal)
            return lambda state: replace(state, dialog=dialog._replace(problem=problem))
        is_known = any(consumer.id == chosen for consumer in dialog.consumers)
        warning = "" if is_known else str(ConsumerNotFound(chosen))
    elif dialog.row:
        chosen = dialog.consumers[dialog.row - 1].id
    deed = replace(dialog.deed, act=Act("assign", consumer=chosen))

    def ask_again(state: State) -> State:
        asked = ask(deed)(replace(state, dialog=None))
        if warning and isinstance(asked.dialog, Question):
            return replace(asked, dialog=asked.dialog._replace(problem=warning))
        return asked

    return ask_again


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
    return _retype(lambda typed: typed + "".join(filter(str.isprintable, text)))


def erase(state: State) -> State:
    """Take the last typed character away."""
    return _retype(lambda typed: typed[:-1])(state)


def empty(state: State) -> State:
    """Take away all that was typed into the field."""
    return _retype(lambda _: "")(state)


def _retype(change: Callable[[str], str]) -> Move:
    def retype(state: State) -> State:
        match state.dialog:
            case Question(focus=Focus.REASON) as dialog:
                return replace(
                    state, dialog=dialog._replace(reason=change(dialog.reason)[:LONGEST], problem="")
                )
            case Question(focus=Focus.NUMBER) as dialog:
                return replace(
                    state, dialog=dialog._replace(typed=change(dialog.typed)[:LONGEST], problem="")
                )
            case PickConsumer() as dialog:
                return replace(state, dialog=dialog._replace(typed=change(dialog.typed)[:128], problem=""))
            case Form() as dialog:
                entries = [*dialog.entries]
                entries[dialog.at] = entries[dialog.at]._replace(
                    text=change(entries[dialog.at].text)[:LONGEST_TEXT]
                )
                return replace(state, dialog=dialog._replace(entries=tuple(entries), problem=""))
        return state

    return retype
