"""What producers and consumers do, on both sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from persistentq import Backoff, Job, NewJob, PersistentQInterface
from tests.property.side_by_side import CONSUMERS, LEASE, QUEUES, WHICH, SideBySide

A_DAY = 90_000
"""Seconds, and some more: after that a silent consumer is forgotten."""
WORDS: dict[str, Callable[[PersistentQInterface, Job], object]] = {
    "complete": lambda queue, job: queue.complete(job, {"by": job.consumer}),
    "complete_many": lambda queue, job: len(queue.complete_many([job])),
    "fail": lambda queue, job: queue.fail(job, "Broken", delay=timedelta(0)),
    "fail later": lambda queue, job: queue.fail(job, ValueError("broken"), delay=timedelta(seconds=95)),
    "fail with backoff": lambda queue, job: queue.fail(job, "broken"),
    "give up": lambda queue, job: queue.fail(job, "hopeless", retry=False),
    "snooze": lambda queue, job: queue.snooze(job, timedelta(seconds=35)),
    "release": lambda queue, job: len(queue.release([job])),
    "extend": lambda queue, job: [one.attempt for one in queue.extend([job], LEASE)],
    "extend for days": lambda queue, job: len(queue.extend([job], timedelta(seconds=3 * A_DAY + 5))),
}
"""A consumer's words; those about many jobs say how many were refused or kept."""

KEYS = [None, None, "k1", "k2"]
# Between three and six seconds: never over by the next moment, always over when time was moved.
BACKOFF = Backoff(timedelta(seconds=6), timedelta(seconds=6))

new_jobs = st.builds(
    NewJob,
    st.sampled_from(["t", "u"]),
    st.fixed_dictionaries({"n": st.integers(0, 9)}),
    queue=st.sampled_from(QUEUES),
    priority=st.integers(-1, 1),
    delay=st.sampled_from([None, None, timedelta(seconds=25), timedelta(seconds=105)]),
    max_attempts=st.integers(1, 3),
    unique_key=st.sampled_from(KEYS),
    tags=st.sampled_from([(), ("x",), ("x", "y:1"), ("xx", "y")]),
    metadata=st.sampled_from([{}, {"from": "ä", "deep": [1, {"x": None}]}]),
    backoff=st.just(BACKOFF),
)


consumers = st.sampled_from(CONSUMERS)
queue_lists = st.lists(st.sampled_from(QUEUES), min_size=1, max_size=2)
"""Two names of one queue are one queue, for which there is a shorter way."""


class Work(SideBySide):
    """Two queues, three consumers, and every word that any of them ever had reason to say."""

    @initialize(new=st.lists(new_jobs, min_size=1, max_size=4), limit=st.integers(1, 2))
    def begin(self, new: list[NewJob], limit: int) -> None:
        """Have something to wait for and something to speak of."""
        self.remember(self.both(lambda store: store.enqueue_many(new)))
        self.take("c0", QUEUES, limit)

    @rule(new=new_jobs, number=st.integers(1, 3))
    def enqueue(self, new: NewJob, number: int) -> None:
        self.remember(self.both(lambda store: store.enqueue_many([new] * number)))

    @rule(consumer=consumers, queues=queue_lists, limit=st.integers(1, 4))
    def dequeue(self, consumer: str, queues: list[str], limit: int) -> None:
        self.take(consumer, queues, limit)

    @rule(
        consumer=consumers,
        queues=queue_lists,
        limit=st.integers(1, 2),
        word=st.sampled_from(sorted(WORDS)),
    )
    def work(self, consumer: str, queues: list[str], limit: int, word: str) -> None:
        for claim in self.take(consumer, queues, limit):
            self.say(word, claim)

    @precondition(lambda self: self.claims)
    @rule(which=WHICH, word=st.sampled_from(sorted(WORDS)))
    def speak(self, which: int, word: str) -> None:
        """Say a consumer's word on any claim ever made, most of them stale by now."""
        self.say(word, self.latest(self.claims, which))

    @precondition(lambda self: self.claims)
    @rule(
        which=st.lists(WHICH, max_size=4),
        word=st.sampled_from(["complete_many", "release", "extend"]),
    )
    def speak_of_many(self, which: list[int], word: str) -> None:
        """About each job once: a consumer holds it by one claim."""
        claims = [self.latest(self.claims, one) for one in which]
        chosen = {claim[0].id: claim for claim in claims}.values()
        self.both(lambda store: getattr(store, word)([self.of(store, claim) for claim in chosen]))

    @rule(seconds=st.sampled_from([10, 10, 70, 70, 200, A_DAY]))
    def time_passes(self, seconds: int) -> None:
        self.let_pass(timedelta(seconds=seconds))

    def take(self, consumer: str, queues: Sequence[str], limit: int) -> list[tuple[Job, Job]]:
        mine, theirs = self.both(
            lambda store: store.dequeue(consumer, queues, limit, LEASE), may_repeat=False, has_stages=True
        )
        taken = list(zip(mine, theirs, strict=True))
        self.claims += taken
        return taken

    def say(self, word: str, claim: tuple[Job, Job]) -> None:
        self.both(lambda store: WORDS[word](store, self.of(store, claim)))
