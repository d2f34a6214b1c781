"""migrate on the command line: what it says, and what it returns."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sqlalchemy import text

from persistentq import open_queue
from persistentq.sql.schema import VERSION
from tests.front_ends.admin_kit import environment, run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("QUEUE_DB_URL", raising=False)
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    return tmp_path


def test_it_makes_the_tables_and_then_has_nothing_to_do(folder: Path) -> None:
    file = f"{folder}/queue.db"
    assert run("migrate") == (0, f"{file} has new tables, schema {VERSION}\n", "")
    assert run("migrate") == (0, f"{file} has schema {VERSION}; there is nothing to do\n", "")
    code, out, err = run("migrate", "--output", "json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"schema": 1, "location": file, "from": VERSION, "to": VERSION}


def test_it_says_from_which_version_it_upgraded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persistentq.migrate", lambda: ("\x1b[2Jqueue.db", "0001", "0002"))
    code, out, err = run("migrate")
    assert (code, err) == (0, "")
    assert out.endswith("queue.db is upgraded from schema 0001 to 0002\n")
    assert "\x1b" not in out


def test_a_newer_database_is_refused(folder: Path) -> None:
    with open_queue() as queue, queue.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.execute(text("UPDATE persistentq_schema SET version_num = '9999'"))
    for command in (["migrate"], ["list-jobs"]):
        code, out, err = run(*command)
        assert (code, out) == (4, "")
        assert err == (
            f"error: database {folder}/queue.db has schema 9999, this code needs {VERSION}\n"
            "hint: install a newer persistentq\n"
        )
