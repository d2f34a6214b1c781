"""What a shell offers: the script, the answers to what it asks, and both together in a real bash."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from admin._completion import LINE
from persistentq import JobStatus, NewJob, PersistentQInterface, Schedule
from persistentq.clock import Deadline
from tests.front_ends.admin_kit import COMMAND, HOSTILE, Ended, a_store, environment, finish, run, start


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


def offered(line: str) -> dict[str, str]:
    """What may follow the line, called within this process: each word and what it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LINE, f"persistentq admin {line}")
        code, out, err = run()
    assert (code, err) == (0, "")
    lines = out.split("\n")[:-1]
    assert all(line.replace("\t", "").isprintable() for line in lines)
    return dict(line.split("\t") for line in lines)


def asked(folder: Path, line: str) -> Ended:
    """The same by a process, as a shell asks it."""
    return finish(start(folder, command=("env", f"{LINE}={line}", *COMMAND)))


def test_commands_and_options() -> None:
    assert "resubmit" in offered("")
    assert {"resubmit", "resume", "reschedule"} <= set(offered("res"))
    assert offered("resub")["resubmit"] == "Make failed or cancelled jobs pending again."
    assert set(offered("list-jobs --no")) == {"--no-headers"}
    assert "run-now" in offered("schedules ")
    assert "list-jobs" in offered("--readonly list")
    assert set(offered("list-jobs --status ")) == set(JobStatus)
    assert set(offered("list-jobs --status=fa")) == {"failed"}
    assert set(offered("wait 7 --for can")) == {"cancelled"}
    assert offered("list-jobs --limit ") == {}


def test_ids_of_jobs_are_the_newest_that_begin_so(store: PersistentQInterface) -> None:
    store.enqueue_many([NewJob("mail.send")] * 230)
    store.cancel(230)
    assert list(offered("show "))[:2] == ["230", "229"]
    assert len(offered("show ")) == 50
    assert offered("show 230") == {"230": "cancelled, mail.send in default"}
    assert list(offered("resubmit 7 22")) == [*map(str, range(229, 219, -1)), "22"]
    assert list(offered("cancel 2")) == [*map(str, (*range(230, 199, -1), *range(29, 19, -1), 2))]
    assert offered("show 9999") == offered("show 0") == offered("show x") == {}


def test_names(store: PersistentQInterface) -> None:
    store.heartbeat("consumer_00", host="h", pid=1, queues=["default", "idle"])
    store.enqueue_many([NewJob("mail.send", queue="mail"), NewJob("other")])
    store.put_schedule(Schedule("nightly", "@daily", "report.make"))
    run("cancel", 1, "--reason", "no")
    assert set(offered("list-jobs --queue ")) == {"default", "idle", "mail"}
    assert set(offered("pause m")) == {"mail"}
    assert set(offered("list-jobs -t ")) == {"mail.send", "other", "report.make"}
    assert set(offered("enqueue rep")) == {"report.make"}
    assert offered("assign-job 2 con") == {"consumer_00": "alive, serves default, idle"}
    assert offered("schedules pause ") == {"nightly": "@daily: report.make"}
    assert list(offered("undo ")) == ["1"]


def test_terms_of_a_query(store: PersistentQInterface) -> None:
    store.enqueue("mail.send", queue="mail")
    assert set(offered("cancel --where st")) == {"status:", "started>="}
    assert offered("cancel --where ta")["task:"] == "the task; * stands for anything"
    assert set(offered("cancel --where status:fa")) == {"status:failed"}
    assert set(offered("cancel --where 'queue:mail (-task:ma")) == {"queue:mail (-task:mail.send"}
    assert set(offered('cancel --where "queue:ma')) == {"queue:mail"}
    assert set(offered("cancel --where args")) == {"args."}
    assert offered("cancel --where age:1") == offered("cancel --where 'error:\"x y") == {}


def test_what_a_shell_would_run_or_a_terminal_obey_is_not_offered(store: PersistentQInterface) -> None:
    for name in ("$(reboot)", "`reboot`", "a;b", "it's", "\\`x`", "[/bold]", "\u202ex", "a\x9bb", "fine"):
        store.enqueue(name)
    store.enqueue("fine", {"to": HOSTILE})
    assert set(offered("list-jobs --task ")) == {"fine"}
    for text in offered("show ").values():
        assert text.isprintable()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "persistentq",
        "persistentq admin",
        "persistentq admin 'x",
        "persistentq admin nothing --what ",
        "\\",
        "''",
    ],
)
def test_every_line_has_an_answer(store: PersistentQInterface, tmp_path: Path, line: str) -> None:
    code, _, err = asked(tmp_path, line)
    assert (code, err) == (0, "")


def test_where_there_is_no_queue_none_is_made(tmp_path: Path) -> None:
    for line in ("show ", "list-jobs --queue ", "cancel --where task:", "undo ", "schedules pause "):
        assert asked(tmp_path, f"persistentq admin {line}") == (0, "", "")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "queue.db").write_bytes(b"no database at all" * 100)
    assert asked(tmp_path, "persistentq admin show ") == (0, "", "")


def test_an_answer_takes_no_longer_than_somebody_waits(
    store: PersistentQInterface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not answer: the process ends by itself, without a word."""
    silent = (
        "env",
        f"{LINE}=persistentq admin show ",
        "QUEUE_DB_URL=postgresql+psycopg://a@192.0.2.1/q",
        *COMMAND,
    )
    begun = Deadline(20)
    _, out, err = finish(start(tmp_path, command=silent))
    assert (out, err) == ("", "")
    assert begun.remaining > 10


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts(shell: str) -> None:
    code, out, err = run("completion", shell)
    assert (code, err) == (0, "")
    assert LINE in out
    assert "@" not in out.replace("@(admin", "").replace("COMP_WORDS[@]", "")
    # What is offered comes from the database: no shell may evaluate it.
    assert "eval" not in out
    assert run("completion", "csh").code == 2


BASH = """\
source /dev/stdin <<<"$SCRIPT"
COMP_LINE=$1 COMP_POINT=${#1}
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
compopt() { true; }
_persistentq
printf '%s\\n' "${COMPREPLY[@]}"
"""


def replies(folder: Path, line: str, *words: str) -> list[str]:
    """What the function offers that bash calls, for a line that bash has split into these words."""
    (folder / "persistentq").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m persistentq "$@"\n')
    (folder / "persistentq").chmod(0o755)
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        ["bash", "-c", BASH, "bash", line, *words],
        cwd=folder,
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(root),
            "SCRIPT": run("completion", "bash").out,
            **environment(folder),
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert ran.stderr == ""
    return ran.stdout.split("\n")[:-1]


def test_in_a_bash(store: PersistentQInterface, tmp_path: Path) -> None:
    store.enqueue("mail.send", queue="mail", delay=timedelta(hours=1))
    assert replies(tmp_path, "persistentq ad", "persistentq", "ad") == ["admin"]
    assert replies(tmp_path, "persistentq admin sho", "persistentq", "admin", "sho") == ["show"]
    assert replies(tmp_path, "persistentq admin show ", "persistentq", "admin", "show", "") == ["1"]
    assert replies(tmp_path, "persistentq scale --prog", "persistentq", "scale", "--prog") == ["--program"]
    assert replies(tmp_path, "persistentq ops --x", "persistentq", "ops", "--x") == [""]
    # Bash takes a word apart at colons, unless it is quoted.
    words = ("persistentq", "admin", "cancel", "--where")
    assert replies(tmp_path, "persistentq admin cancel --where queue:ma", *words, "queue", ":", "ma") == [
        "mail"
    ]
    quoted = "persistentq admin cancel --where 'queue:mail status:sche"
    assert replies(tmp_path, quoted, *words, "'queue:mail status:sche") == ["queue:mail status:scheduled"]
