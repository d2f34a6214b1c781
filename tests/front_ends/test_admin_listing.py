"""list-jobs, show, consumers and stats: what they print, in every format."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from persistentq import NewJob, PersistentQInterface, Progress
from tests.front_ends.admin_kit import HOSTILE, a_store, run

KEYS = ["id", "status", "task", "queue", "priority", "attempt", "max_attempts", "consumer"]
KEYS += ["created_at", "run_at", "started_at", "finished_at", "error", "args"]
FORMATS = ["table", "tsv", "csv", "json", "jsonl", "ids"]
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    yield from a_store(tmp_path, monkeypatch)


@pytest.fixture
def six(store: PersistentQInterface) -> dict[str, int]:
    """One job of each status; their ids by status."""
    names = ("done", "failed", "processing", "cancelled", "pending")
    ids = {name: store.enqueue("file.stamp", {"path": f"/files/{name}"}).id for name in names}
    ids["scheduled"] = store.enqueue("mail.send", queue="mail", delay=timedelta(hours=5)).id
    done, failed, _ = store.dequeue("consumer_00", limit=3)
    store.complete(done, {"lines": 1})
    store.fail(failed, ValueError("no such thing"), retry=False)
    store.cancel(ids["cancelled"])
    return ids


def listed(*arguments: object) -> list[int]:
    code, out, err = run("list-jobs", "--output", "ids", *arguments)
    assert (code, err) == (0, "")
    return [int(line) for line in out.splitlines()]


def test_json_has_the_promised_shape(six: dict[str, int]) -> None:
    code, out, err = run("list-jobs", "--output", "json")
    document = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert list(document) == ["schema", "items", "next"]
    assert (document["schema"], document["next"]) == (1, None)
    assert [item["id"] for item in document["items"]] == sorted(six.values(), reverse=True)
    for item in document["items"]:
        assert list(item)[: len(KEYS)] == KEYS
        assert {"reserved_for", "cancel_requested", "result"} < set(item)
        assert UTC_TIME.fullmatch(item["created_at"])
    by_status = {item["status"]: item for item in document["items"]}
    assert by_status["done"]["args"] == {"path": "/files/done"}
    assert by_status["done"]["result"] == {"lines": 1}
    assert by_status["failed"]["error"] == "no such thing"
    assert by_status["pending"]["finished_at"] is None


def test_filters_may_be_repeated_and_combined(six: dict[str, int]) -> None:
    assert listed("--status", "failed", "-s", "done") == [six["failed"], six["done"]]
    assert listed("--queue", "mail") == [six["scheduled"]]
    assert listed("--task", "file.stamp", "--status", "pending", "--limit", 5) == [six["pending"]]
    assert listed("--consumer", "consumer_00") == [six["processing"], six["failed"], six["done"]]


def test_pages_show_every_job_once(six: dict[str, int]) -> None:
    seen: list[int] = []
    cursor: list[str] = []
    while True:
        _, out, _ = run("list-jobs", "--limit", 4, "--output", "json", *cursor)
        document = json.loads(out)
        seen += [item["id"] for item in document["items"]]
        if document["next"] is None:
            break
        cursor = ["--after", document["next"]]
    assert seen == sorted(six.values(), reverse=True)


def test_other_formats_say_on_stderr_that_there_is_more(six: dict[str, int]) -> None:
    code, out, err = run("list-jobs", "--limit", 2, "--output", "ids")
    assert (code, len(out.splitlines())) == (0, 2)
    assert err == f"hint: there are more jobs; --after {out.split()[-1]} shows the next ones\n"


def test_a_limit_may_exceed_what_one_read_gives(store: PersistentQInterface) -> None:
    store.enqueue_many(NewJob("x") for _ in range(2_100))
    assert len(listed("--limit", 2_500)) == len(set(listed("--limit", 2_500))) == 2_100
    assert len(run("list-jobs", "--limit", 2_050, "--output", "ids").out.splitlines()) == 2_050


def test_piped_output_is_tsv_with_full_values(store: PersistentQInterface) -> None:
    path = "/a" * 500
    job = store.enqueue("file.stamp", {"path": path})
    header, row = (line.split("\t") for line in run("list-jobs").out.splitlines())
    assert header[: len(KEYS)] == KEYS
    values = dict(zip(header, row, strict=True))
    assert values["id"] == str(job.id)
    assert json.loads(values["args"]) == {"path": path}
    assert values["error"] == ""
    assert run("list-jobs", "--no-headers").out.splitlines() == ["\t".join(row)]


@pytest.fixture
def hostile(store: PersistentQInterface) -> int:
    """A failed job whose every free text is an attack; its id."""
    store.enqueue("=cmd|evil", {HOSTILE: HOSTILE}, unique_key=HOSTILE)
    (job,) = store.dequeue("consumer_00")
    store.record(job, lines=[HOSTILE], progress=Progress(0.5, HOSTILE))
    store.fail(job, RuntimeError(HOSTILE), retry=False)
    return job.id


@pytest.mark.parametrize("output", FORMATS)
def test_hostile_text_reaches_no_terminal(hostile: int, output: str) -> None:
    code, out, _ = run("list-jobs", "--output", output)
    assert code == 0
    assert {char for char in out if not char.isprintable()} <= {"\n", "\t"}


@pytest.mark.parametrize("output", ["text", "tsv", "json"])
def test_hostile_text_reaches_no_terminal_from_show(hostile: int, output: str) -> None:
    code, out, _ = run("show", hostile, "--output", output)
    assert code == 0
    assert {char for char in out if not char.isprintable()} <= {"\n", "\t"}
    assert "[bold]x[/bold] :smile:" in out


def test_tsv_and_json_can_be_read_back(store: PersistentQInterface) -> None:
    args = {"plain": "back\\slash", HOSTILE: [HOSTILE, 1.5, None, True]}
    store.enqueue("x", args, unique_key="one\ttwo\\n\nthree")
    assert json.loads(run("list-jobs", "-o", "json").out)["items"][0]["args"] == args
    assert json.loads(run("list-jobs", "-o", "jsonl").out)["args"] == args
    header, row = (line.split("\t") for line in run("list-jobs", "-o", "tsv").out.splitlines())
    cells = dict(zip(header, row, strict=True))
    assert cells["unique_key"] == r"one\ttwo\\n\nthree"
    assert json.loads(cells["args"].replace("\\\\", "\\")) == args


def test_csv_is_for_spreadsheets_and_starts_no_formula(store: PersistentQInterface) -> None:
    store.enqueue("=1+1", {"a": 'quote " comma , '}, priority=-7)
    (row,) = csv.DictReader(io.StringIO(run("list-jobs", "--output", "csv").out))
    assert row["task"] == "'=1+1"
    assert row["priority"] == "-7"
    assert json.loads(row["args"]) == {"a": 'quote " comma , '}


@pytest.mark.parametrize("columns", [80, 200])
def test_a_table_fits_its_terminal(
    six: dict[str, int], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    header, *rows = run("list-jobs", "--output", "table").out.splitlines()
    assert " ".join(header.split()) == "ID STATUS TASK QUEUE ATTEMPT CONSUMER SINCE DETAIL"
    assert len(rows) == 6
    assert max(map(len, rows)) <= columns
    (failed,) = (row for row in rows if "✗ failed" in row)
    assert failed.split()[:6] == [str(six["failed"]), "✗", "failed", "file.stamp", "default", "1/3"]
    assert ("no such thing" in failed) == (columns == 200)
    assert any("in 5h" in row for row in rows if "◷ scheduled" in row)


@pytest.mark.parametrize("output", FORMATS)
def test_nothing_found_is_no_error(store: PersistentQInterface, output: str) -> None:
    code, out, err = run("list-jobs", "--output", output)
    assert code == 0
    assert out == ('{"schema": 1, "items": [], "next": null}\n' if output == "json" else "")
    assert err == f"hint: there is no job in {store.location} yet; a producer makes some\n"


def test_nothing_found_says_which_filter_excludes_everything(store: PersistentQInterface) -> None:
    store.enqueue_many([NewJob("x")] * 3)
    code, out, err = run("list-jobs", "-s", "done", "-s", "failed", "--queue", "mail")
    assert (code, out) == (0, "")
    assert err == (
        f"hint: none of the 3 jobs in {store.location} matches --status done --status failed --queue mail\n"
        "hint: without status:done OR status:failed, 0 would match\n"
        "hint: without queue:mail, 0 would match\n"
    )
    _, _, err = run("list-jobs", "--where", "task:x queue:mail")
    assert err.endswith("hint: without task:x, 0 would match\nhint: without queue:mail, 3 would match\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list-jobs", "--status", "lost"], "'lost' is not one of 'scheduled', 'pending'"),
        (["list-jobs", "--limit", "0"], "'--limit'"),
        (["list-jobs", "--after", "x"], "after 'x' is not a cursor"),
        (["list-jobs", "--queue", "a b"], "queue 'a b' is not"),
        (["list-jobs", "--output", "yaml"], "'yaml' is not one of"),
        (["list-jobs", "--nonsense"], "no such option: --nonsense"),
        (["list-job"], "no such command 'list-job'. Did you mean 'list-jobs'?"),
        (["show", "seven"], "job id 'seven' is not a whole number"),
        (["show", "0"], "job id 0 is not a whole number"),
        (["show", "9" * 30], "is not a whole number"),
        (["show"], "missing argument 'JOB'"),
    ],
)
def test_a_wrong_call_is_answered_with_2(
    store: PersistentQInterface, arguments: list[str], said: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err.splitlines()[0]


def test_a_wrong_call_is_answered_in_json_where_json_was_asked_for(store: PersistentQInterface) -> None:
    for words in (["--output", "json"], ["--output=json"], ["-o", "json"], ["-ojson"]):
        code, out, err = run("list-jobs", "--status", "lost", *words)
        assert (code, out) == (2, "")
        error = json.loads(err)
        assert list(error) == ["error", "code", "hint"]
        assert error["code"] == 2
        assert "'lost'" in error["error"]
        assert "list-jobs --help" in error["hint"]


def test_show_tells_what_happened_to_a_job(six: dict[str, int]) -> None:
    code, out, err = run("show", six["failed"], "--output", "json")
    document = json.loads(out)
    assert (code, err, list(document)) == (0, "", ["schema", "job", "attempts", "log", "acts"])
    assert document["job"]["error"] == "no such thing"
    (attempt,) = document["attempts"]
    assert (attempt["outcome"], attempt["error_type"], attempt["consumer"]) == (
        "failed",
        "ValueError",
        "consumer_00",
    )

    rows = dict(line.split("\t", 1) for line in run("show", six["failed"]).out.splitlines())
    assert (rows["status"], rows["attempts.1.outcome"]) == ("failed", "failed")

    text = run("show", six["failed"], "--output", "text").out
    for words in (
        f"job {six['failed']}  ✗ failed",
        "1 of at most 3",
        "no such thing",
        '"path": "/files/failed"',
    ):
        assert words in text


def test_show_tells_what_the_task_has_told(store: PersistentQInterface) -> None:
    store.enqueue("x")
    (job,) = store.dequeue("consumer_00")
    store.record(
        job, lines=["too old"] + ["a line"] * 998 + ["one", "two"], progress=Progress(0.25, "reading")
    )
    log = json.loads(run("show", job.id, "--output", "json").out)["log"]
    assert (log["progress"], log["dropped"]) == ({"fraction": 0.25, "note": "reading"}, 1)
    assert len(log["lines"]) == 1000
    assert (log["lines"][-1]["attempt"], log["lines"][-1]["text"]) == (1, "two")
    rows = dict(line.split("\t", 1) for line in run("show", job.id).out.splitlines())
    assert (rows["progress"], rows["progress_note"], rows["log.1001"]) == ("0.25", "reading", "two")
    text = run("show", job.id, "--output", "text").out
    assert "25% reading" in text
    assert "log (its first 1 lines are not kept)" in text
    assert re.search(r"\n  \d\d:\d\d:\d\dZ  1  two\n$", text)


def test_show_of_a_job_that_never_ran_has_no_attempts(six: dict[str, int]) -> None:
    text = run("show", six["scheduled"], "--output", "text").out
    assert "(in 5h)" in text
    assert "ATTEMPT" not in text


def test_show_of_an_unknown_job_ends_with_5(store: PersistentQInterface) -> None:
    assert run("show", 99) == (
        5,
        "",
        "error: job 99 does not exist\nhint: list-jobs shows the ids that exist\n",
    )
    code, out, err = run("show", 99, "--output", "json")
    assert (code, out) == (5, "")
    assert json.loads(err) == {
        "error": "job 99 does not exist",
        "code": 5,
        "hint": "list-jobs shows the ids that exist",
    }


def test_consumers_are_listed_with_their_state(six: dict[str, int], store: PersistentQInterface) -> None:
    store.heartbeat("consumer_00", host="box", pid=4321, queues=["default", "mail"])
    store.heartbeat("consumer_01", host="box", pid=4322, queues=["default"])
    store.retire("consumer_01")
    items = json.loads(run("consumers", "--output", "json").out)["items"]
    assert [(item["id"], item["state"], item["held"]) for item in items] == [
        ("consumer_00", "alive", 1),
        ("consumer_01", "stopped", 0),
    ]
    assert items[0]["queues"] == ["default", "mail"]
    table = run("consumers", "--output", "table").out
    assert "CONSUMER" in table
    assert "default, mail" in table


def test_no_consumers_is_no_error(store: PersistentQInterface) -> None:
    code, out, err = run("consumers")
    assert (code, out) == (0, "")
    assert err == f"hint: no consumer has reported to {store.location} yet\n"


def test_stats_count_each_queue_and_all(six: dict[str, int]) -> None:
    items = json.loads(run("stats", "--output", "json").out)["items"]
    assert items[0] == {
        "queue": "default",
        "scheduled": 0,
        "pending": 1,
        "processing": 1,
        "done": 1,
        "failed": 1,
        "cancelled": 1,
        "total": 5,
    }
    assert [(item["queue"], item["total"]) for item in items] == [("default", 5), ("mail", 1)]
    assert run("stats", "--output", "table").out.split()[-8:] == ["all", *"1111116"]


def test_stats_of_an_empty_queue(store: PersistentQInterface) -> None:
    code, out, err = run("stats", "--output", "json")
    assert (code, out) == (0, '{"schema": 1, "items": [], "next": null}\n')
    assert err.startswith("hint: there is no job in ")


def test_jobs_are_found_by_a_query(six: dict[str, int]) -> None:
    assert listed("--where", "status:failed OR queue:mail") == [six["scheduled"], six["failed"]]
    assert listed("--where", "task:file.*", "--status", "done") == [six["done"]]
    assert listed("--where", "args.path:/files/failed") == [six["failed"]]
    code, out, err = run("list-jobs", "--where", "task:nothing")
    assert (code, out) == (0, "")
    assert "none of the 6 jobs in" in err
    assert err.strip().endswith("matches --where task:nothing")
    code, out, err = run("list-jobs", "--where", "statu:done")
    assert (code, out) == (2, "")
    assert "did you mean 'status'?" in err


def test_a_query_that_no_index_knows_says_how_far_it_looked(
    six: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistentq.sql.finding.SCAN", 3)
    code, out, err = run("list-jobs", "--where", "args.path:/files/done", "-o", "ids")
    assert (code, out) == (0, "")
    assert err.startswith("hint: no index knows all of this: 3 jobs were looked at, and there are more\n")
    cursor = err.split("--after ")[1].split()[0]
    assert listed("--where", "args.path:/files/done", "--after", cursor) == [six["done"]]


def test_only_the_fields_that_are_named(store: PersistentQInterface) -> None:
    store.enqueue("mail.send", {"to": "a"}, priority=3)
    assert (
        run("list-jobs", "--fields", "priority, args,id,id").out == 'priority\targs\tid\n3\t{"to": "a"}\t1\n'
    )
    assert json.loads(run("list-jobs", "--fields", "task", "-o", "json").out)["items"] == [
        {"task": "mail.send"}
    ]
    table = run("list-jobs", "--fields", "task,args", "-o", "table").out
    assert [line.split() for line in table.splitlines() if "mail" in line] == [
        ["mail.send", '{"to":', '"a"}']
    ]


def test_a_field_that_no_job_has(store: PersistentQInterface) -> None:
    code, out, err = run("list-jobs", "--fields", "id,priorty")
    assert (code, out) == (2, "")
    assert err.startswith(
        "error: a job has no field 'priorty'\nhint: did you mean 'priority'? there are id, status, "
    )
    assert run("list-jobs", "--fields", "id", "-o", "ids").code == 2
