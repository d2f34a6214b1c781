"""Callers' own transactions, dropped connections, and processes that die, on both sides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from sqlalchemy.orm import Session

from persistentq import Job, NewJob, PersistentQInterface
from tests.property.mishaps import Fragile, When
from tests.property.one_clock import MOMENT
from tests.property.rules_of_work import WORDS, Work, consumers, new_jobs, nothing
from tests.property.side_by_side import CONSUMERS, LEASE, QUEUES, WHICH, outcome

Step = tuple[Any, ...]
joining_steps = st.one_of(
    st.tuples(st.just("enqueue"), st.lists(new_jobs, min_size=1, max_size=2)),
    st.tuples(st.just("complete"), WHICH),
    st.tuples(st.just("guard"), WHICH),
)
steps = st.one_of(
    joining_steps,
    st.tuples(st.just("others dequeue"), consumers, st.integers(1, 2)),
    st.tuples(st.just("others speak"), WHICH, st.sampled_from(sorted(WORDS))),
    st.tuples(st.just("others enqueue")),
)


class Trouble(Work):
    """Whatever ends in an unusual way."""

    @rule(when=st.sampled_from(list(When)), transaction=st.integers(1, 3))
    def the_next_connection_drops(self, when: When, transaction: int) -> None:
        self.mishap = when, transaction

    @rule(transaction=st.integers(1, 5), consumer=consumers, limit=st.integers(1, 3))
    def a_dequeue_is_cut_short(self, transaction: int, consumer: str, limit: int) -> None:
        """After leases ran out it is several transactions."""
        self.let_pass(LEASE)
        self.mishap = When.BEFORE_COMMIT, transaction
        self.take(consumer, QUEUES, limit)

    @rule(consumer=st.sampled_from(CONSUMERS), is_claiming=st.booleans())
    def a_process_dies(self, consumer: str, is_claiming: bool) -> None:
        """What it had committed stays, though nobody heard of it; another process takes its place."""
        if is_claiming:
            self.both(
                lambda store: store.dequeue(consumer, QUEUES, 2, LEASE), may_repeat=False, first=nothing
            )
        self.database.die()

    @rule(
        first=joining_steps,
        others=st.lists(st.tuples(st.sampled_from([0, 0, 70]), steps), max_size=4),
        by_connection=st.booleans(),
        ending=st.sampled_from(["commit", "commit", "roll back", "crash"]),
    )
    def a_callers_transaction(
        self, first: Step, others: list[tuple[int, Step]], by_connection: bool, ending: str
    ) -> None:
        """What is done in it is seen by nobody until it commits, and never if it does not."""
        self.mishap = None
        database, known = self.database, list(self.jobs)
        # What the transaction itself sees: the jobs that it changed, and for all else what everybody sees.
        changed: dict[int, Job] = {}
        with Session(database.engine) as session:
            joined = session.connection() if by_connection else session
            for seconds, step in [(0, first), *others]:
                self.let_pass(timedelta(seconds=seconds) + MOMENT)
                match step:
                    case "enqueue" | "complete" | "guard" as word, what:
                        self.join(word, what, joined, database, changed)
                    case _:
                        self.meanwhile(step)
                self.they_stand_alike()
            self.model.locked = frozenset()
            if ending == "commit":
                session.commit()
                self.model.put(changed)
            elif ending == "crash":
                database.drop(session.connection().connection.dbapi_connection)
                session.invalidate()
        if ending != "commit":
            mine = {job.id for job in self.model.list_jobs(limit=1000)}
            self.jobs = [ids for ids in self.jobs if ids in known or ids[0] in mine]

    def join(self, word: str, what: Any, joined: object, database: Fragile, changed: dict[int, Job]) -> None:
        """Do it in the transaction, and on the model as the transaction sees it; add what changed to `changed`."""
        claim = None if word == "enqueue" else self.a_claim(what)

        def act(store: PersistentQInterface, session: Any) -> Any:
            match word:
                case "enqueue":
                    return store.enqueue_many(what, session=session)
                case "complete":
                    return store.complete(self.of(store, claim), "joined", session=session)
            return store.guard(self.of(store, claim), session=session)

        theirs = outcome(lambda store: act(store, joined), database)
        view = self.model.fork()
        view.put(changed)
        seen = dict(view._jobs)
        mine = outcome(lambda store: act(store, None), view)
        changed |= {job.id: job for job in view._jobs.values() if seen.get(job.id) is not job}
        self.model._last_id = view._last_id
        if claim is None:
            self.remember((mine, theirs))
        elif mine is None:
            self.model.locked |= {claim[0].id}
        self.agree(mine, theirs)

    def meanwhile(self, step: Step) -> None:
        """Let others work on, where a writer holds up no other writers."""
        if self.database.engine.dialect.name == "sqlite":
            return
        match step:
            case "others enqueue", *_:
                # With a unique key it might have to wait for what becomes of the transaction.
                self.remember(self.both(lambda store: store.enqueue_many([NewJob("t", queue="a")])))
            case "others dequeue", consumer, limit:
                self.take(consumer, QUEUES, limit)
            case "others speak", which, word:
                claim = self.a_claim(which)
                # Otherwise it would wait.
                if claim[0].id not in self.model.locked:
                    self.say(word, claim)
