"""The manager's keys, pressed for real; what they change is looked up in a real SQLite file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from manager import keys
from manager.help import help_lines
from manager.state import Confirm, PickConsumer, Place
from persistentq import JobStatus, PersistentQInterface
from persistentq.clock import Deadline
from persistentq.operations import ACTIONS
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


def test_digits_and_tab_choose_the_status(manager: Running) -> None:
    for key, wanted in [
        ("5", JobStatus.FAILED),
        ("Tab", JobStatus.CANCELLED),
        ("Tab", None),
        ("S-Tab", JobStatus.CANCELLED),
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


@pytest.mark.parametrize("key", ["A", "M"])
def test_assign_to_a_picked_consumer_and_back_to_anyone(
    queue: PersistentQInterface, manager: Running, key: str
) -> None:
    manager.press(key, "Down", "Down", "Enter", "y")
    manager.wait(lambda: "assign worked for job 3" in str(manager.state.message))
    assert queue.get_job(3).reserved_for == "consumer_01"
    manager.press(key, "Enter", "y")
    manager.wait(lambda: queue.get_job(3).reserved_for is None)


def test_assign_to_a_typed_consumer(queue: PersistentQInterface, manager: Running) -> None:
    manager.press("A", *"later_x", "Left", "Backspace", *"00", "Enter")
    manager.wait(lambda: isinstance(manager.state.dialog, Confirm))
    manager.press("y")
    manager.wait(lambda: queue.get_job(3).reserved_for == "later_00")


def test_a_pasted_consumer(manager: Running) -> None:
    manager.press("A")
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
    manager.wait(lambda: manager.state.dialog)
    (running_job,) = queue.dequeue("consumer_00")
    manager.press("3", "Enter")
    manager.wait(lambda: "worked for 2 jobs" in str(manager.state.message))
    assert f"1 skipped: job {running_job.id} is processing" in str(manager.state.message)
    assert [job.id for job in queue.list_jobs()] == [running_job.id]
    assert manager.state.marks == {running_job.id}


@pytest.mark.parametrize("keys", ["C", "F", "D", "A"])
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
    manager.press("c", "j")
    manager.wait(lambda: manager.state.consumer_id == "consumer_01")
    manager.wait(
        lambda: manager.state.snapshot and manager.state.snapshot.held == {"consumer_01": (held.id,)}
    )
    manager.press("Enter")
    manager.wait(lambda: manager.state.place is Place.JOBS and manager.state.is_current)
    assert [job.id for job in manager.state.jobs] == [held.id]
    manager.press("Esc")
    manager.wait(lambda: len(manager.state.jobs) == 3)


@pytest.mark.parametrize("key", ["q", "Ctrl-C"])
def test_quitting(manager: Running, key: str) -> None:
    manager.press(key)
    assert manager.code() == 0


def test_ctrl_c_quits_from_a_dialog(manager: Running) -> None:
    manager.press("D", "Ctrl-C")
    assert manager.code() == 0


def test_q_is_a_letter_where_a_name_is_typed(manager: Running) -> None:
    manager.press("A", "q")
    manager.wait(lambda: isinstance(manager.state.dialog, PickConsumer) and manager.state.dialog.typed == "q")


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


def test_every_action_has_a_key_and_changing_keys_are_capital() -> None:
    changing = {binding.keys: binding.hint for binding in keys.BINDINGS if "asks first" in binding.does}
    assert set(changing.values()) == {action.label.lower() for action in ACTIONS.values()}
    assert all(key.isupper() for keys_of_one in changing for key in keys_of_one)
