"""Schedules are added, changed and removed in the manager, by forms and by commands."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from manager import dialogs, news
from manager.asking import Form, Question
from manager.plain import Plain
from manager.snapshot import Place, Row
from manager.state import State
from persistentq import PersistentQInterface, Schedule
from persistentq.schedule import CatchUp
from tests.front_ends.manager_kit import Running, Terminal, a_queue, a_snapshot, after, running, settings_for

NIGHTLY = Schedule(
    "nightly",
    "30 2 * * *",
    "report.make",
    {"kind": "long", "password": "hunter2"},
    zone="Europe/Berlin",
    priority=7,
    tags=("night",),
)
SHOWN = replace(NIGHTLY, args={"kind": "long", "password": "[redacted]"})


@pytest.fixture
def there() -> State:
    """The view of the schedules, with the cursor on one."""
    state = State(location="/srv/queue.db", place=Place.SCHEDULES)
    row = Row("nightly", (("", "nightly"),) * 7, schedule=SHOWN)
    return after(state, news.was_read(a_snapshot(state, rows=(row,))))


def form(state: State) -> Form:
    assert isinstance(state.dialog, Form)
    return state.dialog


def typed(field: str, text: str, state: State) -> State:
    """Return the state after this was typed into a field, in place of what stood there."""
    names = [entry.name for entry in form(state).entries]
    steps = (names.index(field) - form(state).at) % len(names)
    return after(state, dialogs.step_focus(steps), dialogs.empty, dialogs.type_text(text))


def test_a_form_of_a_new_one_has_what_is_usual(there: State) -> None:
    asked = after(there, dialogs.ask_schedule)
    assert asked.heard_at is Place.FIELD
    assert {entry.name: entry.text for entry in form(asked).entries} == {
        "name": "",
        "expression": "",
        "zone": "UTC",
        "task": "",
        "args": "{}",
        "queue": "default",
        "catch_up": "one",
    }


def test_a_filled_in_form_is_asked_about_before_anything_is_done(there: State) -> None:
    state = after(there, dialogs.ask_schedule, dialogs.type_text("hourly"))
    for field, text in (("expression", "every 90s"), ("task", "mail.send"), ("args", '{"to": "x"}')):
        state = typed(field, text, state)
    asked = after(state, dialogs.press)
    assert isinstance(asked.dialog, Question)
    assert asked.order is None
    deed = asked.dialog.deed
    assert deed.question(None) == "Store schedule hourly of task mail.send? Every 1m30s, UTC."
    assert deed.typed("why").endswith(
        """schedules add hourly 'every 90s' mail.send --args '{"to": "x"}' --reason why"""
    )
    assert after(asked, dialogs.press).order is None


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("expression", "every blue moon", "every blue moon"),
        ("expression", "", "expression"),
        ("zone", "Mars/Olympus", "Mars/Olympus"),
        ("args", "[1]", "JSON object"),
        ("args", '{"password": "[redacted]"}', "type the secret"),
        ("queue", "no such name!", "no such name!"),
        ("catch_up", "perhaps", "skip, one, all"),
    ],
)
def test_what_cannot_be_used_is_told_in_the_form(there: State, field: str, text: str, words: str) -> None:
    state = after(typed(field, text, after(there, dialogs.ask_edit)), dialogs.press)
    assert words in form(state).problem
    assert state.order is None


def test_a_form_of_one_that_is_there_has_its_values_and_only_changes_are_asked_about(there: State) -> None:
    state = after(there, dialogs.ask_edit)
    assert [entry.text for entry in form(state).entries] == [
        "30 2 * * *",
        "Europe/Berlin",
        "report.make",
        '{"kind": "long", "password": "[redacted]"}',
        "default",
        "one",
    ]
    assert "nothing is changed" in form(after(state, dialogs.press)).problem
    asked = after(typed("catch_up", "all", typed("zone", "UTC", state)), dialogs.press)
    assert isinstance(asked.dialog, Question)
    assert asked.dialog.deed.texts == (("zone", "UTC"), ("catch_up", "all"))
    assert asked.dialog.deed.typed().endswith("schedules edit nightly --zone UTC --catch-up all")


def test_a_form_can_be_left_and_is_refused_where_nothing_may_be_changed(there: State) -> None:
    assert after(there, dialogs.ask_edit, dialogs.dismiss) == there
    refused = after(replace(there, is_readonly=True), dialogs.ask_schedule)
    assert refused.dialog is None
    assert "read-only" in str(refused.message)
    nothing = after(State(location="/srv/queue.db", place=Place.SCHEDULES), dialogs.ask_edit)
    assert "nothing is selected" in str(nothing.message)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[PersistentQInterface]:
    with a_queue(tmp_path) as queue:
        queue.put_schedule(NIGHTLY)
        yield queue


def names(queue: PersistentQInterface) -> list[str]:
    return [info.schedule.name for info in queue.list_schedules()]


def says(manager: Running, words: str) -> None:
    manager.wait(lambda: words in str(manager.state.message))


def test_the_keys_add_edit_and_remove(queue: PersistentQInterface, tmp_path: Path) -> None:
    with running(tmp_path, Terminal(80, 24)) as manager:
        manager.press("6")
        manager.wait_for_text("nightly", "A add", "E edit", "D remove")
        manager.press("A", *"hourly", "Tab", *"@hourly", "Tab", "Ctrl-U", *"Europe/Rome", "Tab", *"mail.send")
        manager.wait_for_text("| Add schedule |", "when          @hourly", "time zone     Europe/Rome")
        manager.press("Enter")
        manager.wait_for_text("Store schedule hourly of task mail.send?", "[ Add schedule ]")
        manager.press("y")
        says(manager, "schedule hourly ticks next at")
        manager.press("j", "E")
        manager.wait_for_text("| Edit schedule |", "30 2 * * *", "[redacted]")
        manager.press("Ctrl-U", *"every 30m", "Enter")
        manager.wait_for_text("Change schedule nightly: when every 30m?")
        manager.press("y")
        says(manager, "schedule nightly ticks next at")
        manager.press("g", "D")
        manager.wait_for_text("Remove schedule hourly for ever?")
        manager.press("Enter", "D", "y")
        says(manager, "schedule hourly is removed")
    assert names(queue) == ["nightly"]
    assert queue.get_schedule("nightly").schedule == replace(NIGHTLY, expression="every 30m")


def told(folder: Path, *lines: str) -> tuple[int, str]:
    source, target = io.StringIO("".join(f"{line}\n" for line in lines)), io.StringIO()
    code = Plain(settings_for(folder), source, target).run()
    return code, target.getvalue()


def test_the_commands_do_the_same_by_the_line(queue: PersistentQInterface, tmp_path: Path) -> None:
    add = 'add-schedule weekly @weekly report.make --args=\'{"kind": "short"}\' --catch-up=skip'
    code, words = told(
        tmp_path, add, "y", "", "edit-schedule nightly --queue=night", "y", "", "remove-schedule weekly", "n"
    )
    assert code == 0
    assert "= python -m admin.admin schedules add weekly @weekly report.make --args" in words
    assert "= python -m admin.admin schedules edit nightly --queue night" in words
    weekly = queue.get_schedule("weekly").schedule
    assert (weekly.args, weekly.catch_up) == ({"kind": "short"}, CatchUp.SKIP)
    assert queue.get_schedule("nightly").schedule == replace(NIGHTLY, queue="night")
    assert [entry.verb for entry in queue.list_journal().items] == ["put-schedule", "put-schedule"]


def test_a_new_one_takes_nobodys_place(queue: PersistentQInterface, tmp_path: Path) -> None:
    code, said = told(tmp_path, "add-schedule nightly @daily report.make", "y", "")
    assert (code, "exists already" in said) == (1, True)
    assert queue.get_schedule("nightly").schedule == NIGHTLY
