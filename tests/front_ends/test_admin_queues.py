"""queues, pause and resume on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from persistentq import ActNote, NewJob, PersistentQInterface
from tests.front_ends.admin_kit import Terminal, a_store, run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


def test_queues_are_listed(store: PersistentQInterface, tmp_path: Path) -> None:
    assert run("queues") == (0, "", f"hint: there is no job in {store.location} yet; a producer makes some\n")
    store.heartbeat("c1", host="h", pid=1, queues=["default", "idle"])
    store.enqueue_many([NewJob("t")] * 3 + [NewJob("t", queue="mail")])
    store.complete(store.dequeue("c1")[0])
    store.pause_queue("mail", lasting=timedelta(hours=1))
    items = json.loads(run("queues", "-o", "json").out)["items"]
    assert [item["queue"] for item in items] == ["default", "idle", "mail"]
    default, _, mail = items
    assert (default["pending"], default["done"], default["consumers"]) == (2, 1, ["c1"])
    assert default["done_per_second"] > 0
    assert default["drains_in_seconds"] > 0
    assert default["oldest_pending_seconds"] >= 0
    assert (default["is_paused"], default["paused_until"]) == (False, None)
    assert (mail["is_paused"], mail["consumers"], mail["drains_in_seconds"]) == (True, [], None)
    assert mail["paused_until"].endswith("Z")
    with Terminal(tmp_path, "queues", columns=150) as terminal:
        assert terminal.end() == 0
    assert terminal.lines[0].split()[-5:] == ["OLDEST", "CONSUMERS", "DRAINS", "IN", "PAUSED"]
    assert terminal.lines[3].split()[0] == "mail"
    assert "none  " in terminal.lines[3]
    assert "never  until 2" in terminal.lines[3]
    with Terminal(tmp_path, "queues", columns=80) as terminal:
        assert terminal.end() == 0
    assert terminal.lines[0].split()[:3] == ["QUEUE", "PENDING", "FAILED"]
    assert terminal.lines[3].split()[0] == "mail"
    assert "never  until 2" in terminal.lines[3]
    assert not any("…" in line for line in terminal.lines)


def test_pause_and_resume(store: PersistentQInterface) -> None:
    store.enqueue("t", queue="mail")
    code, out, err = run("pause", "mail", "--for", "1h", "--reason", "the server is down")
    until = store.list_queues()[0].paused_until
    assert until is not None
    assert (code, err) == (0, "")
    assert out == f"queue mail is paused until {until:%Y-%m-%d %H:%M:%S}Z; 1 of its jobs are ready\n"
    assert store.dequeue("c", queues=["mail"]) == []
    assert run("pause", "mail").out == "queue mail is paused until it is resumed; 1 of its jobs are ready\n"
    shown = json.loads(run("resume", "mail", "-o", "json").out)
    assert shown == {"schema": 1, "queue": "mail", "is_paused": False, "paused_until": None}
    assert run("resume", "mail") == (0, "queue mail was not paused; 1 of its jobs are ready\n", "")
    assert [(entry.verb, entry.reason) for entry in store.list_journal().items] == [
        ("resume", ""),
        ("resume", ""),
        ("pause", ""),
        ("pause", "the server is down"),
    ]


def test_resuming_tells_who_paused_it_and_why(store: PersistentQInterface) -> None:
    store.enqueue("t", queue="mail")
    told = "queue mail is resumed; 1 of its jobs are ready\n"
    store.pause_queue("mail", note=ActNote("ann", "manager", "the server is down\x1b[2J"))
    store.pause_queue("other", note=ActNote("bob"))
    ended = run("resume", "mail")
    assert ended[:2] == (0, told)
    assert re.fullmatch(r"hint: ann paused it \d+s ago: the server is down\\x1b\[2J\n", ended.err)
    store.pause_queue("mail", note=ActNote("bob"))
    assert re.fullmatch(r"hint: bob paused it \d+s ago, and did not say why\n", run("resume", "mail").err)


def test_a_pause_that_nobody_noted_is_resumed_without_a_word_of_it(store: PersistentQInterface) -> None:
    store.pause_queue("mail")
    assert run("resume", "mail") == (0, "queue mail is resumed; 0 of its jobs are ready\n", "")


def test_a_queue_without_jobs_may_be_misspelt(store: PersistentQInterface) -> None:
    code, _, err = run("pause", "mial")
    assert (code, err) == (0, "hint: there is no job in queue mial; `queues` lists those that have some\n")


@pytest.mark.parametrize("arguments", [["a b"], ["mail", "--for", "soon"], ["mail", "--for", "0s"], []])
def test_what_cannot_be_paused_is_refused(store: PersistentQInterface, arguments: list[str]) -> None:
    assert run("pause", *arguments).code == 2
    assert store.list_queues() == []
