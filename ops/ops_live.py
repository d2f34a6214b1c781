"""Reading the queue for a page: one queue per process, the last good answer kept, and drawing again and again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar, cast

import streamlit as st

import ops_guard
import ops_states
from ops_guard import Keys, Role, Visitor
from persistentq import clock
from persistentq.connect import open_queue
from persistentq.errors import DatabaseMissing, PersistentQError, StorageUnavailable
from persistentq.interface import PersistentQInterface
from persistentq.operations import Operator
from persistentq.operations.surroundings import Surroundings
from persistentq.settings import Settings, load_settings

LOCK_TIMEOUT = timedelta(seconds=1)
LATELY = timedelta(seconds=10)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """An answer and when it was given; with `problem` if the queue does not answer now, and this is an older one."""

    value: T
    at: datetime
    problem: StorageUnavailable | None = None


class _Opened(NamedTuple):
    queue: PersistentQInterface
    file: tuple[int, int] | None


def _file_at(location: str) -> tuple[int, int] | None:
    try:
        status = os.stat(location)  # noqa: PTH116 - a location may be a URL, which is no path
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_same_file(opened: _Opened) -> bool:
    # A file that was removed stays readable for those who have it open; they would show the old queue for ever.
    return _file_at(opened.queue.location) == opened.file


def _close(opened: _Opened) -> None:
    opened.queue.close()


@st.cache_resource(show_spinner=False, max_entries=1, validate=_is_same_file, on_release=_close)
def _open(location: str, _settings: Settings) -> _Opened:  # noqa: ARG001 - Streamlit keeps one result per location
    queue = open_queue(create=False, settings=_settings)
    return _Opened(queue, _file_at(queue.location))


def open_for_reading() -> PersistentQInterface:
    """Return this process's queue; the caller must not close it.

    Raises:
        PersistentQError: there is none, or it cannot be used.
    """
    settings = replace(load_settings(), lock_timeout=LOCK_TIMEOUT)
    return _open(settings.db_url or str(settings.db_file), settings).queue


def visitor() -> Visitor:
    """Return who looks at this page."""
    return ops_guard.visitor(st.context.headers, Keys.of(load_settings()))


def operator(queue: PersistentQInterface) -> Operator:
    """Return whoever looks at this page as the operator of a queue."""
    who = visitor()
    return Operator.with_settings(
        queue, load_settings(), face="dashboard", actor=who.name or None, readonly=who.role is Role.VIEWER
    )


def surroundings() -> Surroundings:
    """Return what is around the dashboard on this machine."""
    return Surroundings.here(load_settings().env_file)


def may_change() -> bool:
    """Whether whoever looks at this page may change anything."""
    return visitor().role is Role.OPERATOR and not load_settings().is_readonly


@contextmanager
def explained() -> Iterator[None]:
    """Say what is wrong, if something is, where the block stands on the page."""
    try:
        yield
    except PersistentQError as error:
        ops_states.explain(error)


@contextmanager
def acting() -> Iterator[Operator]:
    """Give the operator a queue of their own, for one deed.

    The pages' own queue gives up after a second; what an operator asked for waits as long as any process does.

    Raises:
        PersistentQError: there is no queue, or it cannot be used.
    """
    with open_queue(create=False, settings=load_settings()) as queue:
        yield operator(queue)


def where() -> str:
    """Return where the queue is, also while it does not answer.

    Raises:
        PersistentQError: there is none, or it cannot be used.
    """
    try:
        return open_for_reading().location
    except StorageUnavailable as error:
        return error.location


def read(ask: Callable[..., T], *question: Any) -> Reading[T]:
    """Return `ask(operator, *question)`, or the last answer to the same question if the database is locked or away.

    Raises:
        StorageUnavailable: there is no earlier answer.
        PersistentQError: anything else that is wrong.
    """
    kept: dict[str, tuple[Any, Reading[Any]]] = st.session_state.setdefault("last_good", {})
    try:
        reading = Reading(ask(operator(open_for_reading()), *question), clock.now())
    except StorageUnavailable as error:
        asked, last = kept.get(ask.__name__, (None, None))
        if last is None or asked != question:
            raise
        return replace(cast("Reading[T]", last), problem=error)
    kept[ask.__name__] = question, reading
    return reading


def read_lately(ask: Callable[..., T], *question: Any) -> Reading[T]:
    """Return what `ask` answered within the last seconds, or its answer now; for what costs much and changes little.

    Raises:
        PersistentQError: as `read` does.
    """
    asked, last = st.session_state.get("last_good", {}).get(ask.__name__, (None, None))
    if last is not None and asked == question and clock.now() - last.at < LATELY:
        return cast("Reading[T]", last)
    return read(ask, *question)


def choose_interval() -> None:
    """Draw the choice of how often the live parts are drawn again."""
    st.segmented_control(
        "Refresh",
        list(ops_states.INTERVALS),
        default="2 s",
        required=True,
        key="refresh",
        persist_state="session",
        label_visibility="collapsed",
        help="How often the page reads the queue",
    )


def live(draw: Callable[[], None]) -> None:
    """Draw something now and, while no dialog is open, again at the chosen interval; the rest of the page rests."""

    def guarded() -> None:
        try:
            draw()
        except DatabaseMissing:
            st.rerun(scope="app")
        except PersistentQError as error:
            ops_states.explain(error)

    is_still = st.session_state.get("asking") is not None
    every = None if is_still else ops_states.interval()
    st.fragment(guarded, run_every=every)()


def draw_again_soon() -> None:
    """Draw the whole page again in a moment, because what is wrong now may be right then."""
    is_drawn = False

    def again() -> None:
        nonlocal is_drawn
        if is_drawn:
            st.rerun(scope="app")
        is_drawn = True

    st.fragment(again, run_every=ops_states.LOOK_AGAIN)()
