"""Stopping, starting and scaling supervised consumers, as an operator does; supervisord itself has tests of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from persistentq import PersistentQMemory, ReadOnlyMode
from persistentq.errors import SupervisionError
from persistentq.operations import Operator, steering, supervised
from persistentq.operations.scale import Scaled
from persistentq.operations.steering import NOT_RUNNING, scale_consumers, steer

CONF = Path("supervisord.conf")
PROGRAM = "consumer:consumer_00"


class Asked:
    """Stands for a supervisord that notes what it is asked for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.faults: dict[str, int] = {}
        patch.setattr(supervised, "Supervised", lambda _: self)

    def call(self, *words: object) -> None:
        self.calls.append(words)
        if fault := self.faults.get(str(words[0])):
            raise SupervisionError("refused", "", fault=fault)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def test_a_consumer_is_stopped_started_and_restarted_and_the_journal_tells_it(asked: Asked) -> None:
    operator = Operator(PersistentQMemory())
    for verb in steering.STEPS:
        steer(operator, CONF, verb, PROGRAM, reason="stuck")
    stop, start = ("stopProcess", PROGRAM, True), ("startProcess", PROGRAM, True)
    assert asked.calls == [stop, start, stop, start]
    told = [(entry.verb, entry.details, entry.reason) for entry in operator.list_journal().items]
    assert told == [(verb, {"program": PROGRAM}, "stuck") for verb in reversed(steering.STEPS)]


def test_a_consumer_that_does_not_run_can_be_restarted_but_not_stopped(asked: Asked) -> None:
    operator = Operator(PersistentQMemory())
    asked.faults["stopProcess"] = NOT_RUNNING
    steer(operator, CONF, "restart-consumer", PROGRAM)
    with pytest.raises(SupervisionError):
        steer(operator, CONF, "stop-consumer", PROGRAM)
    assert [entry.verb for entry in operator.list_journal().items] == ["restart-consumer"]


def test_consumers_are_scaled_and_the_journal_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    done = Scaled(
        program="consumer", added=("consumer_01",), removed=(), kept=(), is_restarted=False, failed={}
    )
    monkeypatch.setattr(steering, "scale", lambda conf, number, *, program: done)
    operator = Operator(PersistentQMemory())
    assert scale_consumers(operator, CONF, 2) == done
    (entry,) = operator.list_journal().items
    assert (entry.verb, entry.details["number"], entry.details["added"]) == ("scale", 2, ["consumer_01"])


def test_nothing_is_steered_where_nothing_may_be_changed(asked: Asked) -> None:
    operator = Operator(PersistentQMemory(), readonly=True)
    for verb in steering.STEPS:
        with pytest.raises(ReadOnlyMode):
            steer(operator, CONF, verb, PROGRAM)
    with pytest.raises(ReadOnlyMode):
        scale_consumers(operator, CONF, 2)
    assert asked.calls == []
