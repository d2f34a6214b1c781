"""A consumer's id belongs to one process that is alive, and to the next as soon as that one is over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest

from persistentq import ConsumerAlive, ConsumerInfo, InvalidArgument, PersistentQInterface
from persistentq.clock import Deadline
from persistentq.life import begin_life, end_life

LetPass = Callable[[float], None]

LIVE = """\
import sys
from persistentq.life import begin_life
print(begin_life(), flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process of this machine, and its life."""
    command = [sys.executable, "-c", LIVE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def state_of(process: subprocess.Popen[str]) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def report(
    queue: PersistentQInterface, life: str, *, host: str = "box", pid: int = 1, trouble: str | None = None
) -> None:
    queue.heartbeat("c", host=host, pid=pid, queues=["default"], life=life, trouble=trouble)


def test_a_consumer_may_say_what_it_can_run(queue: PersistentQInterface) -> None:
    queue.heartbeat("c", host="box", pid=1, queues=["default"], life="elsewhere/1", tasks=["b,x", "a", "a"])
    assert only(queue).tasks == ("a", "b,x")
    queue.heartbeat("c", host="box", pid=1, queues=["default"], life="elsewhere/1", tasks=[])
    assert only(queue).tasks == ()
    report(queue, "elsewhere/1")
    assert only(queue).tasks is None
    with pytest.raises(InvalidArgument):
        queue.heartbeat("c", host="box", pid=1, queues=["default"], life="elsewhere/1", tasks=["a b"])
    assert only(queue).tasks is None


def only(queue: PersistentQInterface) -> ConsumerInfo:
    (consumer,) = queue.list_consumers()
    return consumer


def test_an_id_that_a_living_consumer_has_is_refused_and_nothing_changed(queue: PersistentQInterface) -> None:
    report(queue, "elsewhere/1", host="far", pid=7, trouble="it stumbles")
    before = only(queue)
    for host, pid, life in (
        ("box", 1, "elsewhere/2"),
        ("far", 7, "elsewhere/2"),
        ("far", 7, ""),
        ("far", 8, ""),
    ):
        with pytest.raises(ConsumerAlive) as refused:
            report(queue, life, host=host, pid=pid)
        error = refused.value
        assert (error.consumer, error.host, error.pid, error.since) == ("c", "far", 7, before.started_at)
        assert error.exit_code == 75
    assert f"consumer 'c' is alive: process 7 on far, since {before.started_at:%Y-%m-%dT%H:%M:%SZ}" in str(
        error
    )
    after = only(queue)
    assert (after.host, after.pid, after.life, after.trouble) == ("far", 7, "elsewhere/1", "it stumbles")
    assert (after.started_at, after.heartbeat_at) == (before.started_at, before.heartbeat_at)


def test_a_life_may_report_as_often_as_it_likes(queue: PersistentQInterface, let_pass: LetPass) -> None:
    report(queue, "elsewhere/1", trouble="it stumbles")
    began = only(queue).started_at
    let_pass(20)
    report(queue, "elsewhere/1")
    again = only(queue)
    assert again.heartbeat_at - again.started_at >= timedelta(seconds=20)
    assert again.started_at <= began
    assert again.trouble is None


def test_whoever_has_said_goodbye_gives_the_id_free(queue: PersistentQInterface) -> None:
    report(queue, "elsewhere/1")
    queue.retire("c", life="elsewhere/1", trouble="it could not go on")
    gone = only(queue)
    assert (gone.stopped_at is None, gone.trouble) == (False, "it could not go on")
    report(queue, "elsewhere/2")
    anew = only(queue)
    assert (anew.is_alive, anew.life, anew.trouble) == (True, "elsewhere/2", None)


def test_whoever_falls_silent_elsewhere_loses_the_id_and_is_told_so(
    queue: PersistentQInterface, let_pass: LetPass
) -> None:
    report(queue, "elsewhere/1", host="far")
    let_pass(29)
    with pytest.raises(ConsumerAlive):
        report(queue, "elsewhere/2")
    let_pass(2)
    report(queue, "elsewhere/2")
    with pytest.raises(ConsumerAlive) as refused:
        report(queue, "elsewhere/1", host="far")
    assert refused.value.host == "box"
    queue.retire("c", life="elsewhere/1")
    assert only(queue).is_alive, "it is not the first one's to give back any more"
    queue.retire("c", life="elsewhere/2")
    report(queue, "elsewhere/1", host="far")


def test_a_killed_process_gives_the_id_free_at_once(queue: PersistentQInterface) -> None:
    """Even before its parent has taken note of its end."""
    with another_process() as (life, process):
        report(queue, life)
        with pytest.raises(ConsumerAlive):
            report(queue, begin_life())
        process.kill()
        assert Deadline(10).wait_for(lambda: state_of(process) == "Z", every=0.01)
        report(queue, begin_life())


def test_a_living_process_keeps_the_id_however_long_it_is_silent(
    queue: PersistentQInterface, let_pass: LetPass
) -> None:
    """The database may have been out of its reach."""
    with another_process() as (life, _):
        report(queue, life)
        let_pass(3600)
        with pytest.raises(ConsumerAlive):
            report(queue, begin_life())
        report(queue, life)


def test_a_frozen_process_is_replaced_when_it_has_been_silent(
    queue: PersistentQInterface, let_pass: LetPass
) -> None:
    with another_process() as (life, process):
        report(queue, life)
        process.send_signal(signal.SIGSTOP)
        assert Deadline(10).wait_for(lambda: state_of(process) == "T", every=0.01)
        with pytest.raises(ConsumerAlive):
            report(queue, begin_life())
        let_pass(31)
        report(queue, begin_life())
        process.send_signal(signal.SIGCONT)
        with pytest.raises(ConsumerAlive) as refused:
            report(queue, life)
        assert refused.value.pid == 1


def test_a_number_that_is_used_again_is_another_process(queue: PersistentQInterface) -> None:
    """As in a container, where the first process is always number 1."""
    with another_process() as (life, process):
        boot, namespace, pid, began, number = life.split("/")
        assert int(pid) == process.pid
        report(queue, "/".join((boot, namespace, pid, str(int(began) - 1), number)))
        report(queue, life)
    mine = begin_life()
    report(queue, mine.rpartition("/")[0] + "/another start of this process")
    report(queue, mine)


def test_another_machine_or_container_is_not_judged_by_this_ones_processes(
    queue: PersistentQInterface,
) -> None:
    boot, namespace, _, began, number = begin_life().split("/")
    nobody = "4194303"
    for place in (("another", namespace), (boot, "another"), ("", "")):
        report(queue, "/".join((*place, nobody, began, number)))
        with pytest.raises(ConsumerAlive):
            report(queue, begin_life())
        queue.retire("c")
    report(queue, "/".join((boot, namespace, nobody, began, number)))
    report(queue, begin_life())


def test_two_of_one_process_are_two(queue: PersistentQInterface) -> None:
    first, second = begin_life(), begin_life()
    report(queue, first)
    with pytest.raises(ConsumerAlive):
        report(queue, second)
    end_life(first)
    report(queue, second)


def test_of_many_that_begin_at_the_same_moment_one_wins(queue: PersistentQInterface) -> None:
    number = 8
    with ThreadPoolExecutor(number) as pool:
        for name in ("a", "b", "c", "d"):
            together = Barrier(number)

            def begin(_: int, name: str = name, together: Barrier = together) -> str | None:
                life = begin_life()
                together.wait(30)
                try:
                    queue.heartbeat(name, host="box", pid=os.getpid(), queues=["default"], life=life)
                except ConsumerAlive:
                    return None
                return life

            won = [life for life in pool.map(begin, range(number)) if life]
            assert [each.life for each in queue.list_consumers() if each.id == name] == won


@pytest.mark.parametrize("bad", [{"life": "x" * 129}, {"trouble": ""}, {"trouble": "x" * 501}], ids=str)
def test_what_cannot_be_kept_is_refused(queue: PersistentQInterface, bad: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        queue.heartbeat("c", host="box", pid=1, queues=["default"], **bad)
    assert queue.list_consumers() == []
