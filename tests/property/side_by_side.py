"""The model and a database side by side: one act on both, one clock for both, and what both must agree on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant
from sqlalchemy import delete, select

from persistentq import (
    Attempt,
    Job,
    PersistentQError,
    PersistentQInterface,
    PersistentQMemory,
    StorageError,
)
from persistentq.settlement import Turn
from persistentq.sql.journal_models import JournalRow, TrashRow
from persistentq.sql.models import AttemptRow, ConsumerRow, JobRow, PauseRow
from persistentq.sql.rows import from_driver, to_attempt
from tests.property.mishaps import Fragile, When
from tests.property.one_clock import BEGINNING, MOMENT, OneClock

Act = Callable[[PersistentQInterface], Any]
CONSUMERS = ("c0", "c1", "c2")
QUEUES = ("a", "b")
LEASE = timedelta(seconds=65)
UNHEARD = object()
"""What came of an act whose caller will never know."""

EVERY_ATTEMPT = select(*AttemptRow.__table__.columns).order_by(AttemptRow.job_id, AttemptRow.attempt)
WHICH = st.integers(0, 11)
"""Which of the latest jobs or claims. A number, as a failing history is printed."""


class Model(PersistentQMemory):
    """The memory model, and what others see of it while a transaction of a caller's is open.

    Attributes:
        locked: The jobs that the open transaction holds fast: nobody takes them back before it ends.
    """

    locked: frozenset[int] = frozenset()

    def _expire(self, job: Job) -> None:
        if job.id not in self.locked:
            super()._expire(job)

    def fork(self) -> Model:
        """Return a copy that goes its own way from here."""
        twin = copy.copy(self)
        for name in ("_jobs", "_budgets", "_consumers", "_pauses"):
            setattr(twin, name, dict(getattr(twin, name)))
        twin._history = {job: list(attempts) for job, attempts in twin._history.items()}
        return twin

    def put(self, jobs: Mapping[int, Job]) -> None:
        """Let these jobs be as given, among them new ones."""
        self._jobs.update(jobs)
        for job in jobs.values():
            self._budgets.setdefault(job.id, job.max_attempts)


def shown(value: object, known_as: Mapping[int, int]) -> object:
    """Return what both must agree on: all but ids, in which a database may leave gaps.

    Args:
        known_as: Gives each id the place of its job.
    """
    match value:
        case Job():
            return replace(value, id=known_as.get(value.id, 0))
        case Turn():
            refused, lost = (sorted(known_as[job.id] for job in jobs) for jobs in (value.refused, value.lost))
            cancelling = sorted(known_as[job_id] for job_id in value.cancelling)
            return [refused, lost, cancelling, shown(value.claimed, known_as)]
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


class SideBySide(RuleBasedStateMachine):
    """One model, one database with two queue objects on it that are used in turn, and what is known of both.

    Attributes:
        claims: Every job as a consumer once got it, on either side.
        jobs: The ids of the same job on either side, in the order in which the jobs came.
        mishap: What is to befall the next act.
    """

    def __init__(self, queues: list[Fragile], clock: OneClock) -> None:
        super().__init__()
        self.queues, self.clock = queues, clock
        clock.put(BEGINNING)
        with queues[0].engine.begin() as connection:
            for table in (JobRow, ConsumerRow, PauseRow, JournalRow, TrashRow):
                connection.execute(delete(table))
        self.model = Model(now=clock.now)
        self.claims: list[tuple[Job, Job]] = []
        self.jobs: list[tuple[int, int]] = []
        self.mishap: tuple[When, int] | None = None

    # --- acts

    @property
    def database(self) -> Fragile:
        """The queue object whose turn it is."""
        return self.queues[0]

    def both(self, act: Act, *, may_repeat: bool = True, first: Act | None = None) -> tuple[Any, Any]:
        """Do it on both sides, which must agree; return what came of it, or two empty lists if nobody heard.

        Args:
            may_repeat: Done twice, it stands as if done once.
            first: What the first of several transactions does; others before the last do what cleanup does.
        """
        self.let_pass(MOMENT)
        self.queues.reverse()
        mishap, self.mishap = self.mishap, None
        if mishap is None:
            theirs = outcome(act, self.database)
        else:
            when, transaction = mishap
            when = when if may_repeat else When.BEFORE_COMMIT
            theirs = self.amid_a_drop(act, when, 1 if first is None else transaction, first)
        if theirs is UNHEARD:
            self.level()
            self.meet_new_jobs()
            return [], []
        mine = outcome(act, self.model)
        self.agree(mine, theirs)
        return mine, theirs

    def amid_a_drop(self, act: Act, when: When, transaction: int, first: Act | None) -> Any:
        """Do it on the database, whose connection is dropped meanwhile; return what came of it, or UNHEARD."""
        database, before = self.database, self.database.drops
        database.arm(when, transaction)
        try:
            theirs = outcome(act, database)
        except StorageError:
            if database.drops == before:
                raise
            theirs = UNHEARD
        finally:
            database.disarm()
        if database.drops == before:  # it was fewer transactions than that
            return theirs
        # Where the call was made again by itself, it met what the first transaction had done.
        if first is not None and transaction > 1:
            outcome(first, self.model)
        if when is When.AFTER_COMMIT:
            outcome(act, self.model)
            return UNHEARD
        return theirs

    def level(self) -> None:
        """Leave nothing overdue on either side, and nobody who could be forgotten; no time passes meanwhile."""
        for store in (self.model, self.database):
            # Whether a consumer whose last job is taken back is forgotten at once or the next time is not promised.
            store.cleanup(), store.cleanup()

    def a_job(self, which: int) -> tuple[int, int]:
        """Return the ids of one of the last six jobs."""
        return self.jobs[-6:][which % len(self.jobs[-6:])]

    def a_claim(self, which: int) -> tuple[Job, Job]:
        """Return one of the last six claims; for an even number, of those that are still held, if there are any."""
        held = [claim for claim in self.claims if self.model._is_held(claim[0])] if which % 2 == 0 else []
        claims = (held or self.claims)[-6:]
        return claims[which // 2 % len(claims)]

    def of(self, store: PersistentQInterface, pair: tuple[Any, Any]) -> Any:
        """Return which of the two is that side's."""
        return pair[0 if isinstance(store, PersistentQMemory) else 1]

    def let_pass(self, span: timedelta) -> None:
        self.clock.put(self.clock.now() + span)

    # --- agreement

    def agree(self, mine: object, theirs: object) -> None:
        first, second = ({ids[side]: place for place, ids in enumerate(self.jobs, 1)} for side in (0, 1))
        expected, found = shown(mine, first), shown(theirs, second)
        assert expected == found, f"\nthe model:    {expected}\nthe database: {found}"

    def meet_new_jobs(self) -> None:
        """Pair the jobs of which no caller has heard."""
        sides = []
        for side, store in enumerate((self.model, self.database)):
            known = {ids[side] for ids in self.jobs}
            sides.append(sorted(job.id for job in store.list_jobs(limit=1000) if job.id not in known))
        self.jobs += zip(*sides, strict=True)

    def remember(self, enqueued: tuple[list[Job], list[Job]]) -> None:
        """Keep the ids of jobs that were enqueued on both sides."""
        ids = {(one.id, other.id) for one, other in zip(*enqueued, strict=True)}
        self.jobs += sorted(ids - set(self.jobs))

    @invariant()
    def they_stand_alike(self) -> None:
        """Every job, and every attempt that ended; read as it is stored, which is quicker than to ask for it."""
        with self.database.witness.connect() as connection:
            read = self.database.every_job
            rows = connection.exec_driver_sql(read.sql, read.bind({})).all()
            attempts = connection.execute(EVERY_ATTEMPT).all()
        ended: dict[int, list[Attempt]] = {}
        for row in attempts:
            ended.setdefault(row.job_id, []).append(to_attempt(row))
        history = self.model._history
        mine = [[job, history.get(job.id, [])] for _, job in sorted(self.model._jobs.items())]
        theirs = [[job, ended.get(job.id, [])] for job in map(from_driver, rows)]
        self.agree(mine, theirs)
