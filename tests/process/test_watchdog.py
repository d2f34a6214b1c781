"""A consumer that is stuck ends itself, and no other does; and what a service manager hears of it."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from persistentq import JobStatus, open_queue
from persistentq.clock import Deadline
from tests.process.programs import ROOT, Program, Site

TASKS = """\
import ctypes
import logging
from pathlib import Path
from threading import Event

from persistentq import task

@task("greet")
def greet():
    return "hello"

@task("jam")
def jam():
    # The next line that the consumer's loop wants to write waits for ever.
    for handler in logging.getLogger().handlers:
        handler.acquire()

@task("chatter")
def chatter():
    for _ in range(1000):
        logging.getLogger("mine").warning("x" * 1000)

@task("hog")
def hog(seconds):
    # Foreign code that keeps the interpreter's lock.
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))

@task("hold")
def hold():
    Path("holding").touch()
    while not Path("let go").exists():
        Event().wait(0.01)
"""

PROXY = """\
import sys
from tests.sql.proxy import Proxy
with Proxy(sys.argv[1]) as proxy:
    print(proxy.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return with_tasks(make_site(TIMEOUT_SECONDS=2))


def with_tasks(site: Site) -> Site:
    (site.folder / "tasks.py").write_text(TASKS)
    return site


def let_pass(seconds: float) -> None:
    Deadline(seconds).wait_for(lambda: False)


def until_it_works(site: Site, consumer: Program) -> None:
    with site.queue() as queue:
        job = queue.enqueue("greet")
        consumer.until(lambda: queue.get_job(job.id).status == JobStatus.DONE)


def test_a_stuck_loop_ends_the_process_and_shows_its_threads(site: Site) -> None:
    consumer = site.consumer("--app", "tasks", "--stuck-after", "3", name="c_1")
    until_it_works(site, consumer)
    with site.queue() as queue:
        queue.enqueue("jam")
    assert consumer.code() == 70
    lines = consumer.said().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("error: "))
    assert lines[at].startswith("error: consumer 'c_1' is stuck: its loop has stood still for ")
    stacks = "\n".join(lines[at + 1 :])
    assert "most recent call first" in stacks
    assert 'logging/__init__.py", line ' in stacks
    assert 'runtime/consumer.py", line ' in stacks
    # Whoever starts it anew finds it working.
    follower = site.consumer("--app", "tasks", "--burst", name="c_1")
    assert follower.code() == 0, follower.said()


def test_it_ends_even_if_nobody_reads_what_it_says(site: Site) -> None:
    """That may be what it is stuck in: the pipe is full, and its last words cannot be written either."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with site.queue() as queue:
        for task in ("chatter", "greet", "greet"):
            queue.enqueue(task)
        options = ["--app", "tasks", "--concurrency", "2", "--stuck-after", "3"]
        command = [sys.executable, "-m", "consumer.consumer", *options]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, cwd=site.folder, env=environment, stderr=writer) as process:
            try:
                os.close(writer)
                assert process.wait(40) in {70, -signal.SIGALRM}
            finally:
                process.kill()
    os.close(reader)


def test_a_stop_by_signal_is_no_standstill(site: Site) -> None:
    consumer = site.consumer("--app", "tasks", "--stuck-after", "3", name="c_1")
    until_it_works(site, consumer)
    for seconds in (7.0, 0.5, 4.0):
        consumer.send(signal.SIGSTOP)
        let_pass(seconds)
        consumer.send(signal.SIGCONT)
    until_it_works(site, consumer)
    let_pass(5)
    until_it_works(site, consumer)


def test_neither_is_code_that_keeps_the_interpreter_to_itself(site: Site) -> None:
    consumer = site.consumer("--app", "tasks", "--stuck-after", "3", name="c_1")
    until_it_works(site, consumer)
    with site.queue() as queue:
        job = queue.enqueue("hog", {"seconds": 9})
        consumer.until(lambda: queue.get_job(job.id).status == JobStatus.PROCESSING)
    until_it_works(site, consumer)


@pytest.mark.parametrize("patience", [0.2, 30])
def test_neither_is_a_locked_database(make_site: Callable[..., Site], patience: float) -> None:
    """However long a call may wait for the lock."""
    site = with_tasks(make_site(QUEUE_LOCK_TIMEOUT=patience))
    consumer = site.consumer("--app", "tasks", "--stuck-after", "3", name="c_1")
    until_it_works(site, consumer)
    with site.queue() as queue:
        queue.enqueue("greet")
    with site.locked():
        let_pass(8)
        assert not consumer.is_over(), consumer.said()
    until_it_works(site, consumer)


def test_neither_is_a_server_that_does_not_answer(
    make_site: Callable[..., Site], own_postgres_url: str
) -> None:
    """Its connections are open, and nothing comes: a frozen host, or one that is cut off."""
    with subprocess.Popen(
        [sys.executable, "-c", PROXY, own_postgres_url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as proxy:
        assert proxy.stdout is not None
        site = with_tasks(make_site(QUEUE_DB_URL=proxy.stdout.readline().strip()))
        with open_queue(own_postgres_url) as queue:
            consumer = site.consumer("--app", "tasks", "--stuck-after", "3", name="c_1")
            job = queue.enqueue("hold")
            consumer.until((site.folder / "holding").exists)
            proxy.send_signal(signal.SIGSTOP)
            let_pass(8)
            assert not consumer.is_over(), consumer.said()
            proxy.send_signal(signal.SIGCONT)
            (site.folder / "let go").touch()
            consumer.until(lambda: queue.get_job(job.id).status == JobStatus.DONE)
            assert queue.get_job(job.id).attempt == 1
        consumer.kill()
        proxy.kill()


# --- a service manager ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, str]]:
    """A socket such as systemd's, and its name in the environment."""
    with (
        tempfile.TemporaryDirectory(prefix="pq-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        name = f"{folder}/notify" if request.param == "file" else f"@{folder}"
        listener.bind(name if request.param == "file" else f"\0{name[1:]}")
        yield listener, name


def heard(listener: socket.socket, seconds: float) -> list[str]:
    """What comes within so many seconds."""
    limit, words = Deadline(seconds), []
    while select.select([listener], [], [], limit.remaining)[0]:
        words.append(listener.recv(4096).decode())
        if limit.passed:
            break
    return words


def until_heard(listener: socket.socket, word: str) -> list[str]:
    """Everything up to and including this word."""
    limit, words = Deadline(40), [""]
    while words[-1] != word:
        assert select.select([listener], [], [], limit.remaining)[0], words
        words.append(listener.recv(4096).decode())
    return words[1:]


def test_a_service_manager_hears_that_it_is_ready_lives_and_stops(
    site: Site, manager: tuple[socket.socket, str]
) -> None:
    listener, name = manager
    consumer = site.consumer("--app", "tasks", NOTIFY_SOCKET=name, WATCHDOG_USEC="1000000")
    first = until_heard(listener, "READY=1")
    assert set(first[:-1]) <= {"WATCHDOG=1"}
    assert len(heard(listener, 3)) >= 4, "it shall be heard twice a second"
    consumer.send(signal.SIGSTOP)
    heard(listener, 0.2)
    assert heard(listener, 1.5) == []
    consumer.send(signal.SIGCONT)
    until_heard(listener, "WATCHDOG=1")
    consumer.send(signal.SIGTERM)
    assert "READY=1" not in until_heard(listener, "STOPPING=1")
    assert consumer.code(within=10) == 0


def test_without_a_watchdog_of_its_own_it_hears_no_more_than_that(
    site: Site, manager: tuple[socket.socket, str]
) -> None:
    listener, name = manager
    consumer = site.consumer("--app", "tasks", NOTIFY_SOCKET=name, WATCHDOG_USEC="1000000", WATCHDOG_PID="1")
    until_heard(listener, "READY=1")
    assert heard(listener, 2.5) == []
    consumer.send(signal.SIGTERM)
    assert until_heard(listener, "STOPPING=1") == ["STOPPING=1"]


def test_it_is_not_ready_before_the_database_has_answered(
    site: Site, manager: tuple[socket.socket, str]
) -> None:
    listener, name = manager
    site.queue().close()
    with site.locked():
        consumer = site.consumer("--app", "tasks", NOTIFY_SOCKET=name)
        assert heard(listener, 3) == []
    until_heard(listener, "READY=1")
    assert not consumer.is_over()


def test_a_manager_that_is_gone_does_no_harm(site: Site) -> None:
    gone = str(Path(tempfile.gettempdir()) / "no such socket")
    consumer = site.consumer("--app", "tasks", NOTIFY_SOCKET=gone, WATCHDOG_USEC="nonsense")
    until_it_works(site, consumer)
    consumer.send(signal.SIGTERM)
    assert consumer.code(within=10) == 0
