"""Which term of a query leaves nothing over."""

from __future__ import annotations

from persistentq import NewJob, PersistentQMemory
from persistentq.job import Count
from persistentq.operations.emptiness import removals
from persistentq.query import parse


def test_each_term_with_how_many_there_would_be_without_it() -> None:
    queue = PersistentQMemory()
    queue.enqueue_many([NewJob("mail.send")] * 3 + [NewJob("sms.send", queue="sms")])
    found = removals(queue, parse("queue:sms task:mail.* -status:failed"))
    assert [(one.term, one.without.number) for one in found] == [
        ("queue:sms", 3),
        ("task:mail.*", 1),
        ("-status:failed", 0),
    ]


def test_one_term_alone_hides_all_there_is_and_no_count_is_endless() -> None:
    queue = PersistentQMemory()
    queue.enqueue_many([NewJob("t")] * 1001)
    (only,) = removals(queue, parse("status:failed OR status:done"))
    assert only.term == "status:failed OR status:done"
    assert only.without == Count(1000, is_capped=True)
    assert removals(queue, parse("")) == []
