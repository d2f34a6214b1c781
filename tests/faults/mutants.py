"""Breaks the library on purpose, in one place at a time, and sees that the tests notice: `make mutants`.

Each breakage is made in a copy of the checkout, where the test that is to catch it must fail, having passed before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGE = "docs/reliability.md"
HEAD = "| broken on purpose | caught by |"
COPIED = (
    "persistentq",
    "admin",
    "manager",
    "ops",
    "producer",
    "consumer",
    "supervisor",
    "tests",
    "scripts",
    "docs",
)
FAILED, PATIENCE_S = 1, 240


class Mutant(NamedTuple):
    """One breakage: in this file, this text becomes that, and this test must fail.

    Attributes:
        catcher: A test as pytest names it.
        also: A second text of the same file, and what it becomes.
    """

    name: str
    path: str
    old: str
    new: str
    catcher: str
    also: tuple[str, str] = ("", "")


SQL, RUN = "persistentq/sql", "persistentq/runtime"
CONSUMING, RULES = "tests/contract/test_consuming.py", "tests/sql/test_sqlite_rules.py"
PG_LOSS, CHAOS = (
    "tests/sql/test_postgresql_connections.py",
    "tests/faults/test_chaos.py::test_the_plug_is_pulled",
)
FENCE = "return [JobRow.id == job_id, JobRow.consumer == consumer, JobRow.attempt == attempt]"
PIECES = "tests/unit/test_plain_parts.py"

MUTANTS = (
    Mutant(
        "no fence: any word on a job that runs is heard",
        f"{SQL}/statements.py",
        FENCE,
        "return [JobRow.id == job_id]",
        f"{CHAOS}[sqlite]",
    ),
    Mutant(
        "the same, on PostgreSQL",
        f"{SQL}/statements.py",
        FENCE,
        "return [JobRow.id == job_id]",
        f"{CHAOS}[postgresql]",
    ),
    Mutant(
        "a fence of the owner's name only",
        f"{SQL}/statements.py",
        FENCE,
        "return [JobRow.id == job_id, JobRow.consumer == consumer]",
        f"{CONSUMING}::test_a_stale_consumer_with_a_reused_id_is_refused",
    ),
    Mutant(
        "failures are heard from stale consumers",
        f"{SQL}/settling.py",
        "            JobRow.attempt == job.attempt,\n",
        "",
        f"{CONSUMING}::test_a_stale_consumer_with_a_reused_id_is_refused",
    ),
    Mutant(
        "done before the work is",
        f"{RUN}/turns.py",
        "            runs.append(run)\n",
        "            runs.append(run)\n            self._queue.complete(job)\n",
        f"{CHAOS}[sqlite]",
    ),
    Mutant(
        "an attempt that killed its worker does not count",
        f"{SQL}/settling.py",
        "        wait(row, JobStatus.PENDING, error=failure.message)",
        "        wait(row, JobStatus.PENDING, error=failure.message)\n        row.max_attempts += 1",
        f"{CHAOS}[sqlite]",
    ),
    Mutant(
        "lost jobs come back without end",
        f"{SQL}/settling.py",
        "    elif row.attempt >= row.max_attempts:\n        finish(row, JobStatus.FAILED, now, failure.message)",
        "    elif row.attempt >= row.max_attempts + 1:\n        finish(row, JobStatus.FAILED, now, failure.message)",
        f"{CONSUMING}::test_a_job_that_kills_its_worker_each_time_ends_failed",
    ),
    Mutant(
        "leases are not looked at: living jobs are given away",
        f"{SQL}/statements.py",
        ".where(HELD, _micros(JobRow.lease_until) <= NOW)",
        ".where(HELD)",
        f"{CHAOS}[sqlite]",
    ),
    Mutant(
        "leases never end",
        f"{SQL}/claiming.py",
        "            expire(session, row, now)",
        "            pass",
        f"{CONSUMING}::test_an_expired_lease_returns_the_job",
    ),
    Mutant(
        "nobody renews a lease",
        f"{RUN}/turns.py",
        "bool(self.hands) and self._renewal.passed,",
        "False,",
        "tests/runtime/test_consumer.py::test_a_job_longer_than_its_lease_is_kept",
    ),
    Mutant(
        "leases are renewed for whoever asks",
        f"{SQL}/statements.py",
        "        .where(STILL_HELD, *fence)\n",
        "        .where(STILL_HELD, fence[0])\n",
        f"{CONSUMING}::test_only_the_holder_at_its_attempt_is_heard",
    ),
    Mutant(
        "transactions begin without the write lock",
        f"{SQL}/sqlite_turns.py",
        'execute("BEGIN IMMEDIATE")',
        'execute("BEGIN")',
        f"{RULES}::test_a_transaction_that_may_write_takes_the_lock_at_its_beginning",
    ),
    Mutant(
        "a claim in two steps: what was ready is taken, whoever has taken it meanwhile",
        f"{SQL}/statements.py",
        "        .with_for_update(skip_locked=True)\n        .subquery()",
        "        .subquery()",
        "tests/sql/test_postgresql_claims.py::test_every_job_is_claimed_once",
        also=("            STILL_READY,\n", ""),
    ),
    Mutant(
        "synchronous=NORMAL",
        f"{SQL}/sqlite.py",
        '"synchronous=FULL"',
        '"synchronous=NORMAL"',
        f"{RULES}::test_every_connection_keeps_the_rules",
    ),
    Mutant(
        "the application's clock decides on PostgreSQL",
        f"{SQL}/models.py",
        'return "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT)"',
        "import time\n\n    return str(time.time_ns() // 1000)",
        "tests/contract/test_consuming.py",
    ),
    Mutant(
        "a forked child uses its parent's connection",
        f"{SQL}/hot.py",
        "            _INHERITED.append(self._connection)\n        self._connection = self._cursors = None",
        "            return",
        f"{PG_LOSS}::test_a_child_leaves_its_parents_connections_alone",
    ),
    Mutant(
        "and its pool",
        f"{SQL}/dialect.py",
        "    _INHERITED.append(engine.pool)\n    engine.dispose(close=False)",
        "    assert engine.pool",
        f"{PG_LOSS}::test_a_child_leaves_its_parents_connections_alone",
    ),
    Mutant(
        "a forked child believes in SQLite locks that it has not",
        f"{SQL}/hot.py",
        "before=HotPath.rest, ",
        "",
        f"{RULES}::test_a_child_that_outlives_its_parent_loses_nothing",
    ),
    Mutant(
        "a running job may be deleted",
        "persistentq/job.py",
        '_arrow("delete", "scheduled pending done',
        '_arrow("delete", "scheduled pending processing done',
        "tests/contract/test_operating.py::test_delete_jobs_leaves_processing_ones",
    ),
    Mutant(
        "a running job may be resubmitted",
        "persistentq/job.py",
        '_arrow("resubmit", "failed cancelled", "pending")',
        '_arrow("resubmit", "processing failed cancelled", "pending")',
        "tests/contract/test_operating.py::test_a_verb_works_where_the_state_machine_has_an_arrow",
    ),
    Mutant(
        "payloads are printed raw",
        "persistentq/text.py",
        "    if not text.isprintable():",
        "    if False:",
        f"{PIECES}::test_safe_text_is_one_printable_line",
    ),
    Mutant(
        "a path is inside if it begins like the folder",
        "persistentq/job_files.py",
        "inner = Path(path).resolve(strict=True).relative_to(home)",
        "inner = Path(path).resolve(strict=True)\n        if not str(inner).startswith(str(home)):\n"
        "            raise ValueError",
        "tests/unit/test_job_files.py::test_any_other_file_is_refused_and_left_alone",
    ),
    Mutant(
        "the dashboard listens on every interface",
        "ops/.streamlit/config.toml",
        'address = "127.0.0.1"',
        'address = "0.0.0.0"',
        "tests/front_ends/test_ops_rules.py::test_the_configuration_is_found_from_any_directory",
    ),
    Mutant(
        "the database is readable by everybody",
        f"{SQL}/sqlite_file.py",
        "os.O_EXCL, 0o600",
        "os.O_EXCL, 0o644",
        f"{RULES}::test_files_are_private_whatever_the_umask",
    ),
    Mutant(
        "the consumer's loop swallows what waiting does not mend",
        f"{RUN}/consumer.py",
        "        except StorageUnavailable as error:\n            tell(events.CONSUMER_WAITING",
        "        except PersistentQError as error:\n            tell(events.CONSUMER_WAITING",
        "tests/runtime/test_life.py::test_who_fails_gives_the_id_free_all_the_same",
    ),
    Mutant(
        "a row that cannot be decoded is run",
        f"{SQL}/claiming.py",
        "            broken += unreadable",
        "            jobs += unreadable",
        f"{RULES}::test_a_row_that_cannot_be_decoded_ends_failed",
    ),
    Mutant(
        "a file on a network file system is taken",
        f"{SQL}/sqlite_file.py",
        "    if (kind := NETWORK_FILE_SYSTEMS.get(magic or 0)) is not None:",
        "    if (kind := NETWORK_FILE_SYSTEMS.get(0)) is not None:",
        "tests/sql/test_sqlite_file.py::test_network_file_systems_are_refused",
    ),
    Mutant(
        "what is stored into a deleted file is acknowledged",
        f"{SQL}/sqlite_file.py",
        "        if self._known is None or self._found() != self._known:",
        "        if self._known is None:",
        "tests/sql/test_sqlite_file.py::test_nothing_is_acknowledged_into_a_file_that_is_gone",
    ),
    Mutant(
        "a library with the WAL-reset bug is taken for a safe one",
        f"{SQL}/sqlite.py",
        "    return version >= (3, 51, 3)",
        "    return version >= (3, 40, 0)",
        f"{RULES}::test_the_version_gate",
    ),
    Mutant(
        "ids are used again",
        f"{SQL}/models.py",
        '"sqlite_autoincrement": True',
        '"sqlite_autoincrement": False',
        f"{RULES}::test_ids_are_never_used_again",
    ),
    Mutant(
        "an enqueue without a key is made again after a lost answer",
        f"{SQL}/repeating.py",
        '*("enqueue_many", "fail",',
        '*("fail",',
        f"{PG_LOSS}::test_a_job_without_a_key_is_never_stored_twice",
    ),
    Mutant(
        "a completion that was heard already is refused when it is said again",
        f"{SQL}/store.py",
        "        done = [bool(cursor.rows(self._sql.completed, _identity(word.job))) for word in given]",
        "        done = [False for word in given]",
        "tests/contract/test_turns.py::test_a_completion_that_was_heard_already_is_accepted",
    ),
)


def apply(mutant: Mutant, root: Path) -> None:
    """Break the copy.

    Raises:
        ValueError: the text is not there exactly once.
    """
    path = root / mutant.path
    text = path.read_text(encoding="utf-8")
    for old, new in ((mutant.old, mutant.new), mutant.also):
        if old and text.count(old) != 1:
            raise ValueError(f"{mutant.path} has {text.count(old)} times {old!r}")
        text = text.replace(old, new) if old else text
    path.write_text(text, encoding="utf-8")


def undo(mutant: Mutant, root: Path) -> None:
    shutil.copy2(ROOT / mutant.path, root / mutant.path)


def copy_checkout(to: Path) -> None:
    for name in COPIED:
        shutil.copytree(
            ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "*.log*", "*.sock")
        )
    for path in (*ROOT.glob("*.toml"), *ROOT.glob("*.md"), *ROOT.glob("*.conf"), ROOT / "Makefile"):
        shutil.copy(path, to)


def run_test(name: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Run one test in the copy, with nothing of it left in any cache."""
    command = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        name,
        "-x",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "--timeout",
        "60",
    ]
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def verdicts(mutants: Sequence[Mutant], root: Path) -> Iterator[tuple[Mutant, str]]:
    """Yield what became of each: empty if it was caught."""
    passed: dict[str, str] = {}
    for mutant in mutants:
        if mutant.catcher not in passed:
            whole = run_test(mutant.catcher, root)
            passed[mutant.catcher] = (
                "" if whole.returncode == 0 else f"fails without it: {whole.stdout[-2000:]}"
            )
        if passed[mutant.catcher]:
            yield mutant, passed[mutant.catcher]
            continue
        apply(mutant, root)
        broken = run_test(mutant.catcher, root)
        undo(mutant, root)
        yield (
            mutant,
            "" if broken.returncode == FAILED else f"survived ({broken.returncode}): {broken.stdout[-2000:]}",
        )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    parser.add_argument("words", nargs="*", help="only those whose name or catcher has one of these words")
    given = parser.parse_args(argv)
    chosen = [
        one
        for one in MUTANTS
        if not given.words or any(word in f"{one.name} {one.catcher}" for word in given.words)
    ]
    caught: list[Mutant] = []
    with tempfile.TemporaryDirectory(prefix="persistentq-mutants-") as folder:
        root = Path(folder).resolve()
        copy_checkout(root)
        for mutant, problem in verdicts(chosen, root):
            print(f"{'WRONG ' + problem if problem else 'caught'}: {mutant.name}", flush=True)
            if not problem:
                caught.append(mutant)
    print(f"{len(caught)} of {len(chosen)} caught")
    if given.write and len(caught) == len(MUTANTS):
        write_table(caught, ROOT / PAGE)
    return 0 if len(caught) == len(chosen) else 1


def write_table(caught: Sequence[Mutant], page: Path) -> None:
    """Put the table into the page, in the place of the last one."""
    before, _, rest = page.read_text(encoding="utf-8").partition(HEAD)
    lines = rest.splitlines(keepends=True)[1:]
    while lines and lines[0].startswith("|"):
        lines.pop(0)
    rows = [f"| {one.name} | `{one.catcher}` |" for one in caught]
    page.write_text("\n".join([before + HEAD, "| --- | --- |", *rows, "".join(lines)]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
