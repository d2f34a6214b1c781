"""--app module[:object]: found from here, and what is wrong is told with its reason."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from persistentq import TASKS, InvalidArgument
from persistentq.app import load_app

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module into the current directory; what was imported and registered is forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(TASKS, "_tasks", {})
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


DECORATED = "from persistentq import task\n@task('a')\ndef a(): ...\n"
REGISTRY = (
    "from persistentq import Tasks\nclass Shop:\n    tasks = Tasks()\n"
    "mine = Tasks()\n@mine.task('b')\ndef b(): ...\n"
)


def test_a_module_means_what_it_decorates(write: Write) -> None:
    write("app_decorated.py", DECORATED)
    assert load_app("app_decorated") is TASKS
    assert "a" in load_app("app_decorated")


def test_a_module_in_a_package(write: Write) -> None:
    write("app_shop/__init__.py", "")
    write("app_shop/work.py", DECORATED)
    assert "a" in load_app("app_shop.work")


def test_an_object_is_a_registry_of_the_modules_own(write: Write) -> None:
    write("app_registry.py", REGISTRY)
    assert "b" in load_app("app_registry:mine")
    assert "b" not in TASKS


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nowhere", "", "--app 'nowhere' is not a module that can be imported from here"),
        ("app_bad.inner", DECORATED, "is not a module that can be imported from here"),
        (
            "app_bad",
            "import not_there_at_all\n",
            "ModuleNotFoundError: No module named 'not_there_at_all' .*line 1",
        ),
        (
            "app_bad",
            "from json import nothing\n",
            "cannot be imported: ImportError: cannot import name 'nothing'",
        ),
        ("app_bad", "\n\n1 / 0\n", r"ZeroDivisionError: division by zero \(.*app_bad.py, line 3\)"),
        ("app_bad", "import json\n\njson.loads('{')\n", r"JSONDecodeError: .* \(.*app_bad.py, line 3\)"),
        ("app_bad", "def f(:\n", r"SyntaxError: invalid syntax \(.*app_bad.py, line 1\)"),
        ("app_bad", "", "registers no task with @task$"),
        ("app_bad", REGISTRY, r"registers no task with @task; did you mean app_bad:mine\?"),
        ("app_bad:Shop.tasks", REGISTRY, "registers no task$"),
        ("app_bad:other", REGISTRY, "does not exist: module 'app_bad' has no attribute 'other'"),
        ("app_bad:Shop", REGISTRY, "is of type type, not a Tasks registry"),
        ("", "", "is not the name of a module"),
        (".tasks", "", "is not the name of a module"),
        ("app_bad:", REGISTRY, "is not the name of a module"),
        ("app_bad:a-b", REGISTRY, "is not the name of a module"),
        ("tasks.py", "", "is not a module that can be imported from here"),
    ],
)
def test_what_is_wrong_is_told(write: Write, name: str, text: str, message: str) -> None:
    write("app_bad.py", text)
    with pytest.raises(InvalidArgument, match=message):
        load_app(name)
