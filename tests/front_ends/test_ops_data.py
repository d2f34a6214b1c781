"""The dashboard's data layer on a real database, and its words."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

import ops_charts
import ops_data
import ops_pace
import ops_text
from ops_data import PAGE, WINDOWS, Filters
from persistentq import (
    ConsumerInfo,
    InvalidArgument,
    JobNotFound,
    JobStatus,
    PersistentQInterface,
    open_queue,
)
from persistentq.job import Count
from persistentq.operations import Operator
from persistentq.operations.rates import RateBucket, Spread
from persistentq.query import parse
from tests.front_ends.ops_kit import fail_for_good
from tests.front_ends.ops_server import OPS

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PersistentQInterface]:
    with open_queue(f"sqlite:///{tmp_path}/queue.db") as queue:
        yield queue


def test_overview_of_an_empty_queue_has_every_status_and_every_span(store: PersistentQInterface) -> None:
    overview = ops_data.read_overview(Operator(store), WINDOWS["1 h"])
    assert overview.counts == dict.fromkeys(JobStatus, 0)
    assert overview.is_empty
    assert not overview.nobody_works
    assert len(overview.activity) == WINDOWS["1 h"].buckets
    assert list(overview.failures.columns) == ["job", "failed at", "task", "error"]
    assert overview.failures.empty


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        ("status:failed task:a", {"failed"}),
        ("(status:failed OR status:done) age>1h", {"failed", "done"}),
        ("(status:failed OR task:a) status:done", {"done"}),
        ("status:failed status:done", set()),
        ("-status:failed", set(JobStatus)),
        ("task:a", set(JobStatus)),
    ],
)
def test_the_statuses_that_a_query_leaves_possible(query: str, statuses: set[str]) -> None:
    assert ops_data.statuses_of(parse(query)) == statuses


def test_overview_counts_over_all_queues_and_lists_the_latest_failures(
    store: PersistentQInterface,
) -> None:
    failed = fail_for_good(store, "mail.send", 7)
    store.enqueue("a", queue="one")
    store.enqueue("a", queue="two")
    overview = ops_data.read_overview(Operator(store), WINDOWS["1 min"])
    assert overview.counts[JobStatus.PENDING] == 2
    assert overview.counts[JobStatus.FAILED] == 7
    assert sum(bucket.failed for bucket in overview.activity) == 7
    assert list(overview.failures["job"]) == [
        f"job?job={job.id}" for job in failed[: ops_data.LATEST_FAILURES]
    ]


def test_nobody_works_until_a_consumer_reports(store: PersistentQInterface) -> None:
    store.enqueue("a")
    assert ops_data.read_overview(Operator(store), WINDOWS["1 h"]).nobody_works
    store.heartbeat("c1", host="h", pid=1, queues=["default"])
    assert not ops_data.read_overview(Operator(store), WINDOWS["1 h"]).nobody_works
    store.retire("c1")
    assert ops_data.read_overview(Operator(store), WINDOWS["1 h"]).nobody_works


def test_pages_follow_each_other_without_gap_or_repetition(store: PersistentQInterface) -> None:
    ids = [store.enqueue("a").id for _ in range(2 * PAGE + 1)]
    seen: list[int] = []
    after: str | None = None
    for length in (PAGE, PAGE, 1):
        page = ops_data.read_page(Operator(store), Filters(), after)
        assert len(page.frame) == len(page.targets) == length
        assert list(page.frame["id"]) == [target.id for target in page.targets]
        assert page.total == Count(len(ids))
        seen += [target.id for target in page.targets]
        after = page.next
    assert after is None
    assert seen == sorted(ids, reverse=True)


def test_filters_limit_page_and_total(store: PersistentQInterface) -> None:
    fail_for_good(store, "mail.send", 3, in_queue="mail")
    store.enqueue("mail.send", queue="mail")
    store.enqueue("other")
    one = ops_data.read_page(Operator(store), Filters(("failed",), "queue:mail"), None)
    assert (len(one.targets), one.total) == (3, Count(3))
    assert {target.status for target in one.targets} == {JobStatus.FAILED}
    two = ops_data.read_page(
        Operator(store), Filters(("failed", "pending"), "task:mail.send OR task:nothing"), None
    )
    assert (len(two.targets), two.total.number) == (4, 4)
    assert len(ops_data.read_page(Operator(store), Filters(text="consumer:c1"), None).targets) == 3
    nothing = ops_data.read_page(Operator(store), Filters(text="queue:nowhere"), None)
    assert (nothing.targets, nothing.total, nothing.frame.columns[0]) == ((), Count(0), "id")


@pytest.mark.parametrize(
    ("filters", "after"),
    [
        (Filters(text="colour:red"), None),
        (Filters(text="(task:a"), None),
        (Filters(("late",)), None),
        (Filters(), "x"),
    ],
)
def test_impossible_filters_are_refused(
    store: PersistentQInterface, filters: Filters, after: str | None
) -> None:
    with pytest.raises(InvalidArgument):
        ops_data.read_page(Operator(store), filters, after)


def test_rows_of_every_kind_of_job(store: PersistentQInterface) -> None:
    store.enqueue("done", {"n": 1})
    store.complete(store.dequeue("c1")[0], result={"ok": True})
    store.enqueue("running")
    store.dequeue("c2")
    reserved = store.enqueue("reserved")
    store.assign_job(reserved.id, "c3")
    store.enqueue("later", delay=timedelta(hours=1))
    rows = ops_data.read_page(Operator(store), Filters(), None).frame.set_index("task")
    assert list(rows["status"]) == ["◷ scheduled", "○ pending", "▶ processing", "✓ done"]
    assert rows.loc["reserved", "consumer"] == "for c3"
    assert rows.loc["running", "consumer"] == "c2"
    assert rows.loc["done", "args"] == '{"n": 1}'
    assert rows.loc["done", "took"].endswith("s")


def test_job_view_has_all_attempts_latest_first(store: PersistentQInterface) -> None:
    store.enqueue("a", max_attempts=3)
    for _ in range(2):
        store.fail(store.dequeue("c1")[0], ValueError("no"), delay=timedelta(0))
    (running,) = store.dequeue("c2")
    view = ops_data.read_job(Operator(store), running.id)
    rows = ops_data.attempt_rows(view.attempts)
    assert list(rows["attempt"]) == [3, 2, 1]
    assert list(rows["outcome"]) == ["running", "failed", "failed"]
    assert rows["error"].iloc[1] == "ValueError: no"
    with pytest.raises(JobNotFound):
        ops_data.read_job(Operator(store), running.id + 1)


def test_names_put_living_consumers_first(store: PersistentQInterface) -> None:
    for name in ("a", "b"):
        store.heartbeat(name, host="h", pid=1, queues=["default"], tasks=["t.two", "t.one"])
    store.retire("a")
    store.enqueue("x", queue="q2")
    store.enqueue("x", queue="q1")
    assert ops_data.read_names(Operator(store)) == (["q1", "q2"], ["b", "a"], ["t.one", "t.two"])


def test_consumer_states_are_said_in_words() -> None:
    alive = ConsumerInfo(
        id="c",
        host="h",
        pid=1,
        queues=("a", "b"),
        started_at=AT,
        heartbeat_at=AT,
        silent_for=timedelta(seconds=3),
        held=2,
    )
    silent = replace(alive, silent_for=timedelta(minutes=5))
    stopped = replace(silent, stopped_at=AT)
    rows = ops_data.consumer_rows([alive, silent, stopped])
    assert list(rows["state"]) == ["● alive", "○ silent", "■ stopped"]
    assert list(rows["heartbeat"]) == ["3s ago", "5m ago", "5m ago"]
    assert rows["process"].iloc[0] == "h, pid 1"


def an_hour(enqueued: int, done: int, failed: int, wait: float | None) -> RateBucket:
    spread = Spread() if wait is None else Spread(p95=timedelta(seconds=wait))
    return RateBucket(AT, enqueued=enqueued, done=done, failed=failed, wait=spread)


@pytest.mark.parametrize(
    ("before", "last", "told"),
    [
        (
            an_hour(10, 10, 3, 2.0),
            an_hour(1210, 4, 5, 0.5),
            [
                ("1,210", "+1,200", "more"),
                ("4", "-6", "fewer, worse"),
                ("5", "+2", "more, worse"),
                ("500 ms", "-1.5 s", "shorter, better"),
            ],
        ),
        (
            an_hour(0, 1, 3, 1.0),
            an_hour(0, 2, 0, 1.5),
            [
                ("0", 0, "as many"),
                ("2", "+1", "more, better"),
                ("0", "-3", "fewer, better"),
                ("1.5 s", "+500 ms", "longer, worse"),
            ],
        ),
    ],
)
def test_the_last_hour_is_compared_with_the_one_before_it_in_words(
    before: RateBucket, last: RateBucket, told: list[tuple[str, str | int, str]]
) -> None:
    tiles = ops_pace.tiles(before, last)
    assert [(tile.value, tile.change, tile.said) for tile in tiles] == told
    # Streamlit colours by the sign: more jobs enqueued is neither good nor bad, more done is good, the others are bad.
    assert [tile.judged for tile in tiles] == ["off", "normal", "inverse", "inverse"]


def test_a_wait_that_nobody_knows_is_not_compared() -> None:
    known, unknown = an_hour(0, 0, 0, 1.0), an_hour(0, 0, 0, None)
    assert ops_pace.tiles(unknown, known)[-1][1:4] == ("1 s", None, "none began the hour before")
    assert ops_pace.tiles(known, unknown)[-1][1:4] == ("-", None, "none began")
    assert ops_pace.tiles(known, known)[-1][1:4] == ("1 s", 0, "as long")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0123, "12 ms"),
        (3.44, "3.4 s"),
        (303, "5 min 3 s"),
        (7500, "2 h 5 min"),
        (360_000, "4 d 4 h"),
        (-5, "0 s"),
        (0.9996, "1000 ms"),
        (15, "15 s"),
        (300, "5 min"),
    ],
)
def test_lengths_of_time(seconds: float, shown: str) -> None:
    assert ops_text.span(timedelta(seconds=seconds)) == shown


def test_blocks_are_cut_and_keep_their_lines() -> None:
    assert ops_text.block("a\r\n\tb\x1b[31m\u202e\n") == "a\n        b\\x1b[31m\\u202e"
    long = ops_text.block("x" * (ops_text.LONGEST_BLOCK + 5))
    assert long.endswith("\n… 5 more characters")
    nested = {"a": ["ü", {"b": None}]}
    assert json.loads(ops_text.block(ops_text.as_json(nested))) == nested


@given(some.text())
def test_plain_text_can_be_no_markup(text: str) -> None:
    """Every ASCII punctuation character is escaped, so nothing is left that Markdown gives a meaning to."""
    shown = ops_text.plain(text).replace(ops_text.APART, "")
    unescaped = shown.replace("\\\\", "")
    for position, char in enumerate(unescaped):
        if char in "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~":
            assert unescaped[position - 1] == "\\"
    assert shown.isprintable()


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/x", "HTTP://evil.example", "www.evil.example", "WWW.x.example", "a@evil.example"],
)
def test_plain_text_has_something_in_every_address_that_would_become_a_link(address: str) -> None:
    known = re.compile(r"https?\\?:(\\?/){2}|www\\?\.|\w\\?@", re.IGNORECASE)
    assert known.search(address)
    assert not known.search(ops_text.plain(f"({address})"))


def test_long_lists_of_ids_are_cut() -> None:
    assert ops_text.some([1, 2]) == "1, 2"
    assert ops_text.some(range(25)).endswith(", 19 and 5 more")


@pytest.mark.parametrize("colour", [ops_charts.DONE, ops_charts.FAILED])
@pytest.mark.parametrize("background", ["#ffffff", "#171614"])
def test_chart_colours_stand_out_from_both_backgrounds(colour: str, background: str) -> None:
    """WCAG 1.4.11 asks for 3:1 between a graphic and what lies behind it."""
    assert _contrast(colour, background) >= 3


def test_words_stand_out_from_what_is_behind_them() -> None:
    """WCAG 1.4.3 asks for 4.5:1; Streamlit writes captions with three fifths of the text's colour."""
    theme = tomllib.loads((OPS / ".streamlit" / "config.toml").read_text())["theme"]
    for mode, background in (("light", "#ffffff"), ("dark", "#171614")):
        assert _contrast(background, theme[mode]["primaryColor"]) >= 4.5
    text = theme["light"]["textColor"]
    faint = "#" + "".join(f"{round(int(text[at : at + 2], 16) * 0.6 + 255 * 0.4):02x}" for at in (1, 3, 5))
    assert _contrast(faint, "#ffffff") >= 4.5


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
