"""What operators do to many jobs at a time, and take back, on both sides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from persistentq import Act, PersistentQInterface
from persistentq.journal import ActBatch, ActNote, reason_of
from persistentq.query import parse
from tests.property.rules_of_work import Work
from tests.property.side_by_side import WHICH

SOON = timedelta(seconds=25)
NOTE = ActNote("ann", "library", "as agreed")
KEPT = st.sampled_from([timedelta(0), SOON, timedelta(days=7), timedelta(days=7)])
"""For how long what is deleted can be brought back."""

ACTS: dict[str, Callable[[Any], Act]] = {
    "resubmit": lambda _now: Act("resubmit"),
    "cancel": lambda _now: Act("cancel"),
    "mark-failed": lambda _now: Act("mark-failed", error="by hand"),
    "assign": lambda _now: Act("assign", consumer="c1"),
    "free": lambda _now: Act("assign"),
    "reschedule": lambda now: Act("reschedule", run_at=now + SOON),
    "reschedule to the past": lambda now: Act("reschedule", run_at=now - SOON),
    "set-priority": lambda _now: Act("set-priority", priority=1),
    "edit-arguments": lambda _now: Act("edit-arguments", arguments={"n": 1, "m": [None]}),
    "drop arguments": lambda _now: Act("edit-arguments", arguments={"m": 2}, without=("n",)),
    "delete": lambda _now: Act("delete"),
}
WHERE = st.sampled_from(
    ["", "", "status:pending OR status:failed", "attempts>=1", "tag:x", "args.n:1", "-queue:a"]
)
several = st.lists(WHICH, min_size=1, max_size=4)


class Acting(Work):
    """Acts in batches, with their journal, the trash, and the undoing of acts and of undoings.

    Attributes:
        entries: The number of the same entry of the journal on either side, in the order in which they came.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.entries: list[tuple[int, int]] = []

    @rule(which=several, verb=st.sampled_from(sorted(ACTS)), where=WHERE, kept=KEPT, goes_on=st.booleans())
    def act(self, which: list[int], verb: str, where: str, kept: timedelta, goes_on: bool) -> None:
        self.do_to(which, verb, where, kept, self.entries[-1] if goes_on and self.entries else None)

    @rule(which=several, verb=st.sampled_from(sorted(ACTS)), kept=KEPT, twice=st.booleans())
    def act_and_think_better_of_it(self, which: list[int], verb: str, kept: timedelta, twice: bool) -> None:
        self.do_to(which, verb, "", kept, None)
        # Nobody may have heard of the act.
        for _ in range(1 + twice) if self.entries else ():
            self.take_back(-1, 1, kept)

    @precondition(lambda self: self.entries)
    @rule(place=st.integers(-4, -1), batch=st.integers(1, 2), kept=KEPT)
    def undo(self, place: int, batch: int, kept: timedelta) -> None:
        self.take_back(max(place, -len(self.entries)), batch, kept)

    def do_to(
        self, which: list[int], verb: str, where: str, kept: timedelta, begun: tuple[int, int] | None
    ) -> None:
        jobs = [self.a_job(one) for one in which]
        query, at = parse(where), self.clock.now()

        def do(store: PersistentQInterface) -> ActBatch:
            note = NOTE if begun is None else self.of(store, begun)
            ids = [self.of(store, job) for job in jobs]
            return store.act(ACTS[verb](at), ids, note=note, where=query, trash=kept)

        self.hear(do)

    def take_back(self, place: int, batch: int, kept: timedelta) -> None:
        entry = self.entries[place]
        self.hear(lambda store: store.undo(self.of(store, entry), batch, note=NOTE, trash=kept))

    def hear(self, do: Callable[[PersistentQInterface], ActBatch]) -> None:
        """Do it on both sides, which must tell the same of it."""
        told: list[int] = []

        def tell(store: PersistentQInterface) -> Any:
            batch = do(store)
            told.append(batch.entry)
            why = {self.place_of(store, one): reason_of(error) for one, error in batch.skipped.items()}
            return [[self.place_of(store, one) for one in batch.done], sorted(why.items())]

        self.both(tell, may_repeat=False)
        if told:
            theirs, mine = told
            if (mine, theirs) not in self.entries:
                self.entries.append((mine, theirs))

    def place_of(self, store: PersistentQInterface, job_id: int) -> int:
        """Return which of the jobs this is, whatever either side calls it."""
        return [self.of(store, pair) for pair in self.jobs].index(job_id)

    @rule()
    def read_the_journal(self) -> None:
        def read(store: PersistentQInterface) -> Any:
            known = {self.of(store, pair): number for number, pair in enumerate(self.entries)}
            known[None] = None
            return [
                [
                    (known[one.id], one.at, one.verb, dict(one.details), one.done, dict(one.skipped)),
                    (one.batches, known[one.undoes], known[one.undone_by]),
                    [self.place_of(store, job_id) for job_id in store.get_entry_ids(one.id)],
                ]
                for one in store.list_journal(limit=1000).items
            ]

        self.both(read)
