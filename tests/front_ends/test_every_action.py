"""Each action through the layer and through every face, on equal databases: the same rows, the same journal.

A face is one entry of FACES: a function that does to the database of a folder what a Case says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select

from manager.asking import Question
from persistentq import Act, JobStatus, NewJob, PersistentQSQLAlchemy
from persistentq.acts import ACTED_ON
from persistentq.operations import Operator
from persistentq.operations.formats import Format
from persistentq.sql.models import Base, EpochMicroseconds, SchemaRow
from tests.front_ends import manager_kit
from tests.front_ends.admin_kit import environment, run
from tests.front_ends.ops_acts import by_dashboard

REASON = "for the test"
LATE = datetime(2035, 5, 1, 12, tzinfo=UTC)
FIRST_SURE_TIME = datetime(2030, 1, 1, tzinfo=UTC)
"""What lies before was now when it was written, and differs between two databases."""

EACH_STATUS = (
    JobStatus.DONE,
    JobStatus.FAILED,
    JobStatus.PROCESSING,
    JobStatus.PENDING,
    JobStatus.CANCELLED,
    JobStatus.SCHEDULED,
)
IDS = dict(zip(EACH_STATUS, range(1, 7), strict=True))


class Case(NamedTuple):
    """One action, as a face is asked for it.

    Attributes:
        verb: As the journal tells it.
        typed: How the command line is asked for it.
        act: Of acts on jobs: what is done to them.
        ids: The jobs that are named; empty if a query means them.
        where: The query.
        do: Of other actions: what it is in the layer.
    """

    verb: str
    typed: tuple[str, ...]
    act: Act | None = None
    ids: tuple[int, ...] = ()
    where: str = ""
    do: Callable[[Operator], object] | None = None


def acted(act: Act, *typed: str, ids: tuple[JobStatus, ...] = (), where: str = "") -> Case:
    named = tuple(IDS[status] for status in ids)
    words = tuple(map(str, named)) if named else ("--where", where, "--yes")
    return Case(act.verb, (*typed, *words), act, named, where)


def other(verb: str, do: Callable[[Operator], object], *typed: str) -> Case:
    return Case(verb, typed, do=do)


EVERY = "id>=1"
FAILED, DONE, PENDING = JobStatus.FAILED, JobStatus.DONE, JobStatus.PENDING
PROCESSING, SCHEDULED, CANCELLED = JobStatus.PROCESSING, JobStatus.SCHEDULED, JobStatus.CANCELLED
CASES = {
    "resubmit": acted(Act("resubmit"), "resubmit", ids=(FAILED, DONE, CANCELLED)),
    "resubmit a query": acted(Act("resubmit"), "resubmit", where=EVERY),
    "cancel": acted(Act("cancel"), "cancel", ids=(PENDING, PROCESSING, DONE)),
    "cancel a query": acted(Act("cancel"), "cancel", where="status:pending OR status:scheduled"),
    "mark failed": acted(Act("mark-failed", error=REASON), "mark-failed", ids=(PENDING, PROCESSING)),
    "mark a query failed": acted(Act("mark-failed", error=REASON), "mark-failed", where=EVERY),
    "assign": Case(
        "assign", ("assign-job", "4", "c9", "--yes"), Act("assign", consumer="c9"), (IDS[PENDING],)
    ),
    "assign a running one": Case(
        "assign", ("assign-job", "3", "c9", "--yes"), Act("assign", consumer="c9"), (IDS[PROCESSING],)
    ),
    "assign to anyone": Case("assign", ("assign-job", "6", "--anyone"), Act("assign"), (IDS[SCHEDULED],)),
    "reschedule": acted(
        Act("reschedule", run_at=LATE), "reschedule", "--at", LATE.isoformat(), ids=(PENDING, DONE)
    ),
    "reschedule at once": acted(Act("reschedule"), "reschedule", "--now", where=EVERY),
    "set the priority": Case(
        "set-priority", ("set-priority", "2", "4", "7"), Act("set-priority", priority=7), (2, 4)
    ),
    "set a query's priority": acted(
        Act("set-priority", priority=7), "set-priority", "7", where="task:t status:pending"
    ),
    "edit arguments": acted(
        Act("edit-arguments", arguments={"b": [1], "c": "x"}, without=("a",)),
        *("edit-arguments", "--set", "b=[1]", "--set", 'c="x"', "--drop", "a"),
        ids=(PENDING, FAILED, PROCESSING),
    ),
    "delete": acted(Act("delete"), "delete-db-jobs", where="status:done OR status:failed"),
    "delete all": acted(Act("delete"), "delete-db-jobs", where=EVERY),
    "undo": other("undo", lambda operator: operator.undo(2, reason=REASON), "undo", "2"),
    "pause": other(
        "pause",
        lambda operator: operator.pause_queue("mail", lasting=timedelta(hours=1), reason=REASON),
        *("pause", "mail", "--for", "1h"),
    ),
    "pause for good": other(
        "pause", lambda operator: operator.pause_queue("mail", reason=REASON), "pause", "mail"
    ),
    "resume": other(
        "resume", lambda operator: operator.resume_queue("default", reason=REASON), "resume", "default"
    ),
    "enqueue": other(
        "enqueue",
        lambda operator: operator.enqueue(
            NewJob("t", {"n": 1}, queue="mail", priority=3, run_at=LATE, tags=("vip",)), reason=REASON
        ),
        *("enqueue", "t", "--arg", "n=1", "--queue", "mail", "--priority", "3", "--tag", "vip"),
        *("--at", LATE.isoformat()),
    ),
    "import": other(
        "import",
        lambda operator: operator.import_jobs(
            operator.preview_import(Path("jobs.jsonl"), Format.JSONL), reason=REASON
        ),
        *("import", "jobs.jsonl"),
    ),
    "look at secrets": other(
        "reveal", lambda operator: operator.reveal(1, reason=REASON), "show", "1", "--reveal"
    ),
    "take secrets out": other(
        "reveal",
        lambda operator: operator.export(
            operator.choose("status:failed"), Path("out.csv"), Format.CSV, reveal=True, reason=REASON
        ),
        *("export", "out.csv", "--where", "status:failed", "--reveal"),
    ),
}


def prepared(folder: Path) -> None:
    """Make a queue with a job of each status, a paused queue, an act in the journal and a file to import."""
    folder.mkdir()
    (folder / "jobs.jsonl").write_text('{"task": "t", "queue": "mail"}\n{"task": "t", "unique_key": "k"}\n')
    with PersistentQSQLAlchemy(f"sqlite:///{folder}/queue.db") as queue:
        queue.enqueue_many([NewJob("t", {"a": 1, "password": "x"})] * 3)
        done, failed, _ = queue.dequeue("c1", limit=3)
        queue.complete(done, {"lines": 1})
        queue.fail(failed, ValueError("broke"), retry=False)
        queue.enqueue("t", {"a": 1}, unique_key="k")
        queue.cancel(queue.enqueue("t", {"a": 1}).id)
        queue.enqueue("t", run_at=LATE)
        queue.pause_queue("default")
        assert {job.status: job.id for job in queue.list_jobs()} == IDS
        Operator(queue, actor="before").act(Act("cancel"), [IDS[PENDING]])
        Operator(queue, actor="before").act(Act("resubmit"), [IDS[PENDING]])


def by_layer(folder: Path, case: Case) -> None:
    with PersistentQSQLAlchemy(f"sqlite:///{folder}/queue.db") as queue:
        operator = Operator(queue)
        if case.do is not None:
            case.do(operator)
        elif case.act is not None:
            named = {"ids": case.ids} if case.ids else {"where": case.where}
            # The command line keeps the reason of mark-failed as the jobs' error too.
            operator.apply(operator.preview(case.act, **named), reason=REASON)


def by_cli(folder: Path, case: Case) -> None:
    ended = run(*case.typed, "--reason", REASON)
    assert ended.code in {0, 3}, ended


def by_manager(folder: Path, case: Case) -> None:
    with manager_kit.running(folder) as manager:
        manager.wait_for_jobs()
        for line in manager_lines(case):
            manager.press(*line, "Enter")
            manager.wait(lambda: manager.state.prompt is None and manager.state.is_current)
        manager.wait(lambda: isinstance(manager.state.dialog, Question) and manager.state.dialog.is_ready)
        asked = manager.state.dialog
        assert isinstance(asked, Question)
        reason = ("Tab", "Tab") if not asked.wants_number else ("Tab",)
        manager.press(*reason, *REASON, "Enter")
        manager.press(*((str(asked.fitting), "Enter") if asked.wants_number else ("y",)))
        manager.wait(lambda: manager.state.message is not None and not manager.state.busy)


def manager_lines(case: Case) -> list[str]:
    """Return what is typed into the manager: first what selects jobs, at last the command."""
    if case.act is None:
        return {
            "undo": [":undo 2"],
            "resume": [":resume default"],
            "enqueue": [f":enqueue t n=1 --queue=mail --priority=3 --tag=vip --at={LATE.isoformat()}"],
            "import": [":import jobs.jsonl"],
            "pause": [":pause mail 1h" if "--for" in case.typed else ":pause mail"],
            "reveal": [":job 1", ":reveal"]
            if case.typed[0] == "show"
            else ["/status:failed", ":export out.csv --reveal"],
        }[case.verb]
    act = case.act
    words = {
        "assign": act.consumer or "--anyone",
        "reschedule": act.run_at.isoformat() if act.run_at else "now",
        "set-priority": str(act.priority),
        "edit-arguments": """b=[1] 'c="x"' -a""",
    }
    chosen = [f":mark {' '.join(map(str, case.ids))}"] if case.ids else [f"/{case.where}", ":mark all"]
    return [*chosen, f":{act.verb} {words.get(act.verb, '')}".rstrip()]


FACES: Mapping[str, Callable[[Path, Case], None]] = {
    "cli": by_cli,
    "manager": by_manager,
    "dashboard": lambda _, case: by_dashboard(case, REASON),
}


@pytest.mark.parametrize(
    ("face", "name"),
    [(face, name) for face in FACES for name in CASES],
)
def test_a_face_does_what_the_layer_does(
    face: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    monkeypatch.delenv("QUEUE_DB_URL", raising=False)
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    found = {}
    for how, do in {"library": by_layer, face: FACES[face]}.items():
        folder = tmp_path / how
        prepared(folder)
        before = stored(folder)
        monkeypatch.chdir(folder)
        for key, value in environment(folder).items():
            monkeypatch.setenv(key, value)
        do(folder, case)
        found[how] = stored(folder)
        assert found[how] != before
        newest = max(found[how]["persistentq_journal"], key=lambda entry: entry["id"])
        assert (newest["verb"], newest["face"], newest["reason"]) == (case.verb, how, REASON)
        newest["face"] = "a face"
    assert found["library"] == found[face]


def test_every_verb_has_its_case() -> None:
    verbs = {case.verb for case in CASES.values()}
    assert verbs == {*ACTED_ON, "undo", "pause", "resume", "enqueue", "import", "reveal"}
    assert all(case.act is not None or case.do is not None for case in CASES.values())


def stored(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, with a mark where a time stands that is another in each database."""
    tables = [table for table in Base.metadata.sorted_tables if table.name != SchemaRow.__tablename__]
    with (
        PersistentQSQLAlchemy(f"sqlite:///{folder}/queue.db") as queue,
        queue.engine.connect() as connection,
    ):
        return {
            table.name: [plain(row) for row in connection.execute(select(table)).mappings()]
            for table in tables
        }


TIMES = frozenset(
    column.name
    for table in Base.metadata.tables.values()
    for column in table.columns
    if isinstance(column.type, EpochMicroseconds)
)


def plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value_of(str(name), value) for name, value in row.items()}


def value_of(name: str, value: Any) -> Any:
    match value:
        case datetime():
            return value if value > FIRST_SURE_TIME else "a time"
        case str() if value[:1] in {"{", "["}:
            return without_times(json.loads(value))
    return value


def without_times(value: Any) -> Any:
    """Return JSON of the journal or the trash, whose times count from the moment of an act."""
    match value:
        case dict():
            return {
                name: "a time" if name in TIMES and isinstance(one, int) else without_times(one)
                for name, one in value.items()
            }
        case list():
            return [without_times(one) for one in value]
    return value
