"""The line on which a query or a command is typed: what the keys do on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from persistentq.errors import InvalidQuery, PersistentQError
from persistentq.query.completing import Offer, complete

from . import moves
from .asking import Prompt
from .commands import COMMANDS, read_command
from .state import Move, State

QUERY, COMMAND = "/", ":"
LONGEST = 1000
KEPT = 50
"""So many lines of the history are kept."""

OFFERED = 30


def open_query(state: State) -> State:
    """Let a query be typed; what the table shows now stands there already."""
    return _opened(Prompt(QUERY, state.where, len(state.where)), state)


def open_command(state: State) -> State:
    """Let a command be typed."""
    return _opened(Prompt(COMMAND), state)


def _opened(prompt: Prompt, state: State) -> State:
    return replace(state, prompt=_with_offers(prompt, state))


def close(state: State) -> State:
    """Leave the line; nothing is done."""
    return replace(state, prompt=None)


def enter(state: State) -> State:
    """Do what was typed, or say where it cannot be read."""
    if (prompt := state.prompt) is None:
        return state
    text = prompt.text.strip()
    left = replace(state, prompt=None, history=_kept(state, prompt.sign + text) if text else state.history)
    try:
        if prompt.sign == QUERY:
            return replace(moves.show_query(moves.readable(text))(left), only_status=left.only_status)
        return read_command(text)(left) if text else left
    except PersistentQError as error:
        at = error.at if isinstance(error, InvalidQuery) and prompt.sign == QUERY else None
        # As typed, so that the place is right.
        wrong = None if at is None else at + len(prompt.text) - len(prompt.text.lstrip())
        return replace(state, prompt=prompt._replace(problem=error.summary, wrong_at=wrong, offers=()))


def _kept(state: State, line: str) -> tuple[str, ...]:
    return (*(one for one in state.history if one != line), line)[-KEPT:]


def insert(text: str) -> Move:
    """Put `text` where the cursor is; line ends of pasted text are left out."""
    typed = "".join(filter(str.isprintable, text))

    def put(prompt: Prompt) -> Prompt:
        whole = (prompt.text[: prompt.at] + typed + prompt.text[prompt.at :])[:LONGEST]
        return prompt._replace(text=whole, at=min(prompt.at + len(typed), len(whole)))

    return _edited(put)


def erase(state: State) -> State:
    """Take the character before the cursor away; on an empty line, leave it."""
    if state.prompt is not None and not state.prompt.text:
        return close(state)

    def take(prompt: Prompt) -> Prompt:
        at = max(0, prompt.at - 1)
        return prompt._replace(text=prompt.text[:at] + prompt.text[prompt.at :], at=at)

    return _edited(take)(state)


def empty(state: State) -> State:
    """Take away all that is typed."""
    return _edited(lambda prompt: prompt._replace(text="", at=0))(state)


def step(by: int) -> Move:
    """Move the cursor."""
    return _edited(lambda prompt: prompt._replace(at=min(max(0, prompt.at + by), len(prompt.text))))


def to_end(state: State) -> State:
    """Move the cursor behind the text."""
    return step(LONGEST)(state)


def to_start(state: State) -> State:
    """Move the cursor before the text."""
    return step(-LONGEST)(state)


def offer(by: int) -> Move:
    """Take the next offer into the line, round and round."""

    def take(state: State) -> State:
        prompt = state.prompt
        if prompt is None or not prompt.offers:
            return state
        number = (by - 1 if prompt.offered is None and by > 0 else (prompt.offered or 0) + by) % len(
            prompt.offers
        )
        text = prompt.offers[number][0]
        taken = prompt._replace(text=text, at=len(text), offered=number)
        only = len(prompt.offers) == 1
        return replace(state, prompt=_with_offers(taken, state) if only else taken)

    return take


def recall(by: int) -> Move:
    """Bring an earlier line back, or a later one."""

    def bring(state: State) -> State:
        if (prompt := state.prompt) is None:
            return state
        lines = [line[1:] for line in state.history if line.startswith(prompt.sign)]
        back = min(max(0, prompt.back + by), len(lines))
        text = lines[-back] if back else ""
        return replace(state, prompt=Prompt(prompt.sign, text, len(text), back=back))

    return bring


def _edited(change: Callable[[Prompt], Prompt]) -> Move:
    def edit(state: State) -> State:
        if state.prompt is None:
            return state
        changed = change(state.prompt)._replace(problem="", wrong_at=None, offered=None)
        return replace(state, prompt=_with_offers(changed, state))

    return edit


def _with_offers(prompt: Prompt, state: State) -> Prompt:
    """Return the line with what may follow, from what is on the screen: nothing is read for it."""
    if prompt.at < len(prompt.text):
        return prompt._replace(offers=())
    if prompt.sign == QUERY:
        offers = complete(prompt.text, lambda field, value: _known(state, field, value))
    else:
        offers = [*_commands(prompt.text, state)]
    useful = tuple(one for one in offers if one[0] != prompt.text)
    return prompt._replace(offers=useful[:OFFERED])


def _known(state: State, field: str, value: str) -> Iterable[Offer]:
    snapshot = state.snapshot
    if snapshot is None:
        return []
    names: dict[str, Iterable[str]] = {
        "queue": snapshot.counts,
        "task": [job.task for job in snapshot.page],
        "consumer": [consumer.id for consumer in snapshot.consumers],
    }
    return [(name, "") for name in sorted(set(names.get(field, ()))) if name.startswith(value)]


def _commands(text: str, state: State) -> Iterable[Offer]:
    name, space, rest = text.partition(" ")
    if not space:
        return [(one, command.does) for one, command in COMMANDS.items() if one.startswith(name)]
    if name == "query":
        return [
            (f"query {word}", does) for word, does in complete(rest, lambda *which: _known(state, *which))
        ]
    field = {"pause": "queue", "resume": "queue", "assign": "consumer", "log": "consumer"}.get(name)
    return [(f"{name} {word}", does) for word, does in _known(state, field, rest)] if field else []
