"""What an operator may do with jobs: the buttons, the preview, what else must be known, and the deed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

import ops_dialog
import ops_live
import ops_wishes
from ops_data import Target, statuses_of
from ops_text import moment_and_day, status_word
from ops_wishes import Wish
from persistentq.job import Job, JobStatus
from persistentq.operations import ACTIONS, Action, Preview, safe
from persistentq.operations.actions import EDIT_ACTIONS
from persistentq.operations.typed import act_words
from persistentq.query import parse
from persistentq.text import counted

NOTES = {
    "cancel": "A job that is processing is asked to stop, and becomes cancelled when its attempt ends.",
    "assign": "A job that is processing is taken from its consumer; that attempt does not count.",
}


def bar(chosen: Sequence[Target], every: str | None = None) -> None:
    """Draw a button per action; one that works on none of the chosen jobs is off.

    Args:
        chosen: The jobs, if they were chosen one by one.
        every: The query, if all are meant that match.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for action in ACTIONS.values():
            _button(action, chosen, every)
        with st.popover("More", disabled=not ops_live.may_change()):
            for action in EDIT_ACTIONS.values():
                _button(action, chosen, every)
        if not ops_live.may_change():
            st.caption("This is read-only.", width="content")
        elif every is not None:
            st.caption("All that match are meant.", width="content")
        elif not chosen:
            st.caption("Select rows to act on them.", width="content")
        elif len(chosen) > 1:
            st.caption(f"{len(chosen):,} selected", width="content")


def _button(action: Action, chosen: Sequence[Target], every: str | None) -> None:
    fitting = sum(target.status in action.works_on for target in chosen)
    number = f" {fitting:,}" if len(chosen) > 1 and fitting else ""
    label = f"{action.label} all…" if every is not None else action.label + number
    fits = fitting > 0 if every is None else not action.works_on.isdisjoint(statuses_of(parse(every)))
    why = _works_on(action) if not fits and (chosen or every is not None) else None
    is_off = not ops_live.may_change() or not fits
    if st.button(label, key=f"act-{action.verb}", disabled=is_off, help=why):
        with ops_live.explained():
            seen = preview(action, [target.id for target in chosen], every)
            ops_dialog.ask(action.label, partial(ask, action, seen, every))


def _works_on(action: Action) -> str:
    return f"Works only on jobs that are {', '.join(one for one in JobStatus if one in action.works_on)}"


def preview(action: Action, ids: Sequence[int], every: str | None) -> Preview:
    """Look which jobs are meant, and keep that until the question is answered."""
    act = ops_wishes.any_act(action.verb)
    with ops_live.acting() as operator:
        if every is not None:
            return operator.preview(act, where=every)
        return operator.preview(act, ids=ids)


def ask(action: Action, seen: Preview, every: str | None) -> None:
    """Draw the question and, when it is answered, do the deed."""
    st.text(action.question(seen.ids) if seen.count else "No job matches any more.")
    _say(seen)
    if seen.count and not seen.fitting:
        st.caption(f"{_works_on(action)}, so nothing would change.")
    if action.verb in NOTES and seen.statuses.get(JobStatus.PROCESSING):
        st.caption(NOTES[action.verb])
    with st.form("ask", border=False):
        wish = ops_wishes.draw(action.verb)
        reason = st.text_input(
            "Reason",
            key="reason",
            max_chars=1000,
            help="It stands in the journal; a failed job keeps it too.",
        )
        typed = ""
        if action.wants_number(seen.count):
            typed = st.text_input(f"Type {seen.count} to confirm", key="number")
        agreed = st.form_submit_button(action.label, disabled=not seen.fitting)
    ids, where = (seen.ids, None) if every is None else ((), seen.query)
    ops_dialog.in_a_terminal(*act_words(seen.act.verb, ids, where))
    if agreed and _is_settled(action, seen.count, typed, wish):
        act = ops_wishes.act_of(action.verb, wish, reason.strip())
        with st.spinner(f"{action.label}: {counted(seen.count, 'job')}"), ops_live.acting() as operator:
            result = operator.apply(replace(seen, act=act), reason=reason.strip())
        ops_dialog.settle(ops_dialog.told_of(result, action.label))


def _say(seen: Preview) -> None:
    """Say what is meant, as far as it was looked at."""
    if seen.query:
        st.code(safe(seen.query), language=None, wrap_lines=True)
    if seen.is_capped:
        st.caption(f"There are more; these are the newest {seen.count:,}.")
    if seen.count > 1:
        for word, job in (("Oldest", seen.oldest), ("Newest", seen.newest)):
            if job is not None:
                st.caption(f"{word}: {job.id}, enqueued {moment_and_day(job.created_at)}")
    lines = [_line(job) for job in seen.sample]
    if more := seen.count - len(lines):
        lines.append(f"… and {more:,} more")
    st.code("\n".join(lines), language=None)
    if seen.will_skip:
        told = ", ".join(f"{number:,} {safe(reason, 100)}" for reason, number in seen.will_skip.items())
        st.caption(f"These would be skipped: {told}.")


def _line(job: Job) -> str:
    return f"{job.id}  {status_word(job.status)}  {safe(job.task, 60)}"


def _is_settled(action: Action, number: int, typed: str, wish: Wish) -> bool:
    """Whether the answer is complete; if not, say what is missing."""
    if action.wants_number(number) and typed.strip().replace(",", "") != str(number):
        st.error(f"Nothing was changed. Type {number} to confirm.")
        return False
    return ops_wishes.is_complete(action, wish)
