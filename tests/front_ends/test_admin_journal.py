"""The journal on the command line: a table that people read, and one entry in full."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from admin._journal import in_words
from persistentq import ActNote, NewJob, PersistentQInterface
from persistentq.journal import write_ids
from tests.front_ends.admin_kit import Terminal, a_store, run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


@pytest.fixture
def failed(store: PersistentQInterface) -> list[int]:
    return [store.mark_failed(job.id, "broke").id for job in store.enqueue_many([NewJob("t")] * 3)]


def test_the_journal_reads_as_words_on_a_terminal(
    store: PersistentQInterface, failed: list[int], tmp_path: Path
) -> None:
    run("pause", "mail", "--for", "1h30m", "--reason", "the server is down")
    run("resubmit", *failed[:2], 99)
    with Terminal(tmp_path, "journal", columns=110) as terminal:
        assert terminal.end() == 0
    later, paused = (line for line in terminal.lines[1:] if line)
    assert paused.endswith("·  the server is down · queue mail, for 1h30m")
    assert "  resubmit  2 of 3" in later


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({"queue": "mail", "seconds": None}, "queue mail"),
        ({"queue": "mail", "seconds": 3600.0}, "queue mail, for 1h"),
        ({"seconds": 1e300, "priority": 0}, "seconds 1e+300, priority 0"),
        (
            {"is_restarted": True, "added": ["a", "b"], "kept": [], "number": 2},
            "is restarted, added a b, number 2",
        ),
        ({"again": False, "run_at": None, "counts": {"x": 1}}, 'counts {"x": 1}'),
        ({}, ""),
    ],
)
def test_details_are_said_in_words(details: dict[str, Any], words: str) -> None:
    assert in_words(details) == words


def test_one_entry_of_the_journal_is_shown_in_full(
    store: PersistentQInterface, failed: list[int], tmp_path: Path
) -> None:
    run("resubmit", *failed, 99, "--reason", "=one\x1b[31m")
    run("undo", 1)
    (entry,) = json.loads(run("journal", 1, "-o", "json").out)["items"]
    assert (entry["id"], entry["ids"], entry["undone_by"]) == (1, failed, 2)
    assert entry["skipped"] == {"does not exist": 1}
    with Terminal(tmp_path, "journal", 1) as terminal:
        assert terminal.end() == 0
    shown = dict(line.split(maxsplit=1) for line in terminal.lines if len(line.split()) > 1)
    assert (shown["verb"], shown["reason"], shown["ids"]) == (
        "resubmit",
        r"=one\x1b[31m",
        write_ids(failed),
    )
    assert run("journal", 3).code == 5
    assert run("journal", "one").code == 2
    assert run("journal", 1, "--after", "x").code == 2


def test_the_secrets_of_an_entry_are_not_shown(store: PersistentQInterface) -> None:
    store.write_journal("call", ActNote("ann", "cli", "password=hunter2"), {"said": "token=hunter2"})
    shown = run("journal", 1)
    assert shown.code == 0
    assert "hunter2" not in shown.out
