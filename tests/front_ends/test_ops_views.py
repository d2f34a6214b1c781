"""The pages beside the jobs', in each state, run by Streamlit without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest
import streamlit as st
from sqlalchemy import update

import ops_live
from persistentq import Act, PersistentQInterface, PersistentQSQLAlchemy, Schedule, clock, open_queue
from persistentq.errors import SupervisionError
from persistentq.journal import ActNote
from persistentq.operations import Operator, supervised
from persistentq.operations.attention import Alert, Urgency
from persistentq.operations.doctor import doctor
from persistentq.operations.mishaps import errors
from persistentq.operations.supervised import Program
from persistentq.operations.surroundings import Surroundings
from persistentq.sql.models import ConsumerRow, JobRow, SchemaRow
from tests.front_ends.ops_kit import a_place, agree, fail_for_good, links, locked, visit, words


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(ops_live, "surroundings", Surroundings)
    yield from a_place(tmp_path, monkeypatch)


@pytest.fixture
def store(place: Path) -> Iterator[PersistentQInterface]:
    with open_queue(f"sqlite:///{place}") as queue:
        yield queue


OTHERS = ("attention", "failures", "queues", "consumers", "schedules", "activity", "journal", "health")


@pytest.mark.parametrize("page", OTHERS)
def test_every_page_of_an_empty_queue_says_so(store: PersistentQInterface, page: str) -> None:
    said = {
        "attention": "Nothing needs a person.",
        "failures": "No attempt failed in the last 24 h.",
        "queues": "The queue is empty",
        "consumers": "No consumer has reported",
        "schedules": "There is no schedule yet",
        "activity": "Nothing in the last 15 min.",
        "journal": "Nobody has done anything here yet.",
        "health": "admin doctor",
    }[page]
    app = visit(f"ops_{page}.py")
    assert said in words(app)
    assert "as of" in words(app)


@pytest.mark.parametrize("page", OTHERS)
def test_every_page_says_where_it_looked_for_a_database(place: Path, page: str) -> None:
    app = visit(f"ops_{page}.py")
    assert "There is no queue yet" in words(app)
    assert str(place) in words(app)


@pytest.mark.parametrize("page", ["overview", "jobs", *OTHERS])
def test_every_page_of_a_newer_schema_says_what_to_do(place: Path, page: str) -> None:
    with PersistentQSQLAlchemy(f"sqlite:///{place}") as queue, queue.engine.begin() as connection:
        connection.execute(update(SchemaRow).values(version_num="9999"))
    app = visit(f"ops_{page}.py")
    assert "9999" in words(app)
    assert not app.dataframe


@pytest.mark.parametrize("page", ["queues", "failures", "journal"])
def test_what_is_read_of_a_locked_database_has_its_age(place: Path, page: str) -> None:
    with open_queue(f"sqlite:///{place}") as queue:
        queue.pause_queue("mail", note=ActNote("ann"))
        fail_for_good(queue, "a", 1)
    app = visit(f"ops_{page}.py")
    before = app.dataframe[0].value
    st.cache_resource.clear()
    with locked(place):
        app.run()
        assert "locked" in app.warning[0].value
        assert "ago" in app.warning[0].value
        assert app.dataframe[0].value.equals(before)
    assert not app.run().warning


# --- trouble


def test_attention_says_what_mends_it(store: PersistentQInterface) -> None:
    fail_for_good(store, "mail.send", 3)
    store.enqueue("a")
    app = visit("ops_attention.py")
    said = words(app)
    assert "later · failures" in said
    assert "mail.send: 3 attempts failed" in said
    assert "python -m admin.admin list-jobs " in said
    assert "Nothing needs a person" not in said
    assert links(app) == [("These jobs", f"jobs?{urlencode({'q': errors(store).groups[0].query})}")]


@pytest.mark.parametrize(
    ("command", "remedy", "link"),
    [
        ("show 7", "mend it", ("Job 7", "job?job=7")),
        ("why 7", "mend it", ("Job 7", "job?job=7")),
        ("queues", "when that is over: resume mail", ("Queue mail", "queues?queue=mail")),
        ("queues", "add consumers", ("Queues", "queues")),
        ("consumers", "see its log", ("Consumers", "consumers")),
        ("doctor", "set the clock", ("Health", "health")),
        (
            "assign-job --anyone --where 'status:pending consumer:c1'",
            "start c1",
            ("These jobs", "jobs?q=status%3Apending+consumer%3Ac1"),
        ),
        ("migrate", "stop what writes", None),
        ("", "wait", None),
    ],
)
def test_attention_leads_to_where_it_is_mended(
    store: PersistentQInterface,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    remedy: str,
    link: tuple[str, str] | None,
) -> None:
    alert = Alert(Urgency.SOON, "queue", "something is wrong", remedy, command)
    monkeypatch.setattr(Operator, "attention", lambda *_: [alert])
    assert links(visit("ops_attention.py")) == ([link] if link else [])


def test_failures_are_grouped_and_a_group_is_resubmitted(store: PersistentQInterface) -> None:
    failed = fail_for_good(store, "mail.send", 3)
    (other,) = fail_for_good(store, "report.make", 1, in_queue="reports")
    app = visit("ops_failures.py")
    rows = app.dataframe[0].value
    assert rows["attempts"].tolist() == [3, 1]
    assert rows["task"].tolist() == ["mail.send", "report.make"]
    assert rows["jobs"].tolist() == [3, 1]
    assert rows["failed now"].iloc[0].startswith("jobs?q=status%3Afailed%20task%3Amail.send")
    assert rows["failed now"].str.partition("#")[2].tolist() == ["3", "1"]
    assert rows["latest job"].tolist() == [f"job?job={job}" for job in (failed[0].id, other.id)]
    app.selectbox(key="group").set_value(rows["group"].iloc[0]).run()
    assert links(app) == [(str(job.id), f"job?job={job.id}") for job in failed]
    app.button(key="act-resubmit").click().run()
    assert "Make 3 jobs pending again?" in words(app)
    app.text_input(key="reason").set_value("mended")
    agree(app)
    assert "Resubmit worked for 3 jobs" in words(app)
    assert {store.get_job(job.id).status for job in failed} == {"pending"}
    assert store.get_job(other.id).status == "failed"
    assert app.dataframe[0].value["failed now"].isna().tolist() == [True, False]
    assert "No job of it is failed now" in words(app)
    assert not [button for button in app.button if button.key == "act-resubmit"]


def test_health_shows_each_check(store: PersistentQInterface) -> None:
    app = visit("ops_health.py")
    said = [element.value for element in app.markdown if "**" in element.value]
    assert len(said) == len(doctor(store))
    assert sum(" ok · " in one for one in said) > len(said) / 2
    assert len(app.success) + len(app.warning) + len(app.error) == 1


# --- queues and schedules


def test_a_queue_is_paused_and_resumed(store: PersistentQInterface) -> None:
    store.enqueue("a", queue="mail")
    app = visit("ops_queues.py")
    row = app.dataframe[0].value.iloc[0]
    assert (row["queue"], row["state"], row["pending"]) == ("jobs?q=queue%3Amail#mail", "▶ open", 1)
    assert (row["empty in"], row["consumers"]) == ("never at this pace", "none")
    assert app.button(key="pause").disabled
    app.selectbox(key="queue").set_value("mail").run()
    app.button(key="pause").click().run()
    assert "Hand out no more jobs of queue mail?" in words(app)
    assert "admin pause mail" in words(app)
    app.selectbox(key="limit").set_value("1 h")
    app.text_input(key="reason").set_value("the server is down")
    agree(app)
    assert "Queue mail is paused until" in words(app)
    row = app.dataframe[0].value.iloc[0]
    assert row["state"].startswith("‖ paused until")
    assert row["empty in"] == "paused"
    assert not store.dequeue("c1", ["mail"])
    app.button(key="resume").click().run()
    assert words(app).count("Reason: the server is down") == 2
    agree(app)
    assert "Queue mail is not paused any more." in words(app)
    resumed, paused = store.list_journal().items
    assert (resumed.verb, paused.verb, paused.reason, paused.face) == (
        "resume",
        "pause",
        "the server is down",
        "dashboard",
    )


def test_a_pause_tells_by_whom_since_when_and_why(store: PersistentQInterface) -> None:
    store.pause_queue("mail", note=ActNote("ann", reason="an older one"))
    store.pause_queue("mail", note=ActNote("ann", reason="*the* server is down"))
    store.pause_queue("other", lasting=timedelta(hours=1), note=ActNote("bob"))
    said = words(visit("ops_queues.py", queue="mail"))
    assert re.search(
        r"Paused by ann at [\d :-]+ UTC, until it is resumed\. Reason: \*the\* server is down", said
    )
    said = words(visit("ops_queues.py", queue="other"))
    assert re.search(r"Paused by bob at .+ UTC, until [\d :-]+ UTC\. No reason was given\.", said)


def test_a_pause_that_nobody_noted_is_told_as_such(store: PersistentQInterface) -> None:
    store.pause_queue("mail")
    app = visit("ops_queues.py", queue="mail")
    assert "Paused until it is resumed; the journal does not tell by whom." in words(app)
    assert "Paused" not in words(visit("ops_queues.py", queue="other"))


def test_a_schedule_is_run_paused_and_resumed(store: PersistentQInterface) -> None:
    store.put_schedule(Schedule("nightly", "0 3 * * *", "report.make", zone="Europe/Berlin"))
    app = visit("ops_schedules.py", schedule="nightly")
    assert app.dataframe[0].value["state"].tolist() == ["▶ active"]
    assert "03:00 Europe/Berlin" in words(app)
    for key, said in (
        ("run", "of schedule nightly is pending."),
        ("pause", "Schedule nightly is paused."),
        ("resume", "Schedule nightly ticks again."),
    ):
        app.button(key=key).click().run()
        agree(app)
        assert said in words(app)
    assert [job.task for job in store.list_jobs()] == ["report.make"]
    assert [one.verb for one in store.list_journal().items] == [
        "resume-schedule",
        "pause-schedule",
        "run-schedule",
    ]


def test_a_schedule_is_added(store: PersistentQInterface) -> None:
    store.heartbeat("c1", host="h", pid=1, queues=["default"], tasks=["report.make"])
    app = visit("ops_schedules.py")
    app.button(key="add").click().run()
    app.selectbox(key="new-task").set_value("report.make")
    for key, value, wrong in (
        ("new-schedule", "at night", "schedule 'at night' is not"),
        ("new-schedule", "nightly", "expression '' "),
        ("new-expression", "0 3 * * *", ""),
        ("new-zone", "Mars", "zone 'Mars' is not a time zone"),
    ):
        app.text_input(key=key).set_value(value).run()
        if wrong:
            agree(app)
            assert wrong in words(app)
    app.text_input(key="new-zone").set_value("Europe/Berlin")
    app.text_area(key="new-args").set_value('{"password": "swordfish"}')
    app.checkbox(key="new-unique").set_value(True).run()
    command = "schedules add nightly '0 3 * * *' report.make --args"
    options = """'{"password": "swordfish"}' --zone Europe/Berlin --unique"""
    assert f"{command} {options}" in words(app)
    agree(app)
    assert "Schedule nightly ticks next at" in words(app)
    app.button(key="add").click().run()
    app.text_input(key="new-schedule").set_value("nightly")
    app.text_input(key="new-expression").set_value("@daily")
    app.selectbox(key="new-task").set_value("report.make")
    agree(app)
    assert "exists already; Edit changes it" in words(app)
    (added,) = store.list_schedules()
    assert (added.schedule.args, added.schedule.unique) == ({"password": "swordfish"}, True)


def test_a_schedule_is_changed_and_removed(store: PersistentQInterface) -> None:
    """What is not shown, as it is secret, stays."""
    before = Schedule("nightly", "0 3 * * *", "report.make", {"password": "swordfish"}, unique=True)
    store.put_schedule(before)
    app = visit("ops_schedules.py", schedule="nightly")
    app.button(key="edit").click().run()
    agree(app)
    assert "would stay as it is" in words(app)
    app.text_input(key="new-expression").set_value("every 2h")
    app.text_input(key="new-tags").set_value("vip, slow")
    app.number_input(key="new-attempts").set_value(5)
    app.checkbox(key="new-unique").set_value(False).run()
    command = (
        "schedules edit nightly --expression 'every 2h' --max-attempts 5 --tag vip --tag slow --no-unique"
    )
    assert command in words(app)
    app.text_input(key="reason").set_value("more often")
    agree(app)
    changes = {"expression": "every 2h", "max_attempts": 5, "tags": ("vip", "slow"), "unique": False}
    assert store.get_schedule("nightly").schedule == replace(before, **changes)
    app.button(key="remove").click().run()
    assert "Remove schedule nightly for ever?" in words(app)
    agree(app)
    assert "Schedule nightly is removed." in words(app)
    assert not store.list_schedules()
    assert [(one.verb, one.reason) for one in store.list_journal().items] == [
        ("remove-schedule", ""),
        ("put-schedule", "more often"),
    ]


# --- consumers


class FakeSupervised:
    """A supervisord that keeps one consumer."""

    asked: ClassVar[list[tuple[Any, ...]]] = []
    socket = Path("/")

    def __init__(self, conf: Path) -> None:
        self.conf = conf

    def programs(self) -> list[Program]:
        return [
            Program("consumer:c1", "RUNNING", 7, "/log", ""),
            Program("consumer:c2", "FATAL", 0, "/log", "no"),
            Program("consumer:c3", "STOPPED", 0, "/log", ""),
        ]

    def log_tail(self, program: str) -> list[str]:
        if program == "consumer:c2":
            raise SupervisionError(f"the output of {program} is kept in no file here", "see stdout_logfile")
        return ["an early line", *(f"line {n}" for n in range(98)), "password=swordfish", "the\x1b[2J end"]

    def call(self, *words: Any) -> bool:
        self.asked.append(words)
        return True


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    conf = tmp_path / "supervisord.conf"
    conf.touch()
    monkeypatch.setattr(ops_live, "surroundings", lambda: Surroundings(None, conf))
    monkeypatch.setattr(supervised, "Supervised", FakeSupervised)


@pytest.mark.usefixtures("kept")
def test_consumers_as_they_report_and_as_supervisor_sees_them(store: PersistentQInterface) -> None:
    store.heartbeat("c1", host="h", pid=7, queues=["default"])
    store.enqueue("a")
    store.dequeue("c1")
    app = visit("ops_consumers.py")
    row = app.dataframe[0].value.iloc[0]
    assert (row["consumer"], row["state"], row["supervisor"]) == ("c1", "● alive", "RUNNING")
    assert row["holds"] == "jobs?status=processing&q=consumer%3Ac1#1"
    assert app.dataframe[1].value["state"].tolist() == ["RUNNING", "FATAL", "STOPPED"]
    app.selectbox(key="process").set_value("consumer:c1").run()
    assert app.button(key="start").disabled
    app.button(key="stop").click().run()
    assert "admin stop consumer:c1" in words(app)
    agree(app)
    assert "Stop worked for consumer:c1." in words(app)
    assert FakeSupervised.asked == [("stopProcess", "consumer:c1", True)]
    assert store.list_journal().items[0].verb == "stop-consumer"
    assert app.button(key="scale").disabled
    app.number_input(key="number_of_consumers").set_value(5).run()
    app.button(key="scale").click().run()
    assert "Let 5 consumers run?" in words(app)
    assert "admin scale 5" in words(app)


@pytest.mark.usefixtures("kept")
def test_what_supervisor_stopped_is_not_called_silent(store: PersistentQInterface) -> None:
    for name in ("c1", "c2", "c3", "elsewhere"):
        store.heartbeat(name, host="h", pid=7, queues=["default"])
    with PersistentQSQLAlchemy(f"sqlite:///{store.location}") as queue, queue.engine.begin() as connection:
        connection.execute(update(ConsumerRow).values(heartbeat_at=clock.now() - timedelta(hours=1)))
    rows = visit("ops_consumers.py").dataframe[0].value
    assert dict(zip(rows["consumer"], rows["state"], strict=True)) == {
        "c1": "○ silent",
        "c2": "■ fatal in Supervisor - Start runs it",
        "c3": "■ stopped in Supervisor - Start runs it",
        "elsewhere": "○ silent",
    }


@pytest.mark.usefixtures("kept")
def test_the_log_of_a_process_has_its_end_and_no_secrets(store: PersistentQInterface) -> None:
    app = visit("ops_consumers.py")
    assert not app.expander
    app.selectbox(key="process").set_value("consumer:c1").run()
    (log,) = app.expander
    lines = log.code[0].value.splitlines()
    assert (lines[0], lines[-2:]) == ("line 50", ["password=[redacted]", "the\\x1b[2J end"])
    app.selectbox(key="process").set_value("consumer:c2").run()
    assert "the output of consumer:c2 is kept in no file here" in words(app)


def test_without_supervisor_that_is_said(store: PersistentQInterface) -> None:
    store.enqueue("a")
    said = words(visit("ops_consumers.py"))
    assert "No supervisord answers here" in said
    assert "no consumer is alive" in said


# --- history


def test_activity_of_all_and_of_one_queue(store: PersistentQInterface) -> None:
    fail_for_good(store, "mail.send", 2, in_queue="mail")
    store.enqueue("a")
    store.complete(store.dequeue("c1")[0])
    app = visit("ops_activity.py")
    assert len(app.get("vega_lite_chart")) == 4
    by_queue, by_task = (table.value for table in app.dataframe)
    assert by_queue["queue"].str.partition("#")[2].tolist() == ["default", "mail"]
    assert by_queue["failed"].tolist() == [0, 2]
    assert by_task["task"].str.partition("#")[2].tolist() == ["a", "mail.send"]
    app.selectbox(key="queue").set_value("default").run()
    assert app.dataframe[0].value["done"].tolist() == [1]
    assert "Nothing in the last 15 min." in words(app)
    assert visit("ops_activity.py", queue="mail", within="1 h").dataframe[0].value["failed"].tolist() == [2]


def test_a_job_that_runs_since_before_the_window_draws_no_empty_chart(store: PersistentQInterface) -> None:
    store.enqueue("a")
    store.dequeue("c1")
    ready, started = (clock.now() - timedelta(hours=hours) for hours in (3, 2))
    with PersistentQSQLAlchemy(f"sqlite:///{store.location}") as queue, queue.engine.begin() as connection:
        connection.execute(update(JobRow).values(created_at=ready, run_at=ready, started_at=started))
    app = visit("ops_activity.py", within="1 h")
    assert not app.get("vega_lite_chart")
    assert words(app).count("Nothing in the last 1 h.") == 4


def test_the_journal_takes_an_act_back(store: PersistentQInterface) -> None:
    (job,) = fail_for_good(store, "a", 1)
    Operator(store, actor="ann").act(Act("resubmit"), [job.id], reason="try again")
    store.pause_queue("mail")
    app = visit("ops_journal.py")
    row = app.dataframe[0].value.iloc[-1]
    assert (row["who"], row["from"], row["what"], row["jobs"], row["why"]) == (
        "ann",
        "library",
        "resubmit",
        1,
        "try again",
    )
    app.selectbox(key="entry").set_value(int(row["entry"])).run()
    app.button(key="undo-entry").click().run()
    agree(app)
    assert f"Undo worked for 1 job: {job.id}" in words(app)
    assert store.get_job(job.id).status == "failed"
    assert app.dataframe[0].value["what"].iloc[0] == f"undo of {row['entry']}"
    app.text_input(key="of").set_value(str(job.id)).run()
    assert set(app.dataframe[0].value["what"]) == {"resubmit", f"undo of {row['entry']}"}
    app.text_input(key="of").set_value("x").run()
    assert "whole number" in words(app)


# --- one job


def test_a_job_tells_why_it_waits_what_it_logged_and_its_secrets(store: PersistentQInterface) -> None:
    store.enqueue("mail.send", {"to": "a", "password": "swordfish"})
    (job,) = store.dequeue("c1")
    store.record(job, lines=["opened", "closed"])
    store.fail(job, ValueError("no"), delay=timedelta(hours=1))
    app = visit(job=str(job.id))
    said = words(app)
    assert "closed" in said
    assert "over in" in said
    assert "swordfish" not in said
    assert len(app.get("vega_lite_chart")) == 1
    app.button(key="reveal").click().run()
    app.text_input(key="reason").set_value("to see it")
    agree(app)
    assert "swordfish" in words(app)
    assert [(one.verb, one.reason) for one in store.list_journal().items] == [("reveal", "to see it")]
