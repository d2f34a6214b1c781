"""What happens to the state when something was read or carried out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from persistentq.operations import Preview
from persistentq.query import matches, parse

from .asking import Do, Focus, Question
from .deeds import Deed, Told
from .snapshot import Place, Snapshot
from .state import Move, State


def was_read(snapshot: Snapshot) -> Move:
    """Take a snapshot in; the cursor stays on its job, wherever that is now."""

    def take(state: State) -> State:
        asked, now = snapshot.request, state.request
        if asked.place is not now.place or (now.place is Place.JOBS and asked.listing != now.listing):
            return state  # The answer to an older question; the one to this question is on its way.
        if now.is_frozen and not asked.is_frozen and state.is_current:
            return state  # It was on its way when the screen was frozen.
        taken = replace(state, snapshot=snapshot, problem=None)
        if now.place is not Place.JOBS:
            return taken
        if not snapshot.page.items and len(state.pages) > 1:
            return replace(taken, pages=state.pages[:-1])
        return _find_selected(taken)

    return take


def was_unchanged(at: datetime, next_in: timedelta) -> Move:
    """Note that what is shown was still so at that moment."""

    def keep(state: State) -> State:
        if state.snapshot is None or state.is_frozen:
            return state
        return replace(state, snapshot=replace(state.snapshot, read_at=at, next_in=next_in))

    return keep


def was_not_read(problem: Exception) -> Move:
    """Note why the latest read failed; what was read before stays."""
    return lambda state: replace(state, problem=problem)


def _find_selected(state: State) -> State:
    ids = [job.id for job in state.jobs]
    if state.job_id in ids:
        return replace(state, row=ids.index(state.job_id))
    if _is_off_the_page(state):
        return state
    row = max(0, min(state.row, len(ids) - 1))
    return replace(state, row=row, job_id=ids[row] if ids else None, scroll=0)


def _is_off_the_page(state: State) -> bool:
    """Whether the selected job still belongs to the list, only not to this page of it (or is not known to be gone)."""
    if state.job_id is None or state.snapshot is None:
        return False
    if state.snapshot.request.job_id != state.job_id:
        return True
    job = state.selected
    return job is not None and matches(parse(state.query), job, state.snapshot.read_at)


def was_looked(deed: Deed, seen: Preview) -> Move:
    """Show in the dialog which jobs the deed is about, if it is still open."""

    def show(state: State) -> State:
        dialog = state.dialog
        if not isinstance(dialog, Question) or dialog.deed != deed:
            return state
        looked = dialog._replace(seen=seen, problem="")
        if looked.wants_number and looked.focus in (Focus.KEEP, Focus.DO):
            looked = looked._replace(focus=Focus.NUMBER)
        elif not looked.wants_number and looked.focus is Focus.NUMBER:
            looked = looked._replace(focus=Focus.KEEP)
        return replace(state, dialog=looked)

    return show


def was_not_looked(deed: Deed, problem: Exception) -> Move:
    """Close the dialog, as it could not be found out which jobs the deed is about."""

    def close(state: State) -> State:
        if not isinstance(state.dialog, Question) or state.dialog.deed != deed:
            return state
        return replace(state, dialog=None).says(f"{deed.verb}: {problem}", is_error=True)

    return close


def was_done(order: Do, told: Told) -> Move:
    """Report what came of an order; the marks of the jobs that were changed are taken away."""

    def report(state: State) -> State:
        unmarked = replace(
            state,
            busy="",
            marks=state.marks - set(told.changed),
            is_all=False,
            entry=state.entry if told.entry is None else told.entry,
            revealed=told.revealed or state.revealed,
            did=order.deed.typed(order.reason),
        )
        again = f" · undo {told.entry} (z) takes it back" if told.entry is not None and told.changed else ""
        return unmarked.says(told.text + again, is_error=told.is_error)

    return report


def was_not_done(order: Do, problem: Exception) -> Move:
    """Report why an order could not be carried out to its end."""
    return lambda state: replace(state, busy="").says(f"{order.deed.verb}: {problem}", is_error=True)
