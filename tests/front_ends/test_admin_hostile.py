"""Three hundred hostile texts through every command: none reaches a terminal raw, and none breaks a command."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.core import TyperArgument, TyperCommand

from persistentq import (
    ActNote,
    InvalidArgument,
    NewJob,
    PersistentQInterface,
    PersistentQSQLAlchemy,
    Progress,
    Schedule,
)
from persistentq.operations.formats import LONGEST_LINE
from tests.front_ends.admin_kit import Ended, a_store, commands, run
from tests.front_ends.hostile import MIXED, NUMBER, UNSTORABLE, hostile_texts

TEXTS = hostile_texts()
TOGETHER = 10
"""So many texts go into one job, wherever it takes some."""

CODES = {0, 1, 2, 3, 4, 5, 6}
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ENDLESS = {"monitor-activity": ("--count", "1"), "wait": ("--timeout", "1ms")}
ELSEWHERE = {"scale"}
"""What speaks to another program, not to the queue, and takes no text from it."""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield from a_store(tmp_path, monkeypatch)


EVERY = {tuple(name.split()): command for name, command in commands().items()}


def check(ended: Ended, *typed: object) -> Ended:
    """Make sure that a command ended well, and that nothing it said can steer a terminal."""
    assert ended.code in CODES, (typed, ended)
    for text in ended.out, ended.err:
        left = COLOUR.sub("", text)
        assert {char for char in left if not char.isprintable()} <= {"\n", "\t"}, (typed, text)
    assert "Traceback" not in ended.err, typed
    return ended


def accepted(**given: Any) -> bool:
    """Whether there can be a job of these values."""
    try:
        NewJob(**{"task": "t"} | given)
    except InvalidArgument:
        return False
    return True


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A queue that shows each text wherever it was accepted."""
    path = tmp_path_factory.mktemp("hostile") / "queue.db"
    good = [text for text in TEXTS if accepted(unique_key=text[:255])]
    assert len(good) > 0.9 * NUMBER
    with PersistentQSQLAlchemy(f"sqlite:///{path}") as queue:
        for start in range(0, len(good), TOGETHER):
            together(queue, good[start : start + TOGETHER], fails=start % 20 == 0)
        tasks = [NewJob(text, {"n": 1}) for text in good if accepted(task=text)]
        queue.enqueue_many([*tasks, *(NewJob("t", {"n": 1}, unique_key=text[:255]) for text in good)])
        for n, text in enumerate(good):
            queue.write_journal(text[:50], ActNote("ann", "cli", text[:1000]), {text: text})
            if n % 4 == 0:
                life = {"host": text[:255], "pid": n, "queues": ["default"], "trouble": text[:500]}
                queue.heartbeat(f"c{n}", **life)
        queue.put_schedule(Schedule("s", "every 1h", "t", {text: text for text in good[:20]}))
    return path


def together(queue: PersistentQInterface, some: list[str], *, fails: bool) -> None:
    """Store one job with these texts in its arguments, metadata, log, progress, and its error or its result."""
    args = {f"{n}{text}": [text, {text: text}] for n, text in enumerate(some)}
    queue.enqueue("t", args, metadata={"m": args})
    (job,) = queue.dequeue("c1", limit=1)
    lines = [line for text in some for line in text.splitlines() or [""]]
    queue.record(job, lines=lines, progress=Progress(0.5, some[0][:200]))
    if fails:
        queue.fail(job, raised("\n".join(some)), retry=False)
    else:
        queue.complete(job, args)


@pytest.fixture
def filled(seed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    """A copy of the queue with all the texts, and every command made to believe that it draws on a terminal."""
    shutil.copy(seed, tmp_path / "queue.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FORCE_COLOR", "1")
    yield from a_store(tmp_path, monkeypatch)


def raised(text: str) -> Exception:
    """Return an error with this text, raised, so that it has a traceback."""
    try:
        raise RuntimeError(text)
    except RuntimeError as error:
        return error


def outputs(command: TyperCommand) -> list[str]:
    """Return the formats that a command's --output takes."""
    for parameter in command.params:
        if "--output" in parameter.opts:
            return list(get_args(parameter.type_descriptor.annotation))
    return []


def readable(ended: Ended, output: str) -> None:
    """Make sure that a program can read what was printed for it."""
    if ended.code not in {0, 6}:
        return
    if output == "json":
        json.loads(ended.out)
    elif output == "jsonl":
        for line in ended.out.splitlines():
            json.loads(line)
    elif output == "csv":
        csv.field_size_limit(LONGEST_LINE)
        rows = list(csv.reader(io.StringIO(ended.out), strict=True))
        assert len({len(row) for row in rows}) <= 1
        assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)


LISTING = [path for path, command in EVERY.items() if not any(one.required for one in command.params)]


def test_every_command_that_lists_shows_them_harmlessly(filled: PersistentQInterface) -> None:
    shown = {("list-jobs",), ("journal",), ("consumers",), ("stats",), ("errors",), ("attention",)}
    assert shown | {("schedules", "list"), ("monitor-activity",), ("doctor",)} <= set(LISTING)
    for path in LISTING:
        more = ENDLESS.get(path[-1], ()) + (
            ("--limit", "1000") if path[-1] in {"list-jobs", "journal"} else ()
        )
        for output in [] if path[-1] in ELSEWHERE else outputs(EVERY[path]):
            readable(check(run(*path, *more, "--output", output), path, output), output)


@pytest.mark.parametrize("name", ["show", "why"])
def test_every_job_is_shown_harmlessly(filled: PersistentQInterface, name: str) -> None:
    many = list(filled.list_jobs(status=("done", "failed"), limit=1000))
    assert len(many) >= 0.9 * NUMBER / TOGETHER
    others = list(filled.list_jobs(status="pending", limit=1000))[::40]
    for n, job in enumerate([*many, *others]):
        formats = outputs(EVERY[(name,)])
        output = formats[n % len(formats)] if n % 3 else formats[0]
        readable(check(run(name, job.id, "--output", output), name, job.id), output)


@pytest.mark.parametrize("output", ["text", "json"])
def test_every_act_tells_of_them_harmlessly(filled: PersistentQInterface, output: str) -> None:
    for verb in ("cancel", "resubmit", "mark-failed"):
        for more in (("--dry-run",), ("--yes",)):
            check(run(verb, "--all", *more, "--output", output), verb, more)
    check(run("mark-failed", *range(1, 50), "--output", output))
    check(run("delete-db-jobs", "--yes", "--output", output))


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_file_of_them_comes_back(filled: PersistentQInterface, form: str) -> None:
    before = everything(filled)
    # Some of the texts look like the names of secrets.
    assert check(run("export", f"jobs.{form}", "--all", "--reveal")).code == 0
    assert run("delete-db-jobs", "--yes").code == 0
    ended = check(run("import", f"jobs.{form}", "--again"))
    assert ended.out == f"imported {len(before)} jobs from jobs.{form}\n", ended.err
    assert everything(filled) == before


def everything(queue: PersistentQInterface) -> list[tuple[object, ...]]:
    jobs = queue.list_jobs(limit=1000)
    return [(job.task, job.args, job.unique_key, job.metadata) for job in jobs]


def places() -> Iterator[tuple[tuple[str, ...], str, tuple[str, ...]]]:
    """Yield every place where a command takes a text: the command, the place's name, and what else is typed."""
    for path, command in EVERY.items():
        if path[-1] in ELSEWHERE:
            continue
        arguments = [one for one in command.params if isinstance(one, TyperArgument)]
        for parameter in command.params:
            if takes_text(parameter):
                others = tuple("7" for one in arguments if one is not parameter and one.required)
                yield path, place(parameter), (*others, *ENDLESS.get(path[-1], ()))


def takes_text(parameter: Any) -> bool:
    is_flag = getattr(parameter, "is_flag", False)
    return not is_flag and parameter.name not in {"help", "install_completion", "show_completion"}


def place(parameter: Any) -> str:
    return "" if isinstance(parameter, TyperArgument) else parameter.opts[0]


PLACES = list(places())


def piped(text: str) -> str:
    """Return a text as it can come down a pipe."""
    return text.encode("utf-8", "replace").decode()


def typed(path: tuple[str, ...], option: str, more: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return what is typed so that the text stands there."""
    if option:
        return (*path, *more, f"{option}={text}")
    return (*path, *more, "--", text) if more or text.startswith("-") else (*path, text)


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_place_takes_them(store: PersistentQInterface, path: tuple[str, ...]) -> None:
    """Each of a command's arguments and options gets some of all that is hostile."""
    store.enqueue_many([NewJob("t")] * 8)
    for own, option, more in PLACES:
        for text in (MIXED, UNSTORABLE[-1]) if own == path else ():
            words = typed(own, option, more, text)
            as_json = ("--output", "json") if outputs(EVERY[path]) and option not in {"--output", ""} else ()
            ended = check(run(*words, *as_json, given=piped(text)), words)
            for said in filter(None, (ended.out.strip(), ended.err.strip() if ended.code else "")):
                assert not as_json or json.loads(said)


def test_every_text_is_typed_somewhere(store: PersistentQInterface) -> None:
    store.enqueue_many([NewJob("t")] * 8)
    for n, text in enumerate(TEXTS):
        own, option, more = PLACES[n % len(PLACES)]
        words = typed(own, option, more, text)
        check(run(*words, given=piped(text)), words)


def test_there_are_three_hundred() -> None:
    assert len(set(TEXTS)) == NUMBER == 300
    assert len(PLACES) < NUMBER
