"""A log that is followed: whole lines, each once, whatever becomes of the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from persistentq.errors import SupervisionError
from persistentq.operations.following import MOST_BYTES, Following


@pytest.fixture
def log(tmp_path: Path) -> Path:
    log = tmp_path / "consumer_00.log"
    log.write_bytes(b"one\ntwo\nthr")
    return log


@pytest.fixture
def following(log: Path) -> Iterator[Following]:
    with closing(Following(log, 1000)) as following:
        yield following


def add(log: Path, data: bytes) -> None:
    with log.open("ab") as file:
        file.write(data)


def test_lines_are_told_when_they_are_finished(log: Path, following: Following) -> None:
    assert following.read() == ["one", "two"]
    assert following.read() == []
    add(log, "ee\r\n日".encode()[:-1])
    assert following.read() == ["three"]
    add(log, "日".encode()[-1:] + b"\n\xff broken\n")
    assert following.read() == ["日", "\ufffd broken"]


def test_of_a_long_log_only_whole_lines_at_its_end(log: Path) -> None:
    log.write_text("".join(f"line {number:03}\n" for number in range(500)))
    with closing(Following(log, 30)) as following:
        assert following.read() == ["line 497", "line 498", "line 499"]


def test_what_is_asked_for_is_told_at_once_however_much_it_is(log: Path) -> None:
    log.write_bytes(b"x" * (2 * MOST_BYTES) + b"\nlast\n")
    with closing(Following(log, 10 * MOST_BYTES)) as following:
        assert following.read()[-1] == "last"


def test_a_rotated_log_is_read_to_its_end_and_then_the_new_one(log: Path, following: Following) -> None:
    assert following.read() == ["one", "two"]
    add(log, b"ee\n")
    log.rename(log.with_suffix(".1"))
    assert following.read() == ["three"]
    assert following.read() == []
    log.write_bytes(b"four\n")
    assert following.read() == ["four"]


def test_an_emptied_log_begins_anew(log: Path, following: Following) -> None:
    assert following.read() == ["one", "two"]
    log.write_bytes(b"new\n")
    assert following.read() == ["new"]


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_is_no_file_is_refused(tmp_path: Path, is_folder: bool) -> None:
    with pytest.raises(SupervisionError, match="is no file here"):
        Following(tmp_path if is_folder else tmp_path / "none", 10)
