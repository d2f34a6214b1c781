"""The order of the rows of the views: by any column, kept while they are read anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from manager import moves, news
from manager.commands import read_command
from manager.header import caption
from manager.snapshot import Place, Row
from manager.sorting import rank
from manager.state import State
from manager.views import VIEWS
from persistentq import NewJob, PersistentQInterface
from tests.front_ends.manager_kit import a_queue, a_snapshot, after, running

JOURNAL = State(location="/srv/queue.db", place=Place.JOURNAL)
JOBS_COLUMN = [head.title for head in VIEWS[Place.JOURNAL].heads].index("jobs")


def an_entry(key: str, jobs: str, who: str = "ann") -> Row:
    return Row(key, tuple(("", text) for text in (key, "5m ago", who, "cli", "cancel", jobs, "0", "")))


def read(state: State, *rows: Row) -> State:
    return after(state, news.was_read(a_snapshot(state, rows=rows)))


@pytest.fixture
def journal() -> State:
    return read(JOURNAL, an_entry("3", "1,200", "bob"), an_entry("2", "9"), an_entry("1", "10k", "Cid"))


def keys(state: State) -> list[str]:
    return [row.key for row in state.rows]


def sorted_by(title: str, state: State) -> State:
    return read_command(f"sort {title}")(state)


def test_rows_are_in_their_own_order_until_they_are_sorted(journal: State) -> None:
    assert keys(journal) == ["3", "2", "1"]
    assert keys(sorted_by("jobs", journal)) == ["2", "3", "1"]
    assert keys(sorted_by("-jobs", journal)) == ["1", "3", "2"]
    assert keys(sorted_by("who", journal)) == ["2", "3", "1"]
    assert keys(after(sorted_by("jobs", journal), read_command("sort"))) == ["3", "2", "1"]


def test_each_column_has_its_turn_and_then_none(journal: State) -> None:
    state, seen = journal, []
    for _ in VIEWS[Place.JOURNAL].heads:
        state = after(state, moves.next_sort)
        seen.append(state.sorts[Place.JOURNAL].column)
    assert seen == list(range(len(VIEWS[Place.JOURNAL].heads)))
    assert after(state, moves.next_sort).sorts == {}


def test_the_other_way_round_and_back(journal: State) -> None:
    state = sorted_by("jobs", journal)
    assert keys(after(state, moves.reverse_sort)) == ["1", "3", "2"]
    assert keys(after(state, moves.reverse_sort, moves.reverse_sort)) == ["2", "3", "1"]
    assert keys(after(journal, moves.reverse_sort)) == ["3", "2", "1"]
    assert after(journal, moves.reverse_sort).sorts[Place.JOURNAL].column == 0


def test_order_and_cursor_stay_while_rows_come_and_go(journal: State) -> None:
    on_3 = after(sorted_by("jobs", journal), moves.select_row("3"))
    assert on_3.row_number == 1
    later = read(on_3, an_entry("4", "2,000"), an_entry("3", "1,200"), an_entry("5", "1"), an_entry("2", "9"))
    assert keys(later) == ["5", "2", "3", "4"]
    assert (later.row_number, later.chosen and later.chosen.key) == (2, "3")


def test_each_view_has_its_own_order(journal: State) -> None:
    state = after(sorted_by("jobs", journal), moves.go_to(Place.QUEUES), moves.next_sort)
    assert {place: sort.column for place, sort in state.sorts.items()} == {
        Place.JOURNAL: JOBS_COLUMN,
        Place.QUEUES: 0,
    }


def test_the_heading_says_it(journal: State) -> None:
    def words(state: State) -> str:
        return "".join(piece[1] for piece in caption(state))

    assert " by " not in words(journal)
    assert "1 of 3 · by jobs ↑ · " in words(sorted_by("jobs", journal))
    assert "1 of 3 · by jobs ↓ · " in words(sorted_by("-jobs", journal))
    assert "page 1 of 1, newest first" in words(replace(journal, place=Place.JOBS, snapshot=journal.snapshot))


def test_what_cannot_be_sorted_by_is_told(journal: State) -> None:
    refused = sorted_by("colour", journal)
    assert refused.message
    assert "entry, when, who" in refused.message.text
    assert refused.sorts == {}
    jobs = sorted_by("task", replace(journal, place=Place.JOBS))
    assert "newest first" in str(jobs.message)


@pytest.mark.parametrize(
    "texts",
    [
        ["9", "10", "1,000", "12k", "4.5M", ""],
        ["3s ago", "5m ago", "2h ago", "1d ago", "never"],
        ["2s", "in 3s", "in 2m", "in 9d"],
        ["0.25s, 9.00s", "1.50s, 2.00s", "3m, 4m", ""],
    ],
)
def test_numbers_and_spans_are_sorted_by_size_and_before_words(texts: list[str]) -> None:
    assert sorted(set(texts), key=lambda text: rank(text, True)) == texts


def test_words_are_sorted_in_either_case() -> None:
    texts = ["alpha", "Beta", "gamma"]
    assert sorted(set(texts), key=lambda text: rank(text, False)) == texts
    assert rank("10", False) < rank("9", False)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[PersistentQInterface]:
    with a_queue(tmp_path) as queue:
        queue.enqueue_many([NewJob("t", queue="few")] + [NewJob("t", queue="many")] * 12)
        yield queue


def test_the_keys_sort(queue: PersistentQInterface, tmp_path: Path) -> None:
    with running(tmp_path) as manager:
        manager.press("4")
        manager.wait(lambda: keys(manager.state) == ["few", "many"])
        manager.press("s", "s", "s", "S")
        manager.wait(lambda: keys(manager.state) == ["many", "few"])
        queue.enqueue_many([NewJob("t", queue="most")] * 200)
        manager.wait(lambda: keys(manager.state) == ["most", "many", "few"])
