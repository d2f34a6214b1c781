"""Callers' own transactions, dropped connections, and processes that die, on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy.orm import Session

from persistentq import NewJob, PersistentQInterface, PersistentQMemory
from tests.property.mishaps import Fragile, When
from tests.property.rules_of_work import new_jobs
from tests.property.side_by_side import CONSUMERS, LEASE, MOMENT, QUEUES, WHICH, SideBySide, outcome


class Joining(Protocol):
    """An act that can join a transaction."""

    def __call__(self, store: PersistentQInterface, session: Any) -> Any: ...


Planned = tuple[str, int, list[NewJob]]
joining_acts = st.tuples(
    st.sampled_from(["enqueue", "complete", "guard"]), WHICH, st.lists(new_jobs, min_size=1, max_size=2)
)


@dataclass
class Deferred:
    """An act within an open transaction, for the model to do as of then, with the ids of then, if it commits."""

    at: timedelta
    last_id: int
    act: Joining


class Trouble(SideBySide):
    """Whatever ends in an unusual way."""

    @rule(when=st.sampled_from(list(When)), transaction=st.integers(1, 3))
    def the_next_connection_drops(self, when: When, transaction: int) -> None:
        self.mishap = when, transaction

    # Once in a history is enough for what it costs.
    @precondition(lambda self: not self.has_died)
    @rule(consumer=st.sampled_from(CONSUMERS), is_claiming=st.booleans())
    def a_process_dies(self, consumer: str, is_claiming: bool) -> None:
        """What it had committed stays, though nobody heard of it; another process opens the database."""
        if is_claiming:
            self.both(
                lambda store: store.dequeue(consumer, QUEUES, 2, LEASE), may_repeat=False, has_stages=True
            )
        self.has_died = True
        dead = self.queues.pop(0)
        dead.close()
        self.queues.append(Fragile(dead.url))

    # --- the caller's transaction

    @rule(
        acts=st.lists(joining_acts, min_size=1, max_size=3),
        others=st.lists(st.sampled_from([None, *CONSUMERS]), min_size=3, max_size=3),
        by_connection=st.booleans(),
        ending=st.sampled_from(["commit", "commit", "roll back", "crash"]),
    )
    def a_callers_transaction(
        self, acts: list[Planned], others: list[str | None], by_connection: bool, ending: str
    ) -> None:
        """What is done in it is seen by nobody until it commits, and never if it does not."""
        self.mishap = None
        # Others will not wait for its locks if they have nothing to take back.
        self.level()
        database, other = self.queues
        deferred: list[Deferred] = []
        known = list(self.jobs)
        with Session(database.engine) as session, self.standing_clock():
            for planned, consumer in zip(acts, others, strict=False):
                joined = session.connection() if by_connection else session
                self.join(self.joining(*planned), joined, database, deferred)
                self.meanwhile(consumer)
                self.stand_alike(other)
            if ending == "commit":
                session.commit()
                self.catch_up(self.model, deferred)
            elif ending == "crash":
                database.drop(session.connection().connection.dbapi_connection)
                session.invalidate()
        if ending != "commit":
            mine = {job.id for job in self.model.list_jobs(limit=1000)}
            self.jobs = [ids for ids in self.jobs if ids in known or ids[0] in mine]

    def joining(self, word: str, which: int, new: list[NewJob]) -> Joining:
        if word == "enqueue" or not self.claims:
            return lambda store, session: store.enqueue_many(new, session=session)
        claim = self.latest(self.claims, which)
        if word == "complete":
            return lambda store, session: store.complete(self.of(store, claim), "joined", session=session)
        return lambda store, session: store.guard(self.of(store, claim), session=session)

    def join(self, act: Joining, joined: object, database: Fragile, deferred: list[Deferred]) -> None:
        """Do it in the transaction, and on what the model would be if the transaction had committed by now."""
        self.let_pass(MOMENT)
        step = Deferred(self.passed, self.model._last_id, act)
        theirs = outcome(lambda store: act(store, joined), database)
        view = self.fork()
        self.catch_up(view, deferred)
        mine = outcome(lambda store: act(store, None), view)
        self.model._last_id = view._last_id
        deferred.append(step)
        if isinstance(mine, list):
            self.remember((mine, theirs))
        self.agree(mine, theirs)

    def catch_up(self, model: PersistentQMemory, deferred: list[Deferred]) -> None:
        """Do on the model what the transaction did."""
        for step in deferred:
            passed, last_id = self.passed, model._last_id
            self.passed, model._last_id = step.at, step.last_id
            outcome(partial(step.act, session=None), model)
            self.passed, model._last_id = passed, max(last_id, model._last_id)

    def meanwhile(self, consumer: str | None) -> None:
        """Let others work on, where a writer holds up no other writers."""
        if self.database.engine.dialect.name == "sqlite":
            return
        if consumer is None:
            # With a unique key it might have to wait for what becomes of the transaction.
            self.remember(self.both(lambda store: store.enqueue_many([NewJob("t", queue="a")])))
        else:
            pairs = self.both(lambda store: store.dequeue(consumer, QUEUES, 1, LEASE))
            self.claims += zip(*pairs, strict=True)

    @contextmanager
    def standing_clock(self) -> Iterator[None]:
        """Do not touch the database's times: rows are locked."""
        self.is_standing = True
        try:
            yield
        finally:
            self.is_standing = False
