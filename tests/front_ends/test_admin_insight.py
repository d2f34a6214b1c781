"""why, attention, errors, doctor and stats --by: what they print, and how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from admin._screen import span_text
from persistentq import PersistentQInterface, clock
from persistentq.operations import safe
from tests.front_ends.admin_kit import HOSTILE, Terminal, a_store, run

SUPERVISED = """[supervisord]
logfile=%(here)s/log
[unix_http_server]
file=%(here)s/sock
chmod=0700
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


@pytest.fixture
def failed(store: PersistentQInterface) -> int:
    job = store.enqueue("mail.send", max_attempts=1)
    (held,) = store.dequeue("c_1")
    store.fail(held, ValueError(HOSTILE))
    return job.id


def test_why(store: PersistentQInterface, failed: int) -> None:
    job = store.enqueue("t", delay=timedelta(hours=2))
    store.pause_queue("default", lasting=timedelta(minutes=3))
    code, out, err = run("why", job.id)
    assert (code, err) == (0, "")
    assert out.startswith(f"job {job.id} is scheduled\n  future: it is not due until ")
    for words in ("(over in 2h)", "  paused: queue default is paused until", "    -> resume the queue\n"):
        assert words in out
    document = json.loads(run("why", job.id, "--output", "json").out)
    assert (document["job"], document["status"]) == (job.id, "scheduled")
    assert [item["reason"] for item in document["items"]] == ["future", "paused", "no-consumer"]
    assert 170 < document["items"][1]["over_in_seconds"] <= 180
    assert "\x1b" not in run("why", failed).out
    assert run("why", 99).code == 5
    assert run("why", "seven").code == 2


@pytest.mark.parametrize("command", ["why", "show", "cancel"])
def test_where_a_queue_is_named_instead_of_a_job_the_way_to_its_jobs_is_told(
    store: PersistentQInterface, command: str
) -> None:
    hint = "hint: `queues` lists the queues, and `list-jobs --where {}` the jobs of one\n"
    code, out, err = run(command, "mail")
    assert (code, out) == (2, "")
    assert err.endswith(hint.format("queue:mail"))
    assert run(command, "a b\x1b").err.endswith(hint.format("queue:NAME"))


def test_errors(store: PersistentQInterface, failed: int) -> None:
    code, out, err = run("errors", "--output", "json")
    assert (code, err) == (0, "")
    (item,) = json.loads(out)["items"]
    assert (item["attempts"], item["task"], item["error_type"], item["job_ids"]) == (
        1,
        "mail.send",
        "ValueError",
        [failed],
    )
    table = run("errors", "--output", "table").out
    assert "ATTEMPTS" in table
    assert "\x1b" not in table + run("errors").out
    code, out, err = run("errors", "--window", "soon")
    assert (code, out) == (2, "")
    assert err.startswith("error: window 'soon' is not a span such as 90s")


def test_no_errors(store: PersistentQInterface) -> None:
    code, out, err = run("errors", "--window", "1h")
    assert (code, out) == (0, "")
    assert err == f"hint: no attempt failed within 1h in {store.location}\n"


def test_attention(store: PersistentQInterface, failed: int, tmp_path: Path) -> None:
    conf = ("--supervisor", tmp_path / "none.conf")
    code, out, _ = run("attention", *conf, "--output", "json")
    items = json.loads(out)["items"]
    assert code == 0
    (item,) = (item for item in items if item["kind"] == "failures")
    assert item["urgency"] == "later"
    assert item["command"].startswith("list-jobs --where 'status:failed task:mail.send ")
    assert "\x1b" not in run("attention", *conf, "--output", "table").out


def test_attention_on_a_terminal_tells_remedy_and_command_whole(
    store: PersistentQInterface, failed: int, tmp_path: Path
) -> None:
    conf = ("--supervisor", tmp_path / "none.conf")
    items = json.loads(run("attention", *conf, "--output", "json").out)["items"]
    with Terminal(tmp_path, "attention", *conf) as terminal:
        assert terminal.end() == 0
    shown, column = terminal.lines, terminal.lines[0].index("WHAT")
    words = "".join("".join(line[column:] for line in shown).split())
    (item,) = (item for item in items if item["kind"] == "failures")
    mends = f"-> {item['remedy']} -> `{safe(item['command'])}`"
    assert "".join(mends.split()) in words
    assert "…" not in terminal.text


def test_doctor_ends_with_6_if_a_check_fails(
    store: PersistentQInterface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = tmp_path / "supervisord.conf"
    conf.write_text(SUPERVISED)
    code, out, _ = run("doctor", "--supervisor", conf)
    assert code == 0, out
    assert "ok    supervisor: " in out
    conf.write_text(f"{SUPERVISED}[inet_http_server]\nport=*:9001\n")
    code, out, _ = run("doctor", "--supervisor", conf)
    assert code == 6
    assert "fail  supervisor: " in out
    assert "\n      -> remove [inet_http_server]; the unix socket is enough\n" in out
    code, out, _ = run("doctor", "--supervisor", conf, "--output", "json")
    document = json.loads(out)
    assert (code, document["grade"]) == (6, "fail")
    assert all(list(item) == ["name", "grade", "found", "remedy"] for item in document["items"])
    monkeypatch.setenv("QUEUE_DB_FILE", str(tmp_path / "none.db"))
    code, out, _ = run("doctor")
    assert code == 6
    assert f"fail  database: no queue database at {tmp_path}/none.db" in out


def test_a_window_is_of_no_use_to_a_count(store: PersistentQInterface) -> None:
    code, out, err = run("stats", "--window", "5m")
    assert (code, out) == (2, "")
    assert "--window '5m' needs --by queue, --by task or --by time" in err


def test_stats_by_queue_task_and_time(store: PersistentQInterface, failed: int) -> None:
    store.enqueue("t", queue="mail")
    store.complete(store.dequeue("c_1", ["mail"])[0])
    default, mail = json.loads(run("stats", "--by", "queue", "--output", "json").out)["items"]
    assert [default[name] for name in ("queue", "enqueued", "started", "done", "failed")] == [
        "default",
        1,
        1,
        0,
        1,
    ]
    assert [mail[name] for name in ("queue", "enqueued", "started", "done", "failed")] == ["mail", 1, 1, 1, 0]
    assert mail["wait_p50_seconds"] >= 0
    assert default["run_p95_seconds"] is None
    tasks = json.loads(run("stats", "--by", "task", "--output", "json").out)["items"]
    assert [item["task"] for item in tasks] == ["mail.send", "t"]
    times = json.loads(run("stats", "--by", "time", "--window", "10m", "--output", "json").out)["items"]
    assert len(times) == 12
    assert (times[-1]["done"], times[-1]["failed"]) == (1, 1)
    table = run("stats", "--by", "queue", "--output", "table").out
    assert table.split()[:3] == ["QUEUE", "ENQUEUED", "STARTED"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.000s"),
        (0.0128, "0.013s"),
        (59.2, "59.200s"),
        (60, "1m"),
        (200.9, "3m20s"),
        (9_272.429, "2h34m"),
        (7_200, "2h"),
        (100_000, "1d3h"),
    ],
)
def test_a_span_reads_as_people_say_it(seconds: float, text: str) -> None:
    assert span_text(timedelta(seconds=seconds)) == text


def test_the_table_of_stats_tells_long_waits_in_hours_and_data_in_seconds(
    store: PersistentQInterface,
) -> None:
    store.enqueue("t", run_at=clock.now() - timedelta(hours=2, minutes=34))
    store.complete(store.dequeue("c_1")[0])
    assert run("stats", "--by", "queue", "--output", "table").out.split().count("2h34m") == 2
    (item,) = json.loads(run("stats", "--by", "queue", "--output", "json").out)["items"]
    assert 9_240 <= item["wait_p50_seconds"] < 9_300
