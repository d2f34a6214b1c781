"""The executor with child processes: what it runs, whom it kills, and who never notices."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from persistentq import Backoff, InvalidArgument, LeaseLost
from persistentq.context import Interruption
from persistentq.failure import Failure, describe
from persistentq.outcomes import (
    ArgumentsRefused,
    Cancel,
    JobCancelled,
    JobInterrupted,
    JobTimedOut,
    NoRetry,
    Retry,
    Snooze,
)
from persistentq.runtime import keeper
from persistentq.runtime.messages import pack_job, unpack_job
from persistentq.runtime.pipe import Garbage, Pipe
from persistentq.settlement import Verb, word_for
from tests.runtime.process_bench import Bench, children, is_alive, pids_in, until
from tests.runtime.process_tasks import DEATHS

MIB = 1024 * 1024
ROOT = Path(__file__).resolve().parents[2]
PROMPT_S = 3
"""It takes well below a second, on a machine that has nothing else to do."""


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    """Return a function that makes a bench; nothing of it is left at the end."""
    before = set(children())
    made: list[Bench] = []

    def make(*arguments: Any, **options: Any) -> Bench:
        made.append(Bench(*arguments, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.executor.close()
    assert until(lambda: not any("child-keeper" in thread.name for thread in threading.enumerate()))
    assert set(children()) <= before


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench(1)


def test_a_task_runs_in_another_process_and_the_next_one_in_the_same(bench: Bench) -> None:
    assert bench.result_of("add", a=1, b=2) == 3
    first = bench.result_of("pid")
    assert first != os.getpid()
    assert bench.result_of("pid") == first
    ended = bench.run("greet", name="you")
    assert ended.result == f"hello you, job {ended.run.context.token}"
    assert 0 < ended.seconds < 20
    assert ended.run.began is not None


@pytest.mark.parametrize(
    "value", [None, 0, "ä\ud7ff\U0001f600", [1, [2.5, {"a": None}]], {"": True}, "x" * 900_000]
)
def test_arguments_and_results_come_across_as_they_are(bench: Bench, value: object) -> None:
    assert bench.result_of("echo", value=value) == value


def test_outcomes_are_the_same_as_in_a_thread(bench: Bench) -> None:
    def error_of(how: str) -> Any:
        return bench.run("fail", how=how).error

    retry, snooze, cancel = error_of("retry"), error_of("snooze"), error_of("cancel")
    assert (type(retry), str(retry), retry.delay.total_seconds()) == (Retry, "try later", 300)
    assert (type(snooze), snooze.delay.total_seconds()) == (Snooze, 420)
    assert (type(cancel), cancel.reason) == (Cancel, "no use")
    given_up, own = error_of("no retry"), error_of("hopeless")
    assert (type(given_up), str(given_up)) == (NoRetry, "give up")
    assert isinstance(own, NoRetry)
    kept = describe(own)
    assert (kept.type, kept.message) == ("Hopeless", "never again")
    assert "process_tasks.py" in (kept.traceback or "")


def test_an_error_is_described_with_its_traceback(bench: Bench) -> None:
    error = bench.run("fail", how="on purpose").error
    assert isinstance(error, Failure)
    assert (error.type, error.message) == ("ValueError", "on purpose")
    assert "raise ValueError(how)" in (error.traceback or "")
    leaving = bench.run("fail", how="exit").error
    assert isinstance(leaving, Failure)
    assert (leaving.type, leaving.message) == ("SystemExit", "3")


def test_what_cannot_run_or_be_stored_is_not_tried_again(bench: Bench) -> None:
    refused = bench.run("add", a=1, b="two").error
    assert isinstance(refused, ArgumentsRefused)
    assert "'b'" in str(refused) or "b" in str(refused)
    odd = bench.run("odd").error
    assert isinstance(odd, NoRetry)
    assert "result cannot be stored" in str(odd)
    assert bench.result_of("add", a=1, b=2) == 3


def test_two_hundred_jobs_over_four_children(make_bench: Callable[..., Bench]) -> None:
    # Other tests may have left some of their own to this process.
    others = set(children())
    bench = make_bench(4)
    runs = [bench.start("add", a=n, b=n) for n in range(200)]
    assert [bench.end_of(run).result for run in runs] == [2 * n for n in range(200)]
    assert len(set(children()) - others) <= 4
    holding = {bench.end_of(run).result for run in [bench.start("pid") for _ in range(20)]}
    assert holding <= set(children())


# --- deaths


@pytest.mark.parametrize("how", DEATHS)
def test_a_death_takes_only_its_own_job(make_bench: Callable[..., Bench], tmp_path: Path, how: str) -> None:
    bench = make_bench(2)
    neighbour = bench.start("hold", mark=str(tmp_path / "neighbour"))
    (pid,) = pids_in(tmp_path / "neighbour")
    for _ in range(3):
        error = bench.run("die", how=how).error
        assert error == Failure("WorkerDied", f"the worker died: {how}", None)
        assert is_alive(pid)
    assert bench.result_of("add", a=1, b=2) == 3
    (tmp_path / "neighbour.go").touch()
    assert bench.end_of(neighbour).result == "went on"


def test_an_idle_child_that_dies_is_replaced_and_costs_no_job(bench: Bench) -> None:
    pid = bench.result_of("pid")
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: pid not in children())
    assert bench.result_of("pid") != pid


def test_a_child_that_dies_in_its_sleep_at_the_last_moment_costs_no_job(bench: Bench) -> None:
    for _ in range(5):
        os.kill(pid := bench.result_of("pid"), signal.SIGKILL)
        ended = bench.run("pid")
        assert ended.error is None or ended.error == Failure("WorkerDied", "the worker died: SIGKILL", None)
        assert ended.result != pid


def test_a_death_is_noticed_although_a_forked_process_keeps_the_pipe_open(
    bench: Bench, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    error = bench.run("fork_and_die", mark=str(mark)).error
    assert error == Failure("WorkerDied", "the worker died: SIGKILL", None)
    assert until(lambda: not any(map(is_alive, pids_in(mark))), PROMPT_S)


def test_of_a_task_that_forks_and_comes_back_twice_one_end_is_told(bench: Bench) -> None:
    assert bench.result_of("fork") == "parent"
    assert [bench.result_of("add", a=n, b=0) for n in range(5)] == [*range(5)]


def test_what_a_task_started_goes_with_its_child(make_bench: Callable[..., Bench], tmp_path: Path) -> None:
    bench = make_bench(1, recycle_jobs=1)
    started = bench.result_of("family", mark=str(tmp_path / "mark"), returns=True)
    assert until(lambda: not is_alive(started), 5)


# --- stopping


@pytest.mark.parametrize(
    ("why", "error"),
    [
        (Interruption.TIMED_OUT, JobTimedOut),
        (Interruption.CANCELLED, JobCancelled),
        (Interruption.LEASE_LOST, LeaseLost),
        (Interruption.STOPPED, JobInterrupted),
    ],
)
@pytest.mark.parametrize("task", ["hold", "hold.async"])
def test_a_stopped_task_may_clean_up(
    make_bench: Callable[..., Bench], tmp_path: Path, task: str, why: Interruption, error: type[Exception]
) -> None:
    bench = make_bench(2)
    neighbour = bench.start("hold", mark=str(tmp_path / "neighbour"))
    run = bench.start(task, mark=str(tmp_path / "mark"))
    assert until((tmp_path / "mark.begun").exists)
    pids_in(tmp_path / "neighbour")
    bench.interrupt(run, why)
    ended = bench.end_of(run, within=PROMPT_S)
    assert (tmp_path / "mark.cleaned").exists()
    word = word_for(run.context, ended.result, ended.error)
    assert (word and word.verb) == {
        Interruption.TIMED_OUT: Verb.FAIL,
        Interruption.CANCELLED: Verb.CANCEL,
        Interruption.LEASE_LOST: None,
        Interruption.STOPPED: Verb.RELEASE,
    }[why]
    if task == "hold":
        assert isinstance(ended.error, error)
    (tmp_path / "neighbour.go").touch()
    assert bench.end_of(neighbour).result == "went on"


@pytest.mark.parametrize("task", ["ignore", "hold_interpreter"])
def test_a_task_that_does_not_stop_is_killed_within_a_second(bench: Bench, tmp_path: Path, task: str) -> None:
    run = bench.start(task, mark=str(tmp_path / "mark"))
    (pid,) = pids_in(tmp_path / "mark")
    bench.interrupt(run, Interruption.TIMED_OUT)
    ended = bench.end_of(run, within=PROMPT_S)
    assert isinstance(ended.error, JobTimedOut)
    assert not is_alive(pid)
    assert bench.result_of("add", a=1, b=2) == 3


def test_a_task_is_killed_with_what_it_has_started(bench: Bench, tmp_path: Path) -> None:
    run = bench.start("family", mark=str(tmp_path / "mark"))
    pids = pids_in(tmp_path / "mark")
    assert len(pids) == 2
    bench.interrupt(run, Interruption.CANCELLED)
    assert isinstance(bench.end_of(run, within=PROMPT_S).error, JobCancelled)
    assert until(lambda: not any(map(is_alive, pids)), PROMPT_S)


def test_a_task_that_ends_by_itself_when_asked_has_its_result(bench: Bench, tmp_path: Path) -> None:
    run = bench.start("ask", mark=str(tmp_path / "mark"))
    assert until((tmp_path / "mark.begun").exists)
    bench.interrupt(run, Interruption.CANCELLED)
    assert bench.end_of(run, within=PROMPT_S).result == "stopped by itself"


def test_an_interruption_that_came_before_the_child_was_ready_ends_the_run(bench: Bench) -> None:
    run = bench.start("add", a=1, b=2)
    run.context.interrupt(Interruption.STOPPED)
    ended = bench.end_of(run)
    assert isinstance(ended.error, JobInterrupted)
    assert bench.result_of("add", a=1, b=2) == 3


def test_a_run_that_waits_for_a_child_can_be_interrupted(bench: Bench, tmp_path: Path) -> None:
    first = bench.start("hold", mark=str(tmp_path / "mark"))
    second, third = bench.start("add", a=1, b=2), bench.start("add", a=3, b=4)
    bench.interrupt(second, Interruption.CANCELLED)
    assert isinstance(bench.end_of(second, within=PROMPT_S).error, JobCancelled)
    (tmp_path / "mark.go").touch()
    assert bench.end_of(first).result == "went on"
    assert bench.end_of(third).result == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_to_a_child_do_not_stop_it_before_the_consumer_says_so(
    bench: Bench, tmp_path: Path, number: int
) -> None:
    run = bench.start("hold", mark=str(tmp_path / "mark"))
    (pid,) = pids_in(tmp_path / "mark")
    for _ in range(20):
        os.killpg(pid, number)
    (tmp_path / "mark.go").touch()
    assert bench.end_of(run).result == "went on"
    assert bench.result_of("pid") == pid


def test_what_a_task_starts_hears_signals_as_ever(bench: Bench) -> None:
    assert bench.result_of("terminate") == -signal.SIGTERM


def test_closing_kills_what_runs(make_bench: Callable[..., Bench], tmp_path: Path) -> None:
    bench = make_bench(2)
    bench.result_of("pid")
    run = bench.start("ignore", mark=str(tmp_path / "mark"))
    (pid,) = pids_in(tmp_path / "mark")
    bench.executor.close()
    assert isinstance(bench.end_of(run, within=PROMPT_S).error, JobInterrupted)
    assert not is_alive(pid)


# --- memory


def test_the_memory_limit_ends_only_the_job_that_meets_it(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(1, memory_limit=1024 * MIB)
    first = bench.result_of("take", mib=100)
    error = bench.run("take", mib=2000).error
    assert isinstance(error, Failure)
    assert (error.type, error.message) == (
        "MemoryError",
        "the worker died: its memory limit of 1073741824 bytes was reached",
    )
    assert "process_tasks.py" in (error.traceback or "")
    assert bench.result_of("take", mib=100) != first


def test_a_child_that_has_grown_is_replaced(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(1, recycle_growth=64 * MIB)
    pids = [bench.result_of("take", mib=40, keep=True) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_a_child_is_replaced_after_so_many_jobs(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(1, recycle_jobs=3)
    pids = [bench.result_of("pid") for _ in range(7)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_three_hundred_jobs_leave_no_descriptor_and_no_zombie(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(2, recycle_jobs=25)
    for how in [*DEATHS][:4]:
        bench.run("die", how=how)
    bench.result_of("pid")
    before = open_descriptors()
    for run in [bench.start("add", a=n, b=0) for n in range(300)]:
        assert bench.end_of(run).error is None
    # The second child may be on its way out, or not there again.
    assert until(lambda: abs(open_descriptors() - before) <= 2)
    assert all(is_alive(pid) for pid in children())


def test_what_a_task_starts_inherits_no_descriptor_of_ours(bench: Bench) -> None:
    # Three, and the one by which it lists them.
    assert len(bench.result_of("descriptors")) == 4


# --- the job's context


def test_a_task_tells_and_asks_through_the_pipe(bench: Bench) -> None:
    ended = bench.run("tell", lines=1500)
    assert ended.result == ended.run.context.token
    log = bench.queue.get_log(ended.run.job.id)
    assert [line.text for line in log.lines][-1] == "line 1499"
    assert log.progress == (0.5, "half")


def test_a_task_whose_lease_was_lost_hears_of_it(bench: Bench, tmp_path: Path) -> None:
    bench.result_of("pid")
    run = bench.start("hold", mark=str(tmp_path / "mark"))
    late = bench.start("tell", lines=1)
    bench.queue.mark_failed(late.job.id, "taken away")
    bench.interrupt(run, Interruption.STOPPED)
    error = bench.end_of(late).error
    assert isinstance(error, LeaseLost)
    assert error.job_id == late.job.id


def test_what_a_task_left_behind_cannot_speak_for_the_next_job(bench: Bench) -> None:
    first = bench.run("leave_behind")
    assert first.error is None
    assert [bench.result_of("add", a=n, b=0) for n in range(20)] == [*range(20)]
    ended = bench.run("tell", lines=1)
    assert [line.text for line in bench.queue.get_log(ended.run.job.id).lines] == ["line 0"]


# --- starting


def test_an_app_that_cannot_be_imported_is_told_and_gives_the_job_back(
    make_bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    bench = make_bench(1, "tests.runtime.no_such_app")
    ended = bench.run("pid")
    assert (ended.returned, ended.seconds, ended.run.began) == (True, 0.0, None)
    assert "no child process can load tests.runtime.no_such_app" in caplog.text
    assert "no_such_app" in caplog.records[-1].getMessage().partition(": ")[2]


def test_an_app_that_dies_or_raises_at_import_is_tried_again_with_growing_pauses(
    make_bench: Callable[..., Bench],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_app.py").write_text("raise RuntimeError('not today')\n")
    bench = make_bench(1, "broken_app")
    assert bench.run("pid").returned
    assert "not today" in caplog.text
    assert "next try in 1 s" in caplog.text
    assert 'broken_app.py", line 1' in capfd.readouterr().err
    (tmp_path / "broken_app.py").write_text("import os\nos._exit(9)\n")
    second = bench.start("pid")
    assert bench.end_of(second).returned
    assert "exit code 9" in caplog.text
    assert "next try in 2 s" in caplog.text
    (tmp_path / "broken_app.py").write_text(
        "from persistentq.tasks import Tasks\nimport os\nTASKS = Tasks()\nTASKS.add('pid', os.getpid)\n"
        "from persistentq import task\ntask('pid')(os.getpid)\n"
    )
    third = bench.start("pid")
    assert bench.end_of(third).error is None


def test_a_memory_limit_that_leaves_no_room_is_told(
    make_bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    assert make_bench(1, memory_limit=8 * MIB).run("pid").returned
    assert re.search(r"memory_limit 8388608 is less than the [\d,]+ bytes", caplog.text)


def test_a_run_that_waits_for_a_start_can_be_interrupted(
    make_bench: Callable[..., Bench], capfd: pytest.CaptureFixture[str]
) -> None:
    bench = make_bench(1, "tests.runtime.no_such_app")
    for _ in range(2):
        assert bench.run("pid").returned
    waiting = bench.start("pid")
    bench.interrupt(waiting, Interruption.STOPPED)
    assert isinstance(bench.end_of(waiting, within=PROMPT_S).error, JobInterrupted)


def test_pauses_between_starts_grow_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LONGEST_PAUSE_S", 0.0)
    starts = keeper.Starts()
    assert [starts.note_failure() for _ in range(3)] == [0.0, 0.0, 0.0]
    monkeypatch.setattr(keeper, "LONGEST_PAUSE_S", 30.0)
    assert 7 < starts.note_failure() <= 8
    assert 7 < starts.note_failure() <= 8
    starts.note_success()
    assert starts.pause > 7


@pytest.mark.parametrize("wrong", [{"number": 0}, {"memory_limit": 5}, {"recycle_jobs": 0}])
def test_numbers_out_of_bounds_are_refused(make_bench: Callable[..., Bench], wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        make_bench(**wrong)


def test_where_no_more_can_be_kept_the_others_do_the_work(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make_bench(3)

    def refuse() -> None:
        raise OSError(24, "Too many open files")

    first = bench.start("add", a=0, b=0)
    monkeypatch.setattr(keeper, "socketpair", refuse)
    assert [
        bench.end_of(run).result for run in [first, *(bench.start("add", a=n, b=0) for n in range(1, 5))]
    ] == [*range(5)]
    assert "no more than 1 child processes can be kept" in caplog.text


# --- the pipe


def test_a_job_comes_across_with_everything_that_is_known_of_it(bench: Bench) -> None:
    queue = bench.queue
    plain = queue.enqueue("add")
    rich = queue.enqueue(
        "add",
        {"a": [1.5, None]},
        priority=3,
        tags=["x", "y"],
        metadata={"ä": {"b": 1}},
        backoff=Backoff(timedelta(seconds=0.5), timedelta(days=2)),
        unique_key="k",
    )
    assert {job.id for job in queue.dequeue("me", limit=2)} == {plain.id, rich.id}
    for job in (plain, rich, queue.get_job(plain.id), queue.get_job(rich.id)):
        assert unpack_job(json.loads(json.dumps(pack_job(job)))) == job


@pytest.mark.parametrize(
    "garbage",
    [b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\1{", b"\0\0\0\1\xff", b"\0\0\0\0", b"\0\0\0\4null"],
)
def test_what_is_no_message_is_refused(garbage: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pipe = Pipe(ours)
        Pipe(theirs).send(a="ä", b=[1])
        assert pipe.receive() == [{"a": "ä", "b": [1]}]
        theirs.sendall(garbage)
        with pytest.raises(Garbage):
            pipe.receive()


def test_messages_come_whole_and_a_stalled_one_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pipe = Pipe(ours)
        theirs.sendall(b'\0\0\0\2{}\0\0\0\7{"a"')
        assert pipe.receive() == [{}]
        assert not pipe.is_stalled
        monkeypatch.setattr("persistentq.runtime.pipe.STALL_S", 0.0)
        theirs.sendall(b":")
        assert pipe.receive() == []
        assert pipe.is_stalled
        theirs.sendall(b"1}")
        assert pipe.receive() == [{"a": 1}]
        assert not pipe.is_stalled
        theirs.close()
        with pytest.raises(EOFError):
            pipe.receive()


# --- the parent


PARENT = """\
import sys, threading
from tests.runtime.process_bench import Bench
bench = Bench(2)
for task in sys.argv[2:]:
    bench.start(task, mark=f"{sys.argv[1]}/{task}")
threading.Event().wait(60)
"""


FORK = """\
import os
from tests.runtime.process_bench import pids_in
pids_in(f"{sys.argv[1]}/hold")
if os.fork() == 0:
    print(os.getpid(), flush=True)
"""


@pytest.mark.parametrize("tasks", [["hold", "family"], ["ignore", "hold_interpreter"]])
def test_children_and_what_they_started_die_with_a_killed_parent(tmp_path: Path, tasks: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), *tasks],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as parent:
        pids = [pid for task in tasks for pid in pids_in(tmp_path / task)]
        assert all(map(is_alive, pids))
        parent.kill()
    assert until(lambda: not any(map(is_alive, pids)), PROMPT_S)


def test_a_forked_copy_of_the_parent_does_not_keep_them_alive(tmp_path: Path) -> None:
    program = PARENT.replace("threading.Event", FORK + "threading.Event")
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path), "hold"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        (pid,) = pids_in(tmp_path / "hold")
        copy = int(parent.stdout.readline())
        parent.kill()
        assert until(lambda: not is_alive(pid), PROMPT_S)
        assert is_alive(copy)
        os.kill(copy, signal.SIGKILL)
        assert parent.stderr.read() == b""


def test_output_goes_where_the_parents_goes(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.result_of("write", words="hello from the child")
    said = capfd.readouterr()
    assert "hello from the child\n" in said.out
    assert "hello from the child as an error\n" in said.err
