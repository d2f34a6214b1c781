"""Whether the queue is well: the database, its consumers, the clocks, and what is around them on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from persistentq import clock
from persistentq.errors import PersistentQError
from persistentq.insight import Check, Grade, Overview
from persistentq.interface import PersistentQInterface
from persistentq.operations.surroundings import Surroundings, check_surroundings
from persistentq.operations.why import SKEWED, skew
from persistentq.text import ago

LATE = timedelta(minutes=5)
"""A job that could have run for so long makes its queue a delayed one."""

FAR_OFF = timedelta(seconds=30)
"""A clock that is off by more than this lets people be told wrong times."""


def doctor(
    queue: PersistentQInterface | PersistentQError,
    around: Surroundings | None = None,
    *,
    late: timedelta = LATE,
) -> list[Check]:
    """Look at everything that is known to go wrong; nothing is changed. It may be repeated.

    Args:
        queue: The queue, or the error with which it could not be opened.
        around: What else to look at on this machine.
        late: A queue whose oldest job that could run is older than this is delayed.

    Returns:
        One check for each thing, in a fixed order. A database that cannot be asked is a failed check, not an error.
    """
    return [*_database(queue, late), *check_surroundings(around or Surroundings())]


def worst(checks: list[Check]) -> Grade:
    """Return the worst grade there is; OK if there is no check."""
    grades = {check.grade for check in checks}
    return next((grade for grade in (Grade.FAIL, Grade.WARN) if grade in grades), Grade.OK)


def _database(queue: PersistentQInterface | PersistentQError, late: timedelta) -> Iterator[Check]:
    if isinstance(queue, PersistentQError):
        yield _failed(queue)
        return
    try:
        before = clock.now()
        overview = queue.overview()
        after = clock.now()
        yield Check("database", Grade.OK, queue.location)
        yield check_clock(overview.now, before, after)
        yield check_leases(overview)
        yield check_consumers(overview)
        yield check_waiting(overview, late)
        yield check_pauses(overview, late)
        yield from queue.examine(thorough=True).checks
    except PersistentQError as error:
        yield _failed(error)


def _failed(error: PersistentQError) -> Check:
    return Check("database", Grade.FAIL, error.summary, error.hint)


def check_clock(there: datetime, before: datetime, after: datetime) -> Check:
    """Say by how much the database's clock differs from this machine's."""
    found = skew(there, before, after)
    if abs(found) <= SKEWED:
        return Check("clock", Grade.OK, "the database's clock and this machine's agree")
    side = "ahead of" if found > timedelta(0) else "behind"
    text = f"the database's clock is {ago(abs(found))} {side} this machine's"
    grade = Grade.FAIL if abs(found) > FAR_OFF else Grade.WARN
    return Check("clock", grade, text, "set both by NTP; until then give delay=, not run_at=")


def check_leases(overview: Overview) -> Check:
    """Say which leases ran out without anybody taking the jobs back."""
    if not overview.expired:
        return Check("leases", Grade.OK, "no lease has run out")
    oldest = overview.expired[0]
    many, age = len(overview.expired), ago(overview.now - oldest.lease_until)
    number = f"{many:,} {'leases have' if many > 1 else 'lease has'}"
    text = f"{number} run out, the oldest {age} ago: job {oldest.job_id}, held by {oldest.consumer}"
    return Check("leases", Grade.WARN, text, "start a consumer: its first claim takes the jobs back")


def check_consumers(overview: Overview) -> Check:
    """Say which consumers fell silent, or say themselves that something is wrong."""
    silent = [one for one in overview.consumers if one.stopped_at is None and not one.is_alive]
    troubled = [one for one in overview.consumers if one.is_alive and one.trouble]
    parts = [f"{one.id} on {one.host} has been silent for {ago(one.silent_for)}" for one in silent]
    parts += [f"{one.id} says: {one.trouble}" for one in troubled]
    if parts:
        remedy = (
            f"logs {(silent or troubled)[0].id} shows its log; start it if it is gone, kill it if it is stuck: "
            "its jobs come back within their lease"
        )
        return Check("consumers", Grade.WARN, "; ".join(parts), remedy)
    alive = sum(one.is_alive for one in overview.consumers)
    return Check("consumers", Grade.OK, f"{alive} alive, none silent")


def check_waiting(overview: Overview, late: timedelta) -> Check:
    """Say which queues are delayed, and which have nobody who serves them."""
    served = {name for one in overview.consumers if one.is_alive for name in one.queues}
    delayed = [one for one in overview.waiting if not one.is_paused and overview.now - one.since > late]
    if not delayed:
        return Check("queues", Grade.OK, f"no job that could run has waited for more than {ago(late)}")
    unserved = [one.queue for one in delayed if one.queue not in served]
    parts = [
        f"{one.queue} for {ago(overview.now - one.since)}"
        + ", and no living consumer serves it" * (one.queue in unserved)
        for one in delayed
    ]
    remedy = f"python -m consumer.consumer --queues {','.join(unserved)}" if unserved else "add consumers"
    return Check("queues", Grade.WARN, f"jobs wait in {'; '.join(parts)}", remedy)


def check_pauses(overview: Overview, late: timedelta) -> Check:
    """Say which queues hand out nothing although their jobs have waited for long."""
    held = [one for one in overview.waiting if one.is_paused and overview.now - one.since > late]
    if not held:
        return Check("pauses", Grade.OK, f"no job of a paused queue has waited for more than {ago(late)}")
    parts = [f"{one.queue}, where jobs wait for {ago(overview.now - one.since)}" for one in held]
    remedy = f"journal tells who paused it and why; when that is over: resume {held[0].queue}"
    return Check("pauses", Grade.WARN, f"paused: {'; '.join(parts)}", remedy)
