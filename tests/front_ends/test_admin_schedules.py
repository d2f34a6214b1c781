"""`schedules` on the command line: every deed, what it says, and what it refuses."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from persistentq import CatchUp, JobStatus, PersistentQInterface, Schedule
from persistentq.sql.models import ScheduleRow
from tests.front_ends.admin_kit import HOSTILE, Terminal, a_store, finish, run, start

HOURLY = Schedule("hourly", "every 1h", "report.make")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


def damage(store: Any, **values: Any) -> None:
    with store.engine.begin() as connection:
        connection.execute(update(ScheduleRow).values(values))


def test_add_and_edit(store: PersistentQInterface) -> None:
    options = [
        *("--zone", "Asia/Kathmandu", "--args", '{"kind": "long"}', "--queue", "q", "--priority", "-3"),
        *(
            "--max-attempts",
            9,
            "--tag",
            "a",
            "--tag",
            "b",
            "--unique",
            "--catch-up",
            "all",
            "--catch-up-limit",
            7,
        ),
    ]
    code, out, err = run("schedules", "add", "nightly", "30 2 * * *", "report.make", *options)
    info = store.get_schedule("nightly")
    assert (code, err) == (0, "")
    assert out.startswith(f"schedule nightly ticks next at {info.next_at:%Y-%m-%d} 20:45:00Z (in ")
    assert info.schedule == Schedule(
        "nightly",
        "30 2 * * *",
        "report.make",
        {"kind": "long"},
        zone="Asia/Kathmandu",
        queue="q",
        priority=-3,
        max_attempts=9,
        tags=("a", "b"),
        unique=True,
        catch_up=CatchUp.ALL,
        catch_up_limit=7,
    )
    changes = [
        *("--expression", "every 2h", "--task", "t", "--args", "{}", "--zone", "UTC", "--queue", "r"),
        *("--priority", 0, "--max-attempts", 0, "--tag", "c", "--no-unique", "--catch-up", "skip"),
    ]
    code, out, err = run("schedules", "edit", "nightly", *changes, "--output", "json")
    assert (code, err) == (0, "")
    assert store.get_schedule("nightly").schedule == Schedule(
        "nightly", "every 2h", "t", queue="r", tags=("c",), catch_up=CatchUp.SKIP, catch_up_limit=7
    )
    record = json.loads(out)["schedule"]
    assert (record["name"], record["state"], record["expression"]) == ("nightly", "active", "every 2h")
    run("schedules", "edit", "nightly", "--queue", "s")
    assert (
        store.get_schedule("nightly").next_at.isoformat(timespec="microseconds")[:26]
        == record["next_at"][:26]
    )


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (
            "add hourly @daily t",
            2,
            "error: schedule 'hourly' exists already\nhint: `schedules edit` changes it\n",
        ),
        (
            "add new '61 * * * *' t",
            2,
            "error: expression '61 * * * *' is not a cron expression: bad minute\n",
        ),
        ("add new @daily t --zone Mars", 2, "error: zone 'Mars' is not a time zone that this machine knows"),
        ("add new @daily t --args [1]", 2, "error: args '[1]' is not a JSON object"),
        ("add new @daily t --args {", 2, "error: args '{' is not JSON"),
        ("add 'a b' @daily t", 2, "error: schedule 'a b' is not 1 to 100 of"),
        ("add new @daily t --catch-up some", 2, "error: invalid value for '--catch-up'"),
        ("edit hourly", 2, "error: nothing to change was named\nhint: `schedules edit --help`"),
        ("edit nobody --queue q", 5, "error: schedule 'nobody' does not exist\nhint: `schedules list` shows"),
        ("edit hourly --queue ?", 2, "error: queue '?' is not 1 to 64 of"),
        ("remove nobody --yes", 5, "error: schedule 'nobody' does not exist"),
        ("remove hourly", 2, "error: there is no terminal to ask on: Remove schedule hourly of report.make?"),
        ("pause nobody", 5, "error: schedule 'nobody' does not exist"),
        ("resume nobody", 5, "error: schedule 'nobody' does not exist"),
        ("run-now nobody", 5, "error: schedule 'nobody' does not exist"),
        ("preview", 2, "error: preview needs a schedule's name or --expression"),
        ("preview hourly --expression @daily", 2, "error: preview needs a schedule's name or --expression"),
        ("preview hourly --zone UTC", 2, "error: --zone is the schedule's own"),
        ("preview nobody", 5, "error: schedule 'nobody' does not exist"),
        ("preview --expression @reboot", 2, "error: expression '@reboot' is not one of"),
        ("", 2, "error: missing command\nhint: python -m admin.admin schedules --help"),
    ],
)
def test_what_is_refused(store: PersistentQInterface, arguments: str, code: int, told: str) -> None:
    """And nothing is changed."""
    before = store.put_schedule(HOURLY)
    ended = run("schedules", *shlex.split(arguments))
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(told)
    assert store.list_schedules() == [before]
    assert list(store.list_jobs()) == []


def test_a_refusal_as_json(store: PersistentQInterface) -> None:
    code, _, err = run("schedules", "pause", "nobody", "--output", "json")
    assert code == 5
    assert json.loads(err) == {
        "error": "schedule 'nobody' does not exist",
        "code": 5,
        "hint": "`schedules list` shows the names that exist",
    }


def test_pause_and_resume(store: PersistentQInterface) -> None:
    store.put_schedule(HOURLY)
    assert run("schedules", "pause", "hourly") == (0, "schedule hourly is paused\n", "")
    assert store.get_schedule("hourly").is_paused
    code, out, _ = run("schedules", "resume", "hourly", "-o", "json")
    assert (code, json.loads(out)["schedule"]["state"]) == (0, "active")
    assert not store.get_schedule("hourly").is_paused
    damage(store, next_at=datetime.fromisoformat("2026-01-01T00:00:00Z"))
    assert run("schedules", "resume", "hourly").out == "schedule hourly is due now\n"


def test_deeds_are_journalled(store: PersistentQInterface) -> None:
    run("schedules", "add", "a", "@daily", "t", "--args", '{"password": "hunter2"}', "--reason", "new")
    for words in (("edit", "a", "--queue", "q"), ("pause", "a"), ("resume", "a"), ("run-now", "a")):
        assert run("schedules", *words, "--reason", words[0]).code == 0
    assert run("schedules", "remove", "a", "--yes", "--reason", "old").code == 0
    entries = store.list_journal().items[::-1]
    assert [(entry.verb.removesuffix("-schedule"), entry.reason) for entry in entries] == [
        ("put", "new"),
        ("put", "edit"),
        ("pause", "pause"),
        ("resume", "resume"),
        ("run", "run-now"),
        ("remove", "old"),
    ]
    assert {entry.face for entry in entries} == {"cli"}


def test_secrets_of_a_schedule_are_not_shown_and_not_lost(store: PersistentQInterface) -> None:
    store.put_schedule(Schedule("s", "@daily", "t", {"password": "hunter2"}))
    for words in (
        ("list", "-o", "json"),
        ("edit", "s", "--queue", "q", "-o", "json"),
        ("pause", "s", "-o", "json"),
    ):
        code, out, _ = run("schedules", *words)
        assert (code, "[redacted]" in out, "hunter2" in out) == (0, True, False)
    assert store.get_schedule("s").schedule.args == {"password": "hunter2"}


def test_run_now(store: PersistentQInterface) -> None:
    store.put_schedule(Schedule("hourly", "every 1h", "t", unique=True))
    assert run("schedules", "run-now", "hourly") == (0, "job 1 is pending\n", "")
    assert store.get_job(1).metadata["schedule"] == "hourly"
    code, out, _ = run("schedules", "run-now", "hourly")
    assert (code, out) == (0, "job 1 was there already, pending: its last run is unfinished\n")
    code, out, _ = run("schedules", "run-now", "hourly", "--output", "json")
    document = json.loads(out)
    assert (document["job"]["id"], document["job"]["status"], document["duplicate"]) == (
        1,
        JobStatus.PENDING,
        True,
    )


def test_remove(store: PersistentQInterface, tmp_path: Path) -> None:
    store.put_schedule(HOURLY)
    with Terminal(tmp_path, "schedules", "remove", "hourly", columns=120) as terminal:
        assert terminal.shows("Remove schedule hourly of report.make? [y/N]")
        terminal.type("\n")
        assert terminal.end() == 2
        assert "nothing was removed" in terminal.text
    assert len(store.list_schedules()) == 1
    assert run("schedules", "remove", "hourly", "--yes") == (0, "schedule hourly is removed\n", "")
    assert store.list_schedules() == []
    store.put_schedule(HOURLY)
    code, out, _ = run("schedules", "remove", "hourly", "--yes", "-o", "json")
    assert (code, json.loads(out)) == (0, {"schema": 1, "removed": "hourly"})


def test_list(store: PersistentQInterface, tmp_path: Path) -> None:
    code, out, err = run("schedules", "list")
    assert (code, out) == (0, "")
    assert err == f"hint: there is no schedule in {tmp_path}/queue.db yet; `schedules add` stores one\n"
    for name in ("active", "paused", "broken"):
        store.put_schedule(Schedule(name, "30 2 * * mon-fri", "report.make", zone="Europe/Berlin"))
    store.pause_schedule("paused")
    with store.engine.begin() as connection:  # type: ignore[attr-defined]
        broken = update(ScheduleRow).where(ScheduleRow.name == "broken")
        connection.execute(broken.values(zone="Mars", error=f"no Mars {HOSTILE}"))
    code, out, err = run("schedules", "list", "--output", "json")
    assert (code, err) == (0, "")
    items = json.loads(out)["items"]
    assert [(item["name"], item["state"]) for item in items] == [
        ("active", "active"),
        ("broken", "broken"),
        ("paused", "paused"),
    ]
    code, out, err = run("schedules", "list")
    assert out.splitlines()[0].split("\t") == list(items[0])
    assert len(out.splitlines()) == 4
    with Terminal(tmp_path, "schedules", "list", columns=110) as terminal:
        assert terminal.end() == 0
        assert terminal.lines[0].split() == [
            "NAME",
            "STATE",
            "WHEN",
            "ZONE",
            "NEXT",
            "LAST",
            "TASK",
            "DETAIL",
        ]
        assert "active  active  30 2 * * mon-fri  Europe/Berlin  in " in terminal.text
        assert "no Mars" in terminal.text
        assert b"\x1b[2J" not in terminal.raw


def test_preview(store: PersistentQInterface, tmp_path: Path) -> None:
    arguments = ["--expression", "30 2 * * *", "--zone", "Asia/Kathmandu", "--count", 2]
    code, out, err = run("schedules", "preview", *arguments)
    assert (code, err) == (0, "At 02:30 every day, Asia/Kathmandu:\n")
    header, *ticks = [line.split("\t") for line in out.splitlines()]
    assert header == ["tick", "local"]
    assert [(tick[10:], local[10:]) for tick, local in ticks] == [
        ("T20:45:00.000000Z", "T02:30:00+05:45")
    ] * 2
    info = store.put_schedule(HOURLY)
    code, out, err = run("schedules", "preview", "hourly", "--count", 3, "--output", "json")
    assert (code, err) == (0, "")
    found = [datetime.fromisoformat(item["tick"]) for item in json.loads(out)["items"]]
    assert found == info.preview(info.created_at, 3)


def test_a_preview_shows_where_the_clocks_are_changed(store: PersistentQInterface, tmp_path: Path) -> None:
    """They are twice a year in Berlin; a daily tick meets both within a year."""
    daily = ("schedules", "preview", "--expression", "30 2 * * *", "--zone", "Europe/Berlin", "--count", 370)
    code, out, _ = run(*daily, "--output", "table")
    assert code == 0
    noted = [line.split("clocks ")[1].strip() for line in out.splitlines() if "clocks " in line]
    assert sorted(noted) == ["back 1h", "forward 1h"]
    assert sum(" 03:00:00 +0200" in line for line in out.splitlines()) == 1


def test_a_missing_database_is_said_to_be_missing(tmp_path: Path) -> None:
    code, out, err = finish(start(tmp_path, "schedules", "add", "a", "@daily", "t"))
    assert (code, out) == (4, "")
    assert err.startswith(f"error: no queue database at {tmp_path}/queue.db\nhint: ")
    code, out, _ = finish(start(tmp_path, "schedules", "preview", "--expression", "@daily"))
    assert (code, len(out.splitlines())) == (0, 11)
