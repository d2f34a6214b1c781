"""Every command's help has an example, and each example does what it says when it is typed as it stands there."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from persistentq import NewJob, PersistentQInterface, Schedule
from persistentq.query.fields import FIELDS, PATHS
from tests.front_ends.admin_kit import Ended, a_store, commands, run

PROGRAM = "python -m admin.admin"


def _acts(store: PersistentQInterface) -> None:
    for n in range(17):
        assert run("resubmit" if n % 2 else "cancel", "9").code == 0


def _exported(store: PersistentQInterface) -> None:
    assert run("export", "failed.jsonl", "--where", "status:failed").code == 0


def _backed_up(store: PersistentQInterface) -> None:
    store.retire("consumer_00")
    assert run("backup", "queue.backup").code == 0


NEEDS: Mapping[str, Callable[[PersistentQInterface], object]] = {
    "undo": _acts,
    "journal": _acts,
    "import": _exported,
    "restore": _backed_up,
}
"""What an example takes as given beside ten jobs, the last of them failed, a consumer, a schedule and a task."""

ENDLESS = {"monitor-activity": "--count=1"}
"""What has no end of its own, and the option that gives it one."""

REFUSED = {
    **dict.fromkeys(("scale", "start", "stop", "restart", "logs"), (1, "supervisor")),
    "graduate": (4, "cannot be reached"),
}
"""What is refused here, with which code and what words: no Supervisor runs, and its PostgreSQL is somewhere else.

tests/supervision scales, test_admin_steering steers, and test_admin_moving graduates, where there is one.
"""


@pytest.fixture
def store(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PersistentQInterface]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    yield from a_store(tmp_path, monkeypatch)


@pytest.fixture
def lived_in(store: PersistentQInterface, tmp_path: Path) -> PersistentQInterface:
    (tmp_path / "shop.py").write_text(
        "from persistentq import Tasks\ntasks = Tasks()\ntasks.add('x', lambda note='': None)\n"
    )
    store.enqueue_many([NewJob("x")] * 6 + [NewJob("x", delay=timedelta(hours=1), args={"note": "n"})] * 2)
    store.enqueue_many([NewJob("x")] * 2)
    store.mark_failed(10, "for the test")
    store.heartbeat("consumer_00", host="box", pid=1, queues=["default"])
    store.fail(store.dequeue("consumer_00")[0], ValueError("broke"), retry=False)
    store.put_schedule(Schedule("hourly", "0 * * * *", "x"))
    return store


def example(name: str) -> str:
    ended = run(*name.split(), "--help")
    assert (ended.code, ended.err) == (0, "")
    assert f"Usage: {PROGRAM} {name} " in ended.out
    return ended.out.split("Example:\n")[1].strip()


def as_written(line: str, *more: str) -> Ended:
    """Run a line as a shell would: what one command prints is given to the next."""
    ended = Ended(0, "", "")
    for words in map(shlex.split, line.split(" | ")):
        assert words[:3] == PROGRAM.split()
        ended = run(*words[3:], *more, given=ended.out)
    return ended


def test_the_help_lists_every_command() -> None:
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert "Exit codes: 0 done" in out
    for name in commands():
        group, _, own = name.rpartition(" ")
        listing = run(*group.split(), "--help").out
        assert f"  {own} " in listing


def test_the_help_of_list_jobs_names_every_field_of_a_query() -> None:
    told = " ".join(run("list-jobs", "--help").out.split())
    names = [*FIELDS, *(f"{path}.NAME" for path in PATHS)]
    assert f"The fields of a query: {', '.join(names[:-1])} and {names[-1]}." in told


@pytest.mark.parametrize("name", commands())
def test_every_example_does_something(lived_in: PersistentQInterface, name: str) -> None:
    if name in NEEDS:
        NEEDS[name](lived_in)
    line = example(name)
    assert line.split(" | ")[-1].startswith(f"{PROGRAM} {name}")
    code, out, err = as_written(line, *filter(None, [ENDLESS.get(name, "")]))
    if name in REFUSED:
        expected, words = REFUSED[name]
        assert (code, out) == (expected, "")
        assert words in err.lower()
        return
    assert (code, err[:6] == "error:") == (0, False), err
    assert out != ""
