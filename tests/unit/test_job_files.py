"""The demonstration's files: what is written, what is refused, what may be deleted."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistentq import InvalidArgument, PersistentQMemory, clock
from persistentq.job_files import SIGNATURE, JobFileError, is_stamped, make_job_file, stamp
from persistentq.operations import delete_job_files, find_job_files


def always_held() -> None:
    pass


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


@pytest.fixture
def queue() -> PersistentQMemory:
    return PersistentQMemory()


def make_old(path: Path) -> Path:
    past = (clock.now() - timedelta(minutes=2)).timestamp()
    os.utime(path, (past, past))
    return path


def test_files_are_new_private_and_different(tmp_path: Path) -> None:
    files = [make_job_file(tmp_path / "new" / "folder") for _ in range(20)]
    contents = {file.read_bytes() for file in files}
    assert len(set(files)) == len(contents) == 20
    assert all(content.startswith(SIGNATURE) and not is_stamped(content) for content in contents)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_stamp_is_one_line_at_the_end(root: Path) -> None:
    file = make_job_file(root)
    before = file.read_text()
    line = stamp(root, str(file), "consumer_01", 2, always_held)
    assert file.read_text() == f"{before}{line}\n"
    assert line.endswith("Z consumer_01 attempt 2")
    assert is_stamped(file.read_bytes())


def test_a_stamp_starts_a_line_of_its_own(root: Path) -> None:
    file = root / "unended.txt"
    file.write_text("no line end")
    line = stamp(root, str(file), "c", 1, always_held)
    assert file.read_text() == f"no line end\n{line}\n"
    (root / "empty").touch()
    assert stamp(root, str(root / "empty"), "c", 1, always_held) in (root / "empty").read_text()


def test_a_lost_lease_prevents_the_stamp(root: Path) -> None:
    file = make_job_file(root)
    before = file.read_bytes()

    def lost() -> None:
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        stamp(root, str(file), "c", 1, lost)
    assert file.read_bytes() == before


def test_a_full_disk_leaves_no_half_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_job_file(root)
    before = file.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    with pytest.raises(OSError, match="no space"):
        stamp(root, str(file), "c", 1, always_held)
    assert file.read_bytes() == before


def _missing(root: Path) -> str:
    return str(root / "missing.txt")


def _folder(root: Path) -> str:
    return str(root)


def _inner_folder(root: Path) -> str:
    (root / "inner").mkdir()
    return str(root / "inner")


def _outside(root: Path) -> str:
    (root.parent / "outside.txt").write_text("precious\n")
    return str(root.parent / "outside.txt")


def _dotdot(root: Path) -> str:
    return str(root / ".." / Path(_outside(root)).name)


def _twin_prefix(root: Path) -> str:
    twin = Path(f"{root}-twin")
    twin.mkdir()
    (twin / "file.txt").write_text("precious\n")
    return str(twin / "file.txt")


def _link_out(root: Path) -> str:
    (root / "link").symlink_to(_outside(root))
    return str(root / "link")


def _folder_link_out(root: Path) -> str:
    _outside(root)
    (root / "up").symlink_to(root.parent)
    return str(root / "up" / "outside.txt")


def _loop(root: Path) -> str:
    (root / "loop").symlink_to(root / "loop")
    return str(root / "loop")


def _fifo(root: Path) -> str:
    os.mkfifo(root / "fifo")
    return str(root / "fifo")


def _below_a_file(root: Path) -> str:
    return str(make_job_file(root) / "below")


def _nul(root: Path) -> str:
    return f"{root}/nul\0"


def _long(root: Path) -> str:
    return str(root / ("x" * 5000))


@pytest.mark.parametrize(
    "make",
    [
        _missing,
        _folder,
        _inner_folder,
        _outside,
        _dotdot,
        _twin_prefix,
        _link_out,
        _folder_link_out,
        _loop,
        _fifo,
        _below_a_file,
        _nul,
        _long,
    ],
)
def test_any_other_file_is_refused_and_left_alone(root: Path, make: Callable[[Path], str]) -> None:
    path = make(root)
    with pytest.raises(JobFileError) as caught:
        stamp(root, path, "c", 1, always_held)
    assert "\n" not in str(caught.value)
    for file in root.parent.rglob("*.txt"):
        assert not is_stamped(file.read_bytes())


@given(
    parts=st.lists(
        st.sampled_from(["..", ".", "a", "up", "job", "/", "~", "\0", "é"]) | st.text(max_size=5), max_size=6
    )
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_leads_out(root: Path, parts: list[str]) -> None:
    precious = root.parent / "a"
    precious.write_text("precious")
    if not (root / "up").is_symlink():
        (root / "up").symlink_to(root.parent)
    with pytest.raises(JobFileError):
        stamp(root, "/".join([str(root), *parts]), "c", 1, always_held)
    assert precious.read_text() == "precious"


def test_a_root_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobFileError):
        stamp(tmp_path / "none", str(tmp_path / "none" / "file"), "c", 1, always_held)


def test_only_the_producers_files_are_found(queue: PersistentQMemory, root: Path) -> None:
    (root / "deep").mkdir()
    ours = {make_old(make_job_file(root)), make_old(make_job_file(root / "deep"))}
    (root / "job-mine.txt").write_text("looks alike, but was not made by the producer")
    (root / "notes.txt").write_bytes(SIGNATURE)
    outside = make_old(make_job_file(root.parent / "elsewhere"))
    (root / "job-link.txt").symlink_to(outside)
    (root / "linked").symlink_to(outside.parent)
    os.mkfifo(root / "job-fifo.txt")
    found = find_job_files(queue, root)
    assert set(found.paths) == ours
    assert found.total_bytes == sum(path.stat().st_size for path in ours)
    assert set(delete_job_files(queue, root, found).paths) == ours
    assert outside.exists()
    assert sorted(path.name for path in root.iterdir()) == [
        "deep",
        "job-fifo.txt",
        "job-link.txt",
        "job-mine.txt",
        "linked",
        "notes.txt",
    ]


def test_a_file_that_an_unfinished_job_names_stays(queue: PersistentQMemory, root: Path) -> None:
    waiting, done, later = (make_old(make_job_file(root)) for _ in range(3))
    queue.enqueue("file.stamp", {"path": str(done)})
    (job,) = queue.dequeue("c")
    queue.complete(job)
    queue.enqueue("another.task", {"anything": str(waiting)})
    queue.enqueue("file.stamp", {"path": str(later)}, delay=timedelta(hours=1))
    found = find_job_files(queue, root)
    assert (found.paths, found.in_use, found.fresh) == ((done,), 2, 0)


def test_a_new_file_without_a_stamp_stays_for_a_minute(queue: PersistentQMemory, root: Path) -> None:
    """Its job may be on its way: the file comes first."""
    fresh, stamped = make_job_file(root), make_job_file(root)
    stamp(root, str(stamped), "c", 1, always_held)
    found = find_job_files(queue, root)
    assert (found.paths, found.fresh) == ((stamped,), 1)
    make_old(fresh)
    assert set(find_job_files(queue, root).paths) == {fresh, stamped}


def test_files_that_came_after_the_agreement_stay(queue: PersistentQMemory, root: Path) -> None:
    agreed, claimed = make_old(make_job_file(root)), make_old(make_job_file(root))
    chosen = find_job_files(queue, root)
    later = make_old(make_job_file(root))
    queue.enqueue("file.stamp", {"path": str(claimed)})
    deleted = delete_job_files(queue, root, chosen)
    assert (deleted.paths, deleted.in_use) == ((agreed,), 1)
    assert later.exists()
    assert claimed.exists()


def test_a_directory_that_is_none_is_refused(queue: PersistentQMemory, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument):
        find_job_files(queue, tmp_path / "none")
