"""Many processes on one SQLite file at the same moment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from persistentq import NewJob, open_queue
from tests.process.programs import ROOT

STARTERS, ROUNDS = 10, 20
CLAIMERS, JOBS = 8, 2_000


@contextmanager
def started(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs this script, whose output is read and whose errors are an error."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(script)), *arguments],
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


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def test_every_job_is_claimed_once(tmp_path: Path) -> None:
    """G2: 8 processes, 2,000 jobs: 2,000 claims, all different, no error."""
    url = f"sqlite:///{tmp_path}/queue.db"
    with open_queue(url) as queue:
        ids = {job.id for job in queue.enqueue_many([NewJob("any.task")] * JOBS)}
    with ExitStack() as stack:
        claimers = [stack.enter_context(started("claiming.py", url, f"c_{n}")) for n in range(CLAIMERS)]
        assert [told(process) for process in claimers] == ["ready"] * CLAIMERS
        for process in claimers:
            tell(process, "go")
        outputs = [process.communicate(timeout=100) for process in claimers]
        assert [process.returncode for process in claimers] == [0] * CLAIMERS, outputs
    assert [errors for _, errors in outputs] == [""] * CLAIMERS
    claims = [claim.split(":") for output, _ in outputs for claim in output.split()]
    assert len(claims) == JOBS
    assert {int(id) for id, _, _ in claims} == ids
    assert {attempt for _, attempt, _ in claims} == {"1"}
    assert len({consumer for _, _, consumer in claims}) > 1


def test_all_start_at_once_on_a_new_file(tmp_path: Path) -> None:
    """10 processes, 20 rounds: each opens the same new file and stores a job in it."""
    with ExitStack() as stack:
        starters = [stack.enter_context(started("opening.py")) for _ in range(STARTERS)]
        assert [told(process) for process in starters] == ["ready"] * STARTERS
        for n in range(ROUNDS):
            for process in starters:
                tell(process, f"sqlite:///{tmp_path}/queue-{n}.db")
            ids = [told(process) for process in starters]
            assert sorted(ids) == sorted(str(id) for id in range(1, STARTERS + 1)), [
                process.communicate(timeout=30) for process in starters
            ]
        assert {process.communicate(timeout=30)[1] for process in starters} == {""}
        assert {process.returncode for process in starters} == {0}
