"""What an attacker would try: files of others, secrets in what is shown, SQL in names, bombs, pages of other hosts."""

from __future__ import annotations

import os
import pty
import select
import socket
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from persistentq import (
    NewJob,
    PayloadError,
    PersistentQError,
    PersistentQInterface,
    PersistentQMemory,
    PersistentQSQLAlchemy,
    Schedule,
    open_queue,
)
from persistentq.clock import Deadline
from persistentq.payload import encode_args
from tests.contract.conftest import emptied
from tests.front_ends.ops_server import OPS, Server, served
from tests.process.programs import OURS, ROOT

PATIENCE_S = 40

# --- files


PROGRAMS = {
    "producer": ("-m", "producer.producer", "--interval", "0.1"),
    "consumer": ("-m", "consumer.consumer"),
    "admin": ("-m", "admin.admin", "monitor-activity", "--interval", "1"),
    "installed": ("-m", "persistentq", "admin", "monitor-activity", "--interval", "1"),
    "manager": ("-m", "manager.manager"),
    "dashboard": ("-m", "streamlit", "run", str(OPS / "ops.py"), "--server.port", "{port}"),
}


@contextmanager
def on_a_terminal(folder: Path, *command: str) -> Iterator[tuple[int, Callable[[], bytes]]]:
    """Start a program from a shell whose files are open to everybody; yield its process id and what it has said."""
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        umask=0,
    )
    os.close(theirs)
    said = bytearray()

    def listen() -> bytes:
        # A terminal that nobody reads is full soon, and the program would wait.
        with suppress(OSError):
            while select.select([ours], [], [], 0)[0] and (more := os.read(ours, 65536)):
                said.extend(more)
        return bytes(said)

    try:
        yield process.pid, listen
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def umask_of(pid: int) -> str:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "Umask" in line]
    return line.split()[1]


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_keeps_its_files_to_its_owner(tmp_path: Path, name: str) -> None:
    """X1: whatever the umask of whoever starts it."""
    (tmp_path / ".env").write_text("QUEUE_DB_FILE=queue.db\nJOB_FILES_DIR=job_files\n")
    (tmp_path / ".env").chmod(0o600)
    database = tmp_path / "queue.db"
    if name not in {"producer", "consumer"}:
        open_queue(f"sqlite:///{database}").close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [word.format(port=port) for word in PROGRAMS[name]]
    with on_a_terminal(tmp_path, sys.executable, *command) as (pid, listen):
        made = (
            (lambda: any((tmp_path / "job_files").rglob("*.txt"))) if name == "producer" else database.exists
        )
        assert Deadline(PATIENCE_S).wait_for(lambda: bool(listen()) and umask_of(pid) == "0077" and made()), (
            listen()
        )
        files = [path for path in tmp_path.rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077]
    # Python compiles what it imports for everybody who may read that.
    assert [path for path in files if path.suffix != ".pyc" and path.name != "__pycache__"] == []


# --- SQL in names

HOSTILE = [
    "'",
    "''; --",
    '"',
    "x' OR '1'='1",
    "x'; DROP TABLE persistentq_jobs; --",
    "x'); DELETE FROM persistentq_jobs; --",
    "1; SELECT pg_sleep(9)",
    "' UNION SELECT name, sql FROM sqlite_master --",
    "\\'; --",
    "%",
    "_",
    "*",
    "[a-z]*",
    ":id",
    "%(id)s",
    "%s",
    "?",
    "$1",
    "{0}",
    "x/**/OR/**/1=1",
    "x\x1a",
    "\uff58\uff07 OR 1=1",
]


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def every_filter(text: str) -> dict[str, Callable[[PersistentQInterface], Any]]:
    """Every place where a name or a text of a user comes in."""
    fields = ("queue", "task", "consumer", "tag", "key", "error", "status", "id", "args.a", "meta.a")
    where: dict[str, Callable[[PersistentQInterface], Any]] = {
        f"where {name}": lambda queue, name=name: [
            job.id for job in queue.list_jobs(where=f"{name}:{quoted(text)}")
        ]
        for name in fields
    }
    single = ("queue", "task", "consumer", "tag", "error", "status", "after", "where")
    named: dict[str, Callable[[PersistentQInterface], Any]] = {
        name: lambda queue, name=name: [job.id for job in queue.list_jobs(**{name: text})] for name in single
    }
    return {
        **where,
        **named,
        "args name": lambda queue: [job.id for job in queue.list_jobs(where=f"args.{text}:1")],
        "unique_key": lambda queue: queue.enqueue("t", {"a": text}, unique_key=text).duplicate,
        "stored": lambda queue: queue.enqueue(text, {text: text}, queue=text, tags=(text,)).task,
        "found": lambda queue: [job.args for job in queue.list_jobs(task=text, queue=text, tag=text)],
        "dequeue": lambda queue: [job.args for job in queue.dequeue(text, [text])],
        "heartbeat": lambda queue: queue.heartbeat(text, host=text, pid=1, queues=[text], trouble=text),
        "assign": lambda queue: queue.assign_job(1, text).consumer,
        "pause": lambda queue: queue.pause_queue(text).name,
        "resume": lambda queue: queue.resume_queue(text).name,
        "mark failed": lambda queue: queue.mark_failed(queue.enqueue("t").id, text).error,
        "schedule": lambda queue: (
            queue.put_schedule(Schedule(text, "@daily", text, queue=text)).schedule.name
        ),
        "schedules": lambda queue: [info.schedule.name for info in queue.list_schedules()],
        "next due": lambda queue: queue.next_due([text]) is None,
        "retire": lambda queue: queue.retire(text),
    }


def answers(queue: PersistentQInterface) -> list[tuple[str, str, object]]:
    """Return what comes of each, an error by its kind."""
    queue.enqueue_many([NewJob("mail.send", {"a": 1}, tags=("vip",), unique_key="k")] * 1 + [NewJob("t")] * 2)
    found: list[tuple[str, str, object]] = []
    for text in HOSTILE:
        for name, ask in every_filter(text).items():
            try:
                found.append((text, name, ask(queue)))
            except (PersistentQError, ValueError) as error:
                found.append((text, name, type(error).__name__))
    counts = {name: sum(number.values()) for name, number in queue.count_jobs().items()}
    return [*found, ("", "counts", counts)]


def test_sql_in_a_name_is_a_name(own_url: str) -> None:
    """X9: every filter gives what the model in memory gives, which knows no SQL."""
    with emptied(PersistentQSQLAlchemy(own_url, lock_timeout=timedelta(seconds=2))) as queue:
        assert answers(queue) == answers(PersistentQMemory())


# --- bombs


def shared(levels: int, leaf: object) -> list[Any]:
    value: list[Any] = [leaf, leaf]
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "bomb",
    [
        shared(60, "x"),
        shared(20, "x" * 1000),
        ["x" * 1_000_000] * 1_000,
        [{"x" * 100_000: 1}] * 1_000,
        {f"k{n}": text for text in ["x" * 1_000_000] for n in range(1_000)},
        [{"a": "x" * 1_000_000}] * 1_000,
        [[]] * 2_000_000,
    ],
    ids=["aliases", "long aliases", "long texts", "long keys", "texts by name", "flat objects", "nothings"],
)
def test_a_bomb_is_refused_before_it_goes_off(bomb: Any) -> None:
    """X11: a few lists that hold one another many times over, as the aliases of YAML do, are endless as JSON."""
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError, match="bytes of JSON"):
            encode_args({"bomb": bomb})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


def test_what_is_as_large_as_allowed_is_no_bomb() -> None:
    for value in (
        ["x" * 1_000] * 1_040,
        [[]] * 349_000,
        [1] * 524_000,
        {f"k{n:05}": 1 for n in range(95_000)},
    ):
        assert len(encode_args({"v": value})) > 900_000


@pytest.mark.parametrize("digits", [4_301, 100_000])
def test_a_number_that_python_would_not_read_is_not_stored(digits: int) -> None:
    with pytest.raises(PayloadError, match="is not JSON"):
        encode_args({"n": 10**digits})


# --- other hosts


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("ops")
    open_queue(f"sqlite:///{folder}/queue.db").close()
    with served(folder / "queue.db", folder) as running:
        yield running


def asked(server: Server, host: str, origin: str) -> int:
    """Return the status of the answer to a page of `origin` that opens the dashboard's WebSocket under this name."""
    port = int(server.url.rpartition(":")[2])
    request = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: {origin.format(port=port)}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.encode())
        return int(connection.recv(4096).split()[1])


def test_the_dashboard_answers_its_own_pages_only(server: Server) -> None:
    """X6: not one of another site, nor one under another name that leads to this machine."""
    assert asked(server, "localhost", "http://localhost:{port}") == 101
    assert asked(server, "127.0.0.1", "http://127.0.0.1:{port}") == 101
    assert asked(server, "localhost", "http://evil.example") == 403
    assert asked(server, "127.0.0.1", "https://evil.example:{port}") == 403
    assert asked(server, "evil.example", "http://evil.example:{port}") == 400
    assert asked(server, "evil.example", "http://localhost:{port}") == 400


def test_the_dashboard_listens_on_loopback_only(server: Server) -> None:
    """X6: by what the kernel tells of its sockets."""
    inodes = set[str]()
    for one in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(OSError):
            name = str(one.readlink())
            inodes |= {name[8:-1]} if name.startswith("socket:[") else set()
    listening = set[str]()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{server.process.pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                listening.add(words[1].partition(":")[0])
    assert listening == {"0100007F"}
