"""The dialogs, purely: nothing is ordered before it was confirmed, and Enter alone confirms nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from manager import dialogs, news
from manager.asking import Do, Look, PickConsumer, Question
from manager.deeds import Deed
from manager.snapshot import Place, Row
from manager.state import State
from persistentq import Act, ConsumerInfo
from persistentq.operations import ACTIONS, Preview
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


def on(*ids: int, verb: str = "cancel", **values: object) -> Deed:
    return Deed(verb, Act(verb, **values), ids)  # type: ignore[arg-type]


def ordered(state: State) -> tuple[Deed, int | None]:
    """Return which deed was ordered, and for how many jobs."""
    assert isinstance(state.order, Do)
    return state.order.deed, state.order.seen and state.order.seen.count


@pytest.mark.parametrize("verb", PENDING_VERBS)
def test_enter_alone_does_nothing(verb: str) -> None:
    asked = after(a_state(), dialogs.ask_verb(verb))
    assert isinstance(asked.dialog, Question)
    assert (asked.dialog.deed, asked.dialog.fitting, asked.order) == (on(13, verb=verb), 1, None)
    assert asked.heard_at is Place.BUTTONS
    answered = after(asked, dialogs.press)
    assert (answered.dialog, answered.order) == (None, None)


@pytest.mark.parametrize("verb", PENDING_VERBS)
def test_the_other_button_confirms(verb: str) -> None:
    state = after(a_state(), dialogs.ask_verb(verb), dialogs.step_focus(1), dialogs.press)
    assert state.dialog is None
    assert ordered(state) == (on(13, verb=verb), 1)
    assert state.busy == f"{verb} job 13 …"


def test_a_button_can_be_left_again() -> None:
    steps = (dialogs.step_focus(1), dialogs.step_focus(-1))
    assert after(a_state(), dialogs.ask_verb("cancel"), *steps, dialogs.press).order is None


@pytest.mark.parametrize("verb", ACTIONS)
def test_a_dialog_can_be_dismissed(verb: str) -> None:
    status = "failed" if verb == "resubmit" else "pending"
    asked = after(a_state(status), dialogs.ask_verb(verb))
    assert asked.dialog is not None
    assert after(asked, dialogs.dismiss) == replace(asked, dialog=None)


def test_which_jobs_several_are_is_looked_at_before_anything_is_confirmed() -> None:
    asked = after(marked(11, 12), dialogs.ask_verb("cancel"))
    deed = on(11, 12)
    assert asked.order == Look(deed)
    early = after(replace(asked, order=None), dialogs.confirm)
    assert early.order is None
    assert isinstance(early.dialog, Question)
    assert "being looked at" in early.dialog.problem
    seen = Preview(deed.act or Act("cancel"), ids=(11, 12), will_skip={"is done": 1})
    looked = after(early, news.was_looked(deed, seen))
    assert after(looked, dialogs.confirm).order == Do(deed, seen, "")
    other = after(early, news.was_looked(on(11), seen))
    assert other == early


def test_nothing_is_ordered_where_no_job_would_be_changed() -> None:
    asked = replace(after(marked(11, 12), dialogs.ask_verb("cancel")), order=None)
    seen = Preview(Act("cancel"), ids=(11, 12), will_skip={"is done": 2})
    state = after(asked, news.was_looked(on(11, 12), seen), dialogs.confirm)
    assert (state.dialog, state.order) == (None, None)
    assert "no job would be changed" in str(state.message)


def test_a_dialog_whose_jobs_cannot_be_looked_at_closes_and_says_why() -> None:
    asked = after(marked(11, 12), dialogs.ask_verb("cancel"))
    failed = after(asked, news.was_not_looked(on(11, 12), OSError("gone")))
    assert failed.dialog is None
    assert "gone" in str(failed.message)


def looked(state: State, count: int) -> State:
    """Return the state once the preview of the open dialog is there."""
    assert isinstance(state.dialog, Question)
    seen = Preview(state.dialog.deed.act or Act("delete"), ids=tuple(range(1, count + 1)))
    return after(replace(state, order=None), news.was_looked(state.dialog.deed, seen))


def test_deleting_several_needs_their_number() -> None:
    asked = looked(after(marked(11, 12, 13), dialogs.ask_verb("delete")), 3)
    assert isinstance(asked.dialog, Question)
    assert asked.heard_at is Place.FIELD
    for typed in ("", "2", "33"):
        wrong = after(asked, dialogs.type_text(typed), dialogs.press)
        assert wrong.order is None
        assert isinstance(wrong.dialog, Question)
        assert "type 3" in wrong.dialog.problem
    right = after(asked, dialogs.type_text("4"), dialogs.erase, dialogs.type_text("3"), dialogs.press)
    assert ordered(right) == (on(11, 12, 13, verb="delete"), 3)


def test_acts_on_very_many_need_their_number_too() -> None:
    everything = replace(a_state(), is_all=True)
    few = looked(after(everything, dialogs.ask_verb("cancel")), 100)
    assert few.heard_at is Place.BUTTONS
    many = looked(after(everything, dialogs.ask_verb("cancel")), 101)
    assert many.heard_at is Place.FIELD
    assert after(many, dialogs.press).order is None
    confirmed = after(many, dialogs.type_text("101"), dialogs.press)
    assert ordered(confirmed) == (Deed("cancel", Act("cancel"), where=""), 101)


def test_a_reason_can_be_given() -> None:
    typed = (dialogs.to_reason, dialogs.type_text("broken disk"), dialogs.press)
    asked = after(a_state(), dialogs.ask_verb("cancel"), *typed)
    assert asked.heard_at is Place.BUTTONS
    confirmed = after(asked, dialogs.confirm)
    assert isinstance(confirmed.order, Do)
    assert confirmed.order.reason == "broken disk"


def test_the_jobs_are_fixed_when_the_dialog_opens() -> None:
    asked = after(a_state(), dialogs.ask_verb("cancel"))
    later = after(asked, news.was_read(a_snapshot(asked, a_job(14), a_job(12))))
    assert later.job_id != 13
    assert ordered(after(later, dialogs.confirm)) == (on(13), 1)


def test_an_action_that_cannot_work_is_refused_without_a_dialog() -> None:
    state = after(a_state("done"), dialogs.ask_verb("resubmit"))
    assert state.dialog is None
    assert state.message
    assert state.message.is_error
    assert "job 13 is done" in state.message.text


@pytest.mark.parametrize("verb", ACTIONS)
def test_nothing_is_asked_where_nothing_may_be_changed(verb: str) -> None:
    state = after(replace(a_state(), is_readonly=True), dialogs.ask_verb(verb))
    assert (state.dialog, state.order) == (None, None)
    assert "read-only" in str(state.message)


def test_the_last_act_from_here_is_taken_back() -> None:
    assert "journal" in str(after(a_state(), dialogs.ask_undo).message)
    asked = after(replace(a_state(), entry=9), dialogs.ask_undo)
    assert after(asked, dialogs.confirm).order == Do(Deed("undo", number=9))


def test_without_a_job_there_is_nothing_to_ask() -> None:
    state = after(State(location="x"), dialogs.ask_verb("delete"))
    assert state.dialog is None
    assert "no job" in str(state.message)


def test_one_action_at_a_time() -> None:
    state = after(replace(a_state(), busy="delete job 3 …"), dialogs.ask_verb("cancel"))
    assert state.dialog is None
    assert "still busy" in str(state.message)


def test_the_living_consumers_are_offered_first() -> None:
    dialog = after(a_state(), dialogs.ask_verb("assign")).dialog
    assert isinstance(dialog, PickConsumer)
    assert [consumer.id for consumer in dialog.consumers] == ["c_alive", "b_silent", "a_stopped"]


@pytest.mark.parametrize(
    ("rows", "consumer"), [(0, None), (1, "c_alive"), (3, "a_stopped"), (9, "a_stopped")]
)
def test_a_picked_consumer_is_asked_about_again(rows: int, consumer: str | None) -> None:
    down = [dialogs.step_choice(1)] * rows
    picked = after(a_state(), dialogs.ask_verb("assign"), *down, dialogs.press)
    deed = on(13, verb="assign", consumer=consumer)
    assert isinstance(picked.dialog, Question)
    assert picked.dialog.deed == deed
    assert after(picked, dialogs.press).order is None
    assert ordered(after(picked, dialogs.confirm)) == (deed, 1)


def picked_by_name(name: str) -> Question | PickConsumer:
    dialog = after(a_state(), dialogs.ask_verb("assign"), dialogs.type_text(name), dialogs.press).dialog
    assert dialog is not None
    return dialog


def test_a_typed_consumer_goes_before_the_highlighted_one() -> None:
    steps = (dialogs.step_choice(1), dialogs.type_text("b_silent"), dialogs.press)
    dialog = after(a_state(), dialogs.ask_verb("assign"), *steps).dialog
    assert isinstance(dialog, Question)
    assert (dialog.deed, dialog.problem) == (on(13, verb="assign", consumer="b_silent"), "")


def test_an_unknown_consumer_is_warned_of() -> None:
    picked = picked_by_name("later_00")
    assert picked.deed == on(13, verb="assign", consumer="later_00")
    assert "not known" in picked.problem


def test_a_name_no_consumer_can_have_is_refused() -> None:
    picked = picked_by_name("no such name")
    assert isinstance(picked, PickConsumer)
    assert "is not 1 to 128" in picked.problem


def test_pasted_control_characters_are_dropped_and_length_is_bounded() -> None:
    pasted = dialogs.type_text("a\x1b[2J\nb" + "x" * 500)
    dialog = after(a_state(), dialogs.ask_verb("assign"), pasted).dialog
    assert isinstance(dialog, PickConsumer)
    assert dialog.typed.startswith("a[2Jbx")
    assert len(dialog.typed) == 128


def test_without_a_dialog_its_keys_do_nothing() -> None:
    state = a_state()
    assert after(state, dialogs.press, dialogs.erase, dialogs.type_text("x"), dialogs.confirm) == state
    assert after(state, dialogs.step_focus(1), dialogs.to_reason, dialogs.step_choice(1)) == state


@pytest.mark.parametrize(("is_paused", "verb"), [(False, "stop-consumer"), (True, "start-consumer")])
def test_a_consumer_that_runs_is_to_be_stopped_and_one_that_does_not_started(
    is_paused: bool, verb: str
) -> None:
    there = State(location="/srv/queue.db", place=Place.CONSUMERS)
    row = Row("consumer_00", (("", "consumer_00"),), is_paused=is_paused, program="consumer:consumer_00")
    state = after(there, news.was_read(a_snapshot(there, rows=(row,))))
    asked = after(state, dialogs.ask_row("stop-consumer", "start-consumer"))
    assert isinstance(asked.dialog, Question)
    assert asked.dialog.deed == Deed(verb, name="consumer:consumer_00")
    assert ("What it runs is finished" in asked.dialog.deed.question(None)) == (not is_paused)
    assert asked.dialog.deed.typed("stuck").endswith(
        f"admin {verb.removesuffix('-consumer')} consumer:consumer_00 --reason stuck"
    )
