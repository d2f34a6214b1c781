"""The file of a SQLite database: on a disk of this machine, still the same, opened by SQLite alone, copied safely."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from persistentq import (
    ConfigurationError,
    DatabaseReplaced,
    PersistentQSQLAlchemy,
)
from persistentq.sql import sqlite
from persistentq.sql.dialect import Progress
from persistentq.sql.sqlite_file import NETWORK_FILE_SYSTEMS, file_system_type, refuse_network

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("persistentq", "admin", "manager", "ops", "consumer", "producer")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def queue(path: Path) -> Iterator[PersistentQSQLAlchemy]:
    with PersistentQSQLAlchemy(f"sqlite:///{path}") as made:
        yield made


# --- where it may be


@pytest.mark.parametrize(("magic", "name"), NETWORK_FILE_SYSTEMS.items())
def test_network_file_systems_are_refused(path: Path, magic: int, name: str) -> None:
    """S10: there locks or the shared memory do not reach every writer."""
    with pytest.raises(ConfigurationError) as caught:
        refuse_network(path, lambda asked: magic)
    assert f"network file system ({name})" in caught.value.summary
    assert "PostgreSQL" in caught.value.summary
    assert str(path) in caught.value.summary


@pytest.mark.parametrize("magic", [0xEF53, 0x9123683E, 0x58465342, 0x01021994, 0x794C7630, 0x2FC12FC1, None])
def test_local_file_systems_are_not(path: Path, magic: int | None) -> None:
    """ext4, btrfs, XFS, tmpfs, overlayfs, ZFS; and where the kind cannot be known."""
    refuse_network(path, lambda asked: magic)


def test_the_question_is_about_the_file_or_the_folder_it_will_be_in(path: Path) -> None:
    asked: list[Path] = []
    refuse_network(path, asked.append)  # type: ignore[arg-type]
    path.touch()
    refuse_network(path, asked.append)  # type: ignore[arg-type]
    assert asked == [path.parent, path]


def test_the_kind_is_read_from_the_system() -> None:
    if not Path("/proc/self").exists():
        pytest.skip("only Linux tells")
    assert file_system_type(Path("/proc/self")) == 0x9FA0
    assert file_system_type(Path("/proc/no/such")) is None


def test_opening_on_a_network_file_system_makes_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "refuse_network", lambda where: refuse_network(where, lambda asked: 0x6969))
    with pytest.raises(ConfigurationError):
        PersistentQSQLAlchemy(f"sqlite:///{path}")
    assert list(path.parent.iterdir()) == []


# --- that it is still the same


def _deleted(path: Path) -> None:
    path.unlink()


def _replaced(path: Path) -> None:
    other = path.with_name("restored.db")
    PersistentQSQLAlchemy(f"sqlite:///{other}").close()
    other.replace(path)


@pytest.mark.parametrize("change", [_deleted, _replaced])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(
    path: Path, queue: PersistentQSQLAlchemy, change: Callable[[Path], None]
) -> None:
    """S13: without the check an enqueue into the deleted file succeeded, and the job was lost."""
    job = queue.enqueue("t")
    (held,) = queue.dequeue("c")
    change(path)
    calls: list[Callable[[], object]] = [
        lambda: queue.enqueue("t"),
        lambda: queue.dequeue("c"),
        lambda: queue.complete(held),
        lambda: queue.pause_queue("default"),
        queue.list_jobs,
        lambda: queue.get_job(job.id),
    ]
    for call in calls:
        with pytest.raises(DatabaseReplaced, match="restart this process"):
            call()
    with Session(queue.engine) as session, pytest.raises(DatabaseReplaced):
        queue.enqueue("t", session=session)
    assert path.exists() == (change is _replaced)


def test_a_file_that_goes_during_a_transaction_takes_no_acknowledgement(
    path: Path, queue: PersistentQSQLAlchemy
) -> None:
    with Session(queue.engine) as session:
        queue.enqueue("t", session=session)
        path.unlink()
        with pytest.raises(DatabaseReplaced):
            session.commit()


def test_the_same_within_the_hot_path(path: Path, queue: PersistentQSQLAlchemy) -> None:
    queue.enqueue("t")
    with pytest.raises(DatabaseReplaced):
        queue._hot.run(lambda cursor: path.unlink(), Progress())


def test_no_new_connection_makes_the_file_anew(path: Path, queue: PersistentQSQLAlchemy) -> None:
    path.unlink()
    queue.engine.dispose()
    with pytest.raises(DatabaseReplaced):
        queue.engine.raw_connection()
    assert not path.exists()


# --- that SQLite alone opens it


def openers(folder: Path) -> dict[str, list[str]]:
    """Return, for each module, the calls by which it opens, copies or reads files."""
    reading = {"open", "fdopen", "read_text", "read_bytes", "write_text", "write_bytes", "mkstemp", "mmap"}
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            name = ""
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                name = "shutil.*" if "shutil" in names else ""
            if name.rpartition(".")[2] in reading or name.startswith("shutil."):
                found.setdefault(str(path.relative_to(ROOT)), []).append(name)
    return found


def test_nobody_but_sqlite_opens_the_database() -> None:
    """S7: closing any other descriptor of the file drops the locks that SQLite holds on it in this process.

    So few modules open files at all that each is named here, with what it opens; whoever adds one must look.
    """
    allowed = {
        "ops/ops_download.py": "both ends of a pipe",
        "ops/ops_import.py": "a new folder for a file of jobs that was uploaded",
        "persistentq/job_files.py": "the producer's files",
        "persistentq/life.py": "what the kernel tells of processes",
        "persistentq/operations/following.py": "a consumer's log, to be read",
        "persistentq/operations/formats.py": "files of jobs, to be read",
        "persistentq/operations/importing.py": "files of jobs, to be read",
        "persistentq/operations/job_files.py": "the producer's files",
        "persistentq/operations/new_file.py": "a new file of jobs",
        "persistentq/operations/scale.py": "Supervisor's configuration",
        "persistentq/operations/surroundings.py": "the dashboard's settings, and what the kernel tells of processes",
        "persistentq/program.py": "the null device",
        "persistentq/restarts.py": "how often a consumer has ended soon",
        "persistentq/runtime/child.py": "how much memory the kernel says this process has",
        "persistentq/sql/backing_up.py": "a finished backup, which no connection has open",
        "persistentq/sql/sqlite_file.py": "a new file, which fails if there is one",
        "persistentq/sql/sqlite_health.py": "what the kernel tells of locks and processes",
    }
    found = {path: calls for package in PACKAGES for path, calls in openers(ROOT / package).items()}
    assert found.keys() == allowed.keys(), found
    assert found["persistentq/sql/backing_up.py"] == found["persistentq/sql/sqlite_file.py"] == ["os.open"]
    assert "O_EXCL" in (ROOT / "persistentq/sql/sqlite_file.py").read_text()
