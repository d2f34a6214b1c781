"""start, stop and restart on the command line; supervisord itself has tests of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from persistentq import PersistentQInterface
from persistentq.operations import supervised
from persistentq.operations.supervised import Program
from tests.front_ends.admin_kit import a_store, run

HOSTILE_NAME = "consumer:\x1b[2J"
NAMES = ("consumer:consumer_00", "consumer:consumer_01", "other:consumer_01", HOSTILE_NAME)


class Kept:
    """Stands for a supervisord that keeps some processes, and notes what it is asked for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.confs: set[Path] = set()
        patch.setattr(supervised, "Supervised", self._opened)

    def _opened(self, conf: Path) -> Kept:
        self.confs.add(conf)
        return self

    def programs(self) -> list[Program]:
        return [Program(name, "RUNNING", 7, "/log", "") for name in NAMES]

    def call(self, *words: Any) -> None:
        self.calls.append(words)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "supervisord.conf").touch()
    yield from a_store(tmp_path, monkeypatch)


@pytest.fixture
def kept(store: PersistentQInterface, monkeypatch: pytest.MonkeyPatch) -> Kept:
    return Kept(monkeypatch)


def test_one_is_stopped_started_and_restarted_and_the_journal_tells_it(
    store: PersistentQInterface, kept: Kept
) -> None:
    name = "consumer:consumer_00"
    ended = run("stop", "consumer_00", "--yes", "--reason", "stuck")
    assert ended == (0, f"stop-consumer worked for {name}\n", "")
    assert run("start", name, "--yes").out == f"start-consumer worked for {name}\n"
    told = json.loads(run("restart", "consumer_00", "--yes", "-c", "own.conf", "-o", "json").out)
    assert told == {"schema": 1, "verb": "restart-consumer", "program": name}
    stop, begin = ("stopProcess", name, True), ("startProcess", name, True)
    assert kept.calls == [stop, begin, stop, begin]
    assert kept.confs == {Path("supervisord.conf"), Path("own.conf")}
    assert [(one.verb, one.details, one.reason) for one in store.list_journal().items] == [
        ("restart-consumer", {"program": name}, ""),
        ("start-consumer", {"program": name}, ""),
        ("stop-consumer", {"program": name}, "stuck"),
    ]


@pytest.mark.parametrize(
    ("name", "word"), [("consumer_07", "no process"), ("consumer_01", "several processes")]
)
def test_a_name_that_is_not_one_process_is_refused_with_those_there_are(
    kept: Kept, name: str, word: str
) -> None:
    code, out, err = run("start", name)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: supervisord keeps {word} '{name}'\nhint: it keeps consumer:")
    for known in ("consumer:consumer_00", "consumer:consumer_01", "other:consumer_01", r"consumer:\x1b[2J"):
        assert known in err
    assert kept.calls == []


@pytest.mark.parametrize(
    ("verb", "question"),
    [
        ("start", "Start consumer:consumer_00?\n"),
        ("stop", "Stop consumer:consumer_00? What it runs is finished, or given back.\n"),
        ("restart", "Restart consumer:consumer_00? What it runs is finished, or given back.\n"),
    ],
)
def test_nothing_is_done_unasked(store: PersistentQInterface, kept: Kept, verb: str, question: str) -> None:
    code, out, err = run(verb, "consumer_00")
    assert (code, out) == (2, "")
    assert question in err
    assert (kept.calls, store.list_journal().items) == ([], ())


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_nothing_is_steered_where_nothing_may_be_changed(kept: Kept, verb: str) -> None:
    code, _, err = run("--readonly", verb, "consumer_00", "--yes")
    assert code == 2
    assert "this is read-only" in err
    assert kept.calls == []
