"""Each reason why a job is not running, brought about and told; the contract's tests hold every database to it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from persistentq import Job, JobNotFound, NewJob, PersistentQMemory, clock
from persistentq.operations.why import Fact, Reason, why

MINUTE = timedelta(minutes=1)


class Bench:
    """A queue in memory whose clock, and that of this machine, move together."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = clock.now()
        self.queue = PersistentQMemory(now=lambda: self.now)
        patch.setattr(clock, "now", lambda: self.now)

    def let_pass(self, span: timedelta) -> None:
        self.now += span

    def consumer(self, name: str = "c_1", *queues: str) -> None:
        self.queue.heartbeat(name, host="h", pid=1, queues=queues or ("default",))

    def take(self, name: str = "c_1") -> Job:
        (job,) = self.queue.dequeue(name)
        return job

    def facts(self, job: Job) -> dict[Reason, Fact]:
        return {fact.reason: fact for fact in why(self.queue, job.id)}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_nothing_stands_in_its_way(bench: Bench) -> None:
    bench.consumer()
    job = bench.queue.enqueue("t")
    (fact,) = why(bench.queue, job.id)
    assert fact.reason is Reason.NEXT
    assert "nothing else leaves its queue before it" in fact.text
    with pytest.raises(JobNotFound):
        why(bench.queue, job.id + 1)


def test_its_time_has_not_come(bench: Bench) -> None:
    bench.consumer()
    job = bench.queue.enqueue("t", delay=10 * MINUTE)
    bench.let_pass(timedelta(seconds=20))
    (fact,) = why(bench.queue, job.id)
    assert (fact.reason, fact.over_in) == (Reason.FUTURE, timedelta(minutes=9, seconds=40))
    assert f"is not due until {job.run_at:%Y-%m-%d %H:%M:%S}Z" in fact.text
    bench.let_pass(10 * MINUTE)
    bench.consumer()
    # Nobody has looked yet, so it is scheduled still.
    assert list(bench.facts(job)) == [Reason.NEXT]


def test_it_waits_for_another_try(bench: Bench) -> None:
    bench.consumer()
    job = bench.queue.enqueue("t")
    bench.queue.fail(bench.take(), "no", delay=MINUTE)
    fact = bench.facts(job)[Reason.FUTURE]
    assert "waits for attempt 2" in fact.text
    assert fact.over_in == MINUTE


@pytest.mark.parametrize("lasting", [None, 5 * MINUTE])
def test_its_queue_is_paused(bench: Bench, lasting: timedelta | None) -> None:
    job = bench.queue.enqueue("t")
    bench.queue.pause_queue("default", lasting=lasting)
    fact = bench.facts(job)[Reason.PAUSED]
    assert ("until it is resumed" in fact.text) == (lasting is None)
    assert (fact.over_in, fact.remedy) == (lasting, "resume the queue")


def test_nobody_serves_its_queue(bench: Bench) -> None:
    job = bench.queue.enqueue("t")
    fact = bench.facts(job)[Reason.NO_CONSUMER]
    assert fact.text == "no living consumer serves queue default"
    assert fact.remedy == "python -m consumer.consumer --queues default"
    bench.consumer("c_2", "mail", "news")
    assert bench.facts(job)[Reason.NO_CONSUMER].text.endswith("; those that live serve mail, news")
    bench.consumer("c_1")
    assert Reason.NO_CONSUMER not in bench.facts(job)
    bench.let_pass(MINUTE)
    assert bench.facts(job)[Reason.NO_CONSUMER].text.endswith(
        "; the last was c_1, which has been silent for 1m"
    )
    bench.consumer("c_1")
    bench.queue.retire("c_1")
    assert "the last was c_1, which stopped at" in bench.facts(job)[Reason.NO_CONSUMER].text


def test_it_is_kept_for_one_consumer(bench: Bench) -> None:
    job = bench.queue.enqueue("t")
    bench.queue.assign_job(job.id, "c_1")
    assert "never did" in bench.facts(job)[Reason.ABSENT].text
    bench.consumer("c_1", "mail")
    assert "which does not serve queue default" in bench.facts(job)[Reason.ABSENT].text
    bench.consumer("c_1", "default")
    facts = bench.facts(job)
    assert Reason.ABSENT not in facts
    assert facts[Reason.RESERVED].text == "only c_1 may take it, which is alive"
    bench.let_pass(MINUTE)
    fact = bench.facts(job)[Reason.ABSENT]
    assert "which has been silent for 1m" in fact.text
    assert fact.remedy == f"assign-job {job.id} to one that is there"


def test_one_that_was_lost_with_its_worker_warns_before_it_is_resubmitted(bench: Bench) -> None:
    job = bench.queue.enqueue("t", max_attempts=1)
    bench.take()
    bench.let_pass(2 * MINUTE)
    bench.queue.cleanup()
    assert "it may kill who runs it" in bench.facts(job)[Reason.SPENT].remedy


def test_others_leave_before_it(bench: Bench) -> None:
    bench.consumer()
    bench.queue.enqueue_many([NewJob("t")] * 60)
    bench.queue.complete_many(bench.queue.dequeue("c_1", limit=20))
    bench.let_pass(timedelta(seconds=10))
    job = bench.queue.enqueue("t")
    fact = bench.facts(job)[Reason.BEHIND]
    assert fact.text == "40 jobs leave queue default before it, of which 2.0 end each second"
    assert fact.over_in == timedelta(seconds=20)
    bench.queue.pause_queue("default")
    fact = bench.facts(job)[Reason.BEHIND]
    assert (fact.text, fact.remedy, fact.over_in) == ("40 jobs leave queue default before it", "", None)
    bench.queue.resume_queue("default")
    bench.let_pass(20 * MINUTE)
    bench.consumer()
    fact = bench.facts(job)[Reason.BEHIND]
    assert fact.over_in is None
    assert "from which nothing ended lately" in fact.text


def test_a_consumer_holds_it(bench: Bench) -> None:
    bench.consumer()
    job = bench.queue.enqueue("t")
    held = bench.take()
    (fact,) = why(bench.queue, job.id)
    assert fact.reason is Reason.HELD
    assert held.lease_until is not None
    for words in ("c_1 holds it at attempt 1 of 3", f"until {held.lease_until:%Y-%m-%d %H:%M:%S}Z (in 1m)"):
        assert words in fact.text
    bench.queue.cancel(job.id)
    assert "cancelled when its attempt ends" in bench.facts(job)[Reason.CANCELLING].text


def test_its_consumer_is_not_there(bench: Bench) -> None:
    bench.consumer()
    job = bench.queue.enqueue("t")
    bench.take()
    bench.let_pass(timedelta(seconds=40))
    facts = bench.facts(job)
    assert "c_1 is not there: which has been silent for 40s" in facts[Reason.ABSENT].text
    assert facts[Reason.ABSENT].over_in == timedelta(seconds=20)
    assert Reason.HELD in facts


def test_its_lease_ran_out(bench: Bench) -> None:
    bench.consumer()
    job = bench.queue.enqueue("t")
    bench.take()
    bench.let_pass(2 * MINUTE)
    fact = bench.facts(job)[Reason.EXPIRED]
    assert "its lease ran out 1m ago" in fact.text
    # Only a consumer takes it back, and none lives.
    assert fact.over_in is None
    bench.consumer("c_2")
    assert bench.facts(job)[Reason.EXPIRED].over_in == timedelta(0)


def test_its_attempts_are_spent(bench: Bench) -> None:
    job = bench.queue.enqueue("t", max_attempts=1)
    bench.queue.fail(bench.take(), "no such host")
    fact = bench.facts(job)[Reason.SPENT]
    assert "its only attempt is spent, by c_1 at" in fact.text
    assert fact.text.endswith(": no such host")
    assert fact.remedy.endswith(f"resubmit {job.id}")


def test_it_was_given_up_by_its_task_or_by_an_operator(bench: Bench) -> None:
    by_task, running, waiting, new = bench.queue.enqueue_many([NewJob(name) for name in "abcd"])
    bench.queue.fail(bench.take(), "bad address", retry=False)
    bench.take()
    bench.queue.mark_failed(running.id, "the customer is gone")
    bench.queue.fail(bench.take(), "no", delay=MINUTE)
    bench.let_pass(timedelta(seconds=1))
    for job in (waiting, new):
        bench.queue.mark_failed(job.id, "the customer is gone")
    assert "it was given up at attempt 1 of 3" in bench.facts(by_task)[Reason.GIVEN_UP].text
    for job in (running, waiting, new):
        text = bench.facts(job)[Reason.GIVEN_UP].text
        assert text.startswith("an operator marked it failed at")
        assert text.endswith(": the customer is gone")


def test_another_has_its_unique_key(bench: Bench) -> None:
    job = bench.queue.enqueue("t", unique_key="k")
    bench.queue.cancel(job.id)
    assert list(bench.facts(job)) == [Reason.CANCELLED]
    rival = bench.queue.enqueue("t", unique_key="k")
    fact = bench.facts(job)[Reason.UNIQUE]
    assert fact.text == f"job {rival.id} has its unique key k and is not finished"
    bench.queue.complete(bench.take())
    assert Reason.UNIQUE not in bench.facts(job)


def test_it_was_cancelled(bench: Bench) -> None:
    job, held = bench.queue.enqueue("t", delay=MINUTE), bench.queue.enqueue("t")
    bench.queue.cancel(job.id)
    assert bench.facts(job)[Reason.CANCELLED].text.startswith("an operator cancelled it, at ")
    taken = bench.take()
    bench.queue.cancel(held.id)
    bench.queue.fail(taken, "stopped")
    assert bench.facts(held)[Reason.CANCELLED].text.startswith(
        "it was cancelled while c_1 had it, attempt 1, at "
    )


def test_it_is_done(bench: Bench) -> None:
    job = bench.queue.enqueue("t")
    bench.queue.complete(bench.take())
    (fact,) = why(bench.queue, job.id)
    assert (fact.reason, fact.remedy) == (Reason.DONE, "")
    assert fact.text.startswith("c_1 completed it at ")


@pytest.mark.parametrize(("moved", "side"), [(90, "1m ahead of"), (-90, "1m behind")])
def test_the_clocks_differ(moved: int, side: str) -> None:
    queue = PersistentQMemory(now=lambda: clock.now() + timedelta(seconds=moved))
    job = queue.enqueue("t")
    facts = {fact.reason: fact for fact in why(queue, job.id)}
    assert f"the database's clock is {side} this machine's" in facts[Reason.SKEW].text


def test_nobody_knows_its_task(bench: Bench) -> None:
    job = bench.queue.enqueue("mail.sent")
    bench.queue.heartbeat("c_1", host="h", pid=1, queues=["default"], tasks=["mail.send", "other"])
    fact = bench.facts(job)[Reason.UNKNOWN_TASK]
    assert "task mail.sent is known to no live consumer of queue default" in fact.text
    assert fact.text.endswith("the nearest that they know is mail.send")
    # One that does not say what it can run may know it,
    bench.queue.heartbeat("c_2", host="h", pid=2, queues=["default"])
    assert Reason.UNKNOWN_TASK not in bench.facts(job)
    # unless the job is kept for another.
    bench.queue.assign_job(job.id, "c_1")
    assert Reason.UNKNOWN_TASK in bench.facts(job)
    bench.queue.heartbeat("c_1", host="h", pid=1, queues=["default"], tasks=["mail.sent"])
    assert Reason.UNKNOWN_TASK not in bench.facts(job)


def test_who_serves_another_queue_need_not_know_its_task(bench: Bench) -> None:
    job = bench.queue.enqueue("t")
    bench.queue.heartbeat("c_1", host="h", pid=1, queues=["mail"], tasks=["other"])
    assert list(bench.facts(job)) == [Reason.NO_CONSUMER, Reason.NEXT]
