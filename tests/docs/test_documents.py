"""README, help and code say the same."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import persistentq
from persistentq.job import TRANSITIONS
from persistentq.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    """Return the lines of the README's shell blocks that start a program, without their comments."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    lines = [
        line.split("  #")[0].strip()
        for language, block in blocks
        if not language
        for line in block.splitlines()
    ]
    return [line for line in lines if line.startswith("python -m")]


def test_the_settings_table_is_the_settings() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`)? ?\| (\S+) \| (.+) \|$", README, re.MULTILINE)
    assert rows == [(one.key, one.default, one.unit, one.help) for one in SETTINGS]


@pytest.mark.parametrize("command", commands())
def test_each_command_exists_with_its_options(command: str) -> None:
    """What the README types is known to the program: its help names the command's every option."""
    _, _, module, *words = shlex.split(command)
    verb = words[:1] if module == "admin.admin" else []
    shown = subprocess.run(
        [sys.executable, "-m", module, *verb, "--help"],
        cwd=ROOT,
        env={"COLUMNS": "200", "NO_COLOR": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    for option in [word for word in words if word.startswith("--")]:
        assert option in shown.stdout


def test_the_readme_types_every_program() -> None:
    modules = {command.split()[2] for command in commands()}
    programs = {"admin.admin", "manager.manager", "producer.producer", "consumer.consumer"}
    assert modules == {*programs, "benchmarks"}


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    text = README + (ROOT / "CONTRIBUTING.md").read_text()
    for target in set(re.findall(r"`?make ([a-z]+)\b", text)) - {"it", "sure"}:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


def test_every_promise_names_a_test_that_exists_and_mentions_it() -> None:
    rows = re.findall(r"^\| (G\d) \| .+ \| (`tests/.+`) \|$", README, re.MULTILINE)
    assert [promise for promise, _ in rows] == [f"G{n}" for n in range(1, 9)]
    for promise, cell in rows:
        for path in re.findall(r"`([^`]+)`", cell):
            assert promise in promises_shown_by(ROOT / path), f"no test of {path} names {promise}"


def promises_shown_by(path: Path) -> set[str]:
    """Return the promises that the docstrings of the file's tests name; its own docstring speaks for all of them."""
    tree = ast.parse(path.read_text())
    tests = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    said = [ast.get_docstring(node) or "" for node in [tree, *tests]] if tests else []
    return set(re.findall(r"\bG\d\b", " ".join(said)))


def test_the_first_example_runs(tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None
    (tmp_path / "example.py").write_text(example[1])
    ran = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "to a@example.org\n", "")


def test_the_other_examples_run(tmp_path: Path) -> None:
    """With what they take as given: a queue, an order, and a consumer that runs the task."""
    _, joined, tasks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    shop = re.search(
        r"```python\n(# shop\.py\n.*?)```", (ROOT / "docs/transactions.md").read_text(), re.DOTALL
    )
    assert shop is not None
    given = (
        "from persistentq import Consumer, open_queue\nimport tasks\nqueue = open_queue()\n"
        "Base.metadata.create_all(queue.engine)\norder = Order(email='a@example.org')\n"
        "queue.enqueue('report.make', {'month': '2026-01'})\nqueue.enqueue('report.make', {'month': ''})\n"
    )
    shown = "Consumer(queue).run(burst=True)\nprint([(job.task, job.status, job.result) for job in queue.list_jobs()])"
    (tmp_path / "tasks.py").write_text(tasks)
    ran = subprocess.run(
        [sys.executable, "-c", shop[1] + given + joined + shown],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "('report.make', <JobStatus.DONE: 'done'>, {'attempt': 1})" in ran.stdout, ran.stderr
    assert ran.stdout.count("<JobStatus.FAILED: 'failed'>") == 2  # no month, and no task called mail.send


def test_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_diagram_names_every_status() -> None:
    for status in persistentq.JobStatus:
        assert status in README
    for verb in ("due", "dequeue", "complete", "fail", "resubmit", "snooze", "cancel"):
        assert verb in README
        assert verb in {arrow.verb for arrow in TRANSITIONS}


def test_every_decision_has_its_five_lines() -> None:
    text = (ROOT / "DECISIONS.md").read_text()
    sections = text.split("\n## ")[1:]
    assert sections
    for section in sections:
        title, *lines = section.strip().splitlines()
        assert [line.split(":")[0] for line in lines] == [
            "- Question",
            "- Choice",
            "- Because",
            "- Cost",
            "- Revisit when",
        ], title


def test_no_document_names_a_path_of_a_machine() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    machine = re.compile(r"(?<![\w.])/(?:work|root|home/\w+)/")
    for name in filter(None, tracked.split("\0")):
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".conf", ".example", ""} and path.is_file():
            assert not machine.search(path.read_text(errors="replace")), name
