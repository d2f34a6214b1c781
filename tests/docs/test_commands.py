"""The page of the commands is what their help says now."""

from __future__ import annotations

from scripts.commands import PAGE, page
from tests.front_ends.admin_kit import commands


def test_the_page_is_what_make_docs_would_write() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "a help has changed: run `make docs`"


def test_every_command_is_on_it() -> None:
    assert [name for name in commands() if f"\n## {name}\n" not in page()] == []
