"""The manager's keys, pressed for real; what they change is looked up in a real SQLite file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from manager import keys
from manager.asking import PickConsumer, Question
from manager.help import help_lines
from manager.snapshot import Place
from persistentq import Act, JobStatus, NewJob, PersistentQInterface, Schedule
from persistentq.clock import Deadline
from persistentq.operations import ACTIONS, Operator
from scripts import keys as keys_page
from tests.front_ends.manager_kit import HOLD_WRITERS, LONG, Running, a_queue, holding, running


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[PersistentQInterface]:
    """Pending jobs 1, 2 and 3; two consumers."""
    with a_queue(tmp_path, jobs=3) as queue:
        queue.heartbeat("consumer_00", host="box", pid=7, queues=["default"])
        queue.heartbeat("consumer_01", host="box", pid=8, queues=["default"])
        yield queue


@pytest.fixture
def manager(queue: PersistentQInterface, tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as running_manager:
        running_manager.wait_for_jobs()
        yield running_manager


def status(queue: PersistentQInterface, job_id: int) -> JobStatus:
    return queue.get_job(job_id).status


def shows(manager: Running, wanted: JobStatus | None) -> bool:
    return manager.state.only_status is wanted and manager.state.is_current


def test_the_keys_move_the_cursor(manager: Running) -> None:
    for key, job_id in [("j", 2), ("Down", 1), ("Down", 1), ("k", 2), ("Up", 3), ("End", 1), ("g", 3)]:
        manager.press(key)
        manager.wait_for_job(job_id)


def test_tab_chooses_the_status(manager: Running) -> None:
    for key, wanted in [
        ("S-Tab", JobStatus.CANCELLED),
        ("S-Tab", JobStatus.FAILED),
        ("Tab", JobStatus.CANCELLED),
        ("Tab", None),
        ("Tab", JobStatus.SCHEDULED),
    ]:
        manager.press(key)
        manager.wait(partial(shows, manager, wanted))
    manager.press("0")
    manager.wait_for_jobs()


def test_resubmit(queue: PersistentQInterface, manager: Running) -> None:
    queue.mark_failed(3, "because")
    manager.wait(lambda: manager.state.selected and manager.state.selected.status == "failed")
    manager.press("R", "Tab", "Enter")
    manager.wait(lambda: "worked for job 3" in str(manager.state.message))
    assert status(queue, 3) == "pending"


def test_cancel(queue: PersistentQInterface, manager: Running) -> None:
    manager.press("C", "Right", "Enter")
    manager.wait(lambda: "cancel worked for job 3" in str(manager.state.message))
    assert status(queue, 3) == "cancelled"


def test_mark_failed(queue: PersistentQInterface, manager: Running) -> None:
    manager.press("j", "F", "y")
    manager.wait(lambda: "mark-failed worked for job 2" in str(manager.state.message))
    assert status(queue, 2) == "failed"
    assert queue.get_job(2).error == "marked failed by an operator"
    manager.wait(lambda: manager.state.selected and manager.state.selected.status == "failed")


def test_assign_to_a_picked_consumer_and_back_to_anyone(
    queue: PersistentQInterface, manager: Running
) -> None:
    manager.press("M", "Down", "Down", "Enter", "y")
    manager.wait(lambda: "assign worked for job 3" in str(manager.state.message))
    assert queue.get_job(3).reserved_for == "consumer_01"
    manager.press("M", "Enter", "y")
    manager.wait(lambda: queue.get_job(3).reserved_for is None)


def test_assign_to_a_typed_consumer(queue: PersistentQInterface, manager: Running) -> None:
    manager.press("M", *"later_x", "Left", "Backspace", *"00", "Enter")
    manager.wait(lambda: isinstance(manager.state.dialog, Question))
    manager.press("y")
    manager.wait(lambda: queue.get_job(3).reserved_for == "later_00")


def test_a_pasted_consumer(manager: Running) -> None:
    manager.press("M")
    manager.keyboard.send_text("\x1b[200~consumer_01\n\x1b[201~")
    manager.wait(lambda: isinstance(manager.state.dialog, PickConsumer) and manager.state.dialog.typed)
    assert isinstance(manager.state.dialog, PickConsumer)
    assert manager.state.dialog.typed == "consumer_01"


def test_delete_one(queue: PersistentQInterface, manager: Running) -> None:
    manager.press("D", "Enter", "D", "Tab", "Enter")
    manager.wait(lambda: "delete worked for job 3" in str(manager.state.message))
    assert [job.id for job in queue.list_jobs()] == [2, 1]
    manager.wait(lambda: manager.state.job_id == 2)


def test_delete_several_by_number_and_say_what_was_skipped(
    queue: PersistentQInterface, manager: Running
) -> None:
    manager.press(" ", " ", " ", "D")
    manager.wait(lambda: isinstance(manager.state.dialog, Question) and manager.state.dialog.seen)
    (running_job,) = queue.dequeue("consumer_00")
    manager.press("3", "Enter")
    manager.wait(lambda: "worked for 2 jobs" in str(manager.state.message))
    assert f"1 skipped: job {running_job.id} is processing" in str(manager.state.message)
    assert [job.id for job in queue.list_jobs()] == [running_job.id]
    assert manager.state.marks == {running_job.id}


@pytest.mark.parametrize("keys", ["C", "F", "D", "M"])
def test_enter_alone_changes_nothing(queue: PersistentQInterface, manager: Running, keys: str) -> None:
    before = queue.list_jobs()
    manager.press(keys, "Enter", "Enter", "Esc", "Esc", "?")
    manager.wait(lambda: manager.state.place is Place.HELP)
    assert manager.state.dialog is None
    assert queue.list_jobs() == before


def test_a_locked_database_is_reported_and_nothing_hangs(
    queue: PersistentQInterface, manager: Running, tmp_path: Path
) -> None:
    with holding(HOLD_WRITERS, tmp_path / "queue.db"):
        manager.press("C", "y", "j")
        manager.wait(lambda: manager.state.busy and manager.state.job_id == 2)
        manager.wait(lambda: "locked" in str(manager.state.message))
        assert manager.state.problem is None
    assert status(queue, 3) == "pending"


def test_a_confirmed_action_is_brought_to_its_end_although_the_manager_is_left(
    queue: PersistentQInterface, tmp_path: Path
) -> None:
    with running(tmp_path, lock_timeout=str(LONG)) as manager:
        manager.wait_for_jobs()
        with holding(HOLD_WRITERS, tmp_path / "queue.db"):
            manager.press("C", "y")
            manager.wait(lambda: manager.state.busy)
            manager.press("q")
            assert manager.code() == 0
            assert status(queue, 3) == "pending"
        assert Deadline(LONG).wait_for(lambda: status(queue, 3) == "cancelled")


def test_consumers_and_the_jobs_they_have(queue: PersistentQInterface, manager: Running) -> None:
    (held,) = queue.dequeue("consumer_01")
    manager.press("5")
    manager.wait(lambda: len(manager.state.rows) == 2)
    manager.press("j")
    manager.wait(lambda: manager.state.chosen and manager.state.chosen.key == "consumer_01")
    manager.press("Enter")
    manager.wait(lambda: manager.state.place is Place.JOBS and manager.state.is_current)
    manager.wait(lambda: [job.id for job in manager.state.jobs] == [held.id])
    manager.press("0")
    manager.wait(lambda: len(manager.state.jobs) == 3)


@pytest.mark.parametrize("key", ["q", "Ctrl-C"])
def test_quitting(manager: Running, key: str) -> None:
    manager.press(key)
    assert manager.code() == 0


def test_ctrl_c_quits_from_a_dialog(manager: Running) -> None:
    manager.press("D", "Ctrl-C")
    assert manager.code() == 0


def test_q_is_a_letter_where_a_name_is_typed(manager: Running) -> None:
    manager.press("M", "q")
    manager.wait(lambda: isinstance(manager.state.dialog, PickConsumer) and manager.state.dialog.typed == "q")


def test_a_query_is_typed_completed_and_pointed_at(manager: Running) -> None:
    manager.press("/", *"status:pe", "Tab", "Enter")
    manager.wait(lambda: manager.state.query == "status:pending" and manager.state.is_current)
    manager.press("/", "Ctrl-U", *"task:a OR queu:b", "Enter")
    manager.wait(lambda: manager.state.prompt and manager.state.prompt.problem)
    assert manager.state.prompt
    assert (manager.state.prompt.wrong_at, manager.state.query) == (10, "status:pending")
    assert "queue" in manager.state.prompt.problem
    manager.press("Esc")
    manager.wait(lambda: manager.state.prompt is None)
    manager.press("/", "Ctrl-U", *"task:x", "Home", *"-", "Right", "Backspace", "Left", "End", "Enter")
    manager.wait(lambda: manager.state.query == "-ask:x" or manager.state.prompt is not None)
    manager.press("Esc", "/", "Ctrl-U", "Up")
    manager.wait(lambda: manager.state.prompt and manager.state.prompt.text == "status:pending")


def test_everything_the_query_means_is_acted_on_and_taken_back(
    queue: PersistentQInterface, manager: Running
) -> None:
    queue.enqueue_many([NewJob("sms.send")] * 120)
    manager.press("/", *"task:sms.*", "Enter", "A", "C")
    manager.wait(lambda: isinstance(manager.state.dialog, Question) and manager.state.dialog.seen)
    manager.press(*"120", "Enter")
    manager.wait(lambda: "cancel worked for 120 jobs" in str(manager.state.message))
    assert queue.count_jobs()["default"] == {JobStatus.PENDING: 3, JobStatus.CANCELLED: 120}
    assert not manager.state.is_all
    manager.press("z", "y")
    manager.wait(lambda: "undo worked for 120 jobs" in str(manager.state.message))
    assert queue.count_jobs()["default"] == {JobStatus.PENDING: 123}
    cancelled, undone = reversed(queue.list_journal().items)
    assert (cancelled.query, cancelled.face, undone.undoes) == ("task:sms.*", "manager", cancelled.id)


def test_a_reason_stands_in_the_journal(queue: PersistentQInterface, manager: Running) -> None:
    manager.press("C", "r", *"not wanted", "Enter", "y")
    manager.wait(lambda: "cancel worked" in str(manager.state.message))
    assert queue.list_journal().items[0].reason == "not wanted"


def test_commands_are_typed(queue: PersistentQInterface, manager: Running) -> None:
    manager.press(":", *"set-priority 7", "Enter", "y")
    manager.wait(lambda: "set-priority worked for job 3" in str(manager.state.message))
    assert queue.get_job(3).priority == 7
    manager.press(":", *"pause default 1h", "Enter", "y")
    manager.wait(lambda: "queue default is paused until" in str(manager.state.message))
    manager.press(":", *"ques", "Enter")
    manager.wait(lambda: manager.state.prompt and "queues" in manager.state.prompt.problem)
    manager.press("Ctrl-U", *"que", "Tab", "Enter")
    manager.wait(lambda: manager.state.place is not Place.JOBS or manager.state.prompt)


def test_a_queue_is_paused_and_resumed_where_it_stands(queue: PersistentQInterface, manager: Running) -> None:
    manager.press("4")
    manager.wait(lambda: manager.state.rows)
    manager.press("P", "y")
    manager.wait(lambda: manager.state.chosen and manager.state.chosen.is_paused)
    manager.wait(lambda: not manager.state.busy)
    manager.press("P", "y")
    manager.wait(lambda: manager.state.chosen and not manager.state.chosen.is_paused)
    assert [entry.verb for entry in queue.list_journal().items] == ["resume", "pause"]


def test_a_group_of_failures_is_resubmitted(queue: PersistentQInterface, manager: Running) -> None:
    for job in queue.dequeue("consumer_00", limit=2):
        queue.fail(job, ValueError(f"order {job.id} is not known"), retry=False)
    manager.press("3")
    manager.wait(lambda: manager.state.rows)
    manager.press("R")
    manager.wait(lambda: isinstance(manager.state.dialog, Question) and manager.state.dialog.seen)
    manager.press("y")
    manager.wait(lambda: "resubmit worked for 2 jobs" in str(manager.state.message))
    assert queue.count_jobs()["default"] == {JobStatus.PENDING: 3}


def test_a_schedule_is_run_and_paused(queue: PersistentQInterface, manager: Running) -> None:
    queue.put_schedule(Schedule("nightly", "30 2 * * *", "report.make"))
    manager.press("6")
    manager.wait(lambda: manager.state.rows)
    manager.press("R", "y")
    manager.wait(lambda: "of schedule nightly is pending" in str(manager.state.message))
    manager.press("P", "y")
    manager.wait(lambda: manager.state.chosen and manager.state.chosen.is_paused)


def test_an_entry_of_the_journal_is_taken_back(queue: PersistentQInterface, manager: Running) -> None:
    Operator(queue).act(Act("cancel"), [2])
    manager.press("8")
    manager.wait(lambda: manager.state.rows)
    manager.press("U", "y")
    manager.wait(lambda: "undo worked for job 2" in str(manager.state.message))
    assert status(queue, 2) == "pending"


def test_nothing_is_changed_where_nothing_may_be(queue: PersistentQInterface, tmp_path: Path) -> None:
    before = queue.list_jobs()
    with running(tmp_path, readonly=True) as manager:
        manager.wait_for_jobs()
        for key in ("R", "C", "F", "M", "D"):
            manager.press(key)
            manager.wait(lambda: manager.state.message and "read-only" in manager.state.message.text)
            manager.press("Esc")
            manager.wait(lambda: manager.state.message is None)
    assert queue.list_jobs() == before


def test_a_frozen_screen_stands_still(queue: PersistentQInterface, manager: Running) -> None:
    manager.wait(lambda: manager.state.snapshot and manager.state.snapshot.request == manager.state.request)
    manager.press("f")
    manager.wait(lambda: manager.state.is_frozen)
    snapshot = manager.state.snapshot
    queue.enqueue("later")
    assert not Deadline(1.0).wait_for(lambda: manager.state.snapshot is not snapshot)
    manager.press("f")
    manager.wait(lambda: len(manager.state.jobs) == 4)


def test_what_needs_a_person_is_one_key_away(queue: PersistentQInterface, manager: Running) -> None:
    (held,) = queue.dequeue("consumer_00")
    queue.fail(held, ValueError("no such order"), retry=False)
    manager.press("4", "!")
    manager.wait(lambda: manager.state.place is Place.ATTENTION and manager.state.rows)
    assert "no such order" in str([row.key for row in manager.state.rows])
    manager.press("Esc")
    manager.wait(lambda: manager.state.place is Place.QUEUES)


# --- the binding table


def test_no_key_means_two_things_at_one_place() -> None:
    heard = [(place, key) for binding in keys.BINDINGS for place in binding.places for key in binding.keys]
    assert len(heard) == len(set(heard))


def test_every_key_outside_the_dialogs_is_in_the_help() -> None:
    words = " ".join("".join(piece[1] for piece in line) for line in help_lines(200))
    for binding in keys.BINDINGS:
        if binding.places & keys.NO_DIALOG:
            assert binding.does in words
            assert all(name in words.split() for name in keys.shown(binding).split())


def test_the_documentation_has_the_same_keys_commands_and_queries() -> None:
    page = keys_page.PAGE.read_text(encoding="utf-8")
    assert keys_page.with_tables(page) == page, "run make docs"
    for binding in keys.BINDINGS:
        if binding.places & keys.NO_DIALOG:
            assert binding.does in page


def test_every_action_has_a_key_and_changing_keys_are_capital() -> None:
    changing = [binding for binding in keys.BINDINGS if "asks first" in binding.does]
    on_jobs = {binding.hint for binding in changing if binding.places == keys.JOBS}
    assert on_jobs == {action.label.lower() for action in ACTIONS.values()}
    small = {key for binding in changing for key in binding.keys if not key.isupper()}
    assert small == {"z", "+", "-"}
