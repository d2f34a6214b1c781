"""When schedules tick: a table of clocks that are changed, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from persistentq import CatchUp, InvalidArgument, Schedule
from persistentq.rhythm import NICKNAMES, read_rhythm
from persistentq.schedule import plan

ROOT = Path(__file__).resolve().parents[2]

TABLE = [
    # In Berlin 02:00 becomes 03:00 on 29 March, and 03:00 becomes 02:00 on 25 October.
    ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", ["03-29T03:00+02:00", "03-30T02:30+02:00"]),
    ("Europe/Berlin", "10,40 2 * * *", "2026-03-29T00:00", ["03-29T03:00+02:00", "03-30T02:10+02:00"]),
    ("Europe/Berlin", "0 3 * * *", "2026-03-29T00:00", ["03-29T03:00+02:00", "03-30T03:00+02:00"]),
    ("Europe/Berlin", "*/30 2 * * *", "2026-03-29T00:00", ["03-30T02:00+02:00", "03-30T02:30+02:00"]),
    ("Europe/Berlin", "30 * * * *", "2026-03-29T01:00", ["03-29T01:30+01:00", "03-29T03:30+02:00"]),
    ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", ["10-25T02:30+02:00", "10-26T02:30+01:00"]),
    ("Europe/Berlin", "30 2 29 3 *", "2025-06-01T00:00", ["03-29T03:00+02:00"]),
    (
        "Europe/Berlin",
        "30 * * * *",
        "2026-10-25T01:00",
        ["10-25T01:30+02:00", "10-25T02:30+02:00", "10-25T02:30+01:00", "10-25T03:30+01:00"],
    ),
    (
        "Europe/Berlin",
        "*/30 2 * * *",
        "2026-10-25T00:00",
        ["10-25T02:00+02:00", "10-25T02:30+02:00", "10-25T02:00+01:00", "10-25T02:30+01:00", "10-26T02:00+01:00"],
    ),
    # In New York 02:00 becomes 03:00 on 8 March, and 02:00 becomes 01:00 on 1 November.
    ("America/New_York", "15 2 * * *", "2026-03-07T12:00", ["03-08T03:00-04:00", "03-09T02:15-04:00"]),
    ("America/New_York", "15 1 * * *", "2026-10-31T12:00", ["11-01T01:15-04:00", "11-02T01:15-05:00"]),
    ("America/New_York", "15 1 * * sun", "2026-10-31T12:00", ["11-01T01:15-04:00", "11-08T01:15-05:00"]),
    ("America/New_York", "0 2 * * *", "2026-10-31T12:00", ["11-01T02:00-05:00", "11-02T02:00-05:00"]),
    ("America/New_York", "* 1 1 11 *", "2026-11-01T01:59", ["11-01T01:00-05:00", "11-01T01:01-05:00"]),
    # On Lord Howe Island 02:00 becomes 02:30 on 4 October, and 02:00 becomes 01:30 on 5 April.
    ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00", ["10-04T02:30+11:00", "10-05T02:15+11:00"]),
    ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00", ["04-05T01:45+11:00", "04-06T01:45+10:30"]),
    ("Australia/Lord_Howe", "15 1 * * *", "2026-04-04T12:00", ["04-05T01:15+11:00", "04-06T01:15+10:30"]),
    ("Australia/Lord_Howe", "*/20 3 4 10 *", "2026-10-04T00:00", ["10-04T03:00+11:00", "10-04T03:20+11:00"]),
    (
        "Australia/Lord_Howe",
        "*/20 1,2 * * *",
        "2026-04-05T01:00",
        ["04-05T01:20+11:00", "04-05T01:40+11:00", "04-05T01:40+10:30", "04-05T02:00+10:30", "04-05T02:20+10:30"],
    ),
    # In Morocco 03:00 becomes 02:00 when Ramadan begins (15 February 2026), and 02:00 becomes 03:00 after it.
    ("Africa/Casablanca", "30 2 * * *", "2026-02-14T12:00", ["02-15T02:30+01:00", "02-16T02:30+00:00"]),
    ("Africa/Casablanca", "30 2 * * *", "2026-03-21T12:00", ["03-22T03:00+01:00", "03-23T02:30+01:00"]),
    ("Africa/Casablanca", "0 12 15 1-4 *", "2026-01-20T00:00", ["02-15T12:00+00:00", "03-15T12:00+00:00"]),
    # Nepal's clocks are never changed, and a quarter of an hour beside all others.
    ("Asia/Kathmandu", "0 6 * * *", "2026-03-29T00:00", ["03-29T06:00+05:45", "03-30T06:00+05:45"]),
    ("Asia/Kathmandu", "*/30 * * * *", "2026-10-25T02:00", ["10-25T02:30+05:45", "10-25T03:00+05:45"]),
    # In Havana midnight itself is skipped; Samoa has skipped a day; Troll goes back by two hours.
    ("America/Havana", "0 0 * * *", "2026-03-07T12:00", ["03-08T01:00-04:00", "03-09T00:00-04:00"]),
    ("America/Havana", "*/30 0 * * *", "2026-03-07T12:00", ["03-09T00:00-04:00", "03-09T00:30-04:00"]),
    ("Pacific/Apia", "0 12 30 12 *", "2011-06-01T00:00", ["12-31T00:00+14:00", "12-30T12:00+14:00"]),
    ("Antarctica/Troll", "30 1 * * *", "2026-10-24T12:00", ["10-25T01:30+02:00", "10-26T01:30+00:00"]),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "expression", "start", "expected"), TABLE)
def test_clocks_that_are_changed(zone: str, expression: str, start: str, expected: list[str]) -> None:
    moment = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    rhythm, found = read_rhythm(expression, zone), []
    for _ in expected:
        moment = rhythm.after(moment)
        assert moment.tzinfo is UTC
        found.append(moment.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes")[5:])
    assert found == expected


def test_an_interval_goes_on_whatever_clocks_do() -> None:
    rhythm = read_rhythm("every 1h30m", "Europe/Berlin")
    moment = datetime(2026, 10, 25, 0, 10, 7, 5, UTC)
    assert rhythm.after(moment) - moment == timedelta(minutes=90)
    assert rhythm.latest(moment, moment + timedelta(hours=4), 9) == [
        moment + timedelta(minutes=90 * number) for number in range(3)
    ]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("every 90s", "Every 1m30s"),
        ("EVERY  2d", "Every 2d"),
        ("every 366d", "Every 366d"),
        ("every 25h", "Every 1d1h"),
        ("@daily", "At 00:00 every day"),
        ("@Weekly", "At 00:00 on Sunday"),
        (" 0   3 * *  mon-FRI ", "At 03:00 on Monday through Friday"),
        ("0 0 L * *", "At 00:00 on the last day of every month"),
        ("0 9 * * MON#1", "At 09:00 on the first Monday of the month"),
    ],
)
def test_what_is_understood(expression: str, words: str) -> None:
    assert read_rhythm(expression, "UTC").in_words() == words


def test_every_nickname_is_understood() -> None:
    for name in NICKNAMES:
        assert read_rhythm(name, "UTC").after(datetime(2026, 1, 1, 0, 30, tzinfo=UTC)).minute == 0


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", "is not text of 1 to 200"),
        ("* " * 101, "is not text of 1 to 200"),
        ("* * * *", "has 4 fields instead of five"),
        ("0 * * * * *", "has 6 fields instead of five"),
        ("60 * * * *", "is not a cron expression: bad minute"),
        ("* * 30 2 *", "is not a cron expression: bad day-of-month"),
        ("* * */20 * 1L", "describes a time that never comes"),
        ("@reboot", "is not one of @hourly, @daily"),
        ("every", "is not an interval such as"),
        ("every 5", "is not an interval such as"),
        ("every 5 m", "is not an interval such as"),
        ("every 5s1m", "is not an interval such as"),
        ("every -5s", "is not an interval such as"),
        ("every ٣s", "is not an interval such as"),
        ("every 0s", "is not a timedelta from 0:00:01 to 366 days"),
        ("every 367d", "is not a timedelta from 0:00:01 to 366 days"),
        ("every 99999999d99999999h", "is not a timedelta from 0:00:01 to 366 days"),
        ("9" * 198 + " *", "has 2 fields"),
        ("9" * 190 + " * * * *", "bad minute"),
    ],
)
def test_what_is_refused(expression: str, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        read_rhythm(expression, "UTC")


@pytest.mark.parametrize(
    "zone", ["", "Mars/Base", "Europe", "../../etc/passwd", "/etc/localtime", "UTC\0", "x" * 65, "zone.tab", "é\ud800"]
)  # fmt: skip
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^zone "):
        read_rhythm("* * * * *", zone)


def output_of(code: str, **environment: str) -> str:
    """Run code in a new interpreter, and return what it prints."""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_without_zones_of_its_own_a_machine_has_those_of_the_package() -> None:
    code = "from persistentq.rhythm import read_rhythm; read_rhythm('0 3 * * *', 'Africa/Casablanca'); print('read')"
    assert output_of(code, PYTHONTZPATH="") == "read\n"


def test_neither_the_parser_nor_the_zones_are_loaded_before_they_are_used() -> None:
    code = "import sys, persistentq; print([name for name in ('cronsim', 'zoneinfo') if name in sys.modules])"
    assert output_of(code) == "[]\n"


def test_a_long_gap_costs_no_look_at_all_that_was_missed() -> None:
    """Thirty years of minutes would take ten minutes."""
    minutely = Schedule(
        "s", "* * * * *", "t", zone="Europe/Berlin", catch_up=CatchUp.ALL, catch_up_limit=1000
    )
    now = datetime(2026, 10, 25, 1, 30, 30, tzinfo=UTC)
    ticks, next_at = plan(minutely, datetime(1996, 1, 1, tzinfo=UTC), now, 1000)
    assert ticks == [now.replace(second=0) - timedelta(minutes=number) for number in reversed(range(1000))]
    assert next_at == now.replace(minute=31, second=0)
    yearly = Schedule("s", "@yearly", "t", catch_up=CatchUp.ALL)
    assert [tick.year for tick in plan(yearly, datetime(1996, 1, 1, tzinfo=UTC), now, 1000).ticks] == [
        *range(1996, 2027)
    ]


def test_a_stored_tick_counts_although_the_clocks_rules_have_changed() -> None:
    """The next tick was found before a country changed its mind: it is late once, not left out."""
    daily = Schedule("s", "0 3 * * *", "t", zone="Europe/Berlin")
    stored = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
    ticks, next_at = plan(daily, stored, stored + timedelta(seconds=1), 10)
    assert (ticks, next_at) == ([stored], datetime(2026, 7, 2, 1, 0, tzinfo=UTC))


def test_a_preview() -> None:
    schedule = Schedule("s", "0 3 * * *", "t", zone="Europe/Berlin")
    after = datetime(2026, 10, 24, 0, 59, tzinfo=UTC)
    assert [tick.isoformat() for tick in schedule.preview(after, 2)] == [
        "2026-10-24T01:00:00+00:00",
        "2026-10-25T02:00:00+00:00",
    ]
    for wrong in (0, 1001):
        with pytest.raises(InvalidArgument):
            schedule.preview(after, wrong)


def test_a_schedule_keeps_a_copy_of_what_it_was_given() -> None:
    args, tags = {"list": [1]}, ["a"]
    schedule = Schedule("s", "@daily", "t", args, tags=tags, catch_up="all")  # type: ignore[arg-type]
    args["list"].append(2)
    tags.append("b")
    assert (schedule.args, schedule.tags, schedule.catch_up) == ({"list": [1]}, ("a",), CatchUp.ALL)
    assert isinstance(schedule.catch_up, CatchUp)
