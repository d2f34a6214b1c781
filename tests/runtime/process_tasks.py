"""The app of the tests with child processes: tasks that work, wait, misbehave and die."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from persistentq import current_job
from persistentq.clock import Deadline
from persistentq.context import JobContext
from persistentq.outcomes import Cancel, NoRetry, Retry, Snooze
from persistentq.tasks import Tasks

PROCESS_TASKS = Tasks()
KEPT: list[bytes] = []
MIB = 1024 * 1024


class Hopeless(NoRetry):
    """A task's own kind of NoRetry."""


@PROCESS_TASKS.task("add", executor="process")
def add(a: int, b: int) -> int:
    return a + b


@PROCESS_TASKS.task("pid", executor="process")
def pid() -> int:
    return os.getpid()


@PROCESS_TASKS.task("echo", executor="process")
def echo(value: Any) -> Any:
    return value


@PROCESS_TASKS.task("greet", executor="process")
async def greet(name: str) -> str:
    await asyncio.sleep(0)
    return f"hello {name}, job {current_job().token}"


@PROCESS_TASKS.task("odd", executor="process")
def odd() -> Any:
    return {1, 2}


@PROCESS_TASKS.task("fail", executor="process")
def fail(how: str) -> None:
    match how:
        case "retry":
            raise Retry(timedelta(minutes=5), "try later")
        case "snooze":
            raise Snooze(timedelta(minutes=7))
        case "cancel":
            raise Cancel("no use")
        case "no retry":
            raise NoRetry("give up")
        case "hopeless":
            raise Hopeless("never again")
        case "exit":
            sys.exit(3)
    raise ValueError(how)


def _without_core(die: Callable[[], object]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    die()


def _to_pipe(act: Callable[[socket.socket], object]) -> None:
    for descriptor in range(3, 200):
        if Path(f"/proc/self/fd/{descriptor}").is_socket():
            act(socket.socket(fileno=os.dup(descriptor)))
    threading.Event().wait(60)


DEATHS: dict[str, Callable[[], object]] = {
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGSEGV": lambda: _without_core(lambda: ctypes.string_at(0)),
    "SIGABRT": lambda: _without_core(os.abort),
    "exit code 7": lambda: os._exit(7),
    "exit code 0": lambda: os._exit(0),
    "exit code 70": lambda: os.closerange(3, 200),  # its answer cannot be told then
    "it closed its pipe": lambda: _to_pipe(lambda end: end.shutdown(socket.SHUT_WR)),
    "it wrote into its pipe what is no message": lambda: _to_pipe(
        lambda end: end.sendall(b"no message at all")
    ),
}


@PROCESS_TASKS.task("die", executor="process")
def die(how: str) -> None:
    DEATHS[how]()


@PROCESS_TASKS.task("hold", executor="process")
def hold(mark: str) -> str:
    """Wait, and clean up if it is stopped; asked to go on, return."""
    begun, gone = Path(f"{mark}.begun"), Path(f"{mark}.cleaned")
    begun.write_text(str(os.getpid()))
    try:
        while not Path(f"{mark}.go").exists():
            time.sleep(0.01)
    except BaseException:
        gone.touch()
        raise
    return "went on"


@PROCESS_TASKS.task("hold.async", executor="process")
async def hold_async(mark: str) -> None:
    Path(f"{mark}.begun").touch()
    try:
        await asyncio.sleep(60)
    finally:
        Path(f"{mark}.cleaned").touch()


@PROCESS_TASKS.task("ignore", executor="process")
def ignore(mark: str) -> None:
    """Wait whatever happens."""
    Path(f"{mark}.begun").write_text(str(os.getpid()))
    limit = Deadline(60)
    while not limit.passed:
        with suppress(BaseException):
            limit.pause(60)


@PROCESS_TASKS.task("ask", executor="process")
def ask(mark: str) -> str:
    """Stop when the context says so."""
    Path(f"{mark}.begun").touch()
    with suppress(Exception):
        Deadline(60).wait_for(lambda: current_job().should_stop, every=0.01)
    return "stopped by itself"


@PROCESS_TASKS.task("hold_interpreter", executor="process")
def hold_interpreter(mark: str) -> None:
    """Let nothing else of this process run any more."""
    Path(f"{mark}.begun").write_text(str(os.getpid()))
    re.match(r"(a+)+$", "a" * 60 + "b")


@PROCESS_TASKS.task("hold_interpreter_for", executor="process")
def hold_interpreter_for(seconds: int) -> str:
    """Let nothing else of this process run for so long."""
    ctypes.PyDLL(None).sleep(seconds)
    return current_job().token


@PROCESS_TASKS.task("limited", executor="process", timeout=0.5, max_attempts=1)
def limited(mark: str) -> None:
    """Wait for longer than may be."""
    hold.function(mark)


@PROCESS_TASKS.task("family", executor="process")
def family(mark: str, *, returns: bool = False) -> int:
    """Start a process, which is left behind or waited for."""
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(f"{mark}.begun").write_text(f"{os.getpid()} {started.pid}")
    if not returns:
        re.match(r"(a+)+$", "a" * 60 + "b")
    return started.pid


@PROCESS_TASKS.task("fork", executor="process")
def fork() -> str:
    """Come back twice."""
    forked = os.fork()
    return "parent" if forked else "child"


@PROCESS_TASKS.task("fork_and_die", executor="process")
def fork_and_die(mark: str) -> None:
    """Leave a process behind that keeps all descriptors open, and die."""
    if (forked := os.fork()) == 0:
        time.sleep(60)
        os._exit(0)
    Path(f"{mark}.begun").write_text(f"{os.getpid()} {forked}")
    os.kill(os.getpid(), signal.SIGKILL)


@PROCESS_TASKS.task("take", executor="process")
def take(mib: int, *, keep: bool = False) -> int:
    """Use so much memory."""
    taken = bytearray(mib * MIB)
    if keep:
        KEPT.append(bytes(taken))
    return os.getpid()


@PROCESS_TASKS.task("tell", executor="process")
def tell(context: JobContext, lines: int) -> str:
    for n in range(lines):
        context.log(f"line {n}")
    context.progress(0.5, "half")
    context.require_lease()
    return context.token


@PROCESS_TASKS.task("leave_behind", executor="process")
def leave_behind(context: JobContext) -> None:
    """Leave a thread behind that goes on to speak of this job."""

    def speak() -> None:
        while True:
            context.log("I am still here")
            with suppress(Exception):
                context.require_lease()

    threading.Thread(target=speak, daemon=True).start()


@PROCESS_TASKS.task("effect", executor="process")
def effect(context: JobContext, fails: bool) -> str:
    from sqlalchemy import text

    with context.session({"from": "the session"}) as session:
        session.execute(text("INSERT INTO effects (job) VALUES (:job)"), {"job": context.job.id})
        if fails:
            raise ValueError("after the effect")
    return "dropped"


@PROCESS_TASKS.task("enqueue", executor="process")
def enqueue() -> int:
    """Enqueue where this job comes from."""
    return add.enqueue(1, 2).id


@PROCESS_TASKS.task("write", executor="process")
def write(words: str) -> None:
    print(words)
    sys.stderr.write(f"{words} as an error\n")


@PROCESS_TASKS.task("descriptors", executor="process")
def descriptors() -> list[str]:
    """What a process that this task starts has open."""
    listed = subprocess.run(["ls", "/proc/self/fd"], capture_output=True, text=True, check=True)
    return listed.stdout.split()


@PROCESS_TASKS.task("terminate", executor="process")
def terminate() -> int:
    """Start a process and end it as programs do."""
    started = subprocess.Popen(["sleep", "60"])
    started.terminate()
    return started.wait(20)
