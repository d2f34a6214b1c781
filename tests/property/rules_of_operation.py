"""What operators and readers do, on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from persistentq import Job, JobStatus, PersistentQInterface
from persistentq.job import FINISHED
from tests.property.one_clock import MOMENT
from tests.property.rules_of_work import Work, consumers, nothing, queue_lists
from tests.property.side_by_side import CONSUMERS, QUEUES, WHICH

VERBS: dict[str, Callable[[PersistentQInterface, int], object]] = {
    "resubmit": lambda queue, job_id: queue.resubmit(job_id),
    "cancel": lambda queue, job_id: queue.cancel(job_id),
    "mark-failed": lambda queue, job_id: queue.mark_failed(job_id, "by hand"),
    "assign": lambda queue, job_id: queue.assign_job(job_id, "c1"),
    "free": lambda queue, job_id: queue.assign_job(job_id, None),
    "delete": lambda queue, job_id: queue.delete_job(job_id),
    "set pending": lambda queue, job_id: queue.update_status(job_id, "pending"),
    "set cancelled": lambda queue, job_id: queue.update_status(job_id, JobStatus.CANCELLED),
    "set failed": lambda queue, job_id: queue.update_status(job_id, "failed"),
    "set done": lambda queue, job_id: queue.update_status(job_id, "done"),
    "look": lambda queue, job_id: queue.get_job(job_id),
}
queues = st.sampled_from(QUEUES)
ages = st.sampled_from([None, timedelta(0), timedelta(seconds=10), "of the oldest"])
statuses = st.one_of(st.none(), st.sampled_from(list(JobStatus)), st.sets(st.sampled_from(list(JobStatus))))
FILTERS: list[dict[str, Any]] = [
    {"tag": "y"},
    {"tag": "x"},
    {"error": "BROKEN"},
    {"error": "%"},
    {"consumer": "c1"},
    {"min_attempts": 2},
    {"task": "u", "queue": "a"},
]
filters = st.one_of(
    st.sampled_from(FILTERS),
    st.fixed_dictionaries(
        {},
        optional={
            "status": statuses,
            "queue": st.sampled_from(QUEUES),
            "task": st.sampled_from(["t", "u"]),
            "consumer": st.sampled_from(CONSUMERS),
            "tag": st.sampled_from(["x", "y", "y:1", "no"]),
            "error": st.sampled_from(["BROKEN", "died: c0", "%", "by"]),
            "min_attempts": st.integers(0, 3),
        },
    ),
)
limits = st.sampled_from([1, 2, 1000])
reports = st.one_of(
    st.tuples(st.just("heartbeat"), consumers, st.integers(1, 2), queue_lists),
    st.tuples(st.just("retire"), consumers),
    st.tuples(st.just("clean up"), limits),
)
orders = st.one_of(
    st.tuples(st.just("pause"), queues, st.sampled_from([None, timedelta(seconds=25)])),
    st.tuples(st.just("pause to its end"), queues, st.integers(-1, 1)),
    st.tuples(st.just("resume"), queues),
    # Without either rule it is refused.
    st.tuples(st.just("prune"), ages, st.sampled_from([None, 0, 1, 2]), limits),
    st.tuples(st.just("delete up to"), st.sampled_from([None, "pending"]), WHICH),
    st.tuples(st.just("delete some"), statuses, st.one_of(st.none(), queues), limits),
)


class Operation(Work):
    """Every act that changes one job, many jobs, or a queue; and every way to look."""

    @rule(which=WHICH, verb=st.sampled_from(sorted(VERBS)))
    def operate(self, which: int, verb: str) -> None:
        job = self.a_job(which)
        self.both(lambda store: VERBS[verb](store, self.of(store, job)))

    @rule(which=WHICH, verb=st.sampled_from(["cancel", "mark-failed", "assign", "free"]))
    def interfere(self, which: int, verb: str) -> None:
        """As `operate`, with a job that a consumer has or had."""
        claim = self.a_claim(which)
        self.both(lambda store: VERBS[verb](store, self.of(store, claim).id))

    @rule(report=reports)
    def report(self, report: tuple[Any, ...]) -> None:
        match report:
            case "heartbeat", consumer, pid, queues:
                self.both(lambda store: store.heartbeat(consumer, host="here", pid=pid, queues=queues))
            case "retire", consumer:
                self.both(lambda store: store.retire(consumer))
            case "clean up", limit:
                self.both(lambda store: store.cleanup(limit), may_repeat=limit == 1000, first=nothing)
                self.level()
        self.both(lambda store: store.list_consumers())

    @rule(order=orders)
    def order(self, order: tuple[Any, ...]) -> None:
        match order:
            case "pause", queue, lasting:
                self.both(lambda store: store.pause_queue(queue, lasting=lasting))
            case "pause to its end", queue, moments:
                self.both(lambda store: store.pause_queue(queue, lasting=10 * MOMENT))
                self.let_pass((9 + moments) * MOMENT)
                self.take("c2", [queue], 1)
            case "resume", queue:
                self.both(lambda store: store.resume_queue(queue))
            case "prune", older, keep, limit:
                ended = Counter(job.status for job in self.model.list_jobs(status=FINISHED))
                status = max(FINISHED, key=lambda one: (ended[one], one))
                if older == "of the oldest":
                    older = self.greatest_age(status)
                self.both(
                    lambda store: store.prune_jobs(status, older_than=older, keep=keep, limit=limit),
                    may_repeat=False,
                )
            case "delete up to", status, which:
                job = self.a_job(which)
                self.both(lambda store: store.delete_jobs(status=status, up_to=self.of(store, job)))
            case "delete some", status, queue, limit:
                self.remove_some(status, queue, limit)

    def greatest_age(self, status: JobStatus) -> timedelta:
        """Return for how long, at the next act, the first of these jobs to finish will have been finished."""
        now = self.clock.now() + MOMENT
        finished = [job.finished_at or now for job in self.model.list_jobs(status=status)]
        return now - min(finished, default=now)

    def remove_some(self, status: Any, queue: str | None, limit: int) -> None:
        """Which ones go is not promised, where more are meant than the limit allows."""
        meant = [
            job
            for job in self.model.list_jobs(status=status, queue=queue, limit=1000)
            if job.status != JobStatus.PROCESSING
        ]
        number = self.database.delete_jobs(status=status, queue=queue, limit=limit)
        assert number == min(limit, len(meant))
        left = {job.id for job in self.database.list_jobs(limit=1000)}
        gone = {mine for mine, theirs in self.jobs if theirs not in left}
        for job in meant:
            if job.id in gone:
                self.model.delete_job(job.id)

    # --- readers

    @rule(where=filters, limit=st.integers(1, 3), which=WHICH, spans=st.integers(1, 12))
    def look(self, where: dict[str, Any], limit: int, which: int, spans: int) -> None:
        job = self.a_job(which)
        self.both(
            lambda store: [
                pages(store, where, limit),
                [store.get_pending_jobs(queue, limit) for queue in QUEUES],
                store.count_jobs(),
                store.list_queues(),
                store.list_consumers(),
                store.activity(timedelta(seconds=10 * spans), spans),
            ]
        )
        self.both(lambda store: store.get_attempts(self.of(store, job)))
        self.both(lambda store: around(store, self.of(store, job)))


def around(store: PersistentQInterface, job_id: int) -> list[list[Job]]:
    """Return what was enqueued before a job, and with it or later."""
    moment = store.get_job(job_id).created_at
    return [list(store.list_jobs(created_before=moment)), list(store.list_jobs(created_from=moment))]


def pages(store: PersistentQInterface, where: dict[str, Any], limit: int) -> list[list[Job]]:
    """Return every page from the first to the last."""
    found: list[list[Job]] = []
    after: str | None = None
    while True:
        page = store.list_jobs(**where, limit=limit, after=after)
        found.append(list(page))
        if (after := page.next) is None:
            return found
        assert len(page) == limit
