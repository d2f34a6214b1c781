"""Each line of doctor, with the fault that it is about really made."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, text, update

from persistentq import DatabaseMissing, PersistentQMemory, PersistentQSQLAlchemy, clock, open_queue
from persistentq.insight import Check, Grade
from persistentq.operations import Operator
from persistentq.operations import supervised as supervised_module
from persistentq.operations.attention import Urgency, attention
from persistentq.operations.doctor import doctor, worst
from persistentq.operations.steering import steer
from persistentq.operations.supervised import Supervised
from persistentq.operations.surroundings import Surroundings, check_dashboard, check_path, check_twins
from persistentq.sql import postgresql_health, sqlite, sqlite_health
from persistentq.sql.models import SchemaRow

MINUTE = timedelta(minutes=1)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/queue.db") as queue:
        yield queue


@pytest.fixture
def postgres(own_postgres_url: str) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(own_postgres_url) as queue:
        yield queue


def found(queue: PersistentQSQLAlchemy | PersistentQMemory, name: str) -> Check:
    (check,) = [one for one in doctor(queue) if one.name == name]
    assert bool(check.remedy) == (check.grade is not Grade.OK)
    return check


# --- what every database tells


class Moved:
    def __init__(self, seconds: float = 0.0) -> None:
        self.by = timedelta(seconds=seconds)
        self.queue = PersistentQMemory(now=lambda: clock.now() + self.by)


@pytest.mark.parametrize(("seconds", "grade"), [(0, Grade.OK), (10, Grade.WARN), (-3600, Grade.FAIL)])
def test_clock(seconds: float, grade: Grade) -> None:
    check = found(Moved(seconds).queue, "clock")
    assert check.grade is grade
    assert grade is Grade.OK or ("ahead of" if seconds > 0 else "behind") in check.found


def test_leases() -> None:
    moved = Moved()
    moved.queue.enqueue("t")
    moved.queue.dequeue("c_1")
    assert found(moved.queue, "leases").grade is Grade.OK
    moved.by += 5 * MINUTE
    check = found(moved.queue, "leases")
    assert (check.grade, check.found) == (
        Grade.WARN,
        "1 lease has run out, the oldest 4m ago: job 1, held by c_1",
    )


def test_consumers() -> None:
    moved = Moved()
    moved.queue.heartbeat("c_1", host="box", pid=1, queues=["default"])
    assert found(moved.queue, "consumers").found == "1 alive, none silent"
    moved.by += MINUTE
    moved.queue.heartbeat("c_2", host="box", pid=2, queues=["default"], trouble="ends again and again")
    check = found(moved.queue, "consumers")
    assert check.grade is Grade.WARN
    assert check.found == "c_1 on box has been silent for 1m; c_2 says: ends again and again"


def test_queues() -> None:
    moved = Moved()
    moved.queue.enqueue("t")
    moved.queue.enqueue("t", queue="paused")
    moved.queue.pause_queue("paused")
    assert found(moved.queue, "queues").grade is Grade.OK
    moved.by += 6 * MINUTE
    check = found(moved.queue, "queues")
    assert check.found == "jobs wait in default for 6m, and no living consumer serves it"
    assert check.remedy == "python -m consumer.consumer --queues default"
    moved.queue.heartbeat("c_1", host="box", pid=1, queues=["default"])
    assert found(moved.queue, "queues").remedy == "add consumers"


def test_pauses() -> None:
    moved = Moved()
    moved.queue.enqueue("t", queue="mail")
    moved.queue.pause_queue("mail")
    moved.queue.pause_queue("empty")
    assert found(moved.queue, "pauses").grade is Grade.OK
    moved.by += 6 * MINUTE
    check = found(moved.queue, "pauses")
    assert (check.grade, check.found) == (Grade.WARN, "paused: mail, where jobs wait for 6m")
    assert check.remedy.endswith("resume mail")
    (alert,) = [one for one in attention(moved.queue) if one.kind == "pause"]
    assert (alert.urgency, alert.command) == (Urgency.SOON, "queues")


def test_a_database_that_cannot_be_opened_or_asked(tmp_path: Path, queue: PersistentQSQLAlchemy) -> None:
    with pytest.raises(DatabaseMissing) as missing:
        open_queue(f"sqlite:///{tmp_path}/none.db", create=False)
    for subject in (missing.value, queue):
        (tmp_path / "queue.db").unlink(missing_ok=True)
        (check,) = [one for one in doctor(subject) if one.name == "database"]
        assert (check.grade, bool(check.remedy)) == (Grade.FAIL, True)
    assert attention(missing.value)[0].urgency is Urgency.NOW


def test_schema(queue: PersistentQSQLAlchemy) -> None:
    assert found(queue, "schema").grade is Grade.OK
    with queue.engine.begin() as connection:
        connection.execute(update(SchemaRow).values(version_num="9999"))
    check = found(queue, "schema")
    assert (check.grade, check.remedy) == (Grade.FAIL, "install a newer persistentq")


# --- SQLite


def test_library(queue: PersistentQSQLAlchemy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sqlite.choose_driver() is not sqlite3:
        assert "brought by pysqlite3" in found(queue, "library").found
    monkeypatch.setattr(sqlite, "choose_driver", lambda: sqlite3)
    monkeypatch.setattr(sqlite, "is_safe", lambda version: True)
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/safe.db") as safe:
        assert f"SQLite {sqlite3.sqlite_version}, the standard library's" in found(safe, "library").found
    monkeypatch.setattr(sqlite, "is_safe", lambda version: False)
    with PersistentQSQLAlchemy(f"sqlite:///{tmp_path}/guarded.db") as guarded:
        check = found(guarded, "library")
    assert check.grade is Grade.WARN
    assert "kept away by checkpoints under the write lock" in check.found


def test_durability_of_sqlite(queue: PersistentQSQLAlchemy) -> None:
    assert found(queue, "durability").found == "journal mode wal, synchronous FULL"
    event.listen(queue.engine, "connect", lambda driven, _: driven.execute("PRAGMA synchronous=NORMAL"))
    queue.engine.dispose()
    check = found(queue, "durability")
    assert (check.grade, check.found) == (Grade.FAIL, "journal mode wal, synchronous NORMAL")


def test_file_system(queue: PersistentQSQLAlchemy, tmp_path: Path) -> None:
    assert found(queue, "file system").grade is Grade.OK
    check = sqlite_health.check_place(tmp_path, lambda path: 0x6969)
    assert check.grade is Grade.FAIL
    assert "network file system (NFS)" in check.found


def test_file_modes(queue: PersistentQSQLAlchemy, tmp_path: Path) -> None:
    assert found(queue, "file modes").grade is Grade.OK
    (tmp_path / "queue.db").chmod(0o644)
    check = found(queue, "file modes")
    assert (check.grade, check.found) == (Grade.WARN, "queue.db has mode 0644")
    assert f"chmod 600 {tmp_path}/queue.db" in check.remedy
    (tmp_path / "queue.db").chmod(0o600)
    assert found(queue, "file modes").grade is Grade.OK


READER = """
import sys
from persistentq import open_queue
queue = open_queue(sys.argv[1])
with queue._reader.connect() as connection:
    connection.exec_driver_sql("SELECT count(*) FROM persistentq_jobs").fetchall()
    print("reads", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells who holds which lock")
def test_wal_and_who_pins_it(
    queue: PersistentQSQLAlchemy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(queue, "WAL").grade is Grade.OK
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, f"sqlite:///{tmp_path}/queue.db"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"reads\n"
        for _ in range(8):
            queue.enqueue("t", {"pad": "x" * 1_000_000})
        check = found(queue, "WAL")
        assert check.grade is Grade.WARN
        assert f"it cannot shrink while process {reader.pid} ({sys.executable} -c" in check.found
        reader.communicate(b"")
    assert found(queue, "WAL").found.endswith("nobody is seen to read for long")
    monkeypatch.setattr(sqlite_health, "WAL_LIMIT", 5_000_000)
    assert found(queue, "WAL").grade is Grade.WARN


ROOM = """
import subprocess, sys
from persistentq import open_queue
from persistentq.operations.doctor import doctor
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + sys.argv[2], "tmpfs", sys.argv[1]], check=True)
with open_queue(f"sqlite:///{sys.argv[1]}/queue.db") as queue:
    (check,) = [one for one in doctor(queue) if one.name == "disk"]
print(check.grade, check.found)
"""
UNSHARED = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def can_mount(folder: Path) -> bool:
    command = [*UNSHARED, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return (
        bool(shutil.which("unshare"))
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


def test_disk(queue: PersistentQSQLAlchemy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_health, "LITTLE_ROOM", 1)
    monkeypatch.setattr(sqlite_health, "NO_ROOM", 1)
    assert found(queue, "disk").grade is Grade.OK
    monkeypatch.setattr(sqlite_health, "LITTLE_ROOM", 2**60)
    assert found(queue, "disk").grade is Grade.WARN
    for size, grade in (("20m", "fail"), ("200m", "warn")) if can_mount(tmp_path) else ():
        told = subprocess.run(
            [*UNSHARED, sys.executable, "-c", ROOM, str(tmp_path), size],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert told.startswith(f"{grade} 1")
        assert "MiB free on the disk that holds queue.db" in told


def test_integrity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "queue.db"
    with PersistentQSQLAlchemy(f"sqlite:///{file}") as queue:
        for number in range(300):
            queue.enqueue("t", {"pad": "x" * 500, "number": number})
        assert found(queue, "integrity").found == "quick_check found no damage"
        monkeypatch.setattr(sqlite_health, "INTEGRITY_S", 0.0)
        check = found(queue, "integrity")
        assert (check.grade, "not all could be looked at" in check.found) in {
            (Grade.OK, True),
            (Grade.OK, False),
        }
        monkeypatch.undo()
    # No process has it open now.
    content = bytearray(file.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 2 * 4096] = b"\xff" * (2 * 4096)
    file.write_bytes(content)
    with PersistentQSQLAlchemy(f"sqlite:///{file}") as queue:
        check = found(queue, "integrity")
    assert check.grade is Grade.FAIL
    assert "restore a backup" in check.remedy


# --- PostgreSQL


def test_a_server_that_is_well(postgres: PersistentQSQLAlchemy) -> None:
    for name in ("server", "durability", "commit", "timeouts", "transactions", "autovacuum", "connections"):
        assert found(postgres, name).grade is Grade.OK, name
    assert found(postgres, "server").found.startswith("PostgreSQL 1")


def test_settings_of_the_server_that_lose_jobs(postgres: PersistentQSQLAlchemy) -> None:
    server = create_engine(postgres.engine.url, isolation_level="AUTOCOMMIT")
    with server.connect() as admin:
        for setting, name in (("fsync", "durability"), ("autovacuum", "autovacuum")):
            try:
                admin.execute(text(f"ALTER SYSTEM SET {setting} = off"))
                admin.execute(text("SELECT pg_reload_conf()"))
                assert clock.Deadline(10).wait_for(lambda: found(postgres, name).grade is Grade.FAIL)  # noqa: B023
            finally:
                admin.execute(text(f"ALTER SYSTEM RESET {setting}"))
                admin.execute(text("SELECT pg_reload_conf()"))
            assert clock.Deadline(10).wait_for(lambda: found(postgres, name).grade is Grade.OK)  # noqa: B023
    server.dispose()


@pytest.mark.parametrize(
    ("setting", "name"), [("synchronous_commit = off", "commit"), ("statement_timeout = '2s'", "timeouts")]
)
def test_settings_of_the_database(postgres: PersistentQSQLAlchemy, setting: str, name: str) -> None:
    with postgres.engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {postgres.engine.url.database} SET {setting}"))
    postgres.engine.dispose()
    assert found(postgres, name).grade is Grade.WARN


def test_the_longest_transaction(postgres: PersistentQSQLAlchemy, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres.engine.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        check = found(postgres, "transactions")
        assert (check.grade, f"process {pid}, persistentq" in check.found) == (Grade.OK, True)
        monkeypatch.setattr(postgresql_health, "LONG_TRANSACTION_S", 0.0)
        check = found(postgres, "transactions")
    assert check.grade is Grade.WARN
    assert check.remedy.endswith(f"SELECT pg_terminate_backend({pid})")


def test_dead_rows_old_servers_and_few_connections(
    postgres: PersistentQSQLAlchemy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.engine.begin() as connection:
        connection.execute(text("ALTER TABLE persistentq_jobs SET (autovacuum_enabled = off)"))
    postgres.enqueue("t")
    for _ in range(20):
        (job,) = postgres.dequeue("c_1")
        postgres.release([job])
    monkeypatch.setattr(postgresql_health, "MANY_DEAD", 5)
    assert clock.Deadline(30).wait_for(lambda: found(postgres, "autovacuum").grade is Grade.WARN, every=0.2)
    monkeypatch.setattr(postgresql_health, "OLDEST_VERSION", 10**6)
    monkeypatch.setattr(postgresql_health, "FULL_SHARE", 0.0)
    assert found(postgres, "server").grade is found(postgres, "connections").grade is Grade.WARN


# --- this machine


def around(queue: PersistentQMemory, name: str, place: Surroundings) -> Check:
    (check,) = [one for one in doctor(queue, place) if one.name == name]
    return check


def test_settings_that_others_may_read(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("QUEUE_DB_URL=postgresql://me:secret@host/db\n")
    file.chmod(0o600)
    queue, place = PersistentQMemory(), Surroundings(env_file=file)
    assert around(queue, "settings", place).grade is Grade.OK
    file.chmod(0o640)
    check = around(queue, "settings", place)
    assert (check.grade, check.remedy) == (Grade.WARN, f"chmod 600 {file}")
    assert worst(doctor(queue, place)) is Grade.WARN


def configuration(folder: Path, more: str = "", mode: str = "0700") -> Path:
    file = folder / "supervisord.conf"
    file.write_text(
        f"[supervisord]\nlogfile=%(here)s/log\npidfile=%(here)s/pid\n[unix_http_server]\nfile=%(here)s/sock\n"
        f"chmod={mode} ; who may\n[rpcinterface:supervisor]\n"
        f"supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n{more}"
    )
    return file


def test_who_reaches_supervisor(tmp_path: Path) -> None:
    queue = PersistentQMemory()
    place = Surroundings(supervisor_conf=configuration(tmp_path))
    assert around(queue, "supervisor", place).grade is Grade.OK
    assert around(queue, "children", place).found == "Supervisor is not running"
    configuration(tmp_path, mode="0770")
    check = around(queue, "supervisor", place)
    assert (check.grade, "mode 0770" in check.found) == (Grade.FAIL, True)
    configuration(tmp_path, "[inet_http_server]\nport=*:9001\n")
    check = around(queue, "supervisor", place)
    assert (check.grade, "network at *:9001" in check.found) == (Grade.FAIL, True)
    (tmp_path / "supervisord.conf").write_text("no section\n")
    assert around(queue, "supervisor", place).grade is Grade.WARN


def test_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    place = Surroundings(supervisor_conf=configuration(tmp_path))
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "sock"))
        (tmp_path / "sock").chmod(0o700)
    check = around(PersistentQMemory(), "children", place)
    assert (check.grade, "does not answer" in check.found) == (Grade.WARN, True)


@contextmanager
def supervised(folder: Path, programs: str) -> Iterator[Surroundings]:
    file = configuration(folder, programs)
    supervisord = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(file)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Surroundings(supervisor_conf=file)
    finally:
        supervisord.terminate()
        supervisord.wait(30)


def test_a_child_that_supervisor_cannot_keep_alive(tmp_path: Path) -> None:
    programs = "[program:good]\ncommand=sleep 60\nstartsecs=0\n[program:bad]\ncommand=false\nstartretries=0\n"
    queue = PersistentQMemory()
    with supervised(tmp_path, programs) as place:
        bad = clock.Deadline(30).wait_for(
            lambda: around(queue, "children", place).found.startswith("bad:bad is in FATAL: "), every=0.2
        )
        assert bad, around(queue, "children", place)
        assert around(queue, "children", place).grade is Grade.FAIL
        (alert,) = attention(queue, place)
        assert (alert.kind, alert.urgency) == ("child", Urgency.NOW)


def test_a_child_that_does_not_run_while_others_like_it_do(tmp_path: Path) -> None:
    """One that stands alone may well be stopped on purpose."""
    programs = (
        "[program:alone]\ncommand=sleep 60\nautostart=false\n[program:work]\ncommand=sleep 60\nstartsecs=0\n"
        "process_name=%(process_num)d\nnumprocs=2\n"
    )
    queue = PersistentQMemory()
    with supervised(tmp_path, programs) as place:
        well = "2 of 3 run, none is in FATAL or BACKOFF"
        assert clock.Deadline(30).wait_for(lambda: around(queue, "children", place).found == well, every=0.2)
        Supervised(tmp_path / "supervisord.conf").call("stopProcess", "work:1", True)
        check = around(queue, "children", place)
        assert (check.grade, check.found) == (
            Grade.WARN,
            "work:1 is STOPPED, while others like it run",
        )


def test_who_is_to_stop_is_given_the_time_that_this_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "sh -c 'trap \"exec sleep 3\" TERM; while :; do sleep 0.1; done'"
    program = f"[program:slow]\ncommand={slow}\nstartsecs=0\nstopwaitsecs=20\n"
    monkeypatch.setattr(supervised_module, "RPC_S", 1.0)
    queue = PersistentQMemory()
    with supervised(tmp_path, program) as place:
        well = "1 of 1 run, none is in FATAL or BACKOFF"
        assert clock.Deadline(30).wait_for(lambda: around(queue, "children", place).found == well, every=0.2)
        began = clock.now()
        steer(Operator(queue), tmp_path / "supervisord.conf", "stop-consumer", "slow:slow")
        assert clock.now() - began > timedelta(seconds=2)
    assert [entry.verb for entry in queue.list_journal().items] == ["stop-consumer"]


def test_another_admin_package(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder, name in ((ours, "admin"), (theirs, "admin"), (ours, "persistentq")):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
    assert check_path(ours, [str(ours)]).grade is Grade.OK
    assert check_path(ours, [str(ours), str(theirs)]).grade is Grade.WARN
    check = check_path(ours, [str(theirs), str(ours)])
    assert (check.grade, check.found) == (Grade.FAIL, f"admin means the one in {theirs}")
    (ours / "supervisor").mkdir()
    (ours / "supervisor" / "__init__.py").touch()
    assert check_path(ours, [str(ours)]).grade is Grade.FAIL


def test_a_dashboard_that_others_could_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMLIT_SERVER_ADDRESS", raising=False)
    assert check_dashboard(ROOT).grade is Grade.OK
    assert check_dashboard(tmp_path).grade is Grade.WARN
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "192.0.2.7")
    assert "it listens on 192.0.2.7, and does not start without OPS_PASSWORD" in check_dashboard(ROOT).found


@pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="other processes can be looked at on Linux only"
)
def test_two_consumers_with_one_id(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", "consumer.consumer"]
    environment = os.environ | {"CONSUMER_ID": "twin_07"}
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(2):
            assert "twin_07" not in check_twins().found
            one = subprocess.Popen(
                command, cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            started.append(one)
            assert one.stdout is not None
            one.stdout.readline()
        check = check_twins()
        assert check.grade is Grade.WARN
        assert f"twin_07 is started as processes {started[0].pid}, {started[1].pid}" in check.found
    finally:
        for one in started:
            one.communicate(b"")
