"""The manager's state, purely: what keys and news make of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from manager import deeds, moves, news
from manager.asking import Copy, Do, Quit, Suspend
from manager.deeds import Deed
from manager.snapshot import Listing, Place
from manager.state import State
from persistentq import Act, InvalidTransition, JobNotFound, JobStatus, Page
from persistentq.journal import ActBatch
from persistentq.operations import ActResult
from tests.front_ends.manager_kit import a_job, a_snapshot, after

EMPTY = State(location="/srv/queue.db")


@pytest.fixture
def three() -> State:
    """Jobs 13, 12 and 11, the cursor on 13."""
    return after(EMPTY, news.was_read(a_snapshot(EMPTY, a_job(13), a_job(12), a_job(11))))


def test_the_cursor_begins_on_the_newest_job(three: State) -> None:
    assert (three.job_id, three.row) == (13, 0)


def test_rows_end_at_the_first_and_the_last(three: State) -> None:
    down = moves.step_row(1)
    assert after(three, down).job_id == 12
    assert after(three, down, down, down).job_id == 11
    assert after(three, down, moves.step_row(-1), moves.step_row(-1)).job_id == 13
    assert after(three, moves.last_row).job_id == 11
    assert after(after(EMPTY, news.was_read(a_snapshot(EMPTY))), down, moves.last_row).job_id is None


def test_the_cursor_stays_on_its_job_when_rows_come_and_go(three: State) -> None:
    on_12 = after(three, moves.step_row(1))
    newer = after(on_12, news.was_read(a_snapshot(on_12, a_job(15), a_job(14), a_job(13), a_job(12))))
    assert (newer.job_id, newer.row) == (12, 3)


def test_a_job_that_was_pushed_off_the_page_stays_selected(three: State) -> None:
    on_11 = after(three, moves.last_row)
    pushed = a_snapshot(on_11, a_job(15), a_job(14), selected=a_job(11))
    assert after(on_11, news.was_read(pushed)).job_id == 11


def test_the_cursor_goes_to_the_neighbour_of_a_job_that_is_gone(three: State) -> None:
    on_12 = after(three, moves.step_row(1))
    state = after(on_12, news.was_read(a_snapshot(on_12, a_job(13), a_job(11))))
    assert (state.job_id, state.row) == (11, 1)


def test_the_cursor_goes_to_the_neighbour_of_a_job_that_left_the_filter(three: State) -> None:
    filtered = after(three, moves.show_status(JobStatus.PENDING))
    state = after(filtered, news.was_read(a_snapshot(filtered, a_job(13), a_job(12))))
    left = a_snapshot(state, a_job(12), selected=a_job(13, "done"))
    assert after(state, news.was_read(left)).job_id == 12


def test_nothing_is_selected_when_the_last_job_is_gone(three: State) -> None:
    assert after(three, news.was_read(a_snapshot(three))).job_id is None


def test_the_answer_to_an_older_question_is_dropped(three: State) -> None:
    failed = after(three, moves.show_status(JobStatus.FAILED))
    assert after(failed, news.was_read(a_snapshot(three, a_job(99)))) == failed
    assert not failed.is_current


def test_rows_that_are_stepped_ahead_of_the_page_are_those_of_the_page_to_come(three: State) -> None:
    ahead = after(three, moves.show_status(JobStatus.DONE), moves.step_row(1), moves.mark_page)
    assert (ahead.job_id, ahead.targets) == (None, ())
    jobs = [a_job(number, "done") for number in (9, 8, 7)]
    assert after(ahead, news.was_read(a_snapshot(ahead, *jobs))).job_id == 8


def test_a_click_selects_the_job_that_was_clicked_on_wherever_it_is_by_now(three: State) -> None:
    click = moves.select_job(12)
    moved = after(three, news.was_read(a_snapshot(three, a_job(14), a_job(13), a_job(12))))
    assert (after(moved, click).job_id, after(moved, click).row) == (12, 2)


def test_a_failed_read_keeps_the_data(three: State) -> None:
    state = after(three, news.was_not_read(OSError("gone")))
    assert state.jobs == three.jobs
    assert str(state.problem) == "gone"
    assert after(state, news.was_read(a_snapshot(state, a_job(13)))).problem is None


def test_pages_are_turned_by_cursor_and_back() -> None:
    first = after(EMPTY, news.was_read(a_snapshot(EMPTY, a_job(13), page=Page((a_job(13),), "13"))))
    second = after(first, moves.next_page)
    assert second.request.listing == Listing("", "13")
    assert second.job_id is None
    assert after(second, moves.previous_page).request.listing.after is None
    assert "first page" in str(after(first, moves.previous_page).message)


def test_no_job_is_passed_over_when_a_page_is_turned_right_after_the_terminal_shrank() -> None:
    jobs = tuple(a_job(number) for number in range(17, 0, -1))
    large = after(EMPTY, news.was_read(a_snapshot(EMPTY, *jobs, page=Page(jobs[:16], "2"))))
    small = after(large, moves.resize(80, 20))
    assert len(small.jobs) == small.page_size < 16
    assert after(small, moves.mark_page).marks == {job.id for job in small.jobs}
    assert after(small, moves.next_page).pages == (None,)


def test_the_last_page_says_so(three: State) -> None:
    state = after(three, moves.next_page)
    assert state.pages == (None,)
    assert "last page" in str(state.message)


def test_a_page_that_became_empty_leads_back() -> None:
    first = after(EMPTY, news.was_read(a_snapshot(EMPTY, a_job(13), page=Page((a_job(13),), "13"))))
    second = after(first, moves.next_page)
    assert after(second, news.was_read(a_snapshot(second))).pages == (None,)


def test_statuses_go_round(three: State) -> None:
    seen = [three.only_status]
    state = three
    for _ in range(7):
        state = after(state, moves.cycle_status(1))
        seen.append(state.only_status)
    assert seen == [None, *JobStatus, None]
    assert after(three, moves.cycle_status(-1)).only_status is JobStatus.CANCELLED


def test_a_filter_begins_on_its_first_page(three: State) -> None:
    deep = replace(three, pages=(None, "20", "10"))
    assert after(deep, moves.show_status(JobStatus.DONE)).pages == (None,)


def test_a_filter_chosen_elsewhere_leads_to_the_jobs(three: State) -> None:
    elsewhere = after(three, moves.go_to(Place.CONSUMERS))
    assert after(elsewhere, moves.show_status(JobStatus.DONE)).place is Place.JOBS


def test_marks_keep_ids_over_filters_and_refreshes(three: State) -> None:
    marked = after(three, moves.toggle_mark, moves.toggle_mark)
    assert marked.marks == {13, 12}
    assert marked.targets == (12, 13)
    state = after(marked, moves.show_status(JobStatus.DONE))
    state = after(state, news.was_read(a_snapshot(state, gone=frozenset({13}))))
    assert state.marks == {13, 12}
    assert state.snapshot
    assert state.snapshot.gone == {13}


def test_a_second_mark_takes_the_first_away(three: State) -> None:
    assert after(three, moves.toggle_mark, moves.step_row(-1), moves.toggle_mark).marks == frozenset()


def test_a_page_is_marked_and_unmarked(three: State) -> None:
    assert after(three, moves.mark_page).marks == {11, 12, 13}
    assert after(three, moves.mark_page, moves.unmark_all).marks == frozenset()


def test_without_marks_the_selected_job_is_the_target(three: State) -> None:
    assert three.targets == (13,)
    assert EMPTY.targets == ()


def test_details_open_by_themselves_only_beside_the_table(three: State) -> None:
    wide = after(three, moves.resize(120, 40))
    assert (three.shows_details, wide.shows_details) == (False, True)
    assert after(three, moves.toggle_details).shows_details
    assert not after(wide, moves.toggle_details).shows_details


def test_the_details_do_not_change_the_page(three: State) -> None:
    assert after(three, moves.toggle_details).request == three.request._replace(is_detailed=True)


def test_a_smaller_terminal_asks_for_a_smaller_page(three: State) -> None:
    small = after(three, moves.resize(80, 16))
    assert small.request.limit < three.request.limit
    assert after(small, moves.step_row(1)).job_id == 12
    assert not small.is_too_small
    assert after(three, moves.resize(59, 24)).heard_at is Place.TOO_SMALL
    assert after(three, moves.resize(80, 14)).heard_at is Place.TOO_SMALL


def test_escape_undoes_one_thing_after_the_other(three: State) -> None:
    state = replace(
        three,
        only_status=JobStatus.FAILED,
        where="consumer:consumer_00",
        marks=frozenset({1}),
        details=True,
        place=Place.HELP,
        back=(Place.JOBS,),
    )
    for name, value in [
        ("place", Place.JOBS),
        ("details", False),
        ("marks", frozenset()),
        ("where", ""),
        ("only_status", None),
    ]:
        state = after(state, moves.step_back)
        assert getattr(state, name) == value
    assert after(state, moves.step_back) == state


def test_quitting_is_an_order(three: State) -> None:
    assert after(three, moves.quit_manager).order == Quit()


def test_suspending_is_an_order(three: State) -> None:
    assert after(three, moves.suspend).order == Suspend()


@pytest.mark.parametrize(
    ("done", "skipped", "words"),
    [
        ((7,), {}, ["resubmit worked for job 7"]),
        ((7, 8), {}, ["resubmit worked for 2 jobs"]),
        ((), {9: JobNotFound(9)}, ["worked for no job", "1 skipped", "job 9 does not exist"]),
        (
            (7,),
            {n: InvalidTransition(n, "done", "resubmit", "failed") for n in (1, 2, 3)},
            ["worked for job 7", "3 skipped", "3 is done"],
        ),
    ],
)
def test_results_name_what_was_done_and_why_not(
    three: State, done: tuple[int, ...], skipped: dict[int, JobNotFound], words: list[str]
) -> None:
    busy = replace(three, busy="resubmit …", marks=frozenset({7, 8, 9}))
    order = Do(Deed("resubmit", Act("resubmit"), (7, 8, 9)))
    told = deeds.told(ActResult("resubmit").plus(ActBatch(1, done, skipped)))
    state = after(busy, news.was_done(order, told))
    assert state.message
    for word in words:
        assert word in state.message.text
    assert state.message.is_error is (not done)
    assert state.busy == ""
    assert state.marks == {7, 8, 9} - set(done)


def test_a_result_is_heard_of_when_the_database_fails(three: State) -> None:
    order = Do(Deed("delete", Act("delete"), (7,)))
    state = after(three, news.was_not_done(order, OSError("disk on fire")))
    assert state.message
    assert state.message.is_error
    assert "disk on fire" in state.message.text


def test_the_command_that_does_the_same_is_told_and_copied(three: State) -> None:
    assert moves.equivalent(three) == "python -m admin.admin list-jobs"
    failed = after(three, moves.show_status(JobStatus.FAILED), moves.copy)
    assert failed.order == Copy("python -m admin.admin list-jobs --where status:failed")
    order = Do(Deed("resubmit", Act("resubmit"), (7, 8)), reason="it is mended")
    done = after(three, news.was_done(order, deeds.Told("done", entry=4, changed=(7, 8))), moves.copy)
    assert done.order == Copy("python -m admin.admin resubmit 7 8 --reason 'it is mended'")
    assert done.entry == 4
    assert after(three, moves.copy_id).order == Copy("13")
    assert after(EMPTY, moves.copy_id).order is None


def test_a_range_of_jobs_is_marked(three: State) -> None:
    ranged = after(three, moves.toggle_mark, moves.step_row(1), moves.mark_range)
    assert ranged.marks == {11, 12, 13}
    refused = after(three, moves.mark_range)
    assert refused.marks == frozenset()
    assert "Space" in str(refused.message)


def test_all_that_match_are_marked_until_others_are_shown(three: State) -> None:
    everything = after(three, moves.show_query("task:mail.*"), moves.mark_all)
    assert everything.is_all
    assert not after(everything, moves.unmark_all).is_all
    assert not after(everything, moves.show_status(JobStatus.FAILED)).is_all
    assert not after(everything, moves.show_query("")).is_all


def test_status_and_query_are_asked_for_together(three: State) -> None:
    both = after(three, moves.show_query("queue:a OR queue:b"), moves.show_status(JobStatus.FAILED))
    assert both.query == "status:failed (queue:a OR queue:b)"
    assert after(both, moves.show_query("")).query == ""


def test_views_lead_back(three: State) -> None:
    there = after(three, moves.go_to(Place.QUEUES), moves.go_to(Place.JOURNAL), moves.toggle_help)
    assert (there.place, there.view) == (Place.HELP, Place.JOURNAL)
    for place in (Place.JOURNAL, Place.QUEUES, Place.JOBS):
        there = after(there, moves.step_back)
        assert there.place is place


def test_a_frozen_screen_asks_for_nothing_new(three: State) -> None:
    frozen = after(three, moves.toggle_freeze)
    assert frozen.request.is_frozen
    assert not after(frozen, moves.toggle_freeze).request.is_frozen


def test_one_job_is_shown_in_full(three: State) -> None:
    shown = after(three, moves.show_job(99))
    assert (shown.query, shown.job_id, shown.shows_details) == ("id:99", 99, True)
