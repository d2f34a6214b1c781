"""What producers and consumers do, on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from persistentq import Backoff, Job, JobStatus, NewJob, PersistentQInterface
from persistentq.job import FORGET_AFTER
from persistentq.settlement import Settlement, Turn
from tests.property.one_clock import MOMENT
from tests.property.side_by_side import CONSUMERS, LEASE, QUEUES, WHICH, SideBySide

SECOND = timedelta(seconds=1)
WORDS: dict[str, Callable[[PersistentQInterface, Job], object]] = {
    "complete": lambda queue, job: queue.complete(job, {"by": job.consumer}),
    "complete_many": lambda queue, job: len(queue.complete_many([job])),
    "fail": lambda queue, job: queue.fail(job, "Broken", delay=timedelta(0)),
    "fail later": lambda queue, job: queue.fail(job, ValueError("broken"), delay=95 * SECOND),
    "fail with backoff": lambda queue, job: queue.fail(job, "broken"),
    "give up": lambda queue, job: queue.fail(job, "hopeless", retry=False),
    "snooze": lambda queue, job: queue.snooze(job, 35 * SECOND),
    "release": lambda queue, job: len(queue.release([job])),
    "extend": lambda queue, job: queue.extend([job], LEASE),
    "extend for days": lambda queue, job: queue.extend([job], 3 * FORGET_AFTER),
}
"""A consumer's words; some of those about many jobs say how many were refused."""

SETTLEMENTS: dict[str, Callable[[Job], Settlement]] = {
    "complete": Settlement.complete,
    "complete with a result": lambda job: Settlement.complete(job, {"by": job.consumer}),
    "fail": lambda job: Settlement.fail(job, "Broken", delay=timedelta(0)),
    "fail with backoff": lambda job: Settlement.fail(job, ValueError("broken")),
    "give up": lambda job: Settlement.fail(job, "hopeless", retry=False),
    "snooze": lambda job: Settlement.snooze(job, 35 * SECOND),
    "release": Settlement.release,
    "cancel": lambda job: Settlement.cancel(job, "not wanted"),
}
"""A consumer's words within its turn; `renew`, of which there is no settlement, beside them."""

new_jobs = st.builds(
    NewJob,
    st.sampled_from(["t", "u"]),
    st.fixed_dictionaries({"n": st.integers(0, 9)}),
    queue=st.sampled_from(QUEUES),
    priority=st.integers(-1, 1),
    delay=st.sampled_from([None, None, 25 * SECOND, 105 * SECOND]),
    max_attempts=st.integers(1, 3),
    unique_key=st.sampled_from([None, None, "k1", "k2"]),
    tags=st.sampled_from([(), ("x",), ("x", "y:1"), ("xx", "y")]),
    metadata=st.sampled_from([{}, {"from": "ä", "deep": [1, {"x": None}]}]),
    backoff=st.sampled_from([None, Backoff(6 * SECOND, 6 * SECOND)]),
)
consumers = st.sampled_from(CONSUMERS)
queue_lists = st.lists(st.sampled_from(QUEUES), min_size=1, max_size=2)
"""Two names of one queue are one queue, for which there is a shorter way."""
said = st.lists(st.tuples(WHICH, st.sampled_from([*sorted(SETTLEMENTS), "renew"])), max_size=4)


def nothing(_store: PersistentQInterface) -> None:
    """Do what cleanup does, at most."""


class Work(SideBySide):
    """Two queues, three consumers, and every word that any of them ever had reason to say."""

    @initialize(new=st.lists(new_jobs, max_size=3), limit=st.integers(1, 2))
    def begin(self, new: list[NewJob], limit: int) -> None:
        """Have something to wait for and something to speak of."""
        self.remember(self.both(lambda store: store.enqueue_many([NewJob("t", queue="a"), *new])))
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

    @rule(which=WHICH, word=st.sampled_from(sorted(WORDS)))
    def speak(self, which: int, word: str) -> None:
        """Say a consumer's word on any claim ever made, most of them stale by now."""
        self.say(word, self.a_claim(which))

    @rule(which=st.lists(WHICH, max_size=4), word=st.sampled_from(["complete_many", "release", "extend"]))
    def speak_of_many(self, which: list[int], word: str) -> None:
        chosen = [claim for _, claim in self.claims_of_different_jobs(which)]
        self.both(lambda store: getattr(store, word)([self.of(store, claim) for claim in chosen]))

    @rule(
        consumer=consumers,
        said=said,
        watch=st.booleans(),
        queues=queue_lists,
        limit=st.integers(0, 3),
    )
    def turn(
        self, consumer: str, said: list[tuple[int, str]], watch: bool, queues: list[str], limit: int
    ) -> None:
        """Say several words, renew, look and claim, all at once."""
        words = dict(said)
        pairs = [(words[which], claim) for which, claim in self.claims_of_different_jobs(words)]

        def say(store: PersistentQInterface, limit: int) -> Turn:
            known = [(word, self.of(store, claim)) for word, claim in pairs]
            return store.turn(
                consumer,
                settled=[SETTLEMENTS[word](job) for word, job in known if word != "renew"],
                held=[job for word, job in known if word == "renew"],
                watch=watch,
                queues=queues,
                limit=limit,
                lease=LEASE,
            )

        mine, theirs = self.both(
            lambda store: say(store, limit), may_repeat=False, first=lambda store: say(store, 0)
        )
        if mine:
            self.claims += zip(mine.claimed, theirs.claimed, strict=True)

    @rule(seconds=st.sampled_from([10, 10, 70, 70, 200, FORGET_AFTER.total_seconds()]))
    def time_passes(self, seconds: float) -> None:
        self.let_pass(timedelta(seconds=seconds))

    @rule(place=st.sampled_from([0, 0, 1, -1]), moments=st.sampled_from([-1, 0, 1]))
    def the_time_comes(self, place: int, moments: int) -> None:
        """Of what ends or is due next, after that, or last: the next act is at that very moment, or beside it."""
        if ends := self.ends():
            end = ends[min(place, len(ends) - 1)]
            self.clock.put(max(self.clock.now(), end + (moments - 1) * MOMENT))

    def ends(self) -> list[datetime]:
        """Return when leases, delays, pauses and the memory of consumers end that have not yet, in order."""
        jobs = list(self.model.list_jobs(limit=1000))
        times = {
            *(job.run_at for job in jobs if job.status == JobStatus.SCHEDULED),
            *(job.lease_until for job in jobs),
            *(queue.paused_until for queue in self.model.list_queues()),
            *(one.heartbeat_at + FORGET_AFTER for one in self.model.list_consumers()),
        }
        return sorted(time for time in times if time is not None and time > self.clock.now())

    def claims_of_different_jobs(self, which: Iterable[int]) -> list[tuple[int, tuple[Job, Job]]]:
        """Return those of the latest claims, one of each job: a consumer holds it by one."""
        claims = [(one, self.a_claim(one)) for one in which]
        return list({claim[0].id: (one, claim) for one, claim in claims}.values())

    def take(self, consumer: str, queues: Sequence[str], limit: int) -> list[tuple[Job, Job]]:
        mine, theirs = self.both(
            lambda store: store.dequeue(consumer, queues, limit, LEASE),
            may_repeat=False,
            first=nothing,
        )
        taken = list(zip(mine, theirs, strict=True))
        self.claims += taken
        return taken

    def say(self, word: str, claim: tuple[Job, Job]) -> None:
        self.both(lambda store: WORDS[word](store, self.of(store, claim)))
