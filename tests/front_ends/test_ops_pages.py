"""Every page of the dashboard in every state, run by Streamlit without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit import config

import ops_download
from ops_data import PAGE
from persistentq import JobStatus, PersistentQInterface, clock, open_queue
from tests.front_ends.ops_kit import (
    HOSTILE,
    a_place,
    agree,
    choose,
    downloaded,
    fail_for_good,
    locked,
    select_rows,
    visit,
    words,
)

JOBS, JOB = "ops_jobs.py", "ops_job.py"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from a_place(tmp_path, monkeypatch)


@pytest.fixture
def store(place: Path) -> Iterator[PersistentQInterface]:
    with open_queue(f"sqlite:///{place}") as queue:
        yield queue


# --- states


def test_without_a_database_it_says_where_it_looked_and_recovers(place: Path) -> None:
    app = visit()
    assert str(place) in words(app)
    assert "producer.producer" in words(app)
    assert not app.metric
    open_queue(f"sqlite:///{place}").close()
    assert [tile.value for tile in app.run().metric] == ["0"] * 6


def test_an_empty_queue_says_how_a_first_job_comes_in(store: PersistentQInterface) -> None:
    for app in (visit(), visit(JOBS)):
        assert "The queue is empty" in words(app)
        assert "producer.producer --count 1" in words(app)


def test_a_database_that_was_replaced_is_noticed(place: Path) -> None:
    with open_queue(f"sqlite:///{place}") as queue:
        queue.enqueue("old")
    app = visit()
    assert app.metric[1].value == "1"
    for file in place.parent.glob("queue.db*"):
        file.unlink()
    assert str(place) in words(app.run())
    with open_queue(f"sqlite:///{place}") as queue:
        queue.enqueue_many([])
    assert app.run().metric[1].value == "0"


def test_while_locked_it_shows_what_it_read_last_and_of_when(place: Path) -> None:
    with open_queue(f"sqlite:///{place}") as queue:
        queue.enqueue("a")
    app = visit()
    st.cache_resource.clear()
    with locked(place):
        app.run()
        assert app.metric[1].value == "1"
        assert "locked" in app.warning[0].value
        assert "ago" in app.warning[0].value
        assert "locked" in visit().error[0].value
    assert not app.run().warning[1:]
    assert app.metric[1].value == "1"
    assert "as of" in words(app)


def test_a_setting_that_cannot_be_used_is_said(
    store: PersistentQInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_ATTEMPTS", "many")
    assert "MAX" in visit().error[0].value


def test_nobody_works(store: PersistentQInterface) -> None:
    store.enqueue("a")
    app = visit()
    assert "1 job is pending and no consumer is alive" in app.error[0].value
    store.heartbeat("c1", host="h", pid=1, queues=["default"])
    app.run()
    assert "no consumer is alive" not in words(app)
    assert app.dataframe[0].value["state"].tolist() == ["● alive"]


def test_pages_are_refused_where_others_could_reach_them(store: PersistentQInterface) -> None:
    store.enqueue("a")
    config.set_option("server.address", "0.0.0.0")  # noqa: S104 - must be refused
    app = visit()
    assert "no password" in app.error[0].value
    assert not app.metric
    assert not app.dataframe


# --- overview


def test_overview_counts_and_charts(store: PersistentQInterface) -> None:
    fail_for_good(store, "mail.send", 2)
    store.enqueue("a")
    store.complete(store.dequeue("c1")[0])
    app = visit()
    assert {tile.label: tile.value for tile in app.metric[:6]} == {
        "scheduled": "0",
        "pending": "0",
        "processing": "0",
        "done": "1",
        "failed": "2",
        "cancelled": "0",
    }
    assert [(tile.label, tile.value, tile.delta) for tile in app.metric[6:9]] == [
        ("enqueued", "3", "+3"),
        ("done", "1", "+1"),
        ("failed", "2", "+2"),
    ]
    assert "The last hour" in words(app)
    assert "Jobs done: 1" in words(app)
    assert "Attempts failed: 2" in words(app)
    assert len(app.get("vega_lite_chart")) == 2
    assert app.dataframe[-1].value["task"].tolist() == ["mail.send"] * 2


def test_charts_without_activity_say_so(store: PersistentQInterface) -> None:
    store.enqueue("a")
    app = visit()
    assert "No job was done in the last 15 min." in words(app)
    assert "No attempt failed in the last 15 min." in words(app)
    assert "No job has failed." in words(app)
    app.session_state["window"] = "7 d"
    assert "No job was done in the last 7 d." in words(app.run())


# --- jobs


def test_the_jobs_page_turns(store: PersistentQInterface) -> None:
    ids = [store.enqueue("a").id for _ in range(PAGE + 5)]
    app = visit(JOBS)
    assert app.button(key="newer").disabled
    assert f"Jobs {ids[-1]} to {ids[5]} · 105 in all" in words(app)
    app.button(key="older").click().run()
    assert app.dataframe[0].value["id"].tolist() == ids[4::-1]
    assert app.query_params["after"] == str(ids[5])
    assert app.button(key="older").disabled
    app.button(key="newer").click().run()
    assert "after" not in app.query_params
    assert len(app.dataframe[0].value) == PAGE


def test_filters_come_from_the_address(store: PersistentQInterface) -> None:
    failed = fail_for_good(store, "mail.send", 2, in_queue="mail")
    store.enqueue("mail.send", queue="mail")
    app = visit(JOBS, status=["failed"], q="queue:mail task:mail.* consumer:c1")
    assert app.dataframe[0].value["id"].tolist() == [job.id for job in failed]
    app.text_input(key="q").set_value("task:other queue:mail").run()
    assert "No job matches these filters" in words(app)
    assert "Without task:other: 2 would match." in words(app)
    assert "Without queue:mail: 0 would match." in words(app)
    app.text_input(key="q").set_value("colour:red").run()
    assert "colour" in app.error[0].value
    next(button for button in app.button if button.label == "Clear").click().run()
    assert len(app.dataframe[0].value) == 3


def test_a_term_can_be_chosen(store: PersistentQInterface) -> None:
    store.enqueue("a", queue="mail")
    store.heartbeat("c1", host="h", pid=1, queues=["mail"], tasks=["mail.send"])
    app = visit(JOBS, q="age<1h")
    offered = app.selectbox(key="term").options
    assert offered[:3] == ["queue:mail", "task:mail.send", "consumer:c1"]
    assert "attempts>=3" in offered
    app.selectbox(key="term").set_value("queue:mail").run()
    assert app.text_input(key="q").value == "age<1h queue:mail"
    assert app.selectbox(key="term").value is None
    assert len(app.dataframe[0].value) == 1


def test_a_link_to_a_page_of_jobs_that_are_gone(store: PersistentQInterface) -> None:
    store.enqueue("a")
    assert "There are no older jobs" in words(visit(JOBS, after="1"))
    assert "cursor" in visit(JOBS, after="x").error[0].value


def test_a_selection_holds_the_table_still(store: PersistentQInterface) -> None:
    first = store.enqueue("a")
    app = select_rows(visit(JOBS), [0])
    store.dequeue("c1")
    app.run()
    assert app.dataframe[0].value["status"].tolist() == ["○ pending"]
    assert f"Job {first.id} · ▶ processing" in words(app)
    select_rows(app, [])
    assert app.run().dataframe[0].value["status"].tolist() == ["▶ processing"]


def test_newer_jobs_are_counted_and_shown_when_that_is_asked_for(store: PersistentQInterface) -> None:
    """Other jobs make another table, which begins at its top."""
    first = store.enqueue("a", queue="mail")
    app = visit(JOBS, q="queue:mail status:pending")
    assert (app.button(key="news").label, app.button(key="news").disabled) == ("0 new - show", True)
    newer = store.enqueue("b", queue="mail")
    store.enqueue("b", queue="other")
    key = app.session_state["shown"].key
    for rows in ([], [0]):
        select_rows(app, rows).run()
        assert app.button(key="news").label == "1 new - show"
        assert app.dataframe[0].value["id"].tolist() == [first.id]
        assert app.session_state["shown"].key == key
    app.button(key="news").click().run()
    assert app.dataframe[0].value["id"].tolist() == [newer.id, first.id]
    store.dequeue("c1", ["mail"])
    app.run()
    assert app.button(key="news").label == "0 new, 1 match no more - show"
    assert app.dataframe[0].value["status"].tolist() == ["○ pending", "▶ processing"]
    app.button(key="news").click().run()
    assert app.dataframe[0].value["id"].tolist() == [newer.id]
    store.cancel(newer.id)
    app.run().button(key="news").click().run()
    assert "No job matches these filters" in words(app)
    store.enqueue("c", queue="mail")
    assert len(app.run().dataframe[0].value) == 1


def test_whoever_comes_back_to_the_jobs_sees_the_newest(store: PersistentQInterface) -> None:
    store.enqueue("a")
    app = visit(JOBS)
    newer = store.enqueue("b")
    app.switch_page("ops_queues.py").run()
    app.switch_page(JOBS).run()
    assert app.dataframe[0].value["id"].tolist()[0] == newer.id
    assert app.button(key="news").disabled


def test_an_older_page_tells_of_no_newer_jobs(store: PersistentQInterface) -> None:
    ids = [store.enqueue("a").id for _ in range(PAGE + 5)]
    app = visit(JOBS, after=str(ids[5]), q="status:pending")
    store.enqueue("b")
    assert app.run().button(key="news").label == "0 new - show"
    store.cancel(ids[0])
    assert app.run().button(key="news").label == "0 new, 1 match no more - show"


def test_what_is_older_than_three_intervals_is_called_stale(
    store: PersistentQInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.enqueue("a")
    app = select_rows(visit(JOBS), [0])
    assert app.segmented_control(key="refresh").options == ["off", *(f"{n} s" for n in (1, 2, 5, 15, 30, 60))]
    for seconds, is_stale in ((5, False), (7, True)):
        now = app.session_state["shown"].reading.at + timedelta(seconds=seconds)
        monkeypatch.setattr(clock, "now", lambda now=now: now)
        assert (f"stale, {seconds} s old" in words(app.run())) is is_stale
    app.segmented_control(key="refresh").set_value("5 s").run()
    assert "stale" not in words(app)
    app.segmented_control(key="refresh").set_value("off").run()
    assert "refresh is off" in words(app)


# --- actions


def test_actions_that_fit_none_of_the_chosen_are_off(store: PersistentQInterface) -> None:
    store.enqueue("a")
    fail_for_good(store, "b", 1, in_queue="other")
    app = visit(JOBS)
    verbs = ("resubmit", "cancel", "mark-failed", "assign", "delete", "reschedule")
    assert all(app.button(key=f"act-{verb}").disabled for verb in verbs)
    select_rows(app, [0])
    on = [verb for verb in verbs if not app.button(key=f"act-{verb}").disabled]
    assert on == ["resubmit", "delete"]
    assert app.button(key="act-cancel").help == "Works only on jobs that are scheduled, pending, processing"
    select_rows(app, [0, 1])
    assert [app.button(key=f"act-{verb}").label for verb in verbs] == [
        "Resubmit 1",
        "Cancel job 1",
        "Mark failed 1",
        "Assign 1",
        "Delete 2",
        "Reschedule 1",
    ]


def test_resubmit_says_what_was_done_and_what_was_skipped(store: PersistentQInterface) -> None:
    one, two = fail_for_good(store, "a", 2)
    app = select_rows(visit(JOBS), [0, 1])
    app.button(key="act-resubmit").click().run()
    assert "Make 2 jobs pending again?" in words(app)
    assert store.get_job(one.id).status == JobStatus.FAILED
    store.resubmit(two.id)
    agree(app)
    assert store.get_job(one.id).status == JobStatus.PENDING
    assert f"Resubmit worked for 1 job: {one.id}" in words(app)
    assert "Resubmit skipped 1 job" in words(app)
    assert f"job {two.id} is pending" in app.dataframe[0].value["why"].iloc[0]
    assert app.button(key="act-resubmit").disabled
    app.button(key="dismiss").click().run()
    assert "worked for" not in words(app)


def test_what_came_of_a_deed_stays_on_its_page(store: PersistentQInterface) -> None:
    store.enqueue("a")
    app = select_rows(visit(JOBS), [0])
    app.button(key="act-cancel").click().run()
    agree(app)
    assert "Cancel job worked" in words(app.run())
    app.switch_page("ops_queues.py").run()
    assert "worked" not in words(app)
    app.switch_page(JOBS).run()
    assert "worked" not in words(app)


def test_cancel_and_mark_failed(store: PersistentQInterface) -> None:
    one, two = store.enqueue("a"), store.enqueue("a")
    app = select_rows(visit(JOBS), [1])
    app.button(key="act-cancel").click().run()
    agree(app)
    assert store.get_job(one.id).status == JobStatus.CANCELLED
    select_rows(app, [0])
    app.button(key="act-mark-failed").click().run()
    app.text_input(key="reason").set_value("by mistake")
    agree(app)
    assert (store.get_job(two.id).status, store.get_job(two.id).error) == (JobStatus.FAILED, "by mistake")


def test_deleting_needs_the_number_typed(store: PersistentQInterface) -> None:
    for _ in range(2):
        store.enqueue("a")
    app = select_rows(visit(JOBS), [0, 1])
    app.button(key="act-delete").click().run()
    app.text_input(key="number").set_value("1")
    agree(app)
    assert "Nothing was changed" in words(app)
    assert len(store.list_jobs()) == 2
    app.text_input(key="number").set_value("2")
    agree(app)
    assert len(store.list_jobs()) == 0
    assert "Delete worked for 2 jobs" in words(app)


def test_assign_reserves_and_frees(store: PersistentQInterface) -> None:
    job = store.enqueue("a")
    store.heartbeat("c1", host="h", pid=1, queues=["default"])
    app = select_rows(visit(JOBS), [0])
    app.button(key="act-assign").click().run()
    agree(app)
    assert "Choose a consumer." in words(app)
    app.selectbox[-1].set_value("c1")
    agree(app)
    assert store.get_job(job.id).reserved_for == "c1"
    select_rows(app, [0])
    app.button(key="act-assign").click().run()
    app.selectbox[-1].set_value("(anyone)")
    agree(app)
    assert store.get_job(job.id).reserved_for is None


def test_acts_that_change_what_a_job_is(store: PersistentQInterface) -> None:
    job = store.enqueue("a", {"to": "x", "cc": "y"}, delay=timedelta(hours=1))

    def do(verb: str, key: str, value: Any) -> None:
        select_rows(app, [0])
        app.button(key=f"act-{verb}").click().run()
        next(
            one
            for kind in (app.text_input, app.number_input, app.text_area)
            for one in kind
            if one.key == key
        ).set_value(value)
        agree(app)

    app = visit(JOBS)
    do("set-priority", "priority", 7)
    do("edit-arguments", "set", '{"to": "z"}')
    do("reschedule", "when", "2d")
    now = store.get_job(job.id)
    assert (now.priority, now.args) == (7, {"to": "z", "cc": "y"})
    assert timedelta(days=1) < now.run_at - now.created_at < timedelta(days=3)
    do("edit-arguments", "drop", "cc, none")
    do("reschedule", "when", "")
    assert (store.get_job(job.id).args, store.get_job(job.id).status) == ({"to": "z"}, JobStatus.PENDING)
    do("edit-arguments", "set", "[1]")
    assert "JSON object" in app.error[-1].value
    agree(app)
    assert [entry.verb for entry in store.list_journal().items[:2]] == ["reschedule", "edit-arguments"]


def test_all_that_match(store: PersistentQInterface) -> None:
    failed = fail_for_good(store, "mail.send", PAGE + 1)
    store.enqueue("other", queue="other")
    app = visit(JOBS, q="task:mail.send")
    app.toggle[0].set_value(True).run()
    assert app.toggle[0].label == "All that match (101)"
    app.button(key="act-resubmit").click().run()
    said = words(app)
    for part in (
        "Make 101 jobs pending again?",
        f"Oldest: {failed[-1].id},",
        f"Newest: {failed[0].id},",
        "… and 96 more",
    ):
        assert part in said
    assert "admin resubmit --where task:mail.send" in said
    late = fail_for_good(store, "mail.send", 1)[0]
    app.text_input(key="reason").set_value("mended")
    agree(app)
    assert "Type 101 to confirm" in words(app)
    app.text_input(key="number").set_value("101")
    agree(app)
    assert len(store.list_jobs(status="pending", task="mail.send", limit=1000)) == PAGE + 1
    assert store.get_job(late.id).status == JobStatus.FAILED
    (entry,) = store.list_journal().items
    assert (entry.verb, entry.query, entry.reason, entry.done) == (
        "resubmit",
        "task:mail.send",
        "mended",
        101,
    )
    app.button(key="undo").click().run()
    assert "Undo worked for 101 jobs" in words(app)
    assert len(store.list_jobs(status="failed", task="mail.send", limit=1000)) == PAGE + 2


def test_what_works_on_none_of_all_that_match_is_off_and_says_why(store: PersistentQInterface) -> None:
    fail_for_good(store, "mail.send", 2)
    app = visit(JOBS, status=["failed"], q="task:mail.send")
    app.toggle[0].set_value(True).run()
    cancel = app.button(key="act-cancel")
    assert cancel.disabled
    assert cancel.help == "Works only on jobs that are scheduled, pending, processing"
    assert not app.button(key="act-resubmit").disabled
    assert not app.button(key="act-resubmit").help
    app = visit(JOBS, q="task:mail.send")
    app.toggle[0].set_value(True).run()
    app.button(key="act-cancel").click().run()
    assert "Works only on jobs that are scheduled, pending, processing, so nothing would change." in words(
        app
    )
    assert next(button for button in app.button if button.form_id == "ask").disabled


def test_a_job_is_enqueued_and_what_is_wrong_stands_at_its_field(store: PersistentQInterface) -> None:
    store.heartbeat("c1", host="h", pid=1, queues=["default"], tasks=["mail.send"])
    app = visit(JOBS)
    app.button(key="enqueue").click().run()
    assert not app.error
    for key, value, wrong in (
        ("new-task", None, "task '' is not"),
        ("new-args", "[1]", "args '[1]' is not a JSON object"),
        ("new-args", '{"n": NaN}', "args {'n': nan} is not JSON"),
        ("new-run-at", "soon", "run_at 'soon'"),
        ("new-tags", "a/b", "tag 'a/b' is not"),
    ):
        if value:
            next(one for kind in (app.text_area, app.text_input) for one in kind if one.key == key).set_value(
                value
            )
        agree(app)
        assert wrong in words(app)
        if key == "new-task":
            app.selectbox(key="new-task").set_value("mail.send")
        else:
            next(one for kind in (app.text_area, app.text_input) for one in kind if one.key == key).set_value(
                ""
            )
    assert not store.list_jobs()
    app.text_area(key="new-args").set_value('{"to": "x"}').run()
    assert """admin enqueue mail.send --args '{"to": "x"}'""" in words(app)
    agree(app)
    (job,) = store.list_jobs()
    assert (job.task, job.args, job.queue) == ("mail.send", {"to": "x"}, "default")
    assert f"Job {job.id} is pending." in words(app)
    assert app.dataframe[0].value["id"].tolist() == [job.id]


def test_a_file_is_looked_at_imported_and_taken_back(store: PersistentQInterface) -> None:
    def upload(name: str, text: str) -> None:
        app.button(key="import").click().run()
        app.file_uploader[0].set_value((name, text.encode(), "text/plain")).run()

    app = visit(JOBS)
    upload("jobs.jsonl", '{"task": "a"}\n{"colour": "red"}\n')
    assert "1 line must be mended first" in words(app)
    assert "line 2" in words(app)
    assert app.button(key="agree").disabled
    lines = "task,queue,status\na,mail,pending\nb,mail,\nc,mail,done\n"
    app = visit(JOBS)
    upload("jobs.csv", lines)
    assert "Enqueue 2 jobs?" in words(app)
    assert "Passed over, being finished: 1 done." in words(app)
    assert "admin import jobs.csv" in words(app)
    assert not store.list_jobs()
    agree(app)
    assert "Imported 2 jobs." in words(app)
    assert [job.task for job in store.list_jobs()] == ["b", "a"]
    upload("jobs.csv", lines)
    assert "Nothing of it is left to enqueue." in words(app)
    assert app.button(key="agree").disabled
    app = app.checkbox(key="repeat").set_value(True).run()
    assert "Enqueue 2 jobs?" in words(app)
    agree(app)
    app.button(key="undo").click().run()
    assert "Undo worked for 2 jobs" in words(app)
    assert len(store.list_jobs()) == 2


def test_secrets_are_downloaded_once_and_the_journal_tells(
    store: PersistentQInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.enqueue("a", {"password": "swordfish"})
    app = visit(JOBS, q="task:a")
    app.button(key="with-secrets").click().run()
    app.text_input(key="reason").set_value("to move them").run()
    assert "admin export jobs.jsonl --where task:a --reveal --reason 'to move them'" in words(app)
    tickets = []
    for _ in range(3):
        agree(app)
        tickets += [link.url for link in app.link_button if "ticket=" in link.url]
    assert not store.list_journal().items
    assert b"swordfish" in downloaded(tickets[0])
    (entry,) = store.list_journal().items
    assert (entry.verb, entry.query, entry.reason, entry.face) == (
        "reveal",
        "task:a",
        "to move them",
        "dashboard",
    )
    assert b"used before" in downloaded(tickets[0])
    monkeypatch.setenv("QUEUE_READONLY", "1")
    assert b"read-only" in downloaded(tickets[1])
    monkeypatch.setattr(ops_download.time, "monotonic", lambda: float("inf"))
    assert b"too old" in downloaded(tickets[2])
    assert len(store.list_journal().items) == 1


@pytest.mark.parametrize("key", ["enqueue", "import", "with-secrets"])
def test_whoever_only_looks_enqueues_nothing_and_takes_no_secrets(
    store: PersistentQInterface, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    store.enqueue("a")
    app = visit(JOBS)
    app.button(key=key).click().run()
    if key == "enqueue":
        choose(app, "new-task", "b")
    monkeypatch.setenv("QUEUE_READONLY", "1")
    if key == "import":
        app.file_uploader[0].set_value(("jobs.jsonl", b'{"task": "b"}\n', "text/plain")).run()
    else:
        agree(app)
    assert "this is read-only" in words(app)
    app = visit(JOBS)
    assert app.button(key=key).disabled
    assert app.button(key=key).help == "This is read-only"
    assert len(store.list_jobs()) == 1


@pytest.mark.parametrize("how", ["viewer", "setting"])
def test_read_only(store: PersistentQInterface, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Without the guard nobody has said who they are, so with a password they are viewers."""
    if how == "viewer":
        monkeypatch.setenv("OPS_PASSWORD", "sesame")
    app = select_rows(visit(JOBS), [0]) if store.enqueue("a") else None
    assert app
    if how == "setting":
        app.button(key="act-cancel").click().run()
        monkeypatch.setenv("QUEUE_READONLY", "1")
        agree(app)
        assert "this is read-only" in words(app)
        app = select_rows(visit(JOBS), [0])
    assert "This is read-only." in words(app)
    assert all(button.disabled for button in app.button if (button.key or "").startswith("act-"))
    assert not store.list_journal().items


def test_an_action_on_a_locked_database_changes_nothing_and_says_so(
    place: Path, store: PersistentQInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = fail_for_good(store, "a", 1)
    monkeypatch.setenv("QUEUE_LOCK_TIMEOUT", "0.1")
    app = select_rows(visit(JOBS), [0])
    app.button(key="act-resubmit").click().run()
    store.close()
    st.cache_resource.clear()
    with locked(place):
        agree(app)
        assert "locked" in app.error[-1].value
        assert not app.success
    with open_queue(f"sqlite:///{place}") as queue:
        assert queue.get_job(job.id).status == JobStatus.FAILED


# --- one job


def test_a_link_to_a_job_shows_everything_about_it(store: PersistentQInterface) -> None:
    store.enqueue("mail.send", {"to": "a@example.org"}, unique_key="k1", max_attempts=2)
    for _ in range(2):
        (job,) = store.dequeue("c1")
        try:
            raise TimeoutError("no answer")
        except TimeoutError as error:
            store.fail(job, error, delay=timedelta(0))
    app = visit(job=str(job.id))
    said = words(app)
    assert f"Job {job.id} · ✗ failed" in said
    for part in ("mail.send", "2 of 2", "k1", '"to": "a@example.org"', "Traceback (most recent call last)"):
        assert part in said
    assert [box.label for box in app.expander] == ["Traceback of attempt 2", "Traceback of attempt 1"]
    assert app.dataframe[0].value["error"].tolist() == ["TimeoutError: no answer"] * 2
    app.button(key="act-resubmit").click().run()
    agree(app)
    assert f"Job {job.id} · ○ pending" in words(app)


def test_the_result_of_a_job_that_is_done(store: PersistentQInterface) -> None:
    store.enqueue("a")
    (job,) = store.dequeue("c1")
    store.complete(job, {"pages": 3})
    assert '"pages": 3' in words(visit(JOB, job=str(job.id)))


@pytest.mark.parametrize("asked", ["4711", "9" * 30, "0"])
def test_a_job_that_does_not_exist(store: PersistentQInterface, asked: str) -> None:
    assert "There is no job" in words(visit(JOB, job=asked))


@pytest.mark.parametrize("page", [None, JOBS, "ops_queues.py"])
def test_a_job_is_opened_by_its_id_from_every_page(store: PersistentQInterface, page: str | None) -> None:
    job = store.enqueue("a")
    app = visit(page)
    app.text_input(key="open").set_value(f" {job.id} ").run()
    assert f"Job {job.id} · ○ pending" in words(app)
    assert app.query_params["job"] == str(job.id)
    app.switch_page("ops_queues.py").run()
    assert app.text_input(key="open").value == ""
    app.text_input(key="open").set_value("x").run()
    assert "whole number" in words(app)


def test_an_id_that_is_none(store: PersistentQInterface) -> None:
    assert "whole number" in words(visit(JOB, job="x"))
    assert "Type the number" in words(visit(JOB))


def test_hostile_text_never_reaches_markup(store: PersistentQInterface) -> None:
    """Texts of a job go only to elements that show them as they are, with the invisible made visible."""
    nasty = f"{HOSTILE}\x1b]52;c;x\x07\u202e"
    store.enqueue(HOSTILE, {nasty: nasty}, unique_key=HOSTILE)
    (job,) = store.dequeue("c1")
    store.fail(job, ValueError(nasty), retry=False)
    for app in (visit(), select_rows(visit(JOBS), [0]), visit(job=str(job.id))):
        as_markup = [element.value for kind in (app.markdown, app.caption, app.error) for element in kind]
        as_markup += [box.label for box in app.expander] + [button.label for button in app.button]
        assert not any("evil" in value for value in as_markup)
        shown = words(app) + "".join(table.value.to_string() for table in app.dataframe)
        assert "\x1b" not in shown
        assert "\u202e" not in shown
