"""What the keys do outside the dialogs: each function is one deed, from a state to the next."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

from persistentq.checks import check_id
from persistentq.job import JobStatus
from persistentq.operations import safe
from persistentq.query import parse, unparse

from .asking import Copy, Question, Quit, Suspend
from .snapshot import INTERVALS, Place
from .sorting import Sort
from .state import FILTERS, Move, State
from .views import VIEWS
from .wording import command

MOST_BACK = 10


def quit_manager(state: State) -> State:
    """Leave."""
    return replace(state, order=Quit())


def suspend(state: State) -> State:
    """Give the terminal back to the shell, whose `fg` brings the manager back."""
    return replace(state, order=Suspend())


def resize(columns: int, lines: int) -> Move:
    """Fit everything into a terminal of this size."""
    return lambda state: replace(state, columns=columns, lines=lines)


def go_to(place: Place) -> Move:
    """Show this view."""

    def go(state: State) -> State:
        if state.place is place:
            return state
        back = (*(one for one in state.back if one is not place), state.view)[-MOST_BACK:]
        return replace(state, place=place, back=back, scroll=0, did="")

    return go


def toggle_help(state: State) -> State:
    """Show the help, or what was there before."""
    return _go_back(state) if state.place is Place.HELP else go_to(Place.HELP)(state)


def _go_back(state: State) -> State:
    return replace(
        state,
        place=state.view if state.place is Place.HELP else state.back[-1],
        back=state.back[:-1],
        scroll=0,
    )


def toggle_freeze(state: State) -> State:
    """Read nothing, so that the screen stands still, or go on reading."""
    frozen = replace(state, is_frozen=not state.is_frozen)
    return frozen.says(
        "frozen: nothing is read until f is pressed again" if frozen.is_frozen else "live again"
    )


def step_interval(by: int) -> Move:
    """Read so many steps less often, up to not by itself any more."""
    steps = (*INTERVALS, None)

    def step(state: State) -> State:
        place = min(max(steps.index(state.every) + by, 0), len(steps) - 1)
        return replace(state, every=steps[place])

    return step


def copy(state: State) -> State:
    """Put the command that does the same on the clipboard."""
    text = equivalent(state)
    return replace(state, order=Copy(text)).says(f"copied: {text}")


def copy_id(state: State) -> State:
    """Put the id of the selected job, or what the cursor is on, on the clipboard."""
    chosen = state.chosen.key if state.chosen else "" if state.job_id is None else str(state.job_id)
    if not chosen:
        return state.says("nothing is selected", is_error=True)
    return replace(state, order=Copy(chosen)).says(f"copied: {safe(chosen)}")


def equivalent(state: State) -> str:
    """Return the command that does what is asked or was done last, or else lists what the view shows."""
    if isinstance(state.dialog, Question) and (asked := state.dialog.deed.typed(state.dialog.reason)):
        return asked
    if state.did:
        return state.did
    words = VIEWS[state.view].command.split()
    if state.view is Place.JOBS and state.query:
        words += ["--where", state.query]
    return command("admin", shlex.join(words))


# --- rows


def select_job(job_id: int) -> Move:
    """Select this job of the page."""
    return lambda state: replace(state, row=_row_of(job_id, state), job_id=job_id, scroll=0)


def _row_of(job_id: int, state: State) -> int:
    return next((row for row, job in enumerate(state.jobs) if job.id == job_id), state.row)


def step_row(by: int) -> Move:
    """Select the job so many rows further down; on a page that is not read yet, the row it will have."""

    def step(state: State) -> State:
        if not state.is_current:
            return replace(state, row=min(max(state.row + by, 0), state.page_size - 1), job_id=None, scroll=0)
        if not state.jobs:
            return state
        row = min(max(state.row + by, 0), len(state.jobs) - 1)
        return replace(state, row=row, job_id=state.jobs[row].id, scroll=0)

    return step


def last_row(state: State) -> State:
    """Select the last job on the page."""
    return step_row(state.page_size)(state)


def select_row(key: str) -> Move:
    """Select this row of another view than the jobs."""
    return lambda state: replace(state, cursors={**state.cursors, state.view: key}, scroll=0)


def step_rows(by: int) -> Move:
    """Select the row so many further down in another view than the jobs."""

    def step(state: State) -> State:
        if not state.rows:
            return state
        return select_row(state.rows[min(max(state.row_number + by, 0), len(state.rows) - 1)].key)(state)

    return step


def turn_rows(by: int) -> Move:
    """Select the row a screen further down in another view than the jobs."""
    return lambda state: step_rows(by * max(1, state.body_lines - 1))(state)


def sort_rows(sort: Sort | None) -> Move:
    """Sort the rows of another view than the jobs, now and whenever they are read; None for their own order."""

    def sort_them(state: State) -> State:
        others = {place: one for place, one in state.sorts.items() if place is not state.view}
        return replace(state, sorts=others if sort is None else {**others, state.view: sort})

    return sort_them


def next_sort(state: State) -> State:
    """Sort by the next column, and after the last one by none."""
    sort = state.sorts.get(state.view)
    column = 0 if sort is None else sort.column + 1
    return sort_rows(Sort(column) if column < len(VIEWS[state.view].heads) else None)(state)


def reverse_sort(state: State) -> State:
    """Sort the other way round; by the first column if by none so far."""
    column, is_reversed = state.sorts.get(state.view, Sort(0))
    return sort_rows(Sort(column, not is_reversed))(state)


# --- pages and filters


def newest(state: State) -> State:
    """Go to the newest job, on the first page."""
    return replace(state, pages=(None,), job_id=None, row=0, scroll=0)


def _filtered(state: State, **filters: Any) -> State:
    """Show other jobs than before; the mark on all that match does not stay."""
    return replace(go_to(Place.JOBS)(newest(state)), is_all=False, did="", **filters)


def show_query(where: str) -> Move:
    """Show only the jobs that this means, in the query language; all for an empty one."""
    return lambda state: _filtered(state, only_status=None, where=where)


def next_page(state: State) -> State:
    """Turn to the page of older jobs, once this one is read as large as it is shown."""
    if state.snapshot is None or not state.is_current or state.snapshot.request.limit != state.page_size:
        return state
    if state.snapshot.page.next is None:
        return state.says("this is the last page")
    return replace(newest(state), pages=(*state.pages, state.snapshot.page.next))


def previous_page(state: State) -> State:
    """Turn back to the page of newer jobs."""
    if len(state.pages) == 1:
        return state.says("this is the first page")
    return replace(newest(state), pages=state.pages[:-1])


def show_status(status: JobStatus | None) -> Move:
    """Show only the jobs of this status; all for None."""
    return lambda state: _filtered(state, only_status=status)


def readable(text: str) -> str:
    """Return a query as the table keeps it.

    Raises:
        InvalidQuery: it cannot be read.
    """
    return unparse(parse(text))


def show_job(job_id: int) -> Move:
    """Show one job in full, whatever the table showed."""

    def show(state: State) -> State:
        shown = show_query(f"id:{check_id(job_id)}")(state)
        return replace(shown, job_id=job_id, details=True)

    return show


def cycle_status(by: int) -> Move:
    """Show the jobs of the status so many places further on, round and round."""

    def cycle(state: State) -> State:
        position = FILTERS.index(state.only_status) + by
        return show_status(FILTERS[position % len(FILTERS)])(state)

    return cycle


def show_rows_jobs(state: State) -> State:
    """Show the jobs that the row under the cursor is about."""
    if state.chosen is None:
        return state
    if state.chosen.where is None:
        return state.says("no job belongs to this row; Space shows all of it")
    return show_query(state.chosen.where)(state)


# --- details and marks


def toggle_details(state: State) -> State:
    """Show or hide the selected job's details."""
    return replace(state, details=not state.shows_details, is_log=False, scroll=0)


def toggle_columns(state: State) -> State:
    """Show all columns of the jobs that have room, or the usual ones again."""
    return replace(state, has_all_columns=not state.has_all_columns)


def toggle_log(state: State) -> State:
    """Show the last lines of the log of the consumer under the cursor, or its details again."""
    if not state.is_log and state.chosen is None:
        return state.says("nothing is selected", is_error=True)
    return replace(state, is_log=not state.is_log, scroll=0)


def show_log(consumer: str) -> Move:
    """Show the last lines of this consumer's log."""

    def show(state: State) -> State:
        there = select_row(consumer)(go_to(Place.CONSUMERS)(state))
        return replace(there, is_log=True)

    return show


def scroll(direction: int) -> Move:
    """Scroll the details or the help by half of what is seen; the drawing keeps it within the text."""

    def scroll_by_half(state: State) -> State:
        # A log is counted from its end, so that what is added is seen.
        sign = -1 if state.shows_log else 1
        return replace(state, scroll=max(0, state.scroll + sign * direction * (state.body_lines // 2)))

    return scroll_by_half


def toggle_mark(state: State) -> State:
    """Mark the selected job, or take its mark away, and go one row down."""
    if state.job_id is None:
        return state
    marked = replace(state, marks=state.marks ^ {state.job_id}, is_all=False, anchor=state.job_id)
    return step_row(1)(marked)


def mark_range(state: State) -> State:
    """Mark every job from the one that was marked last to the selected one."""
    ids = [job.id for job in state.jobs]
    if state.anchor not in ids or state.job_id not in ids:
        return state.says("mark the first job of the range with Space, on the same page", is_error=True)
    first, last = sorted((ids.index(state.anchor), ids.index(state.job_id)))
    return replace(state, marks=state.marks | set(ids[first : last + 1]), is_all=False)


def mark_page(state: State) -> State:
    """Mark every job on the page, once it is read."""
    if not state.is_current:
        return state
    return replace(state, marks=state.marks | {job.id for job in state.jobs}, is_all=False)


def mark_ids(ids: frozenset[int]) -> Move:
    """Mark these jobs too."""
    return lambda state: replace(state, marks=state.marks | ids, is_all=False)


def mark_all(state: State) -> State:
    """Mark every job that the filter means, on whatever page."""
    return replace(state, marks=frozenset(), is_all=True)


def unmark_all(state: State) -> State:
    """Take every mark away."""
    return replace(state, marks=frozenset(), is_all=False)


def _leave(state: State) -> State:
    if state.shows_log and state.place is not Place.HELP:
        return toggle_log(state)
    return _go_back(state) if state.back else go_to(Place.JOBS)(state)


def step_back(state: State) -> State:
    """Undo the innermost of: log, help or view, details, marks, what was asked for, the status."""
    if state.place is not Place.JOBS:
        return _leave(state)
    if state.shows_details and not state.is_beside:
        return toggle_details(state)
    if state.marks or state.is_all:
        return unmark_all(state)
    if state.where:
        return _filtered(state, where="")
    return show_status(None)(state) if state.only_status is not None else state
