"""The command line as people and scripts start it: a process, with pipes, signals and exit codes."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistentq import NewJob, PersistentQInterface
from tests.front_ends.admin_kit import COMMAND, LONG, a_store, finish, run, start


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


def test_without_a_command_the_help_is_shown(store: PersistentQInterface) -> None:
    code, out, _ = run()
    assert code == 2
    assert out == run("--help").out


def test_the_installed_command_calls_itself_by_its_own_name(tmp_path: Path) -> None:
    installed = (sys.executable, "-m", "persistentq", "admin")
    code, out, err = finish(start(tmp_path, "list-jobs", "--help", command=installed))
    assert (code, err) == (0, "")
    assert "Usage: persistentq admin list-jobs " in out
    assert "  persistentq admin list-jobs --status failed" in out
    code, _, err = finish(start(tmp_path, "list-job", command=installed))
    assert (code, err.splitlines()[-1]) == (2, "hint: persistentq admin --help shows what can be given")


def test_a_missing_database_is_said_to_be_missing_where_it_was_looked_for(tmp_path: Path) -> None:
    code, out, err = finish(start(tmp_path, "list-jobs"))
    assert (code, out) == (4, "")
    assert err.splitlines()[0] == f"error: no queue database at {tmp_path}/queue.db"
    assert err.splitlines()[1].startswith("hint: ")
    code, out, err = finish(start(tmp_path, "stats", "--output", "json"))
    assert (code, out) == (4, "")
    assert json.loads(err)["error"] == f"no queue database at {tmp_path}/queue.db"
    assert list(tmp_path.iterdir()) == []


def test_a_locked_database_ends_a_change_with_4_and_a_listing_not_at_all(
    store: PersistentQInterface, tmp_path: Path
) -> None:
    job_id = store.enqueue("x").id
    hold = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "queue.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        code, out, err = run("cancel", job_id)
        listing = run("list-jobs")
        holder.stdin.close()
        assert holder.wait(LONG) == 0
    assert (code, out) == (4, "")
    assert err.startswith("error: database ")
    assert listing.code == 0


def test_listing_loads_nothing_heavy(store: PersistentQInterface, tmp_path: Path) -> None:
    probe = (
        "import sys; from admin.admin import main; code = main(['list-jobs']);"
        "heavy = {'pandas', 'numpy', 'streamlit', 'altair', 'prompt_toolkit', 'rich', 'psycopg'};"
        "print(sorted(heavy & set(sys.modules))); raise SystemExit(code)"
    )
    code, out, _ = finish(start(tmp_path, command=(sys.executable, "-c", probe)))
    assert (code, out) == (0, "[]\n")


def test_listing_starts_within_its_budget(store: PersistentQInterface, tmp_path: Path) -> None:
    """Processor time, beside what SQLAlchemy alone takes to load: neither other tests nor a slow machine count."""
    store.enqueue_many([NewJob("x")] * 100)
    used: dict[str, list[float]] = {"ours": [], "sqlalchemy": []}
    bare = (sys.executable, "-c", "import sqlalchemy.orm")
    for _ in range(3):
        for name, command in (("ours", (*COMMAND, "list-jobs")), ("sqlalchemy", bare)):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert finish(start(tmp_path, command=command)).code == 0
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(used["ours"]) < 2.6 * min(used["sqlalchemy"])


def shell(folder: Path, words: str) -> tuple[int, str, str]:
    """Run a pipeline of the shell and return the exit code of its first command."""
    line = f"{' '.join(COMMAND)} {words}; exit ${{PIPESTATUS[0]}}"
    return finish(start(folder, command=("bash", "-c", line)))


@pytest.mark.parametrize("output", ["tsv", "table", "json"])
def test_a_reader_may_stop_reading(store: PersistentQInterface, tmp_path: Path, output: str) -> None:
    store.enqueue_many([NewJob("x", {"filler": "y" * 100})] * 2_000)
    code, out, err = shell(tmp_path, f"list-jobs --limit 2000 --output {output} | head -c 10")
    assert (code, len(out.encode()), err) == (0, 10, "")


def test_a_watch_prints_a_line_for_each_look(store: PersistentQInterface, tmp_path: Path) -> None:
    store.enqueue_many([NewJob("x")] * 3)
    store.complete(store.dequeue("consumer_00")[0])
    code, out, err = finish(start(tmp_path, "monitor-activity", "--interval", 0.2, "--count", 3))
    assert (code, err, out.count("\n")) == (0, "", 3)
    values = dict(word.split("=") for word in out.splitlines()[0].split()[1:])
    assert (values["pending"], values["done"], values["failed"]) == ("2", "1", "0")
    assert float(values["waiting_seconds"]) >= 0
    one = json.loads(run("monitor-activity", "--count", 1, "--interval", 3600, "-o", "jsonl").out)
    assert (one["pending"], one["interval_done"], one["interval_seconds"]) == (2, 1, 3600)
    assert one["enqueued_per_second"] == pytest.approx(3 / 3600, abs=0.001)
    assert one["done_per_second"] == pytest.approx(1 / 3600, abs=0.001)
    assert one["wait_p50_seconds"] >= 0
    assert one["run_p95_seconds"] >= 0


def test_a_watch_tells_how_fast_it_moves_and_what_needs_attention(store: PersistentQInterface) -> None:
    store.enqueue_many([NewJob("x")] * 30)
    for job in store.dequeue("consumer_00", limit=12):
        store.complete(job)
    store.fail(store.dequeue("consumer_00")[0], "password=hunter2", retry=False)
    one = json.loads(run("monitor-activity", "--count", 1, "--interval", 1, "-o", "jsonl").out)
    rates = {name: one[f"{name}_per_second"] for name in ("enqueued", "started", "done", "failed")}
    assert rates == {"enqueued": 0.5, "started": 0.217, "done": 0.2, "failed": 0.017}
    assert one["attention"] == len(run("attention", "--window", "1h", "--no-headers").out.splitlines())


def test_a_watch_of_an_empty_queue(store: PersistentQInterface) -> None:
    code, out, _ = run("monitor-activity", "--count", 1)
    assert code == 0
    assert "waiting_seconds=- consumers=0 consumers_alive=0" in out


@pytest.mark.parametrize("interval", ["0.1", "3601", "nan", "inf", "x"])
def test_a_watch_refuses_an_interval_out_of_bounds(store: PersistentQInterface, interval: str) -> None:
    assert run("monitor-activity", "--count", 1, "--interval", interval).code == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_a_watch_at_once_and_quietly(
    store: PersistentQInterface, tmp_path: Path, number: int, code: int
) -> None:
    process = start(tmp_path, "monitor-activity", "--interval", 3600)
    assert process.stdout is not None
    assert process.stdout.readline() != ""
    process.send_signal(number)
    assert finish(process) == (code, "", "")


def test_a_reader_who_leaves_ends_a_watch_at_once(store: PersistentQInterface, tmp_path: Path) -> None:
    process = start(tmp_path, "monitor-activity", "--interval", 3600)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() != ""
    process.stdout.close()
    assert process.wait(LONG) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_output_is_utf_8_whatever_the_locale(store: PersistentQInterface, tmp_path: Path) -> None:
    store.enqueue("x", {"to": "日本"})
    latin = ("env", "PYTHONIOENCODING=latin-1", *COMMAND)
    code, out, err = finish(start(tmp_path, "list-jobs", "--output", "json", command=latin))
    assert (code, err) == (0, "")
    assert '"日本"' in out
    code, out, err = finish(start(tmp_path, "list-jobs", "--output", "table", command=latin))
    assert (code, err) == (0, "")
    assert "○ pending" in out


@pytest.mark.parametrize("size", [1, 100_000])
def test_an_output_that_cannot_be_written_is_an_error_in_one_line(
    store: PersistentQInterface, tmp_path: Path, size: int
) -> None:
    store.enqueue("x", {"filler": "y" * size})
    code, _, err = shell(tmp_path, "list-jobs > /dev/full")
    assert code == 1
    assert err == "error: [Errno 28] No space left on device\n"
