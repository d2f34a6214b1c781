"""Each breakage can still be made, and the test that is to catch it is there; `make mutants` makes them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.faults.mutants import MUTANTS, Mutant, apply, write_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_applies_and_its_catcher_exists(mutant: Mutant, tmp_path: Path) -> None:
    copy = tmp_path / mutant.path
    copy.parent.mkdir(parents=True)
    whole = (ROOT / mutant.path).read_text()
    copy.write_text(whole)
    apply(mutant, tmp_path)
    assert copy.read_text() != whole
    if copy.suffix == ".py":
        ast.parse(copy.read_text())
    path, _, test = mutant.catcher.partition("::")
    tests = {
        node.name
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert not test or test.partition("[")[0] in tests


def test_there_are_many_and_no_two_are_alike() -> None:
    assert len(MUTANTS) >= 20
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_text_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("a = 1\n")
    with pytest.raises(ValueError, match="has 0 times"):
        apply(Mutant("none", "code.py", "b = 1", "b = 2", "tests/none.py"), tmp_path)


def test_the_table_replaces_the_last_one(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n\n| broken on purpose | caught by |\n| --- | --- |\n| old | `test` |\n\nafter\n")
    write_table([Mutant("new", "code.py", "a", "b", "tests/one.py")], page)
    expected = (
        "before\n\n| broken on purpose | caught by |\n| --- | --- |\n| new | `tests/one.py` |\n\nafter\n"
    )
    assert page.read_text() == expected
    write_table([Mutant("new", "code.py", "a", "b", "tests/one.py")], page)
    assert page.read_text() == expected
