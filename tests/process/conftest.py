"""A folder to run programs in; whatever still runs at the end of a test is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process.programs import Site


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Return a function that makes the site with these settings."""
    made: list[Site] = []

    def make(**settings: object) -> Site:
        made.append(Site(tmp_path, **settings))
        return made[-1]

    yield make
    for site in made:
        for program in site.started:
            program.kill()
