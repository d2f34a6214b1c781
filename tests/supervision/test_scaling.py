"""More and fewer consumers under a real supervisord: the others go on, and it outlasts supervisord."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from persistentq import InvalidArgument, JobStatus, SupervisionError
from persistentq.operations.scale import scale
from persistentq.operations.supervised import Supervised, find_configuration
from tests.supervision.checkouts import Checkout

QUIET = "[program:producer]\nautostart=false\n"
TASKS = """\
from pathlib import Path
from threading import Event

from persistentq import current_job, task

@task("hold")
def hold():
    while not Path("let go").exists():
        Event().wait(0.01)
    return current_job().job.attempt
"""


def names(*numbers: int) -> list[str]:
    return [f"consumer:consumer_{number:02}" for number in numbers]


def running(checkout: Checkout) -> dict[str, int]:
    """The process ids of the consumers that run."""
    return {
        name: pid
        for name, (state, pid) in checkout.programs().items()
        if name.startswith("consumer:") and state == "RUNNING"
    }


def listed(checkout: Checkout) -> list[str]:
    return sorted(name for name in checkout.programs() if name.startswith("consumer:"))


def admin(checkout: Checkout, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "admin.admin", "scale", *arguments],
        cwd=checkout.root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def scaled(checkout: Checkout, number: int) -> dict[str, Any]:
    answer = admin(checkout, str(number), "--output", "json")
    assert (answer.returncode, answer.stderr) == (0, "")
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def start(checkout: Checkout, number: int) -> None:
    checkout.configure("quiet", f"{QUIET}[program:consumer]\nnumprocs={number}\n")
    checkout.supervise("-c", str(checkout.conf))
    checkout.until_running(*names(*range(number)))


def assert_nothing_to_update(checkout: Checkout) -> None:
    assert checkout.ctl("reread") == "No config updates to processes\n"
    assert checkout.ctl("update") == ""


def test_the_others_go_on_with_their_jobs(checkout: Checkout) -> None:
    (checkout.root / "holding.py").write_text(TASKS)
    command = (
        '[program:consumer]\ncommand="%(here)s/../../.venv/bin/python" -m consumer.consumer --app holding\n'
    )
    checkout.configure("holding", command)
    start(checkout, 2)
    before = running(checkout)
    with checkout.queue() as queue:
        held = [queue.enqueue("hold") for _ in range(2)]
        checkout.until(lambda: all(queue.get_job(job.id).status == JobStatus.PROCESSING for job in held))
        up = scaled(checkout, 4)
        assert (up["added"], up["removed"]) == (["consumer_02", "consumer_03"], [])
        assert (up["kept"], up["is_restarted"]) == (["consumer_00", "consumer_01"], False)
        now = running(checkout)
        assert list(now) == names(0, 1, 2, 3)
        assert {name: now[name] for name in before} == before
        assert_nothing_to_update(checkout)
        checkout.until(lambda: sum(each.is_alive for each in queue.list_consumers()) == 4)

        down = scaled(checkout, 2)
        assert (down["removed"], down["kept"]) == (
            ["consumer_02", "consumer_03"],
            ["consumer_00", "consumer_01"],
        )
        assert (listed(checkout), running(checkout)) == (names(0, 1), before)
        assert_nothing_to_update(checkout)
        entries = queue.list_journal().items
        assert [(entry.verb, entry.details["number"], entry.details["removed"]) for entry in entries] == [
            ("scale", 2, ["consumer_02", "consumer_03"]),
            ("scale", 4, []),
        ]
        goodbyes = {each.id: each.stopped_at is not None for each in queue.list_consumers()}
        assert goodbyes == {
            "consumer_00": False,
            "consumer_01": False,
            "consumer_02": True,
            "consumer_03": True,
        }
        (checkout.root / "let go").touch()
        for job in held:
            checkout.until(lambda job=job: queue.get_job(job.id).status == JobStatus.DONE)
            assert (queue.get_job(job.id).attempt, queue.get_job(job.id).result) == (1, 1)


def test_those_that_are_too_many_finish_what_they_run(checkout: Checkout) -> None:
    (checkout.root / "holding.py").write_text(TASKS)
    command = (
        '[program:consumer]\ncommand="%(here)s/../../.venv/bin/python" -m consumer.consumer --app holding\n'
    )
    checkout.configure("holding", command)
    start(checkout, 2)
    with checkout.queue() as queue:
        jobs = [queue.enqueue("hold") for _ in range(2)]
        checkout.until(lambda: all(queue.get_job(job.id).status == JobStatus.PROCESSING for job in jobs))
        (leaving,) = (job for job in jobs if queue.get_job(job.id).consumer == "consumer_01")
        scaling = subprocess.Popen(
            [sys.executable, "-m", "admin.admin", "scale", "1"],
            cwd=checkout.root,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert scaling.stderr is not None
        assert scaling.stderr.readline() == "waiting for consumer_01 to drain and stop\n"
        assert checkout.programs()["consumer:consumer_01"][0] == "STOPPING"
        (checkout.root / "let go").touch()
        assert scaling.wait(60) == 0
        scaling.stderr.close()
        done = queue.get_job(leaving.id)
        assert (done.status, done.consumer, done.attempt) == (JobStatus.DONE, "consumer_01", 1)
    assert listed(checkout) == names(0)


def test_the_number_outlasts_supervisord(checkout: Checkout) -> None:
    start(checkout, 1)
    scaled(checkout, 3)
    checkout.ctl("shutdown")
    checkout.until(lambda: not checkout.processes())
    checkout.supervise("-c", str(checkout.conf))
    checkout.until_running(*names(0, 1, 2))
    assert listed(checkout) == names(0, 1, 2)
    scaled(checkout, 0)
    assert listed(checkout) == []
    checkout.ctl("reload")
    checkout.until(lambda: "producer" in checkout.programs())
    assert listed(checkout) == []
    scaled(checkout, 2)
    assert list(running(checkout)) == names(0, 1)


def test_a_killed_one_comes_back_and_a_stopped_one_is_started(checkout: Checkout) -> None:
    """What was added is Supervisor's like all others."""
    start(checkout, 1)
    scaled(checkout, 3)
    pid = running(checkout)["consumer:consumer_02"]
    os.kill(pid, signal.SIGKILL)
    checkout.until(lambda: running(checkout).get("consumer:consumer_02", pid) != pid)
    assert checkout.ctl("stop", "consumer:consumer_01") == "consumer:consumer_01: stopped\n"
    before = running(checkout)
    # So many are wanted at work, and one that was stopped by hand is not.
    told = scaled(checkout, 4)
    assert (told["added"], told["kept"]) == (["consumer_01", "consumer_03"], ["consumer_00", "consumer_02"])
    now = running(checkout)
    assert list(now) == names(0, 1, 2, 3)
    assert {name: now[name] for name in before} == before
    # One that does not run is just taken off the list.
    checkout.ctl("stop", "consumer:consumer_01")
    assert scaled(checkout, 1)["removed"] == ["consumer_01", "consumer_02", "consumer_03"]
    assert listed(checkout) == names(0)


def test_wanted_again_while_it_still_drains_it_is_started_anew(checkout: Checkout) -> None:
    (checkout.root / "holding.py").write_text(TASKS)
    command = (
        '[program:consumer]\ncommand="%(here)s/../../.venv/bin/python" -m consumer.consumer --app holding\n'
    )
    checkout.configure("holding", command)
    start(checkout, 1)
    supervised = Supervised(checkout.conf)
    old = running(checkout)["consumer:consumer_00"]
    with checkout.queue() as queue:
        job = queue.enqueue("hold")
        checkout.until(lambda: queue.get_job(job.id).status == JobStatus.PROCESSING)
        checkout.configure("zz-scale", "[program:consumer]\nnumprocs=0\n")
        assert supervised.call("persistentq.applyNumprocs", "consumer")["removed"] == ["consumer_00"]
        checkout.configure("zz-scale", "[program:consumer]\nnumprocs=1\n")
        assert supervised.call("persistentq.applyNumprocs", "consumer")["kept"] == ["consumer_00"]
        assert checkout.programs()["consumer:consumer_00"][0] == "STOPPING"
        (checkout.root / "let go").touch()
        checkout.until(lambda: running(checkout).get("consumer:consumer_00", old) != old)
        assert queue.get_job(job.id).attempt == 1
    assert_nothing_to_update(checkout)


def test_what_else_has_changed_in_the_file_is_left_to_update(checkout: Checkout) -> None:
    start(checkout, 1)
    before = running(checkout)
    checkout.configure("later", "[program:consumer]\nstopwaitsecs=44\n")
    assert scaled(checkout, 2)["kept"] == ["consumer_00"]
    assert running(checkout)["consumer:consumer_00"] == before["consumer:consumer_00"]
    assert checkout.ctl("reread") == "consumer: changed\n"
    checkout.ctl("update")
    checkout.until_running(*names(0, 1))
    assert running(checkout)["consumer:consumer_00"] != before["consumer:consumer_00"]
    assert_nothing_to_update(checkout)


def test_without_the_interface_all_are_restarted_and_that_is_said_before(checkout: Checkout) -> None:
    text = checkout.conf.read_text()
    start_of, end_of = text.index("[rpcinterface:persistentq]"), text.index("[supervisorctl]")
    checkout.conf.write_text(text[:start_of] + text[end_of:])
    start(checkout, 2)
    before = running(checkout)
    answer = admin(checkout, "3")
    assert answer.returncode == 0
    first = answer.stderr.splitlines()[0]
    assert first.startswith(
        "this supervisord has no [rpcinterface:persistentq], so every consumer has to drain"
    )
    assert answer.stdout == "consumer: 3; all restarted: consumer_00, consumer_01, consumer_02\n"
    now = running(checkout)
    assert list(now) == names(0, 1, 2)
    assert not set(before.values()) & set(now.values())
    with checkout.queue() as queue:
        # They have said goodbye, and come again.
        assert all(each.trouble is None for each in queue.list_consumers())
    assert_nothing_to_update(checkout)
    answer = admin(checkout, "1")
    assert (answer.returncode, listed(checkout)) == (0, names(0))


def test_one_that_cannot_start_is_told(checkout: Checkout) -> None:
    start(checkout, 1)
    broken = '[program:consumer]\ncommand=/bin/sh -c "exit 3"\nstartretries=0\n'
    checkout.configure("later", broken)
    answer = admin(checkout, "2")
    assert answer.returncode == 1
    assert "consumer:consumer_01 does not do as it shall: it is FATAL: Exited too quickly" in answer.stderr
    shown = admin(checkout)
    assert shown.returncode == 1
    assert [line.split()[:2] for line in shown.stdout.splitlines()[:2]] == [
        ["consumer:consumer_00", "RUNNING"],
        ["consumer:consumer_01", "FATAL"],
    ]
    assert "hint: consumer:consumer_01 is not running; its log is " in shown.stderr


# --- what it refuses


def untouched(checkout: Checkout) -> bool:
    return not (checkout.root / "supervisor" / "conf.d" / "zz-scale.conf").exists()


def test_nonsense_is_refused_and_changes_nothing(checkout: Checkout) -> None:
    start(checkout, 1)
    before = checkout.programs()
    for words, code, said in (
        (["101"], 2, "number of consumers 101 is not a whole number from 0 to 100"),
        (["--", "-1"], 2, "number of consumers -1 is not a whole number from 0 to 100"),
        (["many"], 2, "invalid value for 'N'"),
        (["1.5"], 2, "invalid value for 'N'"),
        (["2", "--program", "nobody"], 1, "has no [program:nobody]"),
        (["2", "--program", "producer"], 1, "process_num) must be present within process_name"),
        (["2", "--configuration", "nowhere.conf"], 1, "could not find config file nowhere.conf"),
    ):
        answer = admin(checkout, *words)
        assert (answer.returncode, answer.stdout) == (code, ""), words
        assert answer.stderr.startswith("error: ")
        assert said in answer.stderr
        assert untouched(checkout)
    assert checkout.programs() == before
    with pytest.raises(InvalidArgument):
        scale(checkout.conf, True)


def test_without_a_running_supervisord_nothing_is_changed(checkout: Checkout) -> None:
    answer = admin(checkout, "3")
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: supervisord does not answer (")
    assert untouched(checkout)


def test_a_file_that_goes_before_is_named_and_nothing_is_changed(checkout: Checkout) -> None:
    start(checkout, 1)
    checkout.configure("zzz", "[program:consumer]\nnumprocs=1\n")
    answer = admin(checkout, "2")
    assert (answer.returncode, listed(checkout)) == (1, names(0))
    assert "another file says numprocs=1 of consumer" in answer.stderr
    assert untouched(checkout)


def test_a_folder_that_cannot_be_written_to_is_told(checkout: Checkout) -> None:
    start(checkout, 1)
    (checkout.root / "supervisor" / "conf.d" / ".zz-scale.conf.new").mkdir()
    answer = admin(checkout, "2")
    assert (answer.returncode, listed(checkout)) == (1, names(0))
    assert "zz-scale.conf cannot be written: " in answer.stderr


def test_a_program_that_the_running_one_does_not_know_yet(checkout: Checkout) -> None:
    start(checkout, 1)
    process_name = "process_name=%(program_name)s_%(process_num)02d"
    checkout.configure("other", f"[program:other]\ncommand=/bin/sleep 600\n{process_name}\nstartsecs=0\n")
    answer = admin(checkout, "2", "--program", "other")
    assert answer.returncode == 1
    assert answer.stderr == (
        "error: the running supervisord has no program other, or one of another kind\n"
        "hint: supervisorctl update, and try again\n"
    )
    assert untouched(checkout)
    checkout.ctl("update")
    assert admin(checkout, "2", "--program", "other").returncode == 0
    assert admin(checkout, "3").returncode == 0
    # One file for both.
    text = (checkout.root / "supervisor" / "conf.d" / "zz-scale.conf").read_text()
    assert text.splitlines()[1:] == ["[program:other]", "numprocs=2", "[program:consumer]", "numprocs=3"]


def test_two_at_the_same_time_take_turns(checkout: Checkout) -> None:
    start(checkout, 1)
    both = [
        subprocess.Popen([sys.executable, "-m", "admin.admin", "scale", number], cwd=checkout.root)
        for number in ("2", "4")
    ]
    assert [one.wait(90) for one in both] == [0, 0]
    text = (checkout.root / "supervisor" / "conf.d" / "zz-scale.conf").read_text()
    number = int(text.rpartition("=")[2])
    assert number in {2, 4}
    assert list(running(checkout)) == names(*range(number))
    assert_nothing_to_update(checkout)


def test_the_configuration_is_found_as_supervisor_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SupervisionError, match=r"no supervisord\.conf was found"):
        find_configuration()
    (tmp_path / "supervisord.conf").touch()
    assert find_configuration() == Path("supervisord.conf")
    (tmp_path / "supervisor").mkdir()
    (tmp_path / "supervisor" / "supervisord.conf").touch()
    assert find_configuration() == Path("supervisor/supervisord.conf")


def test_the_interface_describes_itself(checkout: Checkout) -> None:
    start(checkout, 1)
    supervised = Supervised(checkout.conf)
    assert supervised.call("persistentq.getAPIVersion") == "1.0"
    assert supervised.call("system.methodSignature", "persistentq.applyNumprocs") == ["struct", "string"]
    assert "Take over the number" in supervised.call("system.methodHelp", "persistentq.applyNumprocs")
    with pytest.raises(SupervisionError, match="BAD_NAME") as refused:
        supervised.call("persistentq.applyNumprocs", "nobody")
    assert refused.value.fault == 10
    checkout.configure("zzz", "[program:consumer]\nnumprocs=many\n")
    with pytest.raises(SupervisionError, match="CANT_REREAD"):
        supervised.call("persistentq.applyNumprocs", "consumer")
    assert list(running(checkout)) == names(0)
