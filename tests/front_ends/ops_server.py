"""The dashboard under test as people have it: a server and a real browser. Usable without pytest, too."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

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
ROW, HEAD = 35, 36


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
