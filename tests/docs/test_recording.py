"""The recording of the manager: shown, an animation, and made with keys that there are."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image, ImageSequence

from manager.keys import BINDINGS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "screenshots"
LARGEST = 1_500_000


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("manager_recording")


def test_readme_and_guide_show_it_and_make_makes_it(script: ModuleType) -> None:
    picture = script.RECORDING.name
    assert f"](docs/screenshots/{picture})" in (ROOT / "README.md").read_text()
    assert f"](screenshots/{picture})" in (ROOT / "docs" / "manager.md").read_text()
    made = (ROOT / "Makefile").read_text().partition("\nscreenshots:")[2].partition("\n\n")[0]
    assert f"docs/screenshots/{Path(script.__file__ or '').name}" in made


def test_it_is_a_short_animation(script: ModuleType) -> None:
    assert script.RECORDING.stat().st_size < LARGEST
    with Image.open(script.RECORDING) as recording:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(recording)]
        assert recording.info["loop"] == 0
    assert len(durations) > 20
    assert 15_000 <= sum(durations) <= 25_000


def test_its_keys_are_keys_of_the_manager(script: ModuleType) -> None:
    pressed = {key for step in script.STORY for key in step.keys}
    bound = {key for binding in BINDINGS for key in binding.keys}
    assert pressed
    assert pressed <= bound
    assert {key for key in pressed if len(key) > 1} <= script.SEQUENCES.keys()
    assert script.SEQUENCES.keys() <= bound
