"""The jobs page: filters, one page of jobs, what may be done with the chosen ones, the details of a single one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

import ops_actions
import ops_data
import ops_details
import ops_dialog
import ops_download
import ops_enqueue
import ops_import
import ops_live
import ops_secrets
import ops_states
from ops_data import NO_NEWS, Filters, JobPage, News, Target
from ops_live import Reading
from ops_text import number_text
from persistentq.errors import InvalidArgument, StorageUnavailable
from persistentq.job import JobStatus
from persistentq.operations import safe
from persistentq.query import Comparison, Term, unparse
from persistentq.query.fields import FIELDS, PATHS

PLACEHOLDER = "any; for example: task:mail.* age>1h error:timed"
ROW, HEAD, MOST_ROWS = 35, 38, 14


@dataclass(frozen=True, slots=True)
class Shown:
    """The page of jobs that is on the screen.

    It keeps its jobs until others are asked for, as a table of other jobs begins at its top again. A selection is a
    list of row numbers. The table's key changes with the jobs, so a click on an older page that is still on its way can
    never choose another job; and with each action, so that nothing stays chosen.
    """

    question: tuple[Filters, str | None]
    acts: int
    reading: Reading[JobPage]
    news: News = NO_NEWS

    @property
    def key(self) -> str:
        """The name of the table's state."""
        return f"jobs-{self.acts}-{hash(tuple(target.id for target in self.reading.value.targets))}"

    @property
    def chosen(self) -> list[Target]:
        """The jobs whose rows are selected."""
        rows = st.session_state.get(self.key, {}).get("selection", {}).get("rows", [])
        return [self.reading.value.targets[row] for row in rows if row < len(self.reading.value.targets)]


def show() -> None:
    """Draw the page; the part below the filters is drawn again and again."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Jobs", anchor=False, width="content")
        with st.container(horizontal=True, width="content"):
            ops_enqueue.button()
            ops_import.button()
    filters = choose_filters()
    ops_dialog.last_result()
    ops_live.live(lambda: jobs(filters))


def choose_filters() -> Filters:
    """Draw the filters; their values are in the address."""
    st.pills(
        "Status",
        [str(status) for status in JobStatus],
        selection_mode="multi",
        key="status",
        bind="query-params",
    )
    query, term, clear = st.columns([6, 3, 1], vertical_alignment="bottom")
    with query:
        st.text_input("Query", key="q", bind="query-params", placeholder=PLACEHOLDER, help=_help())
    with term:
        st.selectbox(
            "Add a term",
            terms(ops_live.read_lately(ops_data.read_names).value),
            index=None,
            placeholder="type to search",
            key="term",
            on_change=_add_term,
        )
    with clear:
        st.button("Clear", on_click=clear_filters, help="Show all jobs")
    return Filters(tuple(st.session_state["status"]), st.session_state["q"].strip())


def terms(names: ops_data.Names) -> list[str]:
    """Return the terms that may be chosen: known values first, then an example of each field."""
    known = [("queue", names.queues), ("task", names.tasks), ("consumer", names.consumers)]
    offered = [unparse(Term(field, Comparison.IS, name)) for field, values in known for name in values]
    return offered + [field.example for field in (*FIELDS.values(), *PATHS.values())]


def _help() -> str:
    fields = ", ".join(f"`{field.example}`" for field in (*FIELDS.values(), *PATHS.values()))
    return f"The language of the command line's --where, with AND, OR, - and brackets: {fields}"


def _add_term() -> None:
    if term := st.session_state["term"]:
        st.session_state.update(q=f"{st.session_state['q']} {term}".strip(), term=None)


def clear_filters() -> None:
    """Show all jobs, from the newest on."""
    st.session_state.update(status=[], q="")
    newest()


def newest() -> None:
    """Go to the first page."""
    st.session_state["trail"] = []
    st.query_params.pop("after", None)


def jobs(filters: Filters) -> None:
    """Draw one page of jobs and everything about the selection."""
    try:
        shown = current_page(filters)
    except InvalidArgument as error:
        ops_states.explain(error)
        return
    page = shown.reading.value
    if not page.targets:
        nothing_found(shown)
        return
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        is_every = st.toggle(
            f"All that match ({number_text(page.total)})",
            key=f"every-{shown.acts}",
            disabled=bool(shown.chosen),
            width="content",
        )
        show_news(shown.news)
    every = unparse(filters.query) if is_every and not shown.chosen else None
    ops_actions.bar(shown.chosen, every)
    table(shown)
    turn_pages(shown)
    if len(shown.chosen) == 1:
        st.divider()
        one = shown.chosen[0].id
        ops_details.draw(one)
        st.page_link(
            "ops_job.py", label="The page of this job", icon=":material/link:", query_params={"job": str(one)}
        )


def current_page(filters: Filters) -> Shown:
    """Read the page that the address names, or how the jobs of the one on the screen are now."""
    if st.session_state.setdefault("trail_for", filters) != filters:
        st.session_state["trail_for"] = filters
        newest()
    question = filters, st.query_params.get("after")
    shown: Shown | None = st.session_state.get("shown")
    acts = ops_dialog.acts_so_far()
    if shown and (shown.question, shown.acts) == (question, acts) and shown.reading.value.targets:
        shown = looked_at_again(shown)
    else:
        shown = Shown(question, acts, ops_live.read(ops_data.read_page, *question))
    st.session_state["shown"] = shown
    return shown


def looked_at_again(shown: Shown) -> Shown:
    """Read what has happened since, and how the jobs are now; while rows are selected, keep them as they are."""
    filters, _ = shown.question
    reading, page = shown.reading, shown.reading.value
    try:
        news = ops_live.read(ops_data.read_news, *shown.question, page)
        if not shown.chosen:
            reading = ops_live.read(ops_data.read_again, filters, page)
    except StorageUnavailable as error:
        return replace(shown, reading=replace(reading, problem=error))
    return replace(shown, reading=replace(reading, problem=news.problem), news=news.value)


def show_news(news: News) -> None:
    """Draw the button that shows what has happened since; it is always there, so that nothing below it moves."""
    told = [f"{number_text(news.newer)} new"]
    if news.gone:
        told.append(f"{news.gone} match no more")
    st.button(
        f"{', '.join(told)} - show",
        key="news",
        disabled=not (news.newer.number or news.gone),
        on_click=st.session_state.pop,
        args=("shown", None),
        help="The table keeps its jobs until you ask for others",
    )


def nothing_found(shown: Shown) -> None:
    """Say why the table is empty."""
    filters, after = shown.question
    ops_states.as_of(shown.reading.at, shown.reading.problem)
    page = shown.reading.value
    if page.next is not None:
        st.info(
            f"{page.scanned:,} jobs were looked at, and none of them matches.", icon=":material/filter_alt:"
        )
        st.button("Look further", on_click=_older, args=(after, page.next), key="older")
    elif after is not None:
        st.info("There are no older jobs. Clear shows all jobs.", icon=":material/filter_alt:")
    elif filters == Filters():
        ops_states.no_jobs()
    else:
        st.info("No job matches these filters. Clear shows all jobs.", icon=":material/filter_alt:")
        hidden_by(filters)


def hidden_by(filters: Filters) -> None:
    """Say which term takes how many jobs away."""
    for term, without in ops_live.read(ops_data.read_removals, filters).value:
        st.text(f"Without {safe(term, 200)}: {number_text(without)} would match.")


def table(shown: Shown) -> None:
    """Draw the jobs; the checkbox of a row chooses its job."""
    page = shown.reading.value
    st.dataframe(
        page.frame,
        key=shown.key,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        height=HEAD + ROW * min(len(page.targets), MOST_ROWS),
        alt=f"{len(page.targets)} jobs, newest first",
        placeholder="",
        column_config={
            "id": st.column_config.NumberColumn(format="%d"),
            "created": st.column_config.DatetimeColumn(format="MMM D, HH:mm:ss", timezone="UTC"),
        },
    )


def turn_pages(shown: Shown) -> None:
    """Draw where in the list this page is, and the ways to the others."""
    page, after = shown.reading.value, shown.question[1]
    first, last = page.targets[0].id, page.targets[-1].id
    kind = "match" if shown.question[0] != Filters() else "in all"
    total = f" · {number_text(page.total)} {kind}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Newer", icon=":material/chevron_left:", disabled=after is None, on_click=_newer, key="newer"
        )
        st.button(
            "Older",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=page.next is None,
            on_click=_older,
            args=(after, page.next),
            key="older",
        )
        st.text(f"Jobs {first} to {last}{total}", width="content")
        for form in ops_download.KINDS:
            st.link_button(
                form.upper(),
                ops_download.address(unparse(shown.question[0].query), form),
                icon=":material/download:",
                help=f"All that match, as {form}, without secrets",
            )
        ops_secrets.button(unparse(shown.question[0].query))
    if page.scanned and page.next and len(page.targets) < ops_data.PAGE:
        st.caption(
            f"No index knows all of this: {page.scanned:,} jobs were looked at. Older goes on from there."
        )
    ops_states.as_of(shown.reading.at, shown.reading.problem)


def _older(here: str | None, there: str) -> None:
    st.session_state.setdefault("trail", []).append(here)
    st.query_params["after"] = there


def _newer() -> None:
    # Without a trail the address was opened as a link; only the newest page is known then.
    trail: list[str | None] = st.session_state.get("trail", [])
    if (after := trail.pop() if trail else None) is None:
        newest()
    else:
        st.query_params["after"] = after


show()
