"""What the dashboard's tests share: a queue of their own, its pages without a browser, and a server with one."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
import streamlit as st
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from starlette.requests import Request
from starlette.responses import StreamingResponse
from streamlit import config
from streamlit.testing.v1 import AppTest

import ops_download
from ops_text import APART
from persistentq import Job, PersistentQInterface
from persistentq.clock import Deadline

OPS = Path(__file__).resolve().parents[2] / "ops"
CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "![x](http://evil.example/x.png)<img/src=//evil.example/y>:red[z]"
ROW, HEAD = 35, 36


# --- a queue, and the pages without a browser


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


# --- a server and a browser


@dataclass
class Server:
    """A running dashboard."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def served(file: Path, directory: Path, *options: str, **more: str) -> Iterator[Server]:
    """Run the dashboard for the database `file` from `directory`, as `streamlit run` does; `more` is environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(OPS / "ops.py"), "--server.port", str(port)]
    command += options
    environment = {**os.environ, "QUEUE_DB_FILE": str(file), **more}
    environment.pop("QUEUE_DB_URL", None)
    log = directory / f"streamlit-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=output, stderr=output)
    try:
        server = Server(f"http://127.0.0.1:{port}", process)
        assert Deadline(30).wait_for(lambda: _answers(server)), log.read_text()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _answers(server: Server) -> bool:
    assert server.process.poll() is None
    try:
        with urlopen(f"{server.url}/_stcore/health", timeout=5) as answer:  # noqa: S310 - our own http address
            return answer.status == 200
    except HTTPError as error:
        return error.code == 401
    except URLError:
        return False


def a_browser() -> Iterator[Browser]:
    """Yield a real browser."""
    if not CHROMIUM.exists():
        pytest.fail(f"there is no {CHROMIUM}, which these tests need: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@dataclass
class Seen:
    """What a page asked for and complained about."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note everything from now on."""
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        # Opened below the root, Streamlit looks for its server beside the page before it looks at the root.
        if message.type == "error" and "/_stcore/" not in message.location["url"]:
            self.complaints.append(message.text)

    def outside(self, server: Server) -> list[str]:
        """Return the addresses asked for that are not this server's."""
        inside = (server.url, server.url.replace("http", "ws", 1), "data:", "blob:")
        return [url for url in self.requests if not url.startswith(inside)]


@contextmanager
def tab(
    browser: Browser,
    server: Server,
    *,
    dark: bool = False,
    width: int = 1400,
    name_and_password: tuple[str, str] | None = None,
) -> Iterator[Page]:
    """Open a page in a browser; afterwards, nothing must have been asked of anyone else, and nothing complained of."""
    seen = Seen()
    context = browser.new_context(
        viewport={"width": width, "height": 1100},
        color_scheme="dark" if dark else "light",
        http_credentials=name_and_password
        and {"username": name_and_password[0], "password": name_and_password[1]},
    )
    page = context.new_page()
    page.set_default_timeout(30_000)
    seen.watch(page)
    yield page
    context.close()
    assert seen.requests
    assert seen.outside(server) == []
    assert seen.complaints == []


def click_row(page: Page, number: int) -> None:
    """Click the checkbox of a row in the page's first table, which is drawn on a canvas, once the page stands still."""
    page.get_by_test_id("stDataFrame").first.click(position={"x": 16, "y": HEAD + ROW * number + ROW / 2})
