"""Schedules: stored, ticked once, made up for, paused, edited, and none in the way of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest

from persistentq import (
    ActNote,
    CatchUp,
    InvalidArgument,
    Job,
    JobStatus,
    PayloadError,
    PersistentQInterface,
    Schedule,
    ScheduleNotFound,
    rhythm,
)

HOUR = Schedule("hourly", "every 1h", "report.make", {"kind": "short"})
Passing = Callable[[float], None]


def ticks(jobs: list[Job]) -> list[datetime]:
    """Return the times that the jobs' ticks meant."""
    return [datetime.fromisoformat(job.metadata["tick"]) for job in jobs]


def test_what_is_put_can_be_read(queue: PersistentQInterface) -> None:
    schedule = Schedule(
        "nightly:report",
        "30 2 * * mon-fri",
        "report.make",
        {"kind": "long", "parts": [1, 2.5, None, {"ä": True}]},
        zone="Europe/Berlin",
        queue="reports",
        priority=-5,
        max_attempts=7,
        tags=("night", "report"),
        unique=True,
        catch_up=CatchUp.ALL,
        catch_up_limit=3,
    )
    put = queue.put_schedule(schedule)
    assert put.schedule == schedule
    assert put == queue.get_schedule("nightly:report")
    assert [put] == queue.list_schedules()
    assert (put.last_at, put.last_job_id, put.paused_at, put.error, put.is_paused) == (*[None] * 4, False)
    assert schedule.preview(put.created_at, 1) == [put.next_at]
    assert put.preview(put.created_at, 3) == schedule.preview(put.created_at, 3)


def test_a_preview_goes_on_from_the_next_tick(queue: PersistentQInterface) -> None:
    info = queue.put_schedule(HOUR)
    hour = timedelta(hours=1)
    assert info.preview(info.created_at, 2) == [info.next_at, info.next_at + hour]
    assert info.preview(info.next_at, 1) == [info.next_at + hour]
    # However long it was paused.
    assert info.preview(info.next_at + 1000.5 * hour, 2) == [
        info.next_at + 1001 * hour,
        info.next_at + 1002 * hour,
    ]


def test_they_are_listed_by_name(queue: PersistentQInterface) -> None:
    assert queue.list_schedules() == []
    for name in ("b", "A", "a.1", "a-1", "_", "a:1"):
        queue.put_schedule(replace(HOUR, name=name))
    assert [info.schedule.name for info in queue.list_schedules()] == ["A", "_", "a-1", "a.1", "a:1", "b"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "x" * 101},
        {"expression": "every 0s"},
        {"expression": "61 * * * *"},
        {"expression": "@reboot"},
        {"expression": "* * * * * *"},
        {"zone": "Mars/Base"},
        {"zone": "../../etc/passwd"},
        {"task": "a b"},
        {"queue": ""},
        {"priority": 10**7},
        {"max_attempts": 0},
        {"tags": ("a b",)},
        {"catch_up": "some"},
        {"catch_up_limit": 0},
        {"catch_up_limit": 1001},
    ],
    ids=str,
)
def test_bad_values_are_refused(wrong: dict[str, Any]) -> None:
    """G7."""
    with pytest.raises(InvalidArgument):
        replace(HOUR, **wrong)
    with pytest.raises(PayloadError):
        replace(HOUR, args={"when": datetime})


def test_an_unknown_name_is_told(queue: PersistentQInterface) -> None:
    acts: list[Callable[[str], object]] = [
        queue.get_schedule,
        queue.remove_schedule,
        queue.pause_schedule,
        queue.resume_schedule,
        queue.run_schedule,
    ]
    for act in acts:
        with pytest.raises(ScheduleNotFound, match="schedule 'nobody' does not exist") as caught:
            act("nobody")
        assert caught.value.name == "nobody"
        with pytest.raises(InvalidArgument):
            act("no body")


def test_a_tick_enqueues_the_job_once(queue: PersistentQInterface, let_pass: Passing) -> None:
    queue.put_schedule(
        replace(HOUR, queue="reports", priority=3, max_attempts=9, tags=("a", "b"), unique=True)
    )
    assert queue.tick() == []
    let_pass(3601)
    due = queue.get_schedule("hourly").next_at
    (job,) = queue.tick()
    assert queue.tick() == []
    assert queue.get_job(job.id) == job
    assert (job.task, job.args, job.queue, job.status) == (
        "report.make",
        {"kind": "short"},
        "reports",
        JobStatus.PENDING,
    )
    assert (job.priority, job.max_attempts, job.tags) == (3, 9, ("a", "b"))
    assert job.metadata == {"schedule": "hourly", "tick": due.isoformat()}
    info = queue.get_schedule("hourly")
    assert (info.last_at, info.last_job_id) == (due, job.id)
    assert info.next_at == due + timedelta(hours=1)


def test_the_time_until_the_next_tick(queue: PersistentQInterface, let_pass: Passing) -> None:
    assert queue.next_tick() is None
    queue.put_schedule(HOUR)
    queue.put_schedule(replace(HOUR, name="sooner", expression="every 10m"))
    left = queue.next_tick()
    assert left is not None
    assert timedelta(minutes=9, seconds=30) < left <= timedelta(minutes=10)
    let_pass(601)
    assert queue.next_tick() == timedelta(0)
    queue.tick()
    left = queue.next_tick()
    assert left is not None
    assert timedelta(minutes=9) < left < timedelta(minutes=10)
    queue.remove_schedule("sooner")
    left = queue.next_tick()
    assert left is not None
    assert timedelta(minutes=49) < left < timedelta(minutes=50)
    queue.pause_schedule("hourly")
    assert queue.next_tick() is None


@pytest.mark.parametrize(
    ("catch_up", "limit", "expected"),
    [
        (CatchUp.SKIP, 100, []),
        (CatchUp.ONE, 100, [5]),
        (CatchUp.ALL, 100, [1, 2, 3, 4, 5]),
        (CatchUp.ALL, 2, [4, 5]),
    ],
)
def test_missed_ticks(
    queue: PersistentQInterface, let_pass: Passing, catch_up: CatchUp, limit: int, expected: list[int]
) -> None:
    """Five ticks have come, the last of them half an hour ago."""
    queue.put_schedule(replace(HOUR, catch_up=catch_up, catch_up_limit=limit))
    let_pass(5.5 * 3600)
    first = queue.get_schedule("hourly").next_at
    assert ticks(queue.tick()) == [first + timedelta(hours=number - 1) for number in expected]
    assert queue.get_schedule("hourly").next_at == first + timedelta(hours=5)
    assert queue.tick() == []


def test_a_tick_that_is_seen_within_a_minute_is_not_missed(
    queue: PersistentQInterface, let_pass: Passing
) -> None:
    queue.put_schedule(replace(HOUR, catch_up=CatchUp.SKIP))
    let_pass(3600 + 50)
    assert len(queue.tick()) == 1
    let_pass(3600 + 20)
    assert queue.tick() == []


@pytest.mark.parametrize(("catch_up", "number"), [(CatchUp.SKIP, 0), (CatchUp.ONE, 1), (CatchUp.ALL, 3)])
def test_a_pause(queue: PersistentQInterface, let_pass: Passing, catch_up: CatchUp, number: int) -> None:
    """Nothing meanwhile; afterwards the ticks since then are missed ones."""
    queue.put_schedule(replace(HOUR, catch_up=catch_up))
    paused = queue.pause_schedule("hourly")
    assert paused.is_paused
    let_pass(3 * 3600 + 100)
    again = queue.pause_schedule("hourly")
    assert again == queue.get_schedule("hourly")
    assert again.is_paused
    assert queue.tick() == []
    resumed = queue.resume_schedule("hourly")
    assert resumed == queue.resume_schedule("hourly") == queue.get_schedule("hourly")
    assert resumed.paused_at is None
    assert len(queue.tick()) == number
    assert queue.tick() == []


def test_the_same_put_again_changes_nothing(queue: PersistentQInterface, let_pass: Passing) -> None:
    queue.put_schedule(HOUR)
    let_pass(1800)
    before = queue.get_schedule("hourly")
    assert queue.put_schedule(HOUR) == before == queue.get_schedule("hourly")
    let_pass(1801)
    assert queue.put_schedule(HOUR).next_at == queue.get_schedule("hourly").next_at
    assert len(queue.tick()) == 1


def test_an_edit_of_the_work_keeps_the_time(queue: PersistentQInterface, let_pass: Passing) -> None:
    queue.put_schedule(HOUR)
    let_pass(1800)
    before = queue.get_schedule("hourly")
    edited = replace(before.schedule, args={"kind": "long"}, queue="other", catch_up=CatchUp.ALL)
    assert queue.put_schedule(edited) == replace(before, schedule=edited) == queue.get_schedule("hourly")
    let_pass(1801)
    (job,) = queue.tick()
    assert (job.args, job.queue) == ({"kind": "long"}, "other")


@pytest.mark.parametrize("change", [{"expression": "every 2h"}, {"expression": "0 5 * * *"}])
def test_an_edit_of_the_time_begins_anew(
    queue: PersistentQInterface, let_pass: Passing, change: dict[str, str]
) -> None:
    """Also of a schedule that was due."""
    queue.put_schedule(HOUR)
    let_pass(3601)
    put = queue.put_schedule(replace(HOUR, **change))
    assert queue.tick() == []
    left = queue.next_tick()
    assert left is not None
    assert left > timedelta(0)
    assert put.next_at - queue.get_schedule("hourly").created_at > timedelta(hours=1)


def test_an_edit_of_the_zone_begins_anew(queue: PersistentQInterface) -> None:
    daily = Schedule("daily", "0 5 * * *", "t", zone="Asia/Kathmandu")
    before = queue.put_schedule(daily)
    after = queue.put_schedule(replace(daily, zone="Asia/Tokyo"))
    assert (before.next_at.hour, before.next_at.minute) == (23, 15)
    assert (after.next_at.hour, after.next_at.minute) == (20, 0)
    assert after.created_at == before.created_at


def test_an_edit_keeps_the_pause(queue: PersistentQInterface, let_pass: Passing) -> None:
    queue.put_schedule(HOUR)
    queue.pause_schedule("hourly")
    assert queue.put_schedule(replace(HOUR, expression="every 1m")).is_paused
    let_pass(120)
    assert queue.tick() == []
    assert queue.next_tick() is None
    queue.resume_schedule("hourly")
    assert len(queue.tick()) == 1


def test_one_that_is_removed_ticks_no_more(queue: PersistentQInterface, let_pass: Passing) -> None:
    queue.put_schedule(HOUR)
    let_pass(3601)
    (job,) = queue.tick()
    queue.remove_schedule("hourly")
    assert queue.list_schedules() == []
    let_pass(3600)
    assert queue.tick() == []
    assert queue.get_job(job.id).status == JobStatus.PENDING


def test_run_now(queue: PersistentQInterface, let_pass: Passing) -> None:
    """Besides its ticks, and while it is paused."""
    before = queue.put_schedule(HOUR)
    job = queue.run_schedule("hourly")
    assert queue.get_job(job.id) == job
    assert (job.task, job.args, job.metadata["schedule"]) == ("report.make", {"kind": "short"}, "hourly")
    assert before.created_at <= ticks([job])[0] <= job.created_at
    assert queue.get_schedule("hourly") == replace(before, last_job_id=job.id)
    queue.pause_schedule("hourly")
    assert queue.run_schedule("hourly").id > job.id


def test_no_second_unfinished_run(queue: PersistentQInterface, let_pass: Passing) -> None:
    queue.put_schedule(replace(HOUR, unique=True, catch_up=CatchUp.ALL))
    let_pass(2 * 3600 + 1)
    (job,) = queue.tick()
    first = queue.get_schedule("hourly")
    assert (first.last_at, first.last_job_id) == (ticks([job])[0], job.id)
    again = queue.run_schedule("hourly")
    assert (again.id, again.duplicate) == (job.id, True)
    assert queue.get_schedule("hourly") == first
    let_pass(3600)
    queue.dequeue("c")
    assert queue.tick() == []
    let_pass(3600)
    (taken,) = queue.dequeue("c")
    queue.complete(taken)
    (second,) = queue.tick()
    assert second.id > job.id
    assert queue.get_schedule("hourly").last_job_id == second.id


def test_no_more_jobs_than_asked_for(queue: PersistentQInterface, let_pass: Passing) -> None:
    """The rest stays due; what has been due for longest comes first."""
    queue.put_schedule(replace(HOUR, catch_up=CatchUp.ALL))
    queue.put_schedule(replace(HOUR, name="other", expression="every 50m"))
    let_pass(4.5 * 3600)
    first, other = queue.get_schedule("hourly").next_at, queue.get_schedule("other").next_at
    assert ticks(queue.tick(limit=1)) == [other + timedelta(minutes=200)]
    assert ticks(queue.tick(limit=3)) == [first + timedelta(hours=number) for number in range(3)]
    assert queue.next_tick() == timedelta(0)
    assert ticks(queue.tick(limit=3)) == [first + timedelta(hours=3)]
    assert queue.tick(limit=3) == []
    for wrong in (0, 1001):
        with pytest.raises(InvalidArgument):
            queue.tick(limit=wrong)


def test_hundreds_at_the_same_moment(queue: PersistentQInterface, let_pass: Passing) -> None:
    for number in range(250):
        queue.put_schedule(replace(HOUR, name=f"s{number}", args={"number": number}))
    let_pass(3700)
    found = [job for _ in range(4) for job in queue.tick()]
    assert sorted(job.args["number"] for job in found) == list(range(250))
    assert {job.metadata["schedule"] for job in found} == {f"s{number}" for number in range(250)}


def test_one_that_cannot_be_read_stops_no_other_and_heals(
    queue: PersistentQInterface, let_pass: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that lacks a zone: another may have it, so that nothing is given up."""
    lost = replace(HOUR, name="lost", zone="Asia/Kathmandu", catch_up=CatchUp.ALL)
    queue.put_schedule(lost)
    queue.put_schedule(HOUR)
    let_pass(3601)
    due = queue.get_schedule("lost").next_at
    find = rhythm.find_zone

    def without(name: str) -> tzinfo:
        if name == "Asia/Kathmandu":
            raise InvalidArgument("zone", name, "is not known here")
        return find(name)

    with monkeypatch.context() as patch:
        patch.setattr(rhythm, "find_zone", without)
        assert [job.metadata["schedule"] for job in queue.tick()] == ["hourly"]
        info = queue.get_schedule("lost")
        assert (info.error, info.next_at) == ("zone 'Asia/Kathmandu' is not known here", due)
        assert info.schedule == lost
        with pytest.raises(InvalidArgument):
            queue.put_schedule(info.schedule)
        assert queue.run_schedule("lost").task == "report.make"
        left = queue.next_tick()
        assert left is not None
        assert timedelta(seconds=50) < left <= timedelta(minutes=1)
        assert queue.tick() == []
    assert queue.tick() == []
    let_pass(61)
    (job,) = queue.tick()
    info = queue.get_schedule("lost")
    assert (info.error, info.last_job_id) == (None, job.id)
    assert info.next_at == ticks([job])[0] + timedelta(hours=1)


def test_put_again_one_that_failed_is_tried_at_once(
    queue: PersistentQInterface, let_pass: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.put_schedule(HOUR)
    let_pass(3601)
    with monkeypatch.context() as patch:
        patch.setattr(rhythm, "find_zone", lambda name: 1 / 0)
        assert queue.tick() == []
        assert queue.get_schedule("hourly").error == "division by zero"
    assert queue.put_schedule(HOUR).error is None
    assert len(queue.tick()) == 1


def test_deeds_are_journalled_in_their_own_transaction(queue: PersistentQInterface) -> None:
    note = ActNote("ann", "cli", "as told")
    queue.put_schedule(replace(HOUR, unique=True, args={"password": "hunter2"}), note=note)
    queue.pause_schedule("hourly", note=note)
    queue.resume_schedule("hourly", note=note)
    job = queue.run_schedule("hourly", note=note)
    queue.run_schedule("hourly", note=note)
    queue.remove_schedule("hourly", note=note)
    entries = queue.list_journal().items[::-1]
    assert {(entry.actor, entry.face, entry.reason) for entry in entries} == {("ann", "cli", "as told")}
    assert [(entry.verb, dict(entry.details)) for entry in entries] == [
        (
            "put-schedule",
            {
                "schedule": "hourly",
                "expression": "every 1h",
                "zone": "UTC",
                "task": "report.make",
                "queue": "default",
            },
        ),
        ("pause-schedule", {"schedule": "hourly"}),
        ("resume-schedule", {"schedule": "hourly"}),
        ("run-schedule", {"schedule": "hourly", "job": job.id, "duplicate": False}),
        ("run-schedule", {"schedule": "hourly", "job": job.id, "duplicate": True}),
        ("remove-schedule", {"schedule": "hourly"}),
    ]


def test_what_fails_is_not_journalled(queue: PersistentQInterface) -> None:
    note = ActNote("ann")
    acts: list[Callable[..., object]] = [
        queue.remove_schedule,
        queue.pause_schedule,
        queue.resume_schedule,
        queue.run_schedule,
    ]
    for act in acts:
        with pytest.raises(ScheduleNotFound):
            act("nobody", note=note)
    queue.put_schedule(HOUR)
    assert queue.list_journal().items == ()
