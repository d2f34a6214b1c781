"""The whole system under a real supervisord."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from persistentq import JobStatus, Outcome, PersistentQInterface
from persistentq.job_files import is_stamped
from tests.supervision.checkouts import ROOT, Checkout

CONSUMERS = [f"consumer:consumer_{n:02}" for n in range(4)]

HOLDING_TASKS = """\
from pathlib import Path
from threading import Event

from persistentq import current_job, task

def wait_for(name):
    while not Path(name).exists():
        Event().wait(0.01)

@task("hold")
def hold():
    if current_job().job.attempt == 1:
        wait_for("never")

@task("block")
def block():
    wait_for("let go")
"""

HOLDING = """\
[program:producer]
autostart=false
[program:consumer]
command="%(here)s/../../.venv/bin/python" -m consumer.consumer --app holding
numprocs=2
"""


def done(queue: PersistentQInterface) -> int:
    return sum(statuses.get(JobStatus.DONE, 0) for statuses in queue.count_jobs().values())


def assert_stamped_once(checkout: Checkout, queue: PersistentQInterface) -> None:
    """Every job is done, and its file has the one line of the attempt that was accepted."""
    jobs = list(queue.list_jobs(limit=1000))
    assert {job.status for job in jobs} == {JobStatus.DONE}
    assert {job.args["path"] for job in jobs} == {
        str(path) for path in (checkout.root / "job_files").iterdir()
    }
    for job in jobs:
        content = Path(job.args["path"]).read_text()
        assert is_stamped(content.encode())
        lines = [line.split(" ", 1)[1] for line in content.splitlines() if " attempt " in line]
        assert lines == [f"{job.consumer} attempt {job.attempt}"]


def finish(checkout: Checkout, queue: PersistentQInterface) -> None:
    """Stop the producer and wait until nothing is left to do."""
    checkout.ctl("stop", "producer")
    checkout.until(lambda: set(queue.count_jobs().get("default", {})) == {JobStatus.DONE})


def internet_sockets(processes: Iterable[int]) -> list[str]:
    """The sockets of these processes that are no unix sockets."""
    opened = set()
    for pid in processes:
        with suppress(OSError):
            opened |= {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [
        line
        for table in ("tcp", "tcp6", "udp", "udp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return [line for line in lines if f"socket:[{line.split()[9]}]" in opened]


def open_to_others(checkout: Checkout) -> list[str]:
    """Files of the system that others may read. Supervisor opens its own log before it sets the umask."""
    made = [*checkout.root.glob("*.db*"), *checkout.run.iterdir(), *checkout.root.glob("job_files/*")]
    return [
        path.name
        for path in made
        if path.stat().st_mode & 0o077 and path.name not in {".gitkeep", "supervisord.log"}
    ]


def test_it_works_from_anywhere_with_an_empty_environment(checkout: Checkout) -> None:
    checkout.configure("rotate", "[program:producer]\nstdout_logfile_maxbytes=1KB\n")
    checkout.supervise("-c", str(checkout.conf))
    checkout.until_running("producer", *CONSUMERS)
    assert checkout.programs()["dashboard"] == ("STOPPED", 0)
    with checkout.queue() as queue:
        checkout.until(lambda: done(queue) >= 10)
        assert stat.filemode((checkout.run / "supervisor.sock").stat().st_mode) == "srwx------"
        assert internet_sockets(checkout.processes()) == []
        finish(checkout, queue)
        assert_stamped_once(checkout, queue)
        assert (checkout.run / "producer.log.1").exists()
        assert open_to_others(checkout) == []

        assert checkout.ctl("shutdown") == "Shut down\n"
        checkout.until(lambda: not checkout.processes())
        assert not (checkout.run / "supervisor.sock").exists()
        goodbyes = {each.id: each.stopped_at for each in queue.list_consumers()}
    assert sorted(goodbyes) == [name.partition(":")[2] for name in CONSUMERS]
    assert None not in goodbyes.values()
    log = (checkout.run / "supervisord.log").read_text()
    assert [name for name in goodbyes if f"stopped: {name} (exit status 0)" not in log] == []


def test_a_killed_consumer_is_restarted_and_its_job_finished_by_another(checkout: Checkout) -> None:
    (checkout.root / "holding.py").write_text(HOLDING_TASKS)
    checkout.configure("holding", HOLDING)
    checkout.supervise("-c", str(checkout.conf))
    checkout.until_running(*CONSUMERS[:2])
    with checkout.queue() as queue:
        job = queue.enqueue("hold")
        checkout.until(lambda: queue.get_job(job.id).status == JobStatus.PROCESSING)
        killed = queue.get_job(job.id).consumer
        # What the killed consumer takes first when it is back, and which keeps it from the job that it lost.
        # The pause keeps the other consumer from taking it before it is assigned.
        queue.pause_queue("default")
        kept = queue.assign_job(queue.enqueue("block", priority=10).id, killed)
        queue.resume_queue("default")
        before = checkout.programs()
        os.kill(before[f"consumer:{killed}"][1], signal.SIGKILL)
        checkout.until(lambda: queue.get_job(kept.id).status == JobStatus.PROCESSING)
        checkout.until(lambda: queue.get_job(job.id).status == JobStatus.DONE)
        first, second = queue.get_attempts(job.id)
        assert (first.consumer, first.outcome) == (killed, Outcome.LOST)
        assert (second.consumer != killed, second.outcome) == (True, Outcome.DONE)
        (checkout.root / "let go").touch()
        checkout.until(lambda: queue.get_job(kept.id).status == JobStatus.DONE)
        assert queue.get_job(kept.id).consumer == killed
    after = checkout.programs()
    assert [name for name in CONSUMERS[:2] if after[name] != before[name]] == [f"consumer:{killed}"]


def test_consumers_are_added_by_numprocs_and_stopped_one_by_one(checkout: Checkout) -> None:
    """Started as documented, where another Python and another environment stand first on the PATH."""
    wrong = checkout.base / "bin"
    wrong.mkdir()
    (wrong / "python").write_text("#!/bin/sh\nexit 1\n")
    (wrong / "python").chmod(0o755)
    text = checkout.conf.read_text()
    assert text.count("numprocs=4\n") == 1
    checkout.conf.write_text(text.replace("numprocs=4\n", "numprocs=1\n"))
    checkout.supervise(
        "-c",
        "supervisor/supervisord.conf",
        cwd=checkout.root,
        environment={"PATH": f"{wrong}:/usr/bin:/bin", "VIRTUAL_ENV": str(checkout.base)},
    )
    checkout.until_running("producer", CONSUMERS[0])
    checkout.conf.write_text(text.replace("numprocs=4\n", "numprocs=3\n"))
    assert checkout.ctl("reread") == "consumer: changed\n"
    assert "consumer: updated process group" in checkout.ctl("update")
    checkout.until_running("producer", *CONSUMERS[:3])
    assert CONSUMERS[3] not in checkout.programs()

    with checkout.queue() as queue:
        checkout.until(lambda: sum(each.is_alive for each in queue.list_consumers()) == 3)
        assert checkout.ctl("stop", CONSUMERS[0]) == f"{CONSUMERS[0]}: stopped\n"
        states = {name: state for name, (state, _) in checkout.programs().items()}
        assert [states[name] for name in CONSUMERS[:3]] == ["STOPPED", "RUNNING", "RUNNING"]
        alive = {each.id: each.is_alive for each in queue.list_consumers()}
        assert alive == {"consumer_00": False, "consumer_01": True, "consumer_02": True}
        so_far = done(queue)
        checkout.until(lambda: done(queue) > so_far)
        finish(checkout, queue)
        assert_stamped_once(checkout, queue)
    checkout.ctl("shutdown")
    checkout.until(lambda: not checkout.processes())


def test_the_documented_command_with_poetry_works_too(checkout: Checkout) -> None:
    """As the comment in supervisord.conf shows it; TERM reaches the Python process."""
    poetry = ROOT / ".poetry" / "venv" / "bin"
    assert (poetry / "poetry").exists(), "make setup installs it"
    shown = [
        line.removeprefix("; ") for line in checkout.conf.read_text().splitlines() if "poetry run" in line
    ]
    assert shown == ["command=poetry run python -m consumer.consumer"]
    checkout.configure("poetry", f"[program:consumer]\nnumprocs=1\n{shown[0]}\n")
    environment = {"PATH": f"{poetry}:/usr/bin:/bin", "HOME": str(checkout.base)}
    checkout.supervise("-c", str(checkout.conf), environment=environment)
    checkout.until_running(CONSUMERS[0])
    with checkout.queue() as queue:
        checkout.until(lambda: done(queue) >= 1)
        _, pid = checkout.programs()[CONSUMERS[0]]
        (consumer,) = queue.list_consumers()
        assert (consumer.id, consumer.pid) == ("consumer_00", pid)
        checkout.ctl("stop", CONSUMERS[0])
        (consumer,) = queue.list_consumers()
        assert consumer.stopped_at is not None
    checkout.ctl("shutdown")
    checkout.until(lambda: not checkout.processes())


def test_both_commands_can_be_typed_in_the_root_without_c(checkout: Checkout) -> None:
    checkout.configure("one", "[program:consumer]\nnumprocs=1\n")
    checkout.supervise(cwd=checkout.root)
    checkout.until_running("producer", CONSUMERS[0])
    here = checkout._command("supervisorctl", "status", CONSUMERS[0], cwd=checkout.root)
    assert (here.returncode, here.stdout.split()[:2]) == (0, [CONSUMERS[0], "RUNNING"])
    assert checkout._command("supervisorctl", "shutdown", cwd=checkout.root).stdout == "Shut down\n"
    checkout.until(lambda: not checkout.processes())


def test_after_a_killed_supervisord_the_new_consumers_wait_for_the_old_ones_to_end(
    checkout: Checkout,
) -> None:
    """No two processes work under one id, and every file gets one line."""
    checkout.configure("two", "[program:consumer]\nnumprocs=2\n")
    checkout.supervise("-c", str(checkout.conf))
    checkout.until_running("producer", *CONSUMERS[:2])
    old = {pid for name, (_, pid) in checkout.programs().items() if name in CONSUMERS}
    supervisord = int((checkout.run / "supervisord.pid").read_text())
    os.kill(supervisord, signal.SIGKILL)
    checkout.until(lambda: supervisord not in checkout.processes())
    left = set(checkout.processes())
    assert len(left) == 3
    checkout.supervise("-c", str(checkout.conf))
    with checkout.queue() as queue:
        for name in ("consumer_00", "consumer_01"):
            log = checkout.run / f"{name}.log"
            checkout.until(
                lambda log=log, name=name: f"consumer {name!r} is alive: process " in log.read_text()
            )
        so_far = done(queue)
        checkout.until(lambda: done(queue) >= so_far + 5)
        assert {each.pid for each in queue.list_consumers()} == old
        for pid in left:
            os.kill(pid, signal.SIGTERM)
        checkout.until(lambda: not left & set(checkout.processes()))
        # Each comes back at its next try, and none was given up.
        checkout.until(lambda: not old & {each.pid for each in queue.list_consumers() if each.is_alive})
        checkout.until(lambda: sum(each.is_alive for each in queue.list_consumers()) == 2)
        so_far = done(queue)
        checkout.until(lambda: done(queue) >= so_far + 5)
        finish(checkout, queue)
        assert_stamped_once(checkout, queue)
    assert "FATAL" not in (checkout.run / "supervisord.log").read_text()
    checkout.ctl("shutdown")
    checkout.until(lambda: not checkout.processes())


def test_consumers_that_cannot_begin_are_tried_ever_more_slowly_and_never_given_up(
    checkout: Checkout,
) -> None:
    """With Supervisor's own patience, which is four quick ends; and they are there when the cause is gone."""
    (checkout.root / "shop.py").write_text("import no_such_library\n")
    command = '"%(here)s/../../.venv/bin/python" -m consumer.consumer --app shop'
    slow = f"[program:producer]\nautostart=false\n[program:consumer]\nnumprocs=1\nstartsecs=5\ncommand={command}\n"
    checkout.configure("slow", slow)
    checkout.supervise("-c", str(checkout.conf))
    log = checkout.run / "consumer_00.log"
    with checkout.queue() as queue:
        checkout.until(lambda: "begins in 8 s" in (log.read_text() if log.exists() else ""))
        (consumer,) = queue.list_consumers()
        assert "No module named 'no_such_library'" in (consumer.trouble or "")
        assert not consumer.is_alive
        checkout.until_running(CONSUMERS[0])
        (checkout.root / "shop.py").write_text(
            "from persistentq import task\n@task('greet')\ndef greet(): ...\n"
        )
        job = queue.enqueue("greet")
        checkout.until(lambda: queue.get_job(job.id).status == JobStatus.DONE)
        (consumer,) = queue.list_consumers()
        assert consumer.is_alive
        # For a minute people still see what was wrong.
        assert "ended 3 times in a row" in (consumer.trouble or "")
    assert "FATAL" not in (checkout.run / "supervisord.log").read_text()


def test_a_stuck_consumer_is_started_anew(checkout: Checkout) -> None:
    jam = "for handler in logging.getLogger().handlers: handler.acquire()"
    (checkout.root / "shop.py").write_text(
        f"import logging\nfrom persistentq import task\n@task('jam')\ndef jam():\n    {jam}\n"
    )
    command = '"%(here)s/../../.venv/bin/python" -m consumer.consumer --app shop --stuck-after 3'
    stuck = f"[program:producer]\nautostart=false\n[program:consumer]\nnumprocs=1\ncommand={command}\n"
    checkout.configure("stuck", stuck)
    checkout.supervise("-c", str(checkout.conf))
    checkout.until_running(CONSUMERS[0])
    before = checkout.programs()[CONSUMERS[0]]
    with checkout.queue() as queue:
        queue.enqueue("jam")
        checkout.until(lambda: checkout.programs()[CONSUMERS[0]] not in {before, ("STARTING", 0)})
        checkout.until_running(CONSUMERS[0])
    assert (
        "exited: consumer_00 (exit status 70; not expected)" in (checkout.run / "supervisord.log").read_text()
    )
    assert "error: consumer 'consumer_00' is stuck: " in (checkout.run / "consumer_00.log").read_text()
