"""What the keys do outside the dialogs: each function is one deed, from a state to the next."""

from __future__ import annotations

from dataclasses import replace

from persistentq.job import JobStatus

from .state import FILTERS, Move, Place, Quit, State


def quit_manager(state: State) -> State:
    """Leave."""
    return replace(state, order=Quit())


def resize(columns: int, lines: int) -> Move:
    """Fit everything into a terminal of this size."""
    return lambda state: replace(state, columns=columns, lines=lines)


def go_to(place: Place) -> Move:
    """Show `place`, or the jobs again if it is shown already."""

    def go(state: State) -> State:
        return replace(state, place=Place.JOBS if state.place is place else place, scroll=0)

    return go


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


def step_consumer(by: int) -> Move:
    """Select the consumer so many rows further down."""

    def step(state: State) -> State:
        if not state.consumers:
            return state
        row = min(max(state.consumer_row + by, 0), len(state.consumers) - 1)
        return replace(state, consumer_id=state.consumers[row].id)

    return step


# --- pages and filters


def newest(state: State) -> State:
    """Go to the newest job, on the first page."""
    return replace(state, pages=(None,), job_id=None, row=0, scroll=0)


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
    return lambda state: replace(newest(state), place=Place.JOBS, only_status=status)


def cycle_status(by: int) -> Move:
    """Show the jobs of the status so many places further on, round and round."""

    def cycle(state: State) -> State:
        position = FILTERS.index(state.only_status) + by
        return show_status(FILTERS[position % len(FILTERS)])(state)

    return cycle


def show_consumers_jobs(state: State) -> State:
    """Show only the jobs of the selected consumer."""
    if not state.consumers:
        return state
    chosen = state.consumers[state.consumer_row].id
    return replace(newest(state), place=Place.JOBS, only_status=None, only_consumer=chosen)


# --- details and marks


def toggle_details(state: State) -> State:
    """Show or hide the selected job's details."""
    return replace(state, details=not state.shows_details, scroll=0)


def scroll(direction: int) -> Move:
    """Scroll the details or the help by half of what is seen; the drawing keeps it within the text."""
    return lambda state: replace(state, scroll=max(0, state.scroll + direction * (state.body_lines // 2)))


def toggle_mark(state: State) -> State:
    """Mark the selected job, or take its mark away, and go one row down."""
    if state.job_id is None:
        return state
    return step_row(1)(replace(state, marks=state.marks ^ {state.job_id}))


def mark_page(state: State) -> State:
    """Mark every job on the page, once it is read."""
    if not state.is_current:
        return state
    return replace(state, marks=state.marks | {job.id for job in state.jobs})


def unmark_all(state: State) -> State:
    """Take every mark away."""
    return replace(state, marks=frozenset())


def step_back(state: State) -> State:
    """Undo the innermost of: help or consumers, details, marks, the consumer filter, the status filter."""
    if state.place is not Place.JOBS:
        return go_to(Place.JOBS)(state)
    if state.shows_details and not state.is_wide:
        return toggle_details(state)
    if state.marks:
        return unmark_all(state)
    if state.only_consumer is not None:
        return replace(newest(state), only_consumer=None)
    return show_status(None)(state) if state.only_status is not None else state
