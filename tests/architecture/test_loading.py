"""What a process loads, and when: SQLAlchemy with the first queue, the rest of the heavy only where it is used."""

from __future__ import annotations

import ast
import json
import pickle
import pydoc
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import persistentq

ROOT = Path(__file__).resolve().parents[2]
DATABASES = ("sqlalchemy", "alembic", "sqlite3", "pysqlite3", "psycopg")
FACES = ("typer", "rich", "prompt_toolkit", "streamlit", "altair", "pandas", "numpy", "pydantic")
TELLING = ("prometheus_client", "opentelemetry", "http.server", "wsgiref")
RARE = ("asyncio", "dotenv", "multiprocessing", "ssl", *TELLING)
UNUSED_ON_SQLITE = (
    "alembic",
    "sqlalchemy.dialects.postgresql",
    "psycopg",
    "dotenv",
    "multiprocessing",
    *FACES,
    *TELLING,
)


def loaded(code: str, directory: Path, modules: Iterable[str]) -> list[str]:
    """Return which of `modules` a new interpreter in `directory` has loaded after it ran `code`."""
    asked = f"{code}\nimport json, sys\nprint(json.dumps([one for one in {list(modules)!r} if one in sys.modules]))"
    ran = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(ran.stdout)
    return found


def test_importing_the_library_loads_no_database_and_no_front_end(tmp_path: Path) -> None:
    assert loaded("import persistentq", tmp_path, [*DATABASES, *FACES, *RARE]) == []


def test_sqlalchemy_comes_with_the_class_or_the_first_queue(tmp_path: Path) -> None:
    wanted = ["sqlalchemy"]
    assert loaded("from persistentq import PersistentQSQLAlchemy", tmp_path, wanted) == wanted
    assert loaded("from persistentq import open_queue\nopen_queue().close()", tmp_path, wanted) == wanted


def test_opening_a_file_that_is_up_to_date_loads_only_what_it_needs(tmp_path: Path) -> None:
    code = "import persistentq\npersistentq.open_queue('sqlite:///here.db').close()"
    assert loaded(code, tmp_path, UNUSED_ON_SQLITE) == []
    assert loaded(code, tmp_path, UNUSED_ON_SQLITE) == []


def test_a_consumer_that_neither_serves_metrics_nor_traces_loads_nothing_for_it(tmp_path: Path) -> None:
    code = "from consumer.consumer import main\nassert main(['--burst']) == 0"
    assert loaded(code, tmp_path, TELLING) == []
    assert loaded(code.replace("'--burst'", "'--burst', '--metrics', '0'"), tmp_path, ["prometheus_client"])


def test_the_command_line_loads_what_speaks_http_only_to_scale(tmp_path: Path) -> None:
    assert loaded("import admin.admin", tmp_path, ["http.client", "xmlrpc.client", "ssl"]) == []


def test_an_export_loads_what_writes_parquet_only_for_parquet(tmp_path: Path) -> None:
    code = (
        "import persistentq\nfrom admin.admin import main\npersistentq.open_queue().close()\n"
        "assert main(['export', 'jobs.csv', '--all', '--force']) == 0"
    )
    quiet = f"import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n    exec({code!r})"
    assert loaded(quiet, tmp_path, ["pandas", "pyarrow", "rich"]) == []
    assert loaded(quiet.replace("jobs.csv", "jobs.parquet"), tmp_path, ["pandas", "pyarrow"]) == ["pyarrow"]


def test_every_public_name_is_there_however_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(vars(persistentq), "PersistentQSQLAlchemy", raising=False)
    assert set(persistentq.__all__) <= set(dir(persistentq))
    star: dict[str, object] = {}
    exec("from persistentq import *", star)  # noqa: S102 - only so can it be said within a function
    assert set(persistentq.__all__) <= star.keys()
    store = persistentq.PersistentQSQLAlchemy
    assert star["PersistentQSQLAlchemy"] is store
    assert pickle.loads(pickle.dumps(store)) is store  # noqa: S301 - our own
    assert "class PersistentQSQLAlchemy" in pydoc.plain(pydoc.render_doc(persistentq))


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="module 'persistentq' has no attribute 'open_que'"):
        getattr(persistentq, "open_que")  # noqa: B009 - a misspelt name, as it is not meant to type-check


def test_type_checkers_see_each_public_name_and_would_see_a_misspelt_one() -> None:
    tree = ast.parse((ROOT / "persistentq" / "__init__.py").read_text())
    bound = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(persistentq.__all__) <= bound
    hidden = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "not TYPE_CHECKING"
    ]
    assert [node.name for block in hidden for node in block.body if isinstance(node, ast.FunctionDef)] == [
        "__getattr__"
    ]
    assert "__getattr__" not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
