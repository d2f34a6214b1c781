"""The last lines of a supervised process's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from persistentq.errors import SupervisionError
from persistentq.operations.supervised import Supervised

CONF = "[supervisord]\nlogfile=%(here)s/log\n[unix_http_server]\nfile=%(here)s/sock\n"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where supervisord says that the output of every process goes."""
    log = tmp_path / "consumer_00.log"
    monkeypatch.setattr(Supervised, "call", lambda *_: {"stdout_logfile": str(log)})
    return log


def tail(log: Path, size: int = 1000) -> list[str]:
    conf = log.with_name("supervisord.conf")
    conf.write_text(CONF)
    return Supervised(conf).log_tail("consumer:consumer_00", size)


def test_lines_come_as_they_were_written_oldest_first(log: Path) -> None:
    log.write_bytes("one\n\x1b[31mred 日本\n".encode() + b"\xff broken\n")
    assert tail(log) == ["one", "\x1b[31mred 日本", "\ufffd broken"]
    log.write_bytes(b"")
    assert tail(log) == []


def test_of_a_long_log_only_whole_lines_at_its_end(log: Path) -> None:
    log.write_text("".join(f"line {number:03}\n" for number in range(500)))
    assert tail(log, 30) == ["line 497", "line 498", "line 499"]


def test_what_is_no_file_is_not_waited_for(log: Path) -> None:
    with pytest.raises(SupervisionError, match="kept in no file here"):
        tail(log)
    log.mkdir()
    with pytest.raises(SupervisionError, match="kept in no file here"):
        tail(log)


def test_a_supervisord_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with pytest.raises(SupervisionError, match="does not answer"):
        tail(tmp_path / "consumer_00.log")
