"""The dialogs, purely: nothing is ordered before it was confirmed, and Enter alone confirms nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from manager import dialogs, news
from manager.state import Act, Confirm, PickConsumer, Place, State, TypeNumber
from persistentq import ConsumerInfo
from persistentq.operations import ACTIONS
from tests.front_ends.manager_kit import NOW, a_job, a_snapshot, after

PENDING_VERBS = ["cancel", "mark-failed", "delete"]


def a_consumer(name: str, **values: object) -> ConsumerInfo:
    given: dict[str, object] = {
        "id": name,
        "host": "box",
        "pid": 7,
        "queues": ("default",),
        "started_at": NOW,
        "heartbeat_at": NOW,
        "silent_for": timedelta(seconds=1),
        "held": 0,
    }
    return ConsumerInfo(**{**given, **values})  # type: ignore[arg-type]


CONSUMERS = (
    a_consumer("a_stopped", stopped_at=NOW),
    a_consumer("b_silent", silent_for=timedelta(minutes=5)),
    a_consumer("c_alive"),
)


def a_state(status: str = "pending") -> State:
    empty = State(location="/srv/queue.db")
    snapshot = a_snapshot(empty, a_job(13, status), a_job(12), a_job(11), consumers=CONSUMERS)
    return after(empty, news.was_read(snapshot))


def marked(*ids: int) -> State:
    return replace(a_state(), marks=frozenset(ids))


@pytest.mark.parametrize("verb", PENDING_VERBS)
def test_enter_alone_does_nothing(verb: str) -> None:
    asked = after(a_state(), dialogs.ask(verb))
    assert asked.dialog == Confirm(verb, (13,))
    assert asked.heard_at is Place.CONFIRM
    answered = after(asked, dialogs.press)
    assert (answered.dialog, answered.order) == (None, None)


@pytest.mark.parametrize("verb", PENDING_VERBS)
def test_the_other_button_confirms(verb: str) -> None:
    state = after(a_state(), dialogs.ask(verb), dialogs.switch_button, dialogs.press)
    assert (state.dialog, state.order) == (None, Act(verb, (13,)))
    assert state.busy == f"{verb} job 13 …"


def test_a_button_can_be_left_again() -> None:
    twice = (dialogs.switch_button, dialogs.switch_button)
    assert after(a_state(), dialogs.ask("cancel"), *twice, dialogs.press).order is None


@pytest.mark.parametrize("verb", ACTIONS)
def test_a_dialog_can_be_dismissed(verb: str) -> None:
    status = "failed" if verb == "resubmit" else "pending"
    asked = after(a_state(status), dialogs.ask(verb))
    assert asked.dialog is not None
    assert after(asked, dialogs.dismiss) == replace(asked, dialog=None)


def test_deleting_several_needs_their_number() -> None:
    asked = after(marked(11, 12, 13), dialogs.ask("delete"))
    assert asked.dialog == TypeNumber("delete", (11, 12, 13))
    for typed in ("", "2", "33"):
        wrong = after(asked, dialogs.type_text(typed), dialogs.press)
        assert wrong.order is None
        assert isinstance(wrong.dialog, TypeNumber)
        assert "type 3" in wrong.dialog.problem
    right = after(asked, dialogs.type_text("4"), dialogs.erase, dialogs.type_text("3"), dialogs.press)
    assert right.order == Act("delete", (11, 12, 13))


def test_the_jobs_are_fixed_when_the_dialog_opens() -> None:
    asked = after(a_state(), dialogs.ask("cancel"))
    later = after(asked, news.was_read(a_snapshot(asked, a_job(14), a_job(12))))
    assert later.job_id != 13
    assert after(later, dialogs.confirm).order == Act("cancel", (13,))


def test_an_action_that_cannot_work_is_refused_without_a_dialog() -> None:
    state = after(a_state("done"), dialogs.ask("resubmit"))
    assert state.dialog is None
    assert state.message
    assert state.message.is_error
    assert "job 13 is done" in state.message.text


def test_without_a_job_there_is_nothing_to_ask() -> None:
    state = after(State(location="x"), dialogs.ask("delete"))
    assert state.dialog is None
    assert "no job" in str(state.message)


def test_one_action_at_a_time() -> None:
    state = after(replace(a_state(), busy="delete job 3 …"), dialogs.ask("cancel"))
    assert state.dialog is None
    assert "still busy" in str(state.message)


def test_the_living_consumers_are_offered_first() -> None:
    dialog = after(a_state(), dialogs.ask("assign")).dialog
    assert isinstance(dialog, PickConsumer)
    assert [consumer.id for consumer in dialog.consumers] == ["c_alive", "b_silent", "a_stopped"]


@pytest.mark.parametrize(
    ("rows", "consumer"), [(0, None), (1, "c_alive"), (3, "a_stopped"), (9, "a_stopped")]
)
def test_a_picked_consumer_is_asked_about_again(rows: int, consumer: str | None) -> None:
    down = [dialogs.step_choice(1)] * rows
    picked = after(a_state(), dialogs.ask("assign"), *down, dialogs.press)
    assert picked.dialog == Confirm("assign", (13,), consumer)
    assert after(picked, dialogs.press).order is None
    assert after(picked, dialogs.confirm).order == Act("assign", (13,), consumer)


def test_a_typed_consumer_goes_before_the_highlighted_one() -> None:
    steps = (dialogs.step_choice(1), dialogs.type_text("b_silent"), dialogs.press)
    assert after(a_state(), dialogs.ask("assign"), *steps).dialog == Confirm("assign", (13,), "b_silent")


def test_an_unknown_consumer_is_warned_of() -> None:
    picked = after(a_state(), dialogs.ask("assign"), dialogs.type_text("later_00"), dialogs.press).dialog
    assert isinstance(picked, Confirm)
    assert picked.consumer == "later_00"
    assert "not known" in picked.warning


def test_a_name_no_consumer_can_have_is_refused() -> None:
    picked = after(a_state(), dialogs.ask("assign"), dialogs.type_text("no such name"), dialogs.press).dialog
    assert isinstance(picked, PickConsumer)
    assert "is not 1 to 128" in picked.problem


def test_pasted_control_characters_are_dropped_and_length_is_bounded() -> None:
    dialog = after(a_state(), dialogs.ask("assign"), dialogs.type_text("a\x1b[2J\nb" + "x" * 500)).dialog
    assert isinstance(dialog, PickConsumer)
    assert dialog.typed.startswith("a[2Jbx")
    assert len(dialog.typed) == 128


def test_without_a_dialog_its_keys_do_nothing() -> None:
    state = a_state()
    assert after(state, dialogs.press, dialogs.erase, dialogs.type_text("x"), dialogs.confirm) == state
    assert after(state, dialogs.switch_button, dialogs.step_choice(1)) == state
