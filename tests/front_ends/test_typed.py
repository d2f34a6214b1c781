"""The command that a face shows for a deed does that deed when it is typed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from persistentq import Act, NewJob, PersistentQInterface
from persistentq.operations.typed import act_words, enqueue_words, with_reason
from tests.front_ends.admin_kit import a_store, run

LATER = datetime(2035, 5, 1, 12, 30, tzinfo=UTC)
ACTS = (
    Act("resubmit"),
    Act("cancel"),
    Act("mark-failed", error="too slow; it's over"),
    Act("assign", consumer="c_01"),
    Act("assign"),
    Act("reschedule", run_at=LATER),
    Act("reschedule"),
    Act("set-priority", priority=5),
    Act("set-priority", priority=-5),
    Act("edit-arguments", arguments={"to": "a b", "n": [1, None]}, without=("old",)),
    Act("delete"),
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


@pytest.mark.parametrize("where", [None, "task:mail.*", ""], ids=["ids", "query", "all"])
@pytest.mark.parametrize("act", ACTS, ids=str)
def test_an_act_is_done_as_it_is_typed(store: PersistentQInterface, act: Act, where: str | None) -> None:
    store.heartbeat("c_01", host="box", pid=1, queues=["default"])
    ids = [job.id for job in store.enqueue_many([NewJob("mail.send", {"to": "z", "old": 1})] * 3)]
    if act.verb == "resubmit":
        for job_id in ids:
            store.mark_failed(job_id, "no")
    words = with_reason(act_words(act.verb, ids, where, act), act.error)
    ended = run(*words, "--yes") if "--" not in words else run(words[0], "--yes", *words[1:])
    assert ended.code == 0, ended.err
    entry = store.list_journal().items[0]
    assert (entry.verb, entry.reason, entry.done) == (act.verb, act.error, 3)
    assert entry.details == act.details


@pytest.mark.parametrize(
    "new",
    [
        NewJob("mail.send"),
        NewJob(
            "mail.send", {"to": "it's", "n": [1]}, queue="mail", priority=-3, tags=("a", "b"), run_at=LATER
        ),
    ],
    ids=["plain", "everything"],
)
def test_a_job_is_enqueued_as_it_is_typed(store: PersistentQInterface, new: NewJob) -> None:
    assert run(*enqueue_words(new)).code == 0
    (typed,) = store.list_jobs().items
    same = store.enqueue_many([new])[0]
    for name in ("task", "args", "queue", "priority", "tags"):
        assert getattr(typed, name) == getattr(same, name)
    assert new.run_at is None or typed.run_at == new.run_at


def test_what_is_not_known_yet_is_in_capitals() -> None:
    assert act_words("assign", [7], None) == ("assign-job", "7", "CONSUMER")
    assert act_words("set-priority", [], "task:x") == ("set-priority", "--where", "task:x", "PRIORITY")
