"""What happens to the state when something was read or carried out."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from persistentq.operations import ActResult

from .state import Act, Move, Snapshot, State
from .wording import jobs_text

REASONS_SHOWN = 2


def was_read(snapshot: Snapshot) -> Move:
    """Take a snapshot in; the cursor stays on its job, wherever that is now."""

    def take(state: State) -> State:
        if snapshot.request.listing != state.request.listing:
            return state  # The answer to an older question; the one to this question is on its way.
        taken = replace(state, snapshot=snapshot, problem=None)
        if not snapshot.page.items and len(state.pages) > 1:
            return replace(taken, pages=state.pages[:-1])
        return _find_selected(taken)

    return take


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
    return (
        job is not None
        and state.only_status in (None, job.status)
        and state.only_consumer in (None, job.consumer, job.reserved_for)
    )


def was_done(order: Act, result: ActResult) -> Move:
    """Report what came of an order; the marks of the jobs that were changed are taken away."""

    def report(state: State) -> State:
        unmarked = replace(state, busy="", marks=state.marks - set(result.done))
        return unmarked.says(_summary(order, result), is_error=not result.done)

    return report


def was_not_done(order: Act, problem: Exception) -> Move:
    """Report why an order could not be carried out to its end."""
    return lambda state: replace(state, busy="").says(f"{order.verb}: {problem}", is_error=True)


def _summary(order: Act, result: ActResult) -> str:
    skipped = sum(result.reasons.values())
    jobs = jobs_text(result.done)
    if result.error is not None:
        return f"{order.verb} worked for {jobs}; {result.failed:,} were not reached: {result.error.summary}"
    if not skipped:
        return f"{order.verb} worked for {jobs}"
    reasons = "; ".join(error.summary for error in islice(result.skipped.values(), REASONS_SHOWN))
    more = f"; and {skipped - REASONS_SHOWN:,} more" if skipped > REASONS_SHOWN else ""
    return f"{order.verb} worked for {jobs} · {skipped:,} skipped: {reasons}{more}"
