"""Every example of the guides runs, and prints what the page says; every link leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
RUN_ON = {
    "dashboard.md": [],
    "executors.md": ["sqlite"],
    "export.md": ["sqlite", "postgresql"],
    "index.md": [],
    "manager.md": [],
    "moving.md": ["sqlite"],
    "operations.md": ["sqlite"],
    "operations-insight.md": ["sqlite", "postgresql"],
    "postgresql.md": ["postgresql"],
    "reliability.md": [],
    "schedules.md": ["sqlite", "postgresql"],
    "sqlite.md": ["sqlite"],
    "supervision.md": ["sqlite"],
    "tasks.md": ["sqlite", "postgresql"],
    "telemetry.md": ["sqlite", "postgresql"],
    "testing.md": ["sqlite"],
    "transactions.md": ["sqlite", "postgresql"],
    "waiting.md": ["sqlite", "postgresql"],
}


class Example(NamedTuple):
    """One fenced block: its language, its text, and the output that a block of text right below it shows."""

    language: str
    text: str
    output: str | None

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.text] if self.language == "python" else ["sh", "-euc", self.text]


def examples(page: str) -> list[Example]:
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$\n?(?:^```text\n(.*?)^```$)?", text, re.DOTALL | re.MULTILINE)
    assert text.count("```") == 2 * sum(1 + bool(output) for _, _, output in blocks), page
    return [Example(language, body, output or None) for language, body, output in blocks]


def test_every_guide_is_run() -> None:
    assert {path.name for path in DOCS.glob("*.md")} == RUN_ON.keys()
    assert all(examples(page) for page, databases in RUN_ON.items() if databases)


@pytest.mark.parametrize(
    ("page", "database"), [(page, one) for page, databases in RUN_ON.items() for one in databases]
)
def test_the_examples_run_in_their_order(
    page: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each is a program of its own; a block that begins with a file's name is that file."""
    environment = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "PYTHONWARNINGS": "error"}
    if database == "postgresql":
        environment["QUEUE_DB_URL"] = request.getfixturevalue("own_postgres_url")
    for example in examples(page):
        assert example.language in {"python", "sh", "ini"}, example.text
        if file := re.match(r"[#;] ([\w@]*\.\w+)\n", example.text):
            (tmp_path / file[1]).write_text(example.text)
            continue
        if database == "sqlite" and "create_async_engine" in example.text:
            continue  # the page says that it is for PostgreSQL
        ran = subprocess.run(
            example.command(),
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (ran.returncode, ran.stderr) == (0, ""), example.text
        assert ran.stdout == example.output or (ran.stdout and example.output is None), example.text


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as they are made of their words."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS.rglob("*.md")], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        found = page.parent / target if target else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), f"{target}#{anchor}"


def test_every_page_can_be_reached() -> None:
    """From the README, by links."""
    reached: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        targets = re.findall(r"\]\(([^):#]+\.md)[^)]*\)", page.read_text(encoding="utf-8"))
        ahead += {(page.parent / target).resolve() for target in targets} - reached
    assert set(DOCS.rglob("*.md")) <= reached
