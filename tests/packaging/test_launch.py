"""The `persistentq` command, up to the program that it starts."""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

import persistentq
from persistentq import launch


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the command changes for its whole process from other tests."""
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    monkeypatch.setattr(persistentq, "__path__", list(persistentq.__path__))


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["--nonsense"], ["Admin"], [""], ["../admin"]])
def test_a_wrong_call_is_answered_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main(argv) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("error: ")
    assert errors.endswith("\nhint: persistentq --help lists them\n")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_program(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main([option]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    assert [name for name in launch.PROGRAMS if f"  {name} " not in output] == []


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version_is_that_of_the_distribution(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main([option]) == 0
    assert capsys.readouterr().out == f"persistentq {version('persistentq')}\n"


@pytest.mark.parametrize(
    ("program", "absent", "hint"),
    [
        ("ops", "pandas", "pip install 'persistentq[ops]'"),
        ("admin", "typer", "pip install persistentq"),
        ("manager", "prompt_toolkit", "pip install persistentq"),
    ],
)
def test_a_missing_library_is_named_with_its_remedy(
    program: str, absent: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "find_spec", lambda module: None if module == absent else object())
    assert launch.main([program]) == 1
    assert capsys.readouterr().err == f"error: {program} needs {absent}\nhint: {hint}\n"


def test_a_damaged_installation_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "PACKAGE", tmp_path / "persistentq")
    assert launch.main(["consumer"]) == 1
    assert "has no consumer/consumer.py" in capsys.readouterr().err


def test_a_program_gets_the_rest_and_its_code_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, list[str]]] = []

    def module(name: str) -> SimpleNamespace:
        def main(arguments: list[str]) -> int:
            started.append((name, arguments))
            return 5

        return SimpleNamespace(main=main)

    monkeypatch.setattr(launch, "import_module", module)
    assert launch.main(["admin", "list-jobs", "--help"]) == 5
    assert started == [("persistentq.admin.admin", ["list-jobs", "--help"])]


def test_the_dashboard_replaces_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, list[str]]] = []

    def execv(program: str, words: list[str]) -> None:
        called.append((program, words))
        raise SystemExit(0)

    monkeypatch.setattr(os, "execv", execv)
    with pytest.raises(SystemExit):
        launch.main(["ops", "one"])
    ((program, words),) = called
    assert program == words[0] == sys.executable
    script = str(launch.PACKAGE.parent / "ops" / "ops.py")
    assert words[1:] == ["-P", "-m", "streamlit", "run", script, "--", "one"]


def test_help_of_the_dashboard_serves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "execv", lambda *words: pytest.fail("a server was started"))
    assert launch.main(["ops", "--help"]) == 0
    assert "usage: persistentq ops" in capsys.readouterr().out
