"""Ticks, found by looking at the clock of a zone minute by minute, and by the library's rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from persistentq import CatchUp, InvalidArgument, Schedule
from persistentq.rhythm import find_zone, read_rhythm
from persistentq.schedule import ON_TIME, plan

ZONES = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "UTC",
)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WINDOW = 10 * HOUR
Field = tuple[str, frozenset[int]]


@cache
def changes(zone: str) -> list[datetime]:
    """Return the hours before which the zone's clocks are changed; some hour, if they never are."""
    place = ZoneInfo(zone)
    hours = [datetime(2010, 1, 1, tzinfo=UTC) + number * HOUR for number in range(24 * 365 * 18)]
    offsets = [hour.astimezone(place).utcoffset() for hour in hours]
    found = [hours[number + 1] for number, (one, two) in enumerate(pairwise(offsets)) if one != two]
    return found or [datetime(2026, 1, 1, tzinfo=UTC)]


def field(low: int, high: int, *, sunday: bool = False) -> st.SearchStrategy[Field]:
    """A field of a cron expression, with the numbers that it stands for."""
    numbers = st.integers(low, high)
    spans = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))
    steps = st.integers(1, max(2, (high - low) // 2))
    parts: list[st.SearchStrategy[Field]] = [
        numbers.map(lambda number: (str(number), frozenset({number}))),
        spans.map(lambda span: (f"{span[0]}-{span[1]}", frozenset(range(span[0], span[1] + 1)))),
        st.tuples(spans, steps).map(
            lambda made: (f"{made[0][0]}-{made[0][1]}/{made[1]}", frozenset(range(made[0][0], made[0][1] + 1, made[1])))
            if made[0][0] < made[0][1]
            else (str(made[0][0]), frozenset({made[0][0]}))
        ),
    ]  # fmt: skip
    lists = st.lists(st.one_of(parts), min_size=1, max_size=3).map(
        lambda many: (",".join(text for text, _ in many), frozenset().union(*(chosen for _, chosen in many)))
    )
    stars = st.just(("*", frozenset(range(low, high + 1)))) | steps.map(
        lambda step: (f"*/{step}", frozenset(range(low, high + 1, step)))
    )
    return lists | stars


MINUTES, HOURS, DAYS = field(0, 59), field(0, 23), field(1, 31)
EVERY = (("*", frozenset(range(1, 32))), ("*", frozenset(range(1, 13))), ("*", frozenset(range(7))))
DATES = st.just(EVERY) | st.tuples(DAYS, field(1, 12), field(0, 6))
NEAR = st.timedeltas(-WINDOW, HOUR).map(lambda span: span // timedelta(seconds=1) * timedelta(seconds=1))


def on_its_day(shown: datetime, dates: tuple[Field, Field, Field]) -> bool:
    (day_text, days), (_, months), (weekday_text, weekdays) = dates
    by_day, by_weekday = shown.day in days, shown.isoweekday() % 7 in weekdays
    both = day_text.startswith("*") or weekday_text.startswith("*")
    return shown.month in months and (by_day and by_weekday if both else by_day or by_weekday)


def by_looking(
    minutes: Field, hours: Field, dates: tuple[Field, Field, Field], zone: str, after: datetime
) -> list[datetime]:
    """Return the ticks within the window after a moment, by looking at the clock each minute."""
    place = ZoneInfo(zone)
    # A day before: what was skipped then may be due at the end.
    first = after.replace(second=0) - DAY
    looks = [first + number * MINUTE for number in range(int((WINDOW + DAY) / MINUTE) + 1)]
    walls = [look.astimezone(place).replace(tzinfo=None, fold=0) for look in looks]

    def meant(shown: datetime) -> bool:
        return shown.minute in minutes[1] and shown.hour in hours[1] and on_its_day(shown, dates)

    if minutes[0].startswith("*") or hours[0].startswith("*"):
        found = [look for look, shown in zip(looks, walls, strict=True) if meant(shown)]
    else:
        found, furthest = [], walls[0]
        for look, shown in zip(looks[1:], walls[1:], strict=True):
            # What the clock shows for the first time, or jumps over.
            while furthest < shown:
                furthest += MINUTE
                if meant(furthest) and look not in found[-1:]:
                    found.append(look)
    return [tick for tick in found if after < tick <= after + WINDOW]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ZONES), MINUTES, HOURS, DATES, st.data())
def test_ticks_are_those_of_the_clock(
    zone: str, minutes: Field, hours: Field, dates: tuple[Field, Field, Field], data: st.DataObject
) -> None:
    """In the days around a change of the clocks, each of which ever comes."""
    after = data.draw(st.sampled_from(changes(zone))) + data.draw(NEAR)
    text = " ".join([minutes[0], hours[0], *(text for text, _ in dates)])
    try:
        rhythm = read_rhythm(text, zone)
    except InvalidArgument:
        # 30 February: refused, and never seen by looking either.
        assert by_looking(minutes, hours, dates, zone, after) == []
        return
    expected = by_looking(minutes, hours, dates, zone, after)
    found, moment = [], after
    while (moment := rhythm.after(moment)) <= after + WINDOW:
        found.append(moment)
        assert len(found) <= len(expected), (text, found, expected)
    assert found == expected, text


RHYTHMS = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "30 2 * * *",
        "0 0 1 * *",
        "@hourly",
        "*/20 1-3 * * 0",
        "every 1s",
        "every 7h1s",
    ]
)
MOMENTS = st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as asked for


@settings(max_examples=200, deadline=None)
@given(RHYTHMS, st.sampled_from(ZONES), MOMENTS, st.timedeltas(timedelta(0), DAY), st.integers(1, 50))
def test_the_latest_ticks_are_the_last_of_all(
    expression: str, zone: str, before: datetime, gap: timedelta, most: int
) -> None:
    rhythm = read_rhythm(expression, zone)
    first = rhythm.after(before)
    now = first + (gap / 500 if expression == "every 1s" else gap)
    every = [first]
    while (moment := rhythm.after(every[-1])) <= now:
        every.append(moment)
    assert rhythm.latest(first, now, most) == every[-most:]


@settings(max_examples=200, deadline=None)
@given(
    RHYTHMS,
    st.sampled_from(ZONES),
    MOMENTS,
    st.timedeltas(timedelta(0), 400 * DAY) | st.timedeltas(timedelta(0), 2 * HOUR),
    st.sampled_from(CatchUp),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_a_plan_passes_by_no_tick_and_repeats_none(  # noqa: PLR0917 - one for each thing drawn
    expression: str, zone: str, before: datetime, gap: timedelta, catch_up: CatchUp, limit: int, room: int
) -> None:
    schedule = Schedule("s", expression, "t", zone=zone, catch_up=catch_up, catch_up_limit=limit)
    rhythm = schedule.check()
    next_at = rhythm.after(before)
    now = next_at + gap
    wanted = limit if catch_up == CatchUp.ALL else 1
    latest = rhythm.latest(next_at, now, wanted)
    done: list[datetime] = []
    while next_at <= now:
        ticks, following = plan(schedule, next_at, now, room)
        assert following > next_at
        assert len(ticks) <= room
        done, next_at = done + ticks, following
    assert next_at == rhythm.after(latest[-1]) > now
    is_late = now - latest[-1] > ON_TIME
    assert done == ([] if catch_up == CatchUp.SKIP and is_late else latest)


@settings(max_examples=500, deadline=None)
@given(
    st.text(max_size=30)
    | st.lists(st.text("0123456789*/-,#LWmonjan?", max_size=6), min_size=5, max_size=5).map(" ".join)
    | st.from_regex(r"(every|@)[ 0-9dhmsa-z]*", fullmatch=True)
)
@example("0 0 L,15 * *")
@example("0 0 * * 5L")
@example("0 0 LW * *")
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        rhythm = read_rhythm(text, "UTC")
    except InvalidArgument:
        return
    assert rhythm.in_words()
    moment = datetime(2026, 11, 24, 12, 0, 0, 5, UTC)
    assert rhythm.after(moment) > moment


@given(st.text(max_size=20))
def test_any_zone_is_known_or_refused(text: str) -> None:
    try:
        zone = find_zone(text)
    except InvalidArgument:
        return
    assume(zone is not None)
    assert isinstance(zone, ZoneInfo)
