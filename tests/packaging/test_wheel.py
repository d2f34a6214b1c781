"""What is in the wheel, and that it works where nothing else of ours is."""

import email
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

from persistentq.launch import PROGRAMS
from tests.packaging.outside import ROOT, run

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture
def metadata(wheel: Path, names: list[str]) -> Message:
    (name,) = [name for name in names if name.endswith(".dist-info/METADATA")]
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(name))


def source_files() -> Iterator[str]:
    """Every Python file of the checkout that the wheel must have, as the wheel calls it."""
    for folder in ("persistentq", *PROGRAMS):
        for file in (ROOT / folder).rglob("*.py"):
            inner = file.relative_to(ROOT).as_posix()
            yield inner if folder == "persistentq" else f"persistentq/{inner}"


def test_the_wheel_owns_exactly_one_name(names: list[str], metadata: Message) -> None:
    top = {name.split("/")[0] for name in names}
    assert top == {"persistentq", f"persistentq-{metadata['Version']}.dist-info"}


def test_the_wheel_has_every_source_file_and_nothing_else(names: list[str]) -> None:
    assert {name for name in names if name.endswith(".py")} == set(source_files())
    assert not [name for name in names if name.endswith((".pyc", ".db", ".log")) or "/tests/" in name]


def test_the_wheel_keeps_out_of_supervisors_package(names: list[str]) -> None:
    assert not [name for name in names if "supervisor" in name.split("/")]
    assert not (ROOT / "supervisor" / "__init__.py").exists()


def test_the_dashboard_keeps_its_loopback_configuration(names: list[str]) -> None:
    # Without it Streamlit listens on every interface.
    assert "persistentq/ops/.streamlit/config.toml" in names
    assert "persistentq/ops/__init__.py" not in names


def test_the_base_is_lean(metadata: Message) -> None:
    requirements = metadata.get_all("Requires-Dist") or []
    base = {line.split()[0] for line in requirements if "extra ==" not in line}
    libraries = {
        "sqlalchemy",
        "alembic",
        "python-dotenv",
        "typer",
        "prompt_toolkit",
        "pydantic",
        "cronsim",
        "tzdata",
    }
    assert base == {*libraries, "pysqlite3"}


@pytest.mark.parametrize("program", sorted(set(PROGRAMS) - {"ops"}))
def test_the_installed_command_explains_each_program_from_anywhere(installed: Path, program: str) -> None:
    result = run(installed / "persistentq", program, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "usage" in result.stdout.lower()


def test_the_installed_command_does_not_run_what_lies_in_the_current_directory(
    installed: Path, tmp_path: Path
) -> None:
    for name in ("admin", "persistentq", "typer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    assert run(installed / "persistentq", "admin", "--help", cwd=tmp_path).returncode == 0


def test_without_the_extra_the_dashboard_says_how_to_get_it(installed: Path) -> None:
    result = run(installed / "persistentq", "ops")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "error: ops needs streamlit, pandas, altair\nhint: pip install 'persistentq[ops]'\n"
    )


def test_the_checkout_has_the_same_command_from_anywhere() -> None:
    # An editable install has the programs beside the package, not inside it.
    result = run(sys.executable, "-m", "persistentq", "admin", "--help")
    assert (result.returncode, result.stderr) == (0, "")
