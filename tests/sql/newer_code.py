"""A made-up next version of the library: the same code with one more revision of the tables.

Usage: newer_code.py FOLDER; then, for each URL on standard input, opens that queue and prints how many jobs it has, or
the error. A URL after the word `migrate` is migrated instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from persistentq import PersistentQError, migrate, open_queue
from persistentq.sql import schema

ROOT = Path(__file__).resolve().parents[2]
NEWER = "0002"
STEPS = (
    'op.add_column("persistentq_jobs", sa.Column("note", sa.Text))',
    "op.execute(\"UPDATE persistentq_jobs SET note = 'in ' || queue\")",
    'op.create_index("persistentq_note", "persistentq_jobs", ["note"])',
)
PAUSE = 'print("paused", flush=True); sys.stdin.readline()'
HEAD = """\
import sys
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"

def upgrade():
"""


def write_revision(folder: Path, *steps: str) -> Path:
    """Make a folder of migrations: ours, and one that takes these steps."""
    shutil.copytree(schema.MIGRATIONS, folder, dirs_exist_ok=True)
    (folder / "versions" / "v0002_made_up.py").write_text(HEAD + "".join(f"    {step}\n" for step in steps))
    return folder


@contextmanager
def started(script: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A process with pipes, which is killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def newer_process(folder: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    return started(Path(__file__), folder)


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def _serve(line: str) -> str:
    *verb, url = line.split()
    try:
        if verb:
            return str(migrate(url)[1:])
        with open_queue(url) as queue:
            return str(sum(sum(numbers.values()) for numbers in queue.count_jobs().values()))
    except PersistentQError as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    schema.VERSION, schema.MIGRATIONS = NEWER, Path(sys.argv[1])
    print("ready", flush=True)
    for given in sys.stdin:
        print(_serve(given), flush=True)
