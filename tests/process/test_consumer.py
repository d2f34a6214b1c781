"""The consumer as a process: what it does to files, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from persistentq import JobStatus, NewJob, Outcome
from persistentq.clock import Deadline
from persistentq.job_files import TASK, make_job_file
from tests.process.programs import Site

TASKS = """\
import asyncio
import os
from pathlib import Path
from threading import Event

from persistentq import current_job, task

def wait_for(name):
    while not Path(name).exists():
        Event().wait(0.01)

@task("greet")
def greet(name):
    return f"hello {name}"

@task("greet.async")
async def greet_async(name):
    await asyncio.sleep(0)
    return f"hello {name}, attempt {current_job().job.attempt}"

@task("hold")
def hold():
    Path("holding").touch()
    wait_for("let go")
    return "held"

@task("effect")
def effect():
    context = current_job()
    if context.job.attempt == 1:
        Path("holding").touch()
        wait_for("let go")
    context.require_lease()
    with open("effects", "a") as file:
        print(context.job.attempt, file=file)

@task("hold.thread")
async def hold_thread():
    await asyncio.to_thread(hold)

class Unreadable:
    def __repr__(self):
        raise RuntimeError("not loaded")

class Unwalkable(dict):
    def items(self):
        raise RuntimeError("not loaded")

@task("unreadable")
def unreadable():
    return Unreadable()

@task("unwalkable")
def unwalkable():
    return Unwalkable(a=1)

@task("die")
def die():
    os._exit(9)
"""


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """Two attempts, and leases of one second."""
    made = make_site(MAX_ATTEMPTS=2, TIMEOUT_SECONDS=1)
    (made.folder / "tasks.py").write_text(TASKS)
    return made


def stamps(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if " attempt " in line]


def is_there(path: Path) -> Callable[[], bool]:
    return path.exists


# --- what it does --------------------------------------------------------------------------------------------------


def test_burst_stamps_every_file_once_and_ends(site: Site) -> None:
    with site.queue() as queue:
        files = [make_job_file(site.files) for _ in range(20)]
        jobs = queue.enqueue_many(NewJob(TASK, {"path": str(file)}) for file in files)
        consumer = site.consumer("--burst", "--concurrency", "4", name="c_1")
        assert consumer.code() == 0, consumer.said()
        assert {queue.get_job(job.id).status for job in jobs} == {JobStatus.DONE}
        (reported,) = queue.list_consumers()
        assert (reported.id, reported.pid, reported.is_alive) == ("c_1", consumer.process.pid, False)
    for file in files:
        (line,) = stamps(file)
        assert line.endswith("Z c_1 attempt 1")


def test_tasks_come_from_a_module_of_the_current_directory(site: Site) -> None:
    with site.queue() as queue:
        plain = queue.enqueue("greet", {"name": "A"}, queue="mail")
        later = queue.enqueue("greet.async", {"name": "B"})
        other = queue.enqueue("greet", {"name": "C"}, queue="other")
        unknown = queue.enqueue("nobody.knows")
        consumer = site.consumer("--app", "tasks", "--queues", "mail, default", "--burst")
        assert consumer.code() == 0, consumer.said()
        assert queue.get_job(plain.id).result == "hello A"
        assert queue.get_job(later.id).result == "hello B, attempt 1"
        assert queue.get_job(other.id).status == JobStatus.PENDING
        failed = queue.get_job(unknown.id)
        assert (failed.status, failed.attempt) == (JobStatus.FAILED, 1)
        assert "no task 'nobody.knows'" in (failed.error or "")


def bad_files(site: Site, outside: Path) -> dict[str, tuple[str, str]]:
    """Make what must not be touched; return name -> (path, reason)."""
    site.files.mkdir()
    (site.files / "folder").mkdir()
    (site.files / "out.txt").symlink_to(outside / "precious.txt")
    (site.files / "out").symlink_to(outside)
    (site.files / "dangling").symlink_to(outside / "nothing")
    (site.files / "loop").symlink_to(site.files / "loop")
    os.mkfifo(site.files / "fifo")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(site.files / "socket"))
    return {
        "missing": (f"{site.files}/missing.txt", "does not exist"),
        "directory": (f"{site.files}/folder", "is a directory"),
        "the root itself": (str(site.files), "is a directory"),
        "outside": (f"{outside}/precious.txt", "is not inside"),
        "link out": (f"{site.files}/out.txt", "is not inside"),
        "through a link out": (f"{site.files}/out/precious.txt", "is not inside"),
        "dangling link": (f"{site.files}/dangling", "does not exist"),
        "links in a circle": (f"{site.files}/loop", "cannot be reached"),
        "parent": (f"{site.files}/../outside/precious.txt", "is not inside"),
        "FIFO": (f"{site.files}/fifo", "is not a regular file"),
        "socket": (f"{site.files}/socket", ""),
        "device": ("/dev/null", "is not inside"),
        "too long": (f"{site.files}/{'x' * 5000}", "cannot be reached"),
        "empty": ("", "is not inside"),
        "below a file": (f"{site.files}/good.txt/x", "does not exist"),
    }


def test_a_bad_file_fails_its_own_job_and_nothing_else(site: Site) -> None:
    outside = site.folder / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("precious\n")
    cases = bad_files(site, outside)
    good = site.files / "good.txt"
    good.write_text("good\n")
    before = sorted(str(path) for path in site.folder.glob("[jo]*/**/*"))
    with site.queue() as queue:
        jobs = {
            name: queue.enqueue(TASK, {"path": path}, max_attempts=1) for name, (path, _) in cases.items()
        }
        jobs["no path"] = queue.enqueue(TASK, {})
        last = queue.enqueue(TASK, {"path": str(good)})
        consumer = site.consumer("--burst")
        assert consumer.code() == 0, consumer.said()
        for name, job in jobs.items():
            failed = queue.get_job(job.id)
            assert (failed.status, failed.attempt) == (JobStatus.FAILED, 1), name
            assert cases.get(name, ("", "lack 'path'"))[1] in (failed.error or ""), name
        assert queue.get_job(last.id).status == JobStatus.DONE
    assert (outside / "precious.txt").read_text() == "precious\n"
    assert len(stamps(good)) == 1
    assert sorted(str(path) for path in site.folder.glob("[jo]*/**/*")) == before


@pytest.mark.parametrize("task", ["unreadable", "unwalkable"])
def test_a_result_that_cannot_be_looked_at_fails_its_own_job_only(site: Site, task: str) -> None:
    with site.queue() as queue:
        bad, good = queue.enqueue(task), queue.enqueue("greet", {"name": "A"})
        consumer = site.consumer("--app", "tasks", "--burst")
        assert consumer.code() == 0, consumer.said()
        failed = queue.get_job(bad.id)
        assert failed.status == JobStatus.FAILED
        assert "result cannot be stored" in (failed.error or "")
        assert queue.get_job(good.id).status == JobStatus.DONE


def test_the_failure_switch_spends_the_attempts_and_keeps_every_error(site: Site) -> None:
    with site.queue() as queue:
        file = make_job_file(site.files)
        before = file.read_bytes()
        job = queue.enqueue(TASK, {"path": str(file)})
        consumer = site.consumer("--fail-rate", "1.0", name="c_1")
        consumer.until(lambda: queue.get_job(job.id).status == JobStatus.FAILED)
        attempts = queue.get_attempts(job.id)
    assert [(each.attempt, each.consumer, each.outcome, each.error_type) for each in attempts] == [
        (1, "c_1", Outcome.FAILED, "DemonstrationError"),
        (2, "c_1", Outcome.FAILED, "DemonstrationError"),
    ]
    assert all("on purpose" in (each.error or "") for each in attempts)
    assert file.read_bytes() == before


# --- how it ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_an_idle_consumer_ends_at_once(site: Site, number: int) -> None:
    consumer = site.consumer(name="c_1")
    consumer.says("started")
    for _ in range(5):
        consumer.send(number)
    assert consumer.code(within=10) == 0
    with site.queue() as queue:
        assert [each.is_alive for each in queue.list_consumers()] in ([], [False])


def test_a_signal_lets_the_running_task_finish(site: Site) -> None:
    with site.queue() as queue:
        held = queue.enqueue("hold")
        consumer = site.consumer("--app", "tasks")
        consumer.until(is_there(site.folder / "holding"))
        consumer.send(signal.SIGTERM)
        # Longer than the lease: it is renewed while the consumer drains.
        limit = Deadline(1.5)
        while not limit.passed:
            assert consumer.process.poll() is None
            assert queue.dequeue("thief") == []
            limit.pause(0.1)
        next_one = queue.enqueue("hold")
        (site.folder / "let go").touch()
        assert consumer.code(within=10) == 0
        done = queue.get_job(held.id)
        assert (done.status, done.result, done.attempt) == (JobStatus.DONE, "held", 1)
        assert queue.get_job(next_one.id).status == JobStatus.PENDING


@pytest.mark.parametrize("task", ["hold", "hold.thread"])
def test_a_second_signal_gives_the_job_back_uncounted(site: Site, task: str) -> None:
    """And the process ends with 0, whatever threads the task has started and however many signals come."""
    with site.queue() as queue:
        job = queue.enqueue(task)
        consumer = site.consumer("--app", "tasks", name="c_1")
        consumer.until(is_there(site.folder / "holding"))
        consumer.send_until_over(signal.SIGTERM)
        assert consumer.code() == 0
        back = queue.get_job(job.id)
        assert (back.status, back.attempt, back.max_attempts) == (JobStatus.PENDING, 1, 3)
        assert [each.outcome for each in queue.get_attempts(job.id)] == [Outcome.RELEASED]


def test_signals_at_any_moment_leave_nothing_held(site: Site) -> None:
    with site.queue() as queue:
        for n, patience in enumerate((0.0, 0.02, 0.1)):
            files = [make_job_file(site.files) for _ in range(60)]
            queue.enqueue_many(NewJob(TASK, {"path": str(file)}) for file in files)
            consumer = site.consumer("--concurrency", "3", name=f"c_{n}")
            consumer.says(" done in ")
            Deadline(patience).wait_for(lambda: False)
            for _ in range(5):
                consumer.send(signal.SIGTERM)
            assert consumer.code(within=10) == 0
            assert not queue.list_jobs(status=JobStatus.PROCESSING).items
        done = list(queue.list_jobs(status=JobStatus.DONE, limit=1000))
    assert len(done) >= 3
    for job in done:
        # A second signal may give a job back between its line and its word; the next attempt adds another line.
        accepted = f"{job.consumer} attempt {job.attempt}"
        assert [line.endswith(accepted) for line in stamps(Path(job.args["path"]))].count(True) == 1


def test_a_killed_consumers_job_is_finished_by_another(site: Site) -> None:
    with site.queue() as queue:
        job = queue.enqueue("effect")
        killed = site.consumer("--app", "tasks", name="c_1")
        killed.until(is_there(site.folder / "holding"))
        killed.kill()
        other = site.consumer("--app", "tasks", name="c_2")
        other.until(lambda: queue.get_job(job.id).status == JobStatus.DONE)
        history = [(each.consumer, each.outcome) for each in queue.get_attempts(job.id)]
    assert history == [("c_1", Outcome.LOST), ("c_2", Outcome.DONE)]
    assert (site.folder / "effects").read_text() == "2\n"


def test_a_frozen_consumer_is_refused_when_it_wakes(site: Site) -> None:
    """G2: its effect and its word come too late."""
    with site.queue() as queue:
        job = queue.enqueue("effect")
        frozen = site.consumer("--app", "tasks", name="c_1")
        frozen.until(is_there(site.folder / "holding"))
        frozen.send(signal.SIGSTOP)
        other = site.consumer("--app", "tasks", name="c_2")
        other.until(lambda: queue.get_job(job.id).status == JobStatus.DONE)
        (site.folder / "let go").touch()
        frozen.send(signal.SIGCONT)
        frozen.says("attempt 1 was lost")
        frozen.send(signal.SIGTERM)
        assert frozen.code(within=10) == 0
        done = queue.get_job(job.id)
    assert (done.status, done.consumer, done.attempt) == (JobStatus.DONE, "c_2", 2)
    assert (site.folder / "effects").read_text() == "2\n"


def test_a_job_that_kills_its_consumer_each_time_ends_failed(site: Site) -> None:
    """G3."""
    with site.queue() as queue:
        job = queue.enqueue("die")
        for attempt in (1, 2):
            assert site.consumer("--app", "tasks").code() == 9
            assert queue.get_job(job.id).attempt == attempt
        last = site.consumer("--app", "tasks")
        last.until(lambda: queue.get_job(job.id).status == JobStatus.FAILED)
        assert "the worker died" in (queue.get_job(job.id).error or "")
        assert [each.outcome for each in queue.get_attempts(job.id)] == [Outcome.LOST] * 2


def test_a_locked_database_is_waited_for_and_the_outcome_kept(make_site: Callable[..., Site]) -> None:
    site = make_site(QUEUE_LOCK_TIMEOUT=0.2)
    (site.folder / "tasks.py").write_text(TASKS)
    queue = site.queue()
    job = queue.enqueue("hold")
    consumer = site.consumer("--app", "tasks")
    consumer.until(is_there(site.folder / "holding"))
    queue.close()
    with site.locked():
        (site.folder / "let go").touch()
        consumer.until(lambda: consumer.said().count(" waits: ") >= 2)
    consumer.says("attempt 1 done")
    with site.queue() as queue:
        done = queue.get_job(job.id)
    assert (done.status, done.attempt, done.result) == (JobStatus.DONE, 1, "held")


# --- what it refuses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--app", "no_such_module"],
        ["--app", "tasks.py"],
        ["--app", ""],
        ["--app", ".tasks"],
        ["--concurrency", "0"],
        ["--queues", "a b"],
        ["--queues", ""],
        ["--consumer-id", "a b"],
        ["--fail-rate", "2"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_in_two_lines(site: Site, arguments: list[str]) -> None:
    consumer = site.consumer(*arguments, "--burst")
    assert consumer.code() == 2, consumer.said()
    assert consumer.said().startswith("error: ")
    assert "Traceback" not in consumer.said()


def test_an_error_in_the_users_module_is_shown_where_it_is(site: Site) -> None:
    (site.folder / "broken.py").write_text("import no_such_library\n")
    consumer = site.consumer("--app", "broken")
    assert consumer.code() == 2
    assert "ModuleNotFoundError: No module named 'no_such_library'" in consumer.said()
    assert "broken.py, line 1" in consumer.said()
