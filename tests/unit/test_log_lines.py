"""One record is one line, whatever it holds, as text and as JSON; and no password is in it."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from persistentq import Consumer, PersistentQMemory
from persistentq.program import log_to_stderr
from persistentq.tasks import Tasks
from persistentq.telemetry import events
from persistentq.telemetry.events import JOB_FAILED, tell
from persistentq.telemetry.lines import JsonLine, TextLine, hide_passwords

EVIL = "x\n2026-01-01T00:00:00.000Z INFO forged \x1b[2J \u202e \u2028 \x85 \udc80 {'a'} %s %(job)d"
FACTS = {"consumer": "c_1", "job": 7, "task": "mail.send", "queue": "mail", "attempt": 2}
ENDED = FACTS | {"waited": 1.5, "seconds": 0.25}


class Written:
    """What the process's log has received, as it would stand on stderr."""

    def __init__(self, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", self.stream)
        root = logging.getLogger()
        monkeypatch.setattr(root, "handlers", [])
        monkeypatch.setattr(root, "level", root.level)
        log_to_stderr(form, "info")
        logging.root.manager._clear_cache()  # type: ignore[attr-defined]

    def lines(self) -> list[str]:
        text = self.stream.getvalue()
        assert text.endswith("\n")
        return text.removesuffix("\n").split("\n")

    def only(self) -> Any:
        (line,) = self.lines()
        return json.loads(line)


@pytest.fixture
def as_text(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    yield Written("text", monkeypatch)
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    yield Written("json", monkeypatch)
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]


def is_plain(line: str) -> bool:
    return line.isprintable() and len(line.splitlines()) == 1


def test_an_event_as_text(as_text: Written) -> None:
    tell(JOB_FAILED, **ENDED, error="no", final=False)
    (line,) = as_text.lines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING job 7 mail.send attempt 2 failed in 0.250 s: no",
        line,
    )


def test_an_event_as_json(as_json: Written) -> None:
    tell(JOB_FAILED, **ENDED, error="no", final=False)
    shown = as_json.only()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown.pop("time"))
    assert shown == {
        "level": "warning",
        "logger": "persistentq.events",
        "message": "job 7 mail.send attempt 2 failed in 0.250 s: no",
        "event": "job failed",
        **ENDED,
        "error": "no",
        "final": False,
    }


def record_of(message: str, *args: object, **extra: Any) -> logging.LogRecord:
    record = logging.LogRecord("shop", logging.INFO, "", 0, message, args, None)
    vars(record).update(extra)
    return record


@given(st.text())
@example(EVIL)
@example("")
def test_no_text_makes_a_second_line_or_a_control_character(text: str) -> None:
    for record in (
        record_of(text),
        record_of("%s", text),
        record_of("an event", event="job failed", facts={"error": text, "job": 7}),
    ):
        assert is_plain(TextLine().format(record))
        line = JsonLine().format(record)
        assert is_plain(line)
        assert line.isascii()
        assert isinstance(json.loads(line), dict)


@given(st.text())
@example(EVIL)
def test_json_gives_back_the_very_text(text: str) -> None:
    line = JsonLine().format(record_of("an event", event="e", facts={"error": text}))
    if hide_passwords(text) == text:
        assert json.loads(line)["error"] == text


def test_no_fact_can_forge_a_line(as_text: Written) -> None:
    for event in events.EVENTS:
        tell(event, **{name: 1 if f"%({name})s" not in event.text else EVIL for name in event.facts})
    lines = as_text.lines()
    assert len(lines) == sum(event.level >= logging.INFO for event in events.EVENTS)
    assert all(is_plain(line) for line in lines)
    assert not any(line.startswith("2026-01-01T00:00:00.000Z INFO forged") for line in lines)


def test_a_traceback_stays_in_its_line(as_text: Written, as_json: Written) -> None:
    log = logging.getLogger("shop")
    for form in (TextLine(), JsonLine()):
        try:
            raise ValueError("first\nsecond postgresql://me:hunter2@db/q")
        except ValueError:
            record = log.makeRecord("shop", logging.ERROR, "", 0, "broken", (), sys.exc_info())
        line = form.format(record)
        assert is_plain(line)
        assert "ValueError" in line
        assert "raise ValueError" in line
        assert "hunter2" not in line


def test_arguments_that_do_not_fit_lose_no_line() -> None:
    record = record_of("%d items", "many")
    assert json.loads(JsonLine().format(record))["message"] == "%d items ('many',)"
    assert TextLine().format(record).endswith("INFO %d items ('many',)")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hunter2@db/q", "postgresql://me:***@db/q"),
        ("redis://:hunter2@db", "redis://:***@db"),
        ("see 'amqp://a:b@c/d', and x://e:f@g", "see 'amqp://a:***@c/d', and x://e:***@g"),
        ("postgresql://me:p@ss/w:rd@db/q", "postgresql://me:***@db/q"),
        ("postgresql://me@db/q", "postgresql://me@db/q"),
        ("http://localhost:9100/metrics", "http://localhost:9100/metrics"),
        ("at 12:30 a@b.org wrote", "at 12:30 a@b.org wrote"),
    ],
)
def test_passwords_within_urls_are_hidden(text: str, shown: str) -> None:
    assert hide_passwords(text) == shown
    for form in (TextLine(), JsonLine()):
        line = form.format(record_of("%s", text, event="e", facts={"error": text}))
        assert "hunter2" not in line
        assert shown in line


def test_what_a_tasks_code_says_names_its_job(as_text: Written) -> None:
    tasks = Tasks()
    tasks.add("work", lambda: logging.getLogger("shop").warning("paper is low"))
    queue = PersistentQMemory()
    queue.enqueue("work")
    Consumer(queue, tasks=tasks).run(burst=True)
    (line,) = [line for line in as_text.lines() if "paper" in line]
    assert line.endswith("WARNING [job 1 work attempt 1] paper is low")


def test_what_a_tasks_code_says_has_its_job_as_fields(as_json: Written) -> None:
    tasks = Tasks()
    tasks.add("work", lambda: logging.getLogger("shop").warning("paper is low"))
    queue = PersistentQMemory()
    queue.enqueue("work")
    Consumer(queue, tasks=tasks).run(burst=True)
    (shown,) = [line for line in map(json.loads, as_json.lines()) if line["logger"] == "shop"]
    assert (shown["job"], shown["task"], shown["attempt"], shown["message"]) == (1, "work", 1, "paper is low")
    assert "event" not in shown


@pytest.mark.parametrize(("level", "written"), [("debug", 3), ("info", 3), ("warning", 2), ("error", 0)])
def test_the_level_says_what_is_written(monkeypatch: pytest.MonkeyPatch, level: str, written: int) -> None:
    log = Written("text", monkeypatch)
    logging.getLogger().setLevel(level.upper())
    tell(events.CONSUMER_STOPPED, consumer="c")
    tell(events.CONSUMER_WAITING, consumer="c", error="no")
    logging.getLogger("shop").warning("paper is low")
    assert log.stream.getvalue().count("\n") == written
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]
