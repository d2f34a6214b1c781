"""The manager where nothing but ASCII can be shown."""

from __future__ import annotations

import io
import locale
import shutil
from pathlib import Path

import pytest
from prompt_toolkit.utils import get_cwidth

from manager.glyphs import PAIRS, in_ascii, is_ascii_only
from manager.plain import Plain
from persistentq.operations import GLYPHS
from tests.front_ends.manager_kit import ROOT, Terminal, a_queue, a_tmux, running, settings_for


def test_every_sign_of_the_managers_own_has_a_pair_of_one_cell() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "manager").glob("*.py"))
    signs = {char for char in code + "".join(GLYPHS.values()) if not char.isascii()}
    assert signs == {chr(sign) for sign in PAIRS}
    for sign, pair in PAIRS.items():
        assert pair.isascii()
        assert len(pair) == get_cwidth(chr(sign)) == 1


def test_no_two_statuses_share_a_sign() -> None:
    assert len({in_ascii(glyph) for glyph in GLYPHS.values()}) == len(GLYPHS)


@pytest.mark.parametrize("text", ["plain", "日本", "e\u0301a", "ok ✓ 日 …", "naïve"])
def test_text_keeps_its_cells(text: str) -> None:
    assert in_ascii(text).isascii()
    assert get_cwidth(in_ascii(text)) == get_cwidth(text)


@pytest.mark.parametrize(
    ("stream", "terminal", "wanted"),
    [
        ("utf-8", "UTF-8", False),
        ("UTF8", "utf8", False),
        (None, "UTF-8", False),
        ("ascii", "UTF-8", True),
        ("utf-8", "ANSI_X3.4-1968", True),
        ("iso8859-1", "ISO-8859-1", True),
    ],
)
def test_both_the_locale_and_what_is_written_to_must_have_utf_8(
    monkeypatch: pytest.MonkeyPatch, stream: str | None, terminal: str, wanted: bool
) -> None:
    monkeypatch.setattr(locale, "getencoding", lambda: terminal)
    assert is_ascii_only(stream) is wanted


def test_the_screen_and_its_dialogs_are_ascii(tmp_path: Path) -> None:
    with a_queue(tmp_path) as queue:
        queue.enqueue("日本.task", {"to": "日本"})
        with running(tmp_path, Terminal(120, 40), is_ascii=True) as manager:
            manager.wait_for_text("> ", "o pending", "????.task", " | ")
            manager.press("C")
            manager.wait_for_text("-| Cancel job |-", "[ Keep job ]")
            assert manager.text().isascii()
            manager.press("y")
            manager.wait_for_text("/ cancelled 1", "cancel worked for job 1 - undo")
            for key in "23456789?":
                manager.press(key)
                manager.wait_for_text(f"{key} " if key != "?" else "help - lines")
                assert manager.text().isascii()


def test_it_is_told_by_the_line_in_ascii(tmp_path: Path) -> None:
    with a_queue(tmp_path) as queue:
        queue.enqueue("日本.task")
        target = io.StringIO()
        assert Plain(settings_for(tmp_path), io.StringIO("help\n"), target, is_ascii=True).run() == 0
    assert "????.task" in target.getvalue()
    assert target.getvalue().isascii()


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}])
def test_the_locale_decides(tmp_path: Path, variables: dict[str, str]) -> None:
    with a_queue(tmp_path) as queue, a_tmux(tmp_path, **variables) as tmux:
        queue.enqueue("日本.task")
        tmux.start_manager()
        tmux.wait_for_text(" live ", "o pending", "????.task")
        tmux.press("C")
        tmux.wait_for_text("| Cancel job |")
        assert tmux.text().isascii()
