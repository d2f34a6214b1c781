"""What looks like a secret, and the database's password, are shown by no command, no screen and no page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from sqlalchemy import make_url
from streamlit import config

from manager.views import VIEWS
from persistentq import NewJob, PersistentQInterface, Schedule, open_queue
from tests.front_ends.admin_kit import run
from tests.front_ends.manager_kit import Terminal, running
from tests.front_ends.ops_kit import visit

if TYPE_CHECKING:
    import pytest
    from streamlit.testing.v1 import AppTest

CANARY = "h7k2-canary"
OUTPUTS = {
    "list-jobs": ("table", "tsv", "csv", "json", "jsonl"),
    "show 1": ("text", "json"),
    "show 2": ("text", "json"),
    "why 1": ("text", "json"),
    "why 2": ("text", "json"),
    "attention": ("text", "json"),
    "errors": ("table", "tsv", "csv", "json", "jsonl"),
    "doctor": ("text", "json"),
    "stats": ("text", "json"),
    "consumers": ("table", "csv", "json"),
    "journal": ("table", "csv", "json"),
    "schedules list": ("table", "csv", "json"),
    "migrate": ("",),
    "monitor-activity --interval 1 --count 1": ("", "json"),
    "cancel 3 --yes": ("text",),
    "resubmit 2 --yes": ("json",),
    "resubmit 3 --yes": ("text",),
    "mark-failed 3 --yes --reason r": ("json",),
    "assign-job 4 c_2": ("text",),
    "delete-db-jobs --status done --yes": ("json",),
    "undo 1 --yes": ("text",),
    "schedules run-now nightly": ("",),
    "schedules pause nightly": ("",),
    "schedules remove nightly --yes": ("",),
    "preflight --app no.such.module": ("",),
    "show 99999": ("text", "json"),
    "list-jobs --where args.password:x": ("json",),
    "list-jobs --where nonsense": ("json",),
    "no-such-command": ("",),
    "--help": ("",),
}


def calls() -> list[list[str]]:
    return [
        [*command.split(), *(["--output", form] if form else [])]
        for command, forms in OUTPUTS.items()
        for form in forms
    ]


def with_password(url: str) -> str:
    return make_url(url).set(password=CANARY).render_as_string(hide_password=False)


def fill_with_secrets(queue: PersistentQInterface, url: str) -> None:
    args = {"to": "a", "login": {"password": CANARY}, "api_key": CANARY}
    queue.enqueue_many([NewJob("t", args, metadata={"token": CANARY})] * 5)
    done, failed, *_ = queue.dequeue("c_1", limit=3)
    queue.complete(done, {"session": {"cookie": CANARY}})
    queue.fail(failed, ConnectionError(f"cannot reach {url}"), retry=False)
    queue.heartbeat("c_1", host="h", pid=1, queues=["default"])
    queue.put_schedule(Schedule("nightly", "@daily", "t", args={"secret": CANARY}))


def test_no_command_shows_a_secret(
    own_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X8: neither the database's password nor what looks like one in a job, in whatever form, and in no error."""
    url = with_password(own_postgres_url)
    unreachable = f"postgresql+psycopg://me:{CANARY}@127.0.0.1:1/no"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    monkeypatch.setenv("QUEUE_LOCK_TIMEOUT", "0.3")
    monkeypatch.setenv("QUEUE_DB_URL", url)
    with open_queue(url) as queue:
        fill_with_secrets(queue, url)
        assert CANARY not in queue.location
    tried = 0
    for place in (
        url,
        unreachable,
        f"postgresql+nodriver://me:{CANARY}@h/db",
        f"postgresql://me:{CANARY}@[/db",
    ):
        monkeypatch.setenv("QUEUE_DB_URL", place)
        for call in calls() if place == url else calls()[::9]:
            _, out, err = run(*call)
            assert out + err != "", call
            assert CANARY not in out + err, (place, call)
            tried += 1
    assert tried >= 60
    monkeypatch.setenv("QUEUE_DB_URL", url)
    # Nothing of this would be worth much if it were not there.
    assert CANARY in run("show", "4", "--reveal", "--reason", "a look").out


def test_no_screen_of_the_manager_shows_a_secret(own_postgres_url: str, tmp_path: Path) -> None:
    url, terminal = with_password(own_postgres_url), Terminal(200, 60)
    with open_queue(url) as queue:
        fill_with_secrets(queue, url)
    with running(tmp_path, terminal, url=url) as manager:
        manager.wait_for_jobs()
        for digit, place in enumerate(VIEWS, 1):
            manager.press(str(digit))
            manager.wait(lambda place=place: manager.state.view is place and manager.state.is_current)
            manager.wait_for_text(VIEWS[place].name)
            assert CANARY not in manager.text()
        manager.press("1")
        for job_id in (1, 2, 4):
            manager.press(":", f"job {job_id}", "Enter")
            manager.wait_for_text(f"job {job_id}", "to")
            assert CANARY not in manager.text()
    assert CANARY not in repr(manager.state)


PAGES = ("overview", "attention", "jobs", "failures", "queues", "consumers", "schedules", "activity")


def sent(app: AppTest) -> bytes:
    """Return all that a browser is sent to draw, tables included."""
    drawn = (getattr(one, "proto", None) for one in app.main)
    return b"".join(proto.SerializeToString() for proto in drawn if proto is not None)


def test_no_page_of_the_dashboard_shows_a_secret(
    own_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = with_password(own_postgres_url)
    with open_queue(url) as queue:
        fill_with_secrets(queue, url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUEUE_DB_URL", url)
    before = config.get_option("server.address")
    config.set_option("server.address", "127.0.0.1")
    try:
        for page in (*PAGES, "journal", "health"):
            assert CANARY.encode() not in sent(visit(f"ops_{page}.py")), page
        for job_id in ("1", "2", "4"):
            drawn = sent(visit(job=job_id))
            assert b'"to"' in drawn
            assert CANARY.encode() not in drawn, job_id
    finally:
        config.set_option("server.address", before)
        st.cache_resource.clear()
