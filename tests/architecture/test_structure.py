"""The house: who may import whom, how large a room may be, which names are public."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import persistentq

ROOT = Path(__file__).resolve().parents[2]
FACES = ("admin", "manager", "ops")
PROGRAMS = ("producer", "consumer")
MODULE_LINES, FUNCTION_LINES = 400, 40


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of everything a module imports at run time; type-checking blocks do not count."""
    package = path.relative_to(ROOT).parent.parts
    for node in _runtime_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _runtime_nodes(child)


def breaches(paths: list[Path], *forbidden: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in imported(path)
        if any(name == banned or name.startswith(f"{banned}.") for banned in forbidden)
    ]


ALL = sources("persistentq", *FACES, *PROGRAMS)
LIBRARY = sources("persistentq")
USER_INTERFACES = ("typer", "rich", "prompt_toolkit", "streamlit", "altair")


def test_the_library_knows_no_user_interface() -> None:
    # These two start programs; nothing else in the library imports them.
    library = [path for path in LIBRARY if path.name not in {"launch.py", "command_line.py"}]
    assert breaches(library, *USER_INTERFACES, "pandas", "persistentq.command_line", *FACES, *PROGRAMS) == []


def test_only_connect_imports_sql() -> None:
    outside = [
        path for path in ALL if path.parent != ROOT / "persistentq" / "sql" and path.name != "connect.py"
    ]
    assert breaches(outside, "persistentq.sql") == []


@pytest.mark.parametrize("part", ["runtime", "operations"])
def test_runtime_and_operations_know_the_contract_only(part: str) -> None:
    other = "operations" if part == "runtime" else "runtime"
    paths = sources(f"persistentq/{part}")
    assert paths
    assert (
        breaches(paths, "sqlalchemy", "persistentq.connect", "persistentq.settings", f"persistentq.{other}")
        == []
    )


def test_the_leaves_import_nothing_above_them() -> None:
    leaves = sources("persistentq/errors") + [
        ROOT / "persistentq" / f"{name}.py" for name in ("checks", "backoff", "clock", "failure", "payload")
    ]
    above = [
        f"persistentq.{name}"
        for name in ("job", "interface", "memory", "sql", "runtime", "operations", "connect")
    ]
    assert breaches(leaves, *above, "sqlalchemy") == []
    contract = [ROOT / "persistentq" / f"{name}.py" for name in ("job", "interface")]
    assert breaches(contract, *above[2:], "sqlalchemy") == []
    memory = [ROOT / "persistentq" / f"{name}.py" for name in ("memory", "memory_readers")]
    assert breaches(memory, *above[3:], "sqlalchemy") == []


@pytest.mark.parametrize("face", [*FACES, *PROGRAMS])
def test_a_program_imports_no_other_program_and_no_sqlalchemy(face: str) -> None:
    others = [name for name in (*FACES, *PROGRAMS) if name != face]
    assert breaches(sources(face), *others, "sqlalchemy", "sqlite3", "persistentq.sql") == []


@pytest.mark.parametrize("face", ["admin", "manager", *PROGRAMS])
def test_a_program_imports_its_siblings_relatively(face: str) -> None:
    """In the wheel it has another name, `persistentq.admin`."""
    assert breaches_of_own_name(face) == []


def breaches_of_own_name(face: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources(face)
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == face)
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == face for alias in node.names))
    ]


def test_only_the_dashboard_loads_pandas() -> None:
    assert breaches([path for path in ALL if "ops" not in path.parts], "pandas", "streamlit", "altair") == []


def test_one_sqlite_library_is_chosen_in_one_place() -> None:
    """S8: two in one process drop each other's locks."""
    elsewhere = [path for path in ALL if path != ROOT / "persistentq" / "sql" / "sqlite.py"]
    assert breaches(elsewhere, "sqlite3", "pysqlite3") == []


def test_supervisor_is_no_package_and_ops_is_a_folder_of_scripts() -> None:
    """With an `__init__.py`, supervisor/ would shadow Supervisor's own package for everything started here."""
    assert not (ROOT / "supervisor" / "__init__.py").exists()
    assert not (ROOT / "ops" / "__init__.py").exists()
    for face in ("admin", "manager", *PROGRAMS):
        assert (ROOT / face / "__init__.py").exists()


def test_no_module_of_the_library_bears_a_programs_name() -> None:
    """In the wheel the programs' folders lie inside the package."""
    names = {path.stem for path in (ROOT / "persistentq").iterdir()}
    assert not names & {*FACES, *PROGRAMS, "supervisor"}


def test_no_room_is_too_large() -> None:
    large = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in sources("persistentq", *FACES, *PROGRAMS, "scripts", "benchmarks")
        if (lines := len(path.read_text().splitlines())) > MODULE_LINES
    ]
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sources("persistentq", *FACES, *PROGRAMS, "scripts", "benchmarks")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _length(node) > FUNCTION_LINES
    ]
    assert (large, long) == ([], [])


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring, which is documentation and not code."""
    documented = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
    first = node.body[0]
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if documented else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring


def test_nothing_is_pickled_evaluated_or_imported_by_a_name_from_the_database() -> None:
    assert breaches(ALL, "pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml") == []
    assert breaches(ALL, "multiprocessing", "runpy", "code", "pkgutil") == []
    called = {
        node.func.id
        for path in ALL
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"eval", "exec", "compile", "__import__"}
    importers = {
        str(path.relative_to(ROOT)) for path in ALL for name in imported(path) if name.startswith("importlib")
    }
    # The launcher imports a program, app.py the user's --app, sqlite.py its driver: names of ours or typed.
    assert importers <= {"persistentq/launch.py", "persistentq/app.py", "persistentq/sql/sqlite.py"}


def test_the_public_names() -> None:
    assert persistentq.__all__ == sorted(
        persistentq.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)
    )
    assert all(hasattr(persistentq, name) for name in persistentq.__all__)
    for name in ("PersistentQInterface", "PersistentQSQLAlchemy", "open_queue", "NewJob", "Job", "JobStatus"):
        assert name in persistentq.__all__


def test_no_file_is_called_by_what_it_might_hold() -> None:
    vague = {"utils", "util", "helpers", "common", "misc", "types"}
    assert [path for path in ALL if path.stem in vague] == []
