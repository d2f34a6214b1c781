"""The dashboard's pages under test without a browser, and a queue of their own."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from starlette.requests import Request
from starlette.responses import StreamingResponse
from streamlit import config
from streamlit.testing.v1 import AppTest

import ops_download
from ops_text import APART
from persistentq import Job, PersistentQInterface
from tests.front_ends.ops_server import OPS

if TYPE_CHECKING:
    import pytest

HOSTILE = "![x](http://evil.example/x.png)<img/src=//evil.example/y>:red[z]"


def a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield where the dashboard of this test looks for its database; nothing is there yet."""
    file = tmp_path / "queue.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUEUE_DB_URL", raising=False)
    monkeypatch.setenv("QUEUE_DB_FILE", str(file))
    before = config.get_option("server.address")
    config.set_option("server.address", "127.0.0.1")
    yield file
    config.set_option("server.address", before)
    # The cache outlives an AppTest; this closes the queue that it holds.
    st.cache_resource.clear()


def visit(page: str | None = None, **parameters: str | list[str]) -> AppTest:
    """Open a page as a browser does, by its file's name; None for the first page."""
    app = AppTest.from_file(str(OPS / "ops_page.py"), default_timeout=30)
    for name, value in parameters.items():
        app.query_params[name] = value
    app.run()
    if page:
        app.switch_page(page).run()
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    """Return all that the page says in words, as a browser shows it."""
    kinds = (app.text, app.caption, app.info, app.warning, app.error, app.success, app.subheader, app.code)
    said = "\n".join(str(one.value) for kind in kinds for one in kind).replace(APART, "")
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", said)


def links(app: AppTest) -> list[tuple[str, str]]:
    """Return the label and the address of each link to another page."""
    return [
        (one.proto.label, f"{one.proto.page}?{one.proto.query_string}".rstrip("?"))
        for one in app.get("page_link")
    ]


def select_rows(app: AppTest, rows: Sequence[int]) -> AppTest:
    """Choose rows of the jobs table, as a click in it does."""
    app.session_state[app.session_state["shown"].key] = {
        "selection": {"rows": list(rows), "columns": [], "cells": []}
    }
    return app.run()


def choose(app: AppTest, key: str, value: str) -> None:
    """Choose in a box, or type what it does not offer; AppTest knows no typing there, as a browser does."""
    box = app.selectbox(key=key)
    box.options = [*dict.fromkeys([*box.options, value])]
    box.set_value(value)


def agree(app: AppTest) -> AppTest:
    """Press the button of the open dialog."""
    next(button for button in app.button if button.form_id == "ask" or button.key == "agree").click()
    return app.run()


def downloaded(address: str) -> bytes:
    """Return what is at an address of `ops_download`, asked for without a server."""
    query = address.partition("?")[2].encode()
    request = Request({"type": "http", "method": "GET", "query_string": query, "headers": []})
    answer = ops_download.download(request)
    if not isinstance(answer, StreamingResponse):
        return bytes(answer.body)

    async def whole() -> bytes:
        return b"".join([bytes(part) async for part in answer.body_iterator if not isinstance(part, str)])

    return asyncio.run(whole())


def fail_for_good(
    queue: PersistentQInterface, task: str, number: int, in_queue: str = "default"
) -> list[Job]:
    """Make so many failed jobs and return them, newest first as the table lists them."""
    for _ in range(number):
        queue.enqueue(task, {"to": "a@example.org"}, queue=in_queue)
    for job in queue.dequeue("c1", (in_queue,), limit=number):
        try:
            raise ConnectionError("smtp.example.org refused")
        except ConnectionError as error:
            queue.fail(job, error, retry=False)
    return list(queue.list_jobs(status="failed", queue=in_queue, limit=number))


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Let another process hold the database so that nobody else can read or write it."""
    program = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA locking_mode = EXCLUSIVE')\n"
        "connection.execute('BEGIN EXCLUSIVE')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == "held\n"
        yield
        process.stdin.close()
