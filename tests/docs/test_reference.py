"""The reference is what the docstrings say now, and leaves out nothing that is public."""

from __future__ import annotations

import inspect
import logging
import re
from pathlib import Path

import pytest

import persistentq
from scripts.reference import FOLDER, Reference, write


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return Reference().pages()


def headings(pages: dict[str, str]) -> dict[str, set[str]]:
    """Return the names of the members described below each public name."""
    found: dict[str, set[str]] = {}
    for name, text in pages.items():
        for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:] if name != "index.md" else ():
            title, _, rest = part.partition("\n")
            assert title not in found, f"{title} is described twice"
            found[title] = set(re.findall(r"^### (\w+)$", rest, re.MULTILINE))
    return found


def test_the_pages_are_what_make_docs_would_write(pages: dict[str, str]) -> None:
    kept = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    assert kept == pages, "a docstring has changed: run `make docs`"


def test_every_docstring_is_understood(caplog: pytest.LogCaptureFixture) -> None:
    """What the reader cannot take apart it only warns of."""
    with caplog.at_level(logging.WARNING):
        Reference().pages()
    assert caplog.messages == []


def test_every_public_name_is_described(pages: dict[str, str]) -> None:
    assert headings(pages).keys() == set(persistentq.__all__)
    for name in persistentq.__all__:
        assert re.search(
            rf"^- \[`{name}`\]\(\w+\.md#{name.lower()}\): \w", pages["index.md"], re.MULTILINE
        ), name


def test_every_public_method_is_described(pages: dict[str, str]) -> None:
    """The contract's methods at the contract, the others where they are."""
    described = headings(pages)
    contract = {name for name in dir(persistentq.PersistentQInterface) if not name.startswith("_")}
    assert described["PersistentQInterface"] == contract
    assert described["PersistentQSQLAlchemy"] == {"engine"}
    assert described["Consumer"] == {"run", "stop", "introduce", "held", "may_still_run"}
    assert described["ConsumerInfo"] == {"is_alive"}


def test_every_argument_is_in_its_signature(pages: dict[str, str]) -> None:
    text = pages["interface.md"]
    for name in ("enqueue", "dequeue", "prune_jobs"):
        shown = re.search(rf"^### {name}\n\n```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        assert shown is not None
        expected = inspect.signature(getattr(persistentq.PersistentQInterface, name)).parameters
        assert re.findall(r"^    (\w+): ", shown[1], re.MULTILINE) == list(expected)[1:]


def test_nothing_that_is_returned_is_cut(pages: dict[str, str]) -> None:
    """The parser takes the words before a colon for a type."""
    assert (
        "**Returns**: 0 to `limit` jobs in status processing. Within a queue: highest"
        in pages["interface.md"]
    )


def test_a_page_that_has_no_name_any_more_goes(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("gone")
    write({"new.md": "here"}, tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"new.md": "here"}
