"""What is remembered of starts that ended soon, and how long the next one waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from persistentq import restarts
from persistentq.clock import Deadline
from persistentq.restarts import Restarts


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"persistentq-{os.geteuid()}"


def end_soon(name: str | None = "c", error: BaseException | None = None) -> Restarts:
    start = Restarts(name)
    with pytest.raises(ValueError, match="no"), start:
        raise error or ValueError("no")
    return start


def test_each_start_waits_longer_than_the_last_but_never_more_than_a_minute() -> None:
    assert [end_soon().pause for _ in range(9)] == [0, 0, 4, 8, 16, 32, 60, 60, 60]
    assert (
        Restarts("c").trouble()
        == "ended 9 times in a row soon after its start; the last time: ValueError: no"
    )


def test_a_start_that_ends_well_makes_them_forgotten(folder: Path) -> None:
    for end in (lambda: None, lambda: sys.exit(0)):
        for _ in range(3):
            end_soon()
        try:
            with Restarts("c") as start:
                assert start.pause == 8
                end()
        except SystemExit:
            pass
        assert not list(folder.iterdir())
        assert (Restarts("c").pause, Restarts("c").trouble()) == (0, None)


def test_so_does_one_that_has_lasted(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for _ in range(3):
        end_soon()
    monkeypatch.setattr(restarts, "LASTING_S", 0.2)
    with Restarts("c") as start:
        assert start.trouble() is not None
        assert Deadline(5).wait_for(lambda: start.trouble() is None)
        assert not list(folder.iterdir())
        start.note("it ends, but long after its start")
    assert Restarts("c").pause == 0


def test_one_that_lasts_does_not_forget_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "LASTING_S", 0.0)
    with Restarts("c") as first:
        assert first.trouble() is None
        monkeypatch.setattr(restarts, "LASTING_S", 60.0)
        for _ in range(2):
            end_soon()
        assert first.trouble() is None
        assert Restarts("c").pause == 4


def test_a_start_that_still_lives_has_not_ended() -> None:
    with Restarts("c"):
        assert Restarts("c").pause == 0
        end_soon()
        end_soon()
        assert Restarts("c").pause == 4


def test_one_that_dies_without_a_word_is_counted() -> None:
    code = (
        "import os, sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from persistentq.restarts import Restarts\n"
        "with Restarts('c'): os._exit(9)"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, tempfile.gettempdir()], check=False)
    assert Restarts("c").trouble() == "ended 2 times in a row soon after its start; the last time: no word"


def test_what_happened_long_ago_does_not_count(folder: Path) -> None:
    for _ in range(3):
        end_soon()
    (file,) = folder.iterdir()
    os.utime(file, (0, 0))
    assert Restarts("c").pause == 0


def test_another_name_and_another_directory_are_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        end_soon()
    assert (Restarts("c").pause, Restarts("d").pause) == (4, 0)
    monkeypatch.chdir(tmp_path)
    assert Restarts("c").pause == 0


def test_nothing_is_kept_for_one_without_a_name(folder: Path) -> None:
    for _ in range(3):
        assert end_soon(None).pause == 0
    assert not list(folder.iterdir()) if folder.exists() else True


def test_a_damaged_file_is_none(folder: Path) -> None:
    end_soon()
    (file,) = folder.iterdir()
    for text in ("", "{", "[]", '{"ends": "x"}', '{"ends": 5}', '{"ends": null, "error": "", "life": ""}'):
        file.write_text(text)
        assert Restarts("c").pause == 0


def test_a_folder_that_others_may_write_to_is_not_trusted(folder: Path) -> None:
    end_soon()
    folder.chmod(0o777)
    for _ in range(3):
        assert end_soon().pause == 0
    folder.chmod(0o700)
    assert len(list(folder.iterdir())) == 1


def test_a_link_in_the_place_of_the_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "mine")
    for _ in range(3):
        assert end_soon().pause == 0
    assert not list((tmp_path / "mine").iterdir())


def test_an_error_is_one_line_that_is_fit_to_be_shown() -> None:
    for _ in range(2):
        end_soon(error=ValueError("no\nerror: forged \x1b[31m" + "x" * 1000))
    trouble = Restarts("c").trouble() or ""
    assert trouble.isprintable()
    assert len(trouble) < 400
