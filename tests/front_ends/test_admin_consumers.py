"""Consumers in trouble, as the command line shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistentq import PersistentQInterface
from tests.front_ends.admin_kit import Terminal, a_store, run

TROUBLE = "ended 5 times in a row soon after its start; the last time: No module named 'shop'"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


def report(store: PersistentQInterface, name: str, trouble: str | None) -> None:
    store.heartbeat(name, host="box", pid=4321, queues=["default"], trouble=trouble)


def test_trouble_is_listed_whether_the_consumer_is_alive_or_has_stopped(store: PersistentQInterface) -> None:
    report(store, "consumer_00", TROUBLE)
    report(store, "consumer_01", None)
    report(store, "consumer_02", None)
    store.retire("consumer_02", trouble=TROUBLE)
    items = json.loads(run("consumers", "--output", "json").out)["items"]
    assert [(item["id"], item["state"], item["trouble"]) for item in items] == [
        ("consumer_00", "alive", TROUBLE),
        ("consumer_01", "alive", None),
        ("consumer_02", "stopped", TROUBLE),
    ]
    assert run("consumers").out.count(TROUBLE) == 2


def test_the_log_of_one_that_is_unwell_is_named(store: PersistentQInterface) -> None:
    report(store, "consumer_00", None)
    assert run("consumers").err == ""
    report(store, "consumer_01", TROUBLE)
    assert run("consumers").err.startswith("hint: `logs consumer_01` shows the log ")


def test_a_table_has_a_column_for_it_only_if_there_is_any(store: PersistentQInterface) -> None:
    report(store, "consumer_00", None)
    assert "TROUBLE" not in run("consumers", "--output", "table").out
    report(store, "consumer_01", TROUBLE)
    assert "TROUBLE" in run("consumers", "--output", "table").out


def test_the_monitor_counts_and_shows_it(store: PersistentQInterface, tmp_path: Path) -> None:
    report(store, "consumer_00", TROUBLE)
    report(store, "consumer_01", None)
    line = run("monitor-activity", "--count", 1, "--output", "text").out
    assert "consumers=2 consumers_alive=2 consumers_in_trouble=1" in line
    with Terminal(tmp_path, "monitor-activity", "--count", 1, columns=160) as terminal:
        assert terminal.shows("No module named 'shop'")
