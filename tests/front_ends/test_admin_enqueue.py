"""enqueue and wait on the command line."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Timer

import pytest

from persistentq import JobStatus, PersistentQInterface
from persistentq.clock import Deadline
from tests.front_ends.admin_kit import LONG, a_store, finish, run, start


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of tasks in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "enqueued_tasks.py").write_text(
        "from persistentq import Tasks\n"
        "tasks = Tasks()\n"
        "@tasks.task('mail.send', queue='mail', max_attempts=7, unique=True)\n"
        "def send(to: str, parts: int = 1): ...\n"
    )
    return "enqueued_tasks:tasks"


def test_a_job_with_everything_said(store: PersistentQInterface) -> None:
    code, out, err = run(
        *("enqueue", "mail.send", "--arg", 'to="a@example.org"', "--arg", "parts=[1,2]", "--queue", "mail"),
        *(
            "--priority",
            5,
            "--in",
            "1h",
            "--max-attempts",
            9,
            "--unique-key",
            "k",
            "--tag",
            "a",
            "--tag",
            "b",
        ),
        *("--meta", "by=true", "--reason", "a customer asks"),
    )
    assert (code, out, err) == (0, "job 1 is scheduled\n", "")
    job = store.get_job(1)
    assert (job.task, job.args) == ("mail.send", {"to": "a@example.org", "parts": [1, 2]})
    assert (job.queue, job.priority, job.max_attempts, job.unique_key) == ("mail", 5, 9, "k")
    assert (job.tags, job.metadata["by"]) == (("a", "b"), True)
    assert timedelta(minutes=59) < job.run_at - job.created_at <= timedelta(hours=1)
    (entry,) = store.list_journal().items
    assert (entry.verb, entry.face, entry.reason, entry.done) == ("enqueue", "cli", "a customer asks", 1)
    code, out, _ = run("enqueue", "mail.send", "--unique-key", "k")
    assert (code, out) == (0, "job 1 was there already, scheduled: it has this unique key\n")
    shown = json.loads(run("enqueue", "mail.send", "--unique-key", "k", "-o", "json").out)
    assert (shown["schema"], shown["job"]["id"], shown["duplicate"]) == (1, 1, True)
    assert run("undo", entry.id).out == "undo changed 1 job\n"


def test_arguments_from_standard_input(store: PersistentQInterface) -> None:
    shown = json.loads(run("enqueue", "x", "--args", "-", "-o", "json", given='{"n": 1}').out)
    assert (shown["job"]["args"], shown["job"]["status"], shown["duplicate"]) == ({"n": 1}, "pending", False)
    assert run("enqueue", "x", "--args", '{"n": 2}').code == 0
    assert store.get_job(2).args == {"n": 2}


def test_with_the_tasks_a_job_is_as_their_code_would_enqueue_it(
    store: PersistentQInterface, app: str
) -> None:
    assert run("enqueue", "mail.send", "--arg", 'to="a"', "--app", app).out == "job 1 is pending\n"
    job = store.get_job(1)
    assert (job.queue, job.max_attempts) == ("mail", 7)
    assert "there already" in run("enqueue", "mail.send", "--arg", 'to="a"', "--app", app).out
    other = run("enqueue", "mail.send", "--arg", 'to="b"', "--app", app, "--queue", "other", "-o", "json")
    assert json.loads(other.out)["job"]["queue"] == "other"
    for words, told in (
        (
            "mail.sent",
            "error: task 'mail.sent' is none of those that are registered; did you mean 'mail.send'?",
        ),
        ("mail.send", "error: task mail.send: arguments {} lack 'to'"),
        ("mail.send --arg to=3", "error: task mail.send: argument to = 3 should be a valid string"),
    ):
        code, out, err = run("enqueue", *shlex.split(words), "--app", app)
        assert (code, out) == (2, "")
        assert err.startswith(told)
    assert len(store.list_jobs()) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("x --arg n=1 --args {}", "error: --arg and --args exclude one another"),
        ("x --args [1]", "error: --args '[1]' is not a JSON object"),
        ("x --args {", "error: --args '{' is not JSON"),
        ("x --arg n", "error: --arg 'n' is not NAME=JSON"),
        ("x --at 2099-01-01 --in 1h", "error: --at and --in exclude one another"),
        ("x --queue ?", "error: queue '?' is not 1 to 64"),
        ("x --tag 'a b'", "error: tag 'a b' is not 1 to 64"),
        ("x --max-attempts 0", "error: max_attempts 0 is not a whole number"),
        ("'a b'", "error: task 'a b' is not 1 to 200"),
        ("x --arg 'n=\"\\u0000\"'", "error: args"),
        ("", "error: missing argument"),
    ],
)
def test_what_is_refused(store: PersistentQInterface, arguments: str, told: str) -> None:
    """And nothing is enqueued."""
    code, out, err = run("enqueue", *shlex.split(arguments))
    assert (code, out) == (2, "")
    assert err.startswith(told)
    assert (len(store.list_jobs()), store.list_journal().items) == (0, ())


def test_waiting_for_what_is_there(store: PersistentQInterface) -> None:
    ids = [store.enqueue("x").id for _ in range(2)]
    for job in store.dequeue("c", limit=2):
        store.complete(job)
    code, out, err = run("wait", *ids, "--for", "done")
    assert (code, out, err) == (0, "job 1 is done\njob 2 is done\n", "")
    assert run("wait", "-", given="1 2").code == 0
    shown = json.loads(run("wait", 1, "-o", "json").out)
    assert shown == {
        "schema": 1,
        "for": "finished",
        "is_met": True,
        "items": [{"id": 1, "status": "done", "outcome": "met"}],
    }


def test_waiting_for_what_comes(store: PersistentQInterface, tmp_path: Path) -> None:
    job_id = store.enqueue("x").id
    (held,) = store.dequeue("c")
    waiting = start(tmp_path, "wait", job_id, "--for", "done", "--timeout", "30s")
    timer = Timer(1.0, store.complete, [held])
    timer.start()
    assert finish(waiting) == (0, f"job {job_id} is done\n", "")
    timer.join()


def test_waiting_in_vain_ends_with_6(store: PersistentQInterface) -> None:
    waits, ends = store.enqueue("x").id, store.enqueue("x").id
    store.cancel(ends)
    assert run("wait", waits, "--timeout", "100ms") == (
        6,
        "",
        f"error: job {waits} is still pending after 100ms\n",
    )
    code, out, err = run("wait", waits, ends, "--for", "done")
    assert (code, out) == (6, "")
    assert err == f"error: job {ends} is cancelled, and will not be done\n"
    code, out, err = run("wait", waits, ends, "--for", "done", "-o", "json")
    assert (code, json.loads(out)["is_met"]) == (6, False)
    assert [item["outcome"] for item in json.loads(out)["items"]] == ["missed", "left"]
    assert json.loads(err)["error"] == "1 of 2 jobs ended otherwise than done"


def test_an_unknown_job_ends_with_5(store: PersistentQInterface) -> None:
    assert run("wait", 99).code == 5
    assert run("wait").code == 2
    assert run("wait", "x").code == 2
    assert run("wait", 1, "--for", "soon").code == 2
    assert run("wait", 1, "--timeout", "soon").code == 2


def has_opened(pid: int, name: str) -> bool:
    folder = Path(f"/proc/{pid}/fd")
    try:
        return any(name in str(one.readlink()) for one in folder.iterdir())
    except OSError:
        # One was closed between the two looks.
        return False


def test_ctrl_c_ends_the_waiting(store: PersistentQInterface, tmp_path: Path) -> None:
    job_id = store.enqueue("x").id
    waiting = start(tmp_path, "wait", job_id)
    assert Deadline(LONG).wait_for(lambda: has_opened(waiting.pid, "queue.db"))
    waiting.send_signal(signal.SIGINT)
    assert finish(waiting) == (130, "", "")
    assert store.get_job(job_id).status == JobStatus.PENDING
