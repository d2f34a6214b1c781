"""Queries mean the same jobs wherever the jobs are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings

from persistentq import (
    InvalidArgument,
    Job,
    JobStatus,
    NewJob,
    NoRetry,
    PersistentQInterface,
    PersistentQSQLAlchemy,
    clock,
)
from persistentq.job import Count
from persistentq.query import Query, matches, parse
from persistentq.sql import finding
from tests.unit.test_query import QUERIES

HOUR = timedelta(hours=1)


def stocked(queue: PersistentQInterface) -> list[Job]:
    """Store a few jobs of every kind; return them as they are then, newest first."""
    queue.enqueue_many(
        [
            NewJob("mail.send", {"to": "a@example.org", "n": 1}, tags=("vip", "eu"), unique_key="order-1"),
            NewJob("mail.Send", {"to": "B@example.org", "list": [1, "x*y", None]}, queue="mail", priority=5),
            NewJob("mail_send", {"to": {"name": 'a "quoted" \\ name\n'}}, queue="mail", delay=HOUR),
            NewJob("sms", {"f": 1.5, "yes": True}, metadata={"source": "import"}, max_attempts=1),
            NewJob("größe", {"wert": "Ärger"}, queue="m.il", tags=("test",), metadata={"a": {"b": "c"}}),
            NewJob("big", {"pad": "x" * 5_000, "end": "here"}),
        ]
    )
    for name in ("default", "mail", "m.il"):
        for job in queue.dequeue("consumer_01", [name], limit=3):
            if job.task == "sms":
                queue.fail(job, NoRetry("TIMED out: 100% of [x] ÄRGER"))
            elif job.task == "mail.send":
                queue.complete(job)
            elif job.task == "größe":
                queue.fail(job, "broke", delay=HOUR)
    return list(queue.list_jobs(limit=1000))


QUESTIONS = [
    "",
    "status:done",
    "status:done OR status:failed",
    "-status:done",
    "queue:mail",
    "queue:m*il",
    "queue:m*",
    "task:mail.*",
    "task:mail?send",
    "task:*Send",
    "task:[ms]*",
    "task:größe",
    "consumer:consumer_*",
    "-consumer:consumer_01",
    "tag:vip",
    "tag:v*p",
    "-tag:test",
    "tag:eu tag:vip",
    "key:order-*",
    "-key:*",
    'error:"timed OUT"',
    "error:100%",
    "error:[x]",
    "error:Ärger",
    "error:ÄRGER",
    "-error:broke",
    "NOT (error:broke OR status:done)",
    "priority>0",
    "attempts>=1",
    "attempts:0",
    "id:1 OR id>=5",
    "age<1h",
    "age>1h",
    "finished>=2020-01-01",
    "-finished>=2020-01-01",
    "started<2020-01-01",
    "run>2026-01-01",
    "args.to:*@example.org",
    "args.to:A@example.org",
    "args.n:1",
    "args.list:x*y",
    "args.list.1:x*y",
    "args.list:null",
    "args.f:1.5 args.yes:true",
    r'args.to.name:"a \"quoted\" \\ name*"',
    "args.wert:Ärger",
    "args.end:here",
    "-args.end:here",
    "meta.source:import",
    "meta.a.b:c",
    "queue:mail args.to:* OR task:sms",
]


def test_a_query_finds_what_it_means(queue: PersistentQInterface) -> None:
    jobs = stocked(queue)
    found, wanted, counted = {}, {}, {}
    for text in QUESTIONS:
        where = parse(text)
        wanted[text] = [job.id for job in jobs if matches(where, job, clock.now())]
        found[text] = [job.id for job in queue.list_jobs(where=text)]
        counted[text] = queue.count_matching(where)
    assert found == wanted
    assert counted == {text: Count(len(ids), False, counted[text].scanned) for text, ids in wanted.items()}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(where=QUERIES)
def test_any_query_finds_what_it_means(stocked_queue: PersistentQInterface, where: Query) -> None:
    jobs = list(stocked_queue.list_jobs(limit=1000))
    wanted = [job.id for job in jobs if matches(where, job, clock.now())]
    assert [job.id for job in stocked_queue.find_jobs(where)] == wanted


@pytest.fixture
def stocked_queue(queue: PersistentQInterface) -> PersistentQInterface:
    stocked(queue)
    return queue


@pytest.mark.parametrize("text", ["", "status:pending", "task:t*", "args.even:true", "tag:none"])
def test_pages_follow_each_other_and_none_is_missed(queue: PersistentQInterface, text: str) -> None:
    queue.enqueue_many(NewJob("t", {"even": n % 2 == 0}) for n in range(57))
    jobs = list(queue.list_jobs(limit=1000))
    wanted = [job.id for job in jobs if matches(parse(text), job, clock.now())]
    found: list[int] = []
    after: str | None = None
    while True:
        page = queue.list_jobs(where=text, limit=10, after=after)
        assert len(page) <= 10
        found += [job.id for job in page]
        if (after := page.next) is None:
            break
    assert found == wanted


def test_what_no_index_finds_is_searched_within_bounds_and_says_so(
    queue: PersistentQInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "SCAN", 20)
    monkeypatch.setattr(finding, "CHUNK", 7)
    first = queue.enqueue("rare", {"n": 1}, tags=("old",))
    queue.enqueue_many(NewJob("t") for _ in range(50))
    if not isinstance(queue, PersistentQSQLAlchemy):
        return
    for text in ("task:rare", "args.n:1", "tag:old status:pending"):
        page = queue.list_jobs(where=text)
        assert (page.items, page.scanned) == ((), 20)
        assert queue.count_matching(parse(text)) == Count(0, True, 20)
        pages = 1
        while page.next is not None:
            page = queue.list_jobs(where=text, after=page.next)
            pages += 1
        assert ([job.id for job in page], pages, page.scanned) == ([first.id], 3, 11)
    assert queue.list_jobs(where="status:pending").scanned is None
    assert queue.count_matching(parse("status:pending"), up_to=10) == Count(10, True)


def test_a_query_joins_the_other_filters(queue: PersistentQInterface) -> None:
    stocked(queue)
    found = queue.list_jobs(status=[JobStatus.FAILED, JobStatus.DONE], where="task:sms OR task:größe")
    assert [job.task for job in found] == ["sms"]
    with pytest.raises(InvalidArgument, match="did you mean 'status'"):
        queue.list_jobs(where="staus:done")
