"""logs on the command line: the end of a supervised consumer's log, and what is added to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from admin import _logs
from persistentq.errors import SupervisionError
from persistentq.operations import supervised
from persistentq.operations.supervised import Program
from tests.front_ends.admin_kit import environment, run

HOSTILE_LINE = "\x1b[2Jlast password=hunter2"
SHOWN = r"\x1b[2Jlast password=[redacted]"


class Kept:
    """A supervisord that keeps one consumer with a log."""

    log: Path

    def __init__(self, conf: Path) -> None:
        self.conf = conf

    def programs(self) -> list[Program]:
        return [Program("consumer:consumer_00", "RUNNING", 7, str(self.log), "")]

    def log_tail(self, program: str, size: int) -> list[str]:
        if not self.log.is_file():
            raise SupervisionError(f"the output of {program} is kept in no file here", "")
        return self.log.read_text()[-size:].splitlines()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a consumer whose queue nobody has made yet."""
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "supervisord.conf").touch()
    Kept.log = tmp_path / "consumer_00.log"
    Kept.log.write_text("".join(f"line {number}\n" for number in range(60)) + HOSTILE_LINE + "\n")
    monkeypatch.setattr(supervised, "Supervised", Kept)
    return Kept.log


def test_the_last_lines_are_shown_without_what_could_steer_the_terminal(log: Path) -> None:
    shown = [f"line {number}" for number in range(60)] + [SHOWN]
    code, out, err = run("logs", "consumer_00", "--lines", 3)
    assert (code, out.splitlines(), err) == (0, shown[-3:], "")
    assert run("logs", "consumer:consumer_00").out.splitlines() == shown[-20:]


def test_what_is_added_is_followed_until_ctrl_c(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added = iter(["more", HOSTILE_LINE])

    def wait(_: float) -> None:
        line = next(added, None)
        if line is None:
            raise KeyboardInterrupt
        with log.open("a") as file:
            file.write(f"{line}\n")

    monkeypatch.setattr(_logs, "idle", wait)
    code, out, _ = run("logs", "consumer_00", "--lines", 2, "--follow")
    assert code == 130
    assert out.splitlines() == ["line 59", SHOWN, "more", SHOWN]


@pytest.mark.parametrize("more", [(), ("--follow",)])
def test_without_a_log_it_is_refused(log: Path, more: tuple[str, ...]) -> None:
    log.unlink()
    code, out, err = run("logs", "consumer_00", *more)
    assert (code, out) == (1, "")
    assert "no file here" in err


def test_of_an_unknown_name_those_that_are_known_are_told(log: Path) -> None:
    code, _, err = run("logs", "consumer_07")
    assert code == 1
    assert "hint: it keeps consumer:consumer_00\n" in err
