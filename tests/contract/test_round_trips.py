"""What goes in comes out equal, or is refused before anything is written."""

# ruff: noqa: DTZ001 - wall times that get their zone later
from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from persistentq import (
    InvalidArgument,
    LeaseLost,
    NewJob,
    PayloadError,
    PersistentQInterface,
    PersistentQSQLAlchemy,
)

EACH, BATCHES = 100, 100
"""10,000 arguments for each implementation."""

ODD_TEXT = st.sampled_from(
    ["\0", "a\0b", "\ud800", "x\udfff", "\ufffe", "'; DROP TABLE", "\\u0000", "🎈", "\r\n\t"]
)
TEXT = st.text(max_size=12) | ODD_TEXT
NUMBERS = (
    st.integers() | st.floats() | st.sampled_from([-0.0, 1e308, 5e-324, 2**63, -(2**64), 10**40, math.nan])
)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXT
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXT, inner, max_size=4)
        | st.dictionaries(st.integers(), inner, max_size=2)
    ),
    max_leaves=12,
)


def nested(depth: int) -> Any:
    value: Any = "deep"
    for level in range(depth):
        value = [value] if level % 2 else {"in": value}
    return value


ARGS = st.dictionaries(TEXT, VALUES | st.integers(60, 68).map(nested), max_size=4)


def is_storable(value: Any, depth: int = 1) -> bool:
    """Whether the contract allows it; said in other words than the library's."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        parts = [*value.values()]
        sound = all(isinstance(key, str) and is_storable(key) for key in value)
        return sound and depth <= 64 and all(is_storable(part, depth + 1) for part in parts)
    if isinstance(value, list | tuple):
        return depth <= 64 and all(is_storable(part, depth + 1) for part in value)
    return True


def as_json(value: Any) -> Any:
    """A tuple comes back as a list; the sign of a zero and whole floats must stay what they were."""
    if isinstance(value, dict):
        return {key: as_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(part) for part in value]
    return (repr(value), type(value)) if isinstance(value, float) else value


@pytest.mark.timeout(400)
def test_ten_thousand_arguments(queue: PersistentQInterface) -> None:
    counts = {"stored": 0, "refused": 0}

    @settings(
        max_examples=BATCHES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(ARGS, min_size=EACH, max_size=EACH))
    def one_batch(many: list[dict[str, Any]]) -> None:
        sound = [args for args in many if is_storable(args)]
        for args in many:
            if not is_storable(args):
                with pytest.raises(PayloadError):
                    queue.enqueue("t", args)
        jobs = queue.enqueue_many(NewJob("t", args) for args in sound)
        wanted = [as_json(args) for args in sound]
        taken = queue.dequeue("c", limit=EACH)
        assert [as_json(job.args) for job in jobs] == wanted
        assert [as_json(job.args) for job in taken] == wanted
        assert queue.complete_many(taken) == []
        counts["stored"] += len(sound)
        counts["refused"] += len(many) - len(sound)

    one_batch()
    assert sum(counts.values()) >= EACH * BATCHES
    assert min(counts.values()) >= 500, counts


def zones() -> Iterator[Any]:
    yield from (UTC, timezone(timedelta(hours=-11)), timezone(timedelta(hours=5, minutes=45, seconds=7)))
    yield from map(ZoneInfo, ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Africa/Monrovia"))


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize(
    "wall",
    [
        datetime(1971, 6, 1, 12),  # Monrovia was 44 and a half minutes behind
        datetime(2026, 3, 29, 2, 30),  # does not exist in Berlin
        datetime(2026, 10, 25, 2, 30),  # exists twice there
        datetime(2026, 11, 1, 1, 30),  # exists twice in New York
        datetime(2999, 12, 31, 23, 59, 59, 999_999),
    ],
)
def test_an_instant_is_the_same_in_every_zone(queue: PersistentQInterface, wall: datetime, fold: int) -> None:
    given_times = [wall.replace(tzinfo=zone, fold=fold) for zone in zones()]
    jobs = queue.enqueue_many(NewJob("t", run_at=moment) for moment in given_times)
    for moment, job in zip(given_times, jobs, strict=True):
        instant = moment.astimezone(UTC)
        stored = queue.get_job(job.id).run_at
        assert (stored, stored.utcoffset(), job.run_at) == (instant, timedelta(0), instant)


def test_a_naive_time_is_refused(queue: PersistentQInterface) -> None:
    with pytest.raises(InvalidArgument, match="not an aware datetime"):
        queue.enqueue("t", run_at=datetime(2026, 1, 1))
    assert queue.count_jobs() == {}


@pytest.mark.parametrize("last", [2**31 - 2, 2**53 - 2, 2**63 - 9], ids=["31 bits", "53 bits", "63 bits"])
def test_ids_of_any_size(queue: PersistentQInterface, last: int) -> None:
    if not isinstance(queue, PersistentQSQLAlchemy):
        queue._last_id = last  # type: ignore[attr-defined]
    elif queue.engine.dialect.name == "postgresql":
        with queue.engine.begin() as connection:
            connection.execute(text(f"SELECT setval('persistentq_jobs_id_seq', {last})"))
    else:
        queue.delete_job(queue.enqueue("t").id)
        with queue.engine.begin() as connection:
            connection.execute(
                text(f"UPDATE sqlite_sequence SET seq = {last} WHERE name = 'persistentq_jobs'")
            )
    one = queue.enqueue("t", {"pad": "x" * 3000})
    many = queue.enqueue_many([NewJob("t")] * 3)
    ids = [job.id for job in (one, *many)]
    assert ids == [last + 1, last + 2, last + 3, last + 4]
    page = queue.list_jobs(limit=3)
    assert [job.id for job in (*page, *queue.list_jobs(limit=3, after=page.next))] == ids[::-1]
    first, second, third, fourth = queue.dequeue("c", limit=4)
    assert [first.id, second.id, third.id, fourth.id] == ids
    assert [job.id for job in queue.extend([first, second])] == ids[:2]
    queue.complete(first)
    assert queue.complete_many([second]) == []
    queue.fail(third, "broke", retry=False)
    assert [attempt.attempt for attempt in queue.get_attempts(third.id)] == [1]
    assert queue.resubmit(third.id).id == third.id
    queue.cancel(fourth.id)
    assert queue.release([fourth]) == []
    with pytest.raises(LeaseLost):
        queue.complete(fourth)
    assert queue.get_job(ids[0]).args == {"pad": "x" * 3000}
