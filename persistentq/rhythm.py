"""When a schedule ticks: at the times of a cron expression on the clocks of a zone, or at even intervals. Pure rules.

Clocks that are put forward or back are treated as by the cron of Debian and of Paul Vixie, which sees two kinds of
expressions. One whose minute or hour begins with `*` goes by the clock's face: it ticks twice in an hour that comes
twice, and not in one that never comes. Any other means certain times of the day, each of which ticks once: a time that
comes twice does so the first time, and a time that never comes does so at the moment when the clock jumps over it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from persistentq.checks import check_span, check_text
from persistentq.errors import InvalidArgument

LONGEST_EXPRESSION, LONGEST_ZONE = 200, 64
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(days=366)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_INTERVAL = re.compile(
    r"every\s+(?=\d)(?:(\d{1,8})d)?(?:(\d{1,8})h)?(?:(\d{1,8})m)?(?:(\d{1,8})s)?", re.ASCII
)


class Rhythm(ABC):
    """An endless row of ticks, each an aware UTC datetime."""

    @abstractmethod
    def after(self, moment: datetime) -> datetime:
        """Return the first tick later than `moment`; intervals are counted from `moment`."""

    @abstractmethod
    def latest(self, first: datetime, now: datetime, most: int) -> list[datetime]:
        """Return the latest ticks from `first`, which is one itself, up to `now`.

        Returns:
            1 to `most` ticks, oldest first. It is not looked at how many there are before those.
        """

    @abstractmethod
    def in_words(self) -> str:
        """Say it in English."""


class Every(Rhythm):
    """Ticks that are always the same time apart, whatever the clocks on the wall do."""

    def __init__(self, span: timedelta) -> None:
        self.span = span

    def after(self, moment: datetime) -> datetime:
        """Return the end of the interval that begins at `moment`."""
        return moment + self.span

    def latest(self, first: datetime, now: datetime, most: int) -> list[datetime]:
        """Return the latest ticks; see Rhythm."""
        count = (now - first) // self.span + 1
        return [first + number * self.span for number in range(max(0, count - most), count)]

    def in_words(self) -> str:
        """Say it in English."""
        rest, text = self.span // SECOND, ""
        for letter, unit in UNITS.items():
            number, rest = divmod(rest, timedelta(**{unit: 1}) // SECOND)
            text += f"{number}{letter}" if number else ""
        return f"Every {text}"


class Cron(Rhythm):
    """Ticks at the times of a cron expression.

    The expression is read, and walked along a plain calendar, by a library; what the zone's clocks do is up to us.

    Raises:
        InvalidArgument: the expression cannot be read, or its time never comes.
    """

    def __init__(self, expression: str, zone: tzinfo) -> None:
        self._expression, self._zone = expression, zone
        fields = expression.split()
        if len(fields) != 5:
            raise InvalidArgument("expression", expression, f"has {len(fields)} fields instead of five")
        self._by_face = any(field.startswith("*") for field in fields[:2])
        # What comes at all comes within the years in which the days of the week and of the month have met once.
        if next(self._walls(datetime(2000, 1, 1)), None) is None:  # noqa: DTZ001 - a wall clock has no zone
            raise InvalidArgument("expression", expression, "describes a time that never comes")

    def after(self, moment: datetime) -> datetime:
        """Return the first tick later than `moment`."""
        here = moment.astimezone(self._zone)
        wall = here.replace(tzinfo=None)
        # In an hour that comes twice, what its first half has passed by may come in its second.
        twice = _offset(here.replace(fold=0)) - _offset(here.replace(fold=1))
        found: list[datetime] = []
        for shown in self._walls(wall - twice):
            found += [tick for tick in self._moments(shown) if tick > moment]
            if shown > wall and found:
                return min(found)
        raise InvalidArgument("expression", self._expression, f"describes no time after {moment}")

    def latest(self, first: datetime, now: datetime, most: int) -> list[datetime]:
        """Return the latest ticks; see Rhythm."""
        span = most * MINUTE
        while (start := now - span) > first:
            if len(found := self._between(start, now)) >= most:
                return found[-most:]
            span *= 2
        return [first, *self._between(first, now)][-most:]

    def in_words(self) -> str:
        """Say it in English."""
        from cronsim import CronSim

        return CronSim(self._expression, datetime(2000, 1, 1)).explain()  # noqa: DTZ001 - as above

    def _between(self, start: datetime, end: datetime) -> list[datetime]:
        found = []
        while (start := self.after(start)) <= end:
            found.append(start)
        return found

    def _walls(self, start: datetime) -> Iterator[datetime]:
        """Yield what a clock that is never changed shows at each tick after `start`."""
        from cronsim import CronSim, CronSimError

        try:
            # Not in the zone, though the library could: where clocks change by half an hour it passes ticks by.
            yield from CronSim(self._expression, start)
        except CronSimError as error:
            problem = f"is not a cron expression: {str(error).lower()}"
            raise InvalidArgument("expression", self._expression, problem) from error

    def _moments(self, wall: datetime) -> list[datetime]:
        """Return the ticks that are due when the zone's clocks show `wall`."""
        early, late = (wall.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if early.astimezone(self._zone).replace(tzinfo=None) != wall:
            return [] if self._by_face else [self._jump(late, early)]
        return [early, late] if self._by_face and early != late else [early]

    def _jump(self, before: datetime, after: datetime) -> datetime:
        """Return the moment between two others when the zone's clocks are changed."""
        offset = _offset(before.astimezone(self._zone))
        while after - before > SECOND:
            middle = (before + (after - before) / 2).replace(microsecond=0)
            if _offset(middle.astimezone(self._zone)) == offset:
                before = middle
            else:
                after = middle
        return after


def read_rhythm(expression: str, zone: str) -> Rhythm:
    """Return the ticks that an expression describes.

    Args:
        expression: Five fields of cron, a nickname such as `@daily`, or an interval such as `every 90s`.
        zone: The name of a time zone, as `Europe/Berlin`; an interval does not depend on it.

    Raises:
        InvalidArgument: one of them cannot be read.
    """
    text = check_text("expression", expression, LONGEST_EXPRESSION).strip().lower()
    place = find_zone(zone)
    if text.startswith("every"):
        return Every(_span(expression, text))
    if text.startswith("@") and text not in NICKNAMES:
        raise InvalidArgument("expression", expression, f"is not one of {', '.join(NICKNAMES)}")
    return Cron(NICKNAMES.get(text, expression), place)


def find_zone(name: str) -> tzinfo:
    """Return the time zone of this name.

    Raises:
        InvalidArgument: this machine knows none.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    check_text("zone", name, LONGEST_ZONE)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        problem = "is not a time zone that this machine knows, such as Europe/Berlin"
        raise InvalidArgument("zone", name, problem) from error


def _offset(here: datetime) -> timedelta:
    return here.utcoffset() or timedelta(0)


def _span(expression: str, text: str) -> timedelta:
    found = _INTERVAL.fullmatch(text)
    if found is None:
        problem = "is not an interval such as `every 90s`, `every 15m` or `every 1h30m`"
        raise InvalidArgument("expression", expression, problem)
    parts = {unit: int(number or 0) for unit, number in zip(UNITS.values(), found.groups(), strict=True)}
    return check_span("interval", timedelta(**parts), SHORTEST, LONGEST)
