"""Backoff, text, errors, clock: the parts without a database."""

from __future__ import annotations

import pickle
import signal
import threading
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import persistentq
from persistentq import (
    ActRefused,
    ConfigurationError,
    ConsumerAlive,
    ConsumerNotFound,
    CopyRefused,
    CountDiffers,
    DatabaseMissing,
    DatabaseReplaced,
    EntryNotFound,
    ExtraMissing,
    InvalidArgument,
    InvalidQuery,
    InvalidTransition,
    JobNotFound,
    JobStatus,
    LeaseLost,
    LockTimeout,
    NothingToUndo,
    PayloadError,
    PersistentQError,
    QueueIncomplete,
    QueueMoved,
    QueueMoving,
    ReadOnlyMode,
    ScheduleNotFound,
    SchemaMismatch,
    StorageError,
    StorageUnavailable,
    SupervisionError,
    UniqueKeyTaken,
    errors,
)
from persistentq.backoff import DEFAULT, LONGEST, Backoff
from persistentq.clock import Bell, Deadline
from persistentq.job import FINISHED, TRANSITIONS, UNFINISHED, statuses_before
from persistentq.text import GLYPHS, ago, safe

EXAMPLES: list[PersistentQError] = [
    InvalidArgument("limit", 0, "is too small"),
    PayloadError("args", {1}, "is not JSON"),
    ConfigurationError("MAX_ATTEMPTS", "x", ".env", "is not a number"),
    StorageError("queue.db", "failed: odd"),
    StorageUnavailable("queue.db", "was locked"),
    LockTimeout("queue.db"),
    DatabaseReplaced("queue.db"),
    DatabaseMissing("queue.db"),
    SchemaMismatch("queue.db", "0002", "0001"),
    QueueMoving("queue.db", "postgresql://host/db"),
    QueueMoved("queue.db", "postgresql://host/db"),
    QueueIncomplete("there.db", "queue.db"),
    CopyRefused("there.db is not empty", "name another"),
    JobNotFound(7),
    InvalidTransition(7, "done", "cancel", "pending"),
    UniqueKeyTaken(7, "k"),
    LeaseLost(7, "c", 2),
    ActRefused(7, "has changed since"),
    EntryNotFound(3),
    NothingToUndo(3, "pause"),
    ReadOnlyMode("cancel"),
    CountDiffers(3, 4),
    ConsumerNotFound("c"),
    ScheduleNotFound("s"),
    ConsumerAlive("c", "host", 7, datetime(2026, 11, 24, tzinfo=UTC)),
    ExtraMissing("metrics", "prometheus_client", "prometheus"),
    SupervisionError("supervisord does not answer", "start it"),
    InvalidQuery("status:fialed", 7, "has a value that is none"),
]


SPANS = st.timedeltas(timedelta(0), LONGEST)


@given(attempt=st.integers(-5, 10**9), jitter=st.floats(0, 1), one=SPANS, other=SPANS)
def test_backoff_is_bounded(attempt: int, jitter: float, one: timedelta, other: timedelta) -> None:
    rule = Backoff(min(one, other), max(one, other))
    assert rule.base / 2 <= rule.delay(attempt, jitter) <= rule.cap


def test_backoff_doubles_up_to_its_cap() -> None:
    waits = [DEFAULT.delay(attempt, 1.0) for attempt in range(1, 14)]
    assert waits[:4] == [timedelta(seconds=n) for n in (1, 2, 4, 8)]
    assert waits[-1] == DEFAULT.cap == timedelta(hours=1)
    assert DEFAULT.delay(3, 0.0) == DEFAULT.delay(3, 1.0) / 2


@pytest.mark.parametrize(
    "bad", [(timedelta(-1), LONGEST), (LONGEST, timedelta(1)), (timedelta(0), LONGEST * 2), (1, LONGEST)]
)
def test_bad_backoffs_are_refused(bad: Any) -> None:
    with pytest.raises(InvalidArgument):
        Backoff(*bad)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_says_its_piece_in_one_line(error: PersistentQError) -> None:
    assert "\n" not in str(error)
    assert str(error) == (f"{error.summary}; {error.hint}" if error.hint else error.summary)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own error, as a process pool passes it on
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
    assert error.exit_code in {1, 2, 4, 5, 75}


def test_every_error_is_in_the_drawn_tree_and_in_the_examples() -> None:
    tree = errors.__doc__ or ""
    known = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, PersistentQError)
    }
    for error in known:
        assert error.__name__ in tree
    assert known - {type(error) for error in EXAMPLES} == {PersistentQError, errors.JobError}
    assert {error.__name__ for error in known} <= set(persistentq.__all__)


@given(st.text(st.characters()))
def test_safe_text_is_one_printable_line(text: str) -> None:
    shown = safe(text)
    assert shown.isprintable()
    assert not any(
        unicodedata.bidirectional(char) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI"} for char in shown
    )
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b]52;c;x\x07", r"a\x1b]52;c;x\x07"),
        ("x\u202ey", r"x\u202ey"),
        ("\x9b", r"\x9b"),
        ("é\n", r"é\n"),
        (None, ""),
    ],
)
def test_safe_escapes(text: str | None, shown: str) -> None:
    assert safe(text) == shown


def test_safe_cuts_to_a_length() -> None:
    assert safe("abcdef", 4) == "abc…"
    assert safe("abcd", 4) == "abcd"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.2, "59s"),
        (59.7, "1m"),
        (61, "1m"),
        (3599, "59m"),
        (7200, "2h"),
        (200_000, "2d"),
        (-5, "in 5s"),
        (-7199, "in 2h"),
        (-0.2, "0s"),
    ],
)
def test_ago(seconds: float, text: str) -> None:
    assert ago(timedelta(seconds=seconds)) == text


def test_the_state_machine_knows_every_status() -> None:
    assert set(JobStatus) == UNFINISHED | FINISHED
    assert not UNFINISHED & FINISHED
    assert set(GLYPHS) == set(JobStatus)
    assert all(arrow.before for arrow in TRANSITIONS)
    reached = set().union(*(arrow.after for arrow in TRANSITIONS))
    assert reached == set(JobStatus)
    assert statuses_before("resubmit") == {JobStatus.FAILED, JobStatus.CANCELLED}
    with pytest.raises(KeyError):
        statuses_before("nonsense")


def test_a_deadline_ends_a_wait() -> None:
    assert not Deadline(0.02).wait_for(lambda: False, every=0.005)
    assert Deadline(0).wait_for(lambda: True)
    assert Deadline(0).passed


def test_a_bell_wakes_its_waiter_from_a_thread() -> None:
    bell = Bell()
    threading.Timer(0.02, bell.ring).start()
    assert bell.wait(10)
    assert not bell.wait(0)


def test_rings_are_remembered_and_count_as_one() -> None:
    bell = Bell()
    for _ in range(3):
        bell.ring()
    assert bell.wait(0)
    assert not bell.wait(0)


def test_a_bell_may_be_rung_by_a_signal_handler() -> None:
    bell = Bell()
    before = signal.signal(signal.SIGALRM, lambda *_: bell.ring())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert bell.wait(10)
    finally:
        signal.signal(signal.SIGALRM, before)
