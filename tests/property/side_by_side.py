"""The model and a database side by side: one act on both, one clock for both, and what both must agree on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant
from sqlalchemy import delete

from persistentq import (
    Attempt,
    ConsumerInfo,
    Job,
    PersistentQError,
    PersistentQInterface,
    PersistentQMemory,
    QueueInfo,
    StorageError,
    clock,
)
from persistentq.sql.models import ConsumerRow, JobRow, PauseRow
from tests.contract.conftest import age_everything
from tests.property.mishaps import Fragile, When

Pair = TypeVar("Pair", tuple[int, int], tuple[Job, Job])
Act = Callable[[PersistentQInterface], Any]
CONSUMERS = ("c0", "c1", "c2")
QUEUES = ("a", "b")
LEASE = timedelta(seconds=65)
"""Time moves by tens of seconds, and whatever lasts, lasts for an odd number of fives: between what is over and what
is not lie five seconds, in which even a slow machine has done its act."""
NEARLY = timedelta(seconds=4)
WHICH = st.integers(0, 5)
"""Which of the latest jobs or claims. A number, as a failing history is printed."""
MOMENT = timedelta(milliseconds=1)
"""Between two acts the model's clock must move, as the database's does by itself: who came first leaves first."""

JOB_TIMES = ("created_at", "run_at", "started_at", "finished_at", "lease_until")
JOB_FIELDS = [one.name for one in fields(Job) if one.name not in ("id", "args", *JOB_TIMES)]


def shown(value: object, known_as: Mapping[int, int]) -> object:
    """Return what both must agree on.

    Not times, which are compared by themselves, nor ids, in which a database may leave gaps: `known_as` gives each id
    the place of its job.
    """
    match value:
        case Job():
            place = known_as.get(value.id)
            return (place, *(getattr(value, name) for name in JOB_FIELDS), dict(value.args))
        case QueueInfo():
            return value.name, dict(value.counts), value.is_paused, value.paused_until is None
        case ConsumerInfo():
            return value.id, value.host, value.pid, value.queues, value.held, value.stopped_at is None
        case Attempt():
            return value.attempt, value.consumer, value.outcome, value.error_type, value.error
        case list() | tuple():
            return [shown(one, known_as) for one in value]
    return value


def outcome(act: Act, queue: PersistentQInterface) -> Any:
    """Return what the act returns, or which error of ours it raises; the database itself must not fail."""
    try:
        return act(queue)
    except StorageError:
        raise
    except PersistentQError as error:
        return type(error)


def empty(queue: Fragile) -> None:
    """Delete every row, which is quicker than to make the tables anew as `emptied` does."""
    with queue.engine.begin() as connection:
        for table in (JobRow, ConsumerRow, PauseRow):
            connection.execute(delete(table))


class SideBySide(RuleBasedStateMachine):
    """One model, one database with two queue objects on it that are used in turn, and what is known of both.

    Attributes:
        claims: Every job as a consumer once got it, on either side.
        jobs: The ids of the same job on either side, in the order in which the jobs came.
        mishap: What is to befall the next act.
        heard: What came of the latest act on the database.
        is_standing: The database's times must not be touched now.
        has_died: A process has, in this history.
    """

    def __init__(self, queues: list[Fragile]) -> None:
        super().__init__()
        self.queues = queues
        empty(queues[0])
        self.began = clock.now()
        self.passed = self.aged = timedelta(0)
        self.model = PersistentQMemory(now=lambda: self.began + self.passed)
        self.claims: list[tuple[Job, Job]] = []
        self.jobs: list[tuple[int, int]] = []
        self.mishap: tuple[When, int] | None = None
        self.heard: Any = None
        self.is_standing = self.has_died = False

    # --- acts

    @property
    def database(self) -> Fragile:
        """The queue object whose turn it is."""
        return self.queues[0]

    def both(self, act: Act, *, may_repeat: bool = True, has_stages: bool = False) -> tuple[Any, Any]:
        """Do it on both sides, which must agree; return what came of it, or two empty lists if nobody heard.

        Args:
            may_repeat: Done twice, it stands as if done once.
            has_stages: It is several transactions, the first of which do what cleanup does.
        """
        self.let_pass(MOMENT)
        self.queues.reverse()
        mishap, self.mishap = self.mishap, None
        if mishap is not None:
            when, transaction = mishap
            when = when if may_repeat else When.BEFORE_COMMIT
            if self.is_unheard(act, when, transaction if has_stages else 1):
                return [], []
        else:
            self.heard = outcome(act, self.database)
        mine = outcome(act, self.model)
        self.agree(mine, self.heard)
        return mine, self.heard

    def is_unheard(self, act: Act, when: When, transaction: int) -> bool:
        """Do it on the database, whose connection is dropped meanwhile; return whether its outcome is lost."""
        before = self.database.drops
        self.database.arm(when, transaction)
        try:
            self.heard = outcome(act, self.database)
            # There were fewer transactions than that, or it was undone and the call was made again.
            if self.database.drops == before or when is When.BEFORE_COMMIT:
                return False
        except StorageError:
            assert self.database.drops > before
        finally:
            self.database.disarm()
        if when is When.AFTER_COMMIT:
            outcome(act, self.model)
        # Of an act in stages, some may have been done.
        self.level()
        self.meet_new_jobs()
        return True

    def level(self) -> None:
        """Leave nothing overdue on either side, and nobody who could be forgotten."""
        self.let_pass(MOMENT)
        for store in (self.model, self.database):
            # Whether a consumer whose last job is taken back is forgotten at once or the next time is not promised.
            store.cleanup(), store.cleanup()

    @staticmethod
    def latest(pairs: list[Pair], which: int) -> Pair:
        """Return one of the last six."""
        return pairs[-6:][which % len(pairs[-6:])]

    def of(self, store: PersistentQInterface, pair: tuple[Any, Any]) -> Any:
        """Return which of the two is that side's."""
        return pair[0 if isinstance(store, PersistentQMemory) else 1]

    # --- time

    def let_pass(self, span: timedelta) -> None:
        """Move both clocks; the database's is only moved when it matters, and allows for the real time that passes."""
        self.passed += span
        behind = self.passed - (clock.now() - self.began) - self.aged
        if (span > MOMENT or abs(behind) > NEARLY / 4) and not self.is_standing:
            age_everything(self.queues[0], behind.total_seconds())
            self.aged += behind

    def is_same_moment(self, mine: datetime | None, theirs: datetime | None) -> bool:
        """Return whether a time of the model's and one of the database's, as it is by now, stand for the same."""
        if mine is None or theirs is None:
            return mine is theirs
        return abs(theirs + self.aged - mine) < NEARLY

    # --- agreement

    def agree(self, mine: object, theirs: object) -> None:
        first, second = ({ids[side]: place for place, ids in enumerate(self.jobs)} for side in (0, 1))
        expected, found = shown(mine, first), shown(theirs, second)
        assert expected == found, f"\nthe model:    {expected}\nthe database: {found}"

    def meet_new_jobs(self) -> None:
        """Pair the jobs of which no caller has heard."""
        sides = []
        for side, store in enumerate((self.model, self.queues[0])):
            known = {ids[side] for ids in self.jobs}
            sides.append(sorted(job.id for job in store.list_jobs(limit=1000) if job.id not in known))
        self.jobs += zip(*sides, strict=True)

    def remember(self, enqueued: tuple[list[Job], list[Job]]) -> None:
        """Keep the ids of jobs that were enqueued on both sides."""
        ids = {(one.id, other.id) for one, other in zip(*enqueued, strict=True)}
        self.jobs += sorted(ids - set(self.jobs))

    @invariant()
    def they_stand_alike(self) -> None:
        self.stand_alike(self.queues[0])

    def stand_alike(self, database: PersistentQInterface) -> None:
        mine, theirs = (list(store.list_jobs(limit=1000)) for store in (self.model, database))
        self.agree(mine, theirs)
        for one, other in zip(mine, theirs, strict=True):
            for name in JOB_TIMES:
                expected, found = getattr(one, name), getattr(other, name)
                assert self.is_same_moment(expected, found), (name, expected, found, self.aged)
        for one, other in list(zip(mine, theirs, strict=True))[:1]:
            self.agree(self.model.get_attempts(one.id), database.get_attempts(other.id))

    # --- what others do not see

    def fork(self) -> PersistentQMemory:
        """Return a copy of the model that goes its own way from here."""
        twin = copy.copy(self.model)
        for name in ("_jobs", "_budgets", "_consumers", "_pauses"):
            setattr(twin, name, dict(getattr(twin, name)))
        twin._history = {job: list(attempts) for job, attempts in twin._history.items()}
        return twin
