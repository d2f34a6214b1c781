"""Who may reach the dashboard: by address, host, origin and password, over HTTP and WebSocket."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import ops_download
import ops_guard
from ops_download import Wanted
from ops_guard import Guard, Keys, Role, Visitor
from persistentq import NewJob, open_queue
from persistentq.clock import Deadline
from persistentq.operations import Operator
from persistentq.operations.formats import Format
from tests.front_ends.ops_server import OPS, Server, served

BOTH = Keys("sesame", "peep")


def basic(password: str, name: str = "ann") -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "localhost", "::1"])
def test_loopback_addresses_are_allowed(address: str) -> None:
    assert ops_guard.refusal(address, Keys()) is None


@pytest.mark.parametrize(
    "address",
    [None, "", "0.0.0.0", "::", "192.168.1.5", "example.org", "unix:///s"],  # noqa: S104 - refused
)
def test_other_addresses_need_a_password(address: str | None) -> None:
    why = ops_guard.refusal(address, Keys())
    assert why
    assert "no password" in why
    for keys in (Keys("sesame"), Keys(viewer="peep"), BOTH):
        assert ops_guard.refusal(address, keys) is None


def test_two_equal_passwords_are_refused() -> None:
    assert "the same" in (ops_guard.refusal("127.0.0.1", Keys("a", "a")) or "")


def test_a_password_opens_its_role() -> None:
    assert BOTH.opened_by(basic("sesame")) == Visitor(Role.OPERATOR, "ann")
    assert BOTH.opened_by(basic("peep", "")) == Visitor(Role.VIEWER, "")
    assert Keys("a:ü").opened_by(basic("a:ü")) == Visitor(Role.OPERATOR, "ann")
    assert Keys(viewer="peep").opened_by(basic("peep")) == Visitor(Role.VIEWER, "ann")
    assert Keys().opened_by(None) == Visitor(Role.OPERATOR)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "Basic",
        "Basic !",
        basic("wrong"),
        basic(""),
        "Bearer sesame",
        "Basic c2VzYW1l",
        "Basic /w==",
    ],
)
def test_what_opens_nothing(sent: str | None) -> None:
    assert BOTH.opened_by(sent) is None
    assert Keys(viewer="peep").opened_by(sent) is None


def asked(keys: Keys, kind: str = "http", path: str = "/", **headers: str) -> tuple[int, dict[str, str]]:
    """Ask a guarded app; return the status, and the headers that it saw or was answered with."""
    answer: list[dict[str, Any]] = []
    seen: dict[str, str] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update({name.decode(): value.decode() for name, value in scope["headers"]})
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        answer.append(message)

    raw = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "path": path, "headers": [(b"host", b"localhost:8501"), *raw]}
    asyncio.run(Guard(app, keys)(scope, receive, send))
    told = {name.decode(): value.decode() for name, value in answer[0]["headers"]}
    return answer[0]["status"], seen or told


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_the_guard_asks_for_the_password(kind: str) -> None:
    status, told = asked(BOTH, kind)
    assert status == 401
    assert told["www-authenticate"].startswith("Basic ")
    status, seen = asked(BOTH, kind, authorization=basic("peep"), X_Persistentq_Role="operator")
    assert (status, seen["x-persistentq-role"], seen["x-persistentq-name"]) == (200, "viewer", "ann")
    assert ops_guard.visitor({name.title(): value for name, value in seen.items()}, BOTH).role is Role.VIEWER


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_the_guard_refuses_pages_of_other_sites(kind: str) -> None:
    for origin in ("http://evil.example", "null", "http://localhost:9999", "http://localhost"):
        assert asked(Keys(), kind, origin=origin)[0] == 403
        assert asked(BOTH, kind, origin=origin, authorization=basic("sesame"))[0] == 403
    for origin in ("http://localhost:8501", "https://localhost:8501"):
        assert asked(Keys(), kind, origin=origin)[0] == 200


def test_health_needs_no_password_and_nothing_else_goes_without() -> None:
    assert asked(BOTH, path="/healthz")[0] == 200
    for path in ("/", "/healthz/", "/metrics", "/_stcore/health", "/_stcore/stream"):
        assert asked(BOTH, path=path)[0] == 401


def test_whom_no_guard_has_seen_is_a_viewer_where_there_are_passwords() -> None:
    assert ops_guard.visitor({}, Keys()) == Visitor(Role.OPERATOR)
    assert ops_guard.visitor({}, BOTH) == Visitor(Role.VIEWER)


# --- a server


@pytest.fixture(scope="module")
def store_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("guarded") / "queue.db"
    with open_queue(f"sqlite:///{file}") as queue:
        queue.enqueue("a", queue="mail")
        queue.enqueue_many(
            [NewJob("f", {"n": n, "password": "swordfish"}, queue="files") for n in range(600)]
        )
    return file


@pytest.fixture(scope="module")
def server(store_file: Path) -> Iterator[Server]:
    with served(
        store_file,
        store_file.parent,
        "--server.address",
        "0.0.0.0",  # noqa: S104 - with a password
        OPS_PASSWORD="sesame",
    ) as running:
        yield running


def answer_of(server: Server, path: str, *headers: str, host: str = "localhost") -> str:
    """Return a server's whole answer to a request as it is written here."""
    port = int(server.url.rpartition(":")[2])
    lines = (f"GET {path} HTTP/1.1", f"Host: {host}:{port}", *headers, "Connection: close", "", "")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()


SOCKET = (
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def test_a_server_for_other_machines_asks_for_the_password_everywhere(server: Server) -> None:
    for path, more in (("/", ()), ("/metrics", ()), ("/_stcore/health", ()), ("/_stcore/stream", SOCKET)):
        assert answer_of(server, path, *more).split()[1] == "401"
        assert answer_of(server, path, *more, host="evil.example").split()[1] == "400"
    known = f"Authorization: {basic('sesame')}"
    assert answer_of(server, "/_stcore/health", known).split()[1] == "200"
    assert answer_of(server, "/", known, "Origin: http://evil.example").split()[1] == "403"


def test_health_and_metrics(server: Server) -> None:
    assert answer_of(server, "/healthz").endswith("ok\n")
    head, _, text = answer_of(server, "/metrics", f"Authorization: {basic('sesame')}").partition("\r\n\r\n")
    assert "text/plain; version=0.0.4" in head
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    read = {(one.name, json.dumps(one.labels, sort_keys=True)): one.value for one in samples}
    assert read["persistentq_queue_jobs", '{"queue": "mail", "status": "pending"}'] == 1
    assert read["persistentq_queue_recent_jobs", '{"queue": "mail", "what": "enqueued"}'] == 1


def test_health_without_a_database(tmp_path: Path) -> None:
    with served(tmp_path / "none.db", tmp_path) as server:
        assert answer_of(server, "/healthz").split()[1] == "503"
        assert answer_of(server, "/metrics").split()[1] == "503"


@pytest.mark.parametrize(
    ("options", "more", "why"),
    [
        (("--server.address", "0.0.0.0"), {}, "error: the dashboard has no password"),  # noqa: S104 - refused
        ((), {"OPS_PASSWORD": "a", "OPS_VIEWER_PASSWORD": "a"}, "error: OPS_PASSWORD and"),
        ((), {"TRASH_DAYS": "many"}, "error: TRASH_DAYS"),
    ],
)
def test_a_start_that_is_refused(
    tmp_path: Path, options: tuple[str, ...], more: dict[str, str], why: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "streamlit", "run", str(OPS / "ops.py"), "--server.port", "0", *options],
        cwd=tmp_path,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert why in ended.stderr
    assert "hint: " in ended.stderr
    assert "Traceback" not in ended.stderr


# --- downloads


def asked_for(server: Server, query: str, form: str = "jsonl") -> tuple[str, str]:
    known = f"Authorization: {basic('sesame')}"
    head, _, body = answer_of(server, f"/download?q={query}&format={form}", known).partition("\r\n\r\n")
    return head, body


def test_jobs_are_downloaded_as_they_may_be_seen(server: Server) -> None:
    head, body = asked_for(server, "queue:files%20-args.n:7")
    assert 'attachment; filename="jobs.jsonl"' in head
    lines = [json.loads(line) for line in body.splitlines() if line.startswith("{")]
    assert [one["args"]["n"] for one in lines] == [n for n in range(600) if n != 7]
    assert "swordfish" not in body
    head, body = asked_for(server, "queue:files%20args.n:7", "csv")
    assert "text/csv" in head
    assert body.count("files") == 1


@pytest.mark.parametrize(("query", "form"), [("colour:red", "csv"), ("", "xml"), ("", "parquet")])
def test_what_cannot_be_downloaded_is_said(server: Server, query: str, form: str) -> None:
    head, body = asked_for(server, query, form)
    assert head.split()[1] == "400"
    assert "error: " in body


def test_nobody_downloads_without_the_password(server: Server) -> None:
    assert answer_of(server, "/download?q=").split()[1] == "401"


def test_who_goes_away_in_the_middle_leaves_no_thread_behind(store_file: Path) -> None:
    with open_queue(f"sqlite:///{store_file}") as queue:
        operator = Operator(queue)
        before = threading.active_count()
        parts = ops_download._parts(
            operator, queue, operator.choose("queue:files"), Wanted("queue:files", Format.JSONL)
        )
        assert next(parts)
        parts.close()
        assert Deadline(10).wait_for(lambda: threading.active_count() <= before)
