"""The producer as a process: a file for each job and a job for each file, whatever happens."""

from __future__ import annotations

import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from persistentq import Job
from persistentq.job_files import TASK, is_job_file, is_stamped
from tests.process.programs import Site


def jobs_of(site: Site) -> list[Job]:
    with site.queue() as queue:
        return list(queue.list_jobs(limit=1000))


def files_named(jobs: list[Job]) -> list[str]:
    return sorted(job.args["path"] for job in jobs)


def test_jobs_come_in_batches_up_to_the_count(make_site: Callable[..., Site]) -> None:
    site = make_site(MAX_ATTEMPTS=7)
    folder = site.files / "further" / "down"
    producer = site.producer("--count", "5", "--batch", "2", "--interval", "0", "--directory", str(folder))
    assert producer.code() == 0
    jobs = jobs_of(site)
    assert {(job.task, job.status, job.max_attempts) for job in jobs} == {(TASK, "pending", 7)}
    assert len(jobs) == 5
    assert files_named(jobs) == sorted(site.files_made())
    for name in site.files_made():
        assert Path(name).parent == folder
        assert Path(name).stat().st_mode & 0o777 == 0o600
        content = Path(name).read_bytes()
        assert is_job_file(content)
        assert not is_stamped(content)
    assert [path.name for path in site.folder.glob("*.db*") if path.stat().st_mode & 0o077] == []


def test_the_interval_comes_from_the_settings(make_site: Callable[..., Site]) -> None:
    """`INTERVAL_TIME = 0.4`, written with spaces."""
    site = make_site(INTERVAL_TIME=0.4)
    assert site.producer("--count", "3").code() == 0
    times = sorted(job.created_at for job in jobs_of(site))
    assert [(later - earlier).total_seconds() > 0.35 for earlier, later in pairwise(times)] == [True, True]


def test_a_job_that_cannot_be_stored_leaves_no_file(make_site: Callable[..., Site]) -> None:
    site = make_site(QUEUE_LOCK_TIMEOUT=0.2)
    site.queue().close()
    with site.locked():
        producer = site.producer("--count", "2", "--batch", "2", "--interval", "0.3")
        producer.until(lambda: producer.said().count("no job was enqueued") >= 2)
        producer.until(lambda: site.files_made() == set())
    assert producer.code() == 0
    assert files_named(jobs_of(site)) == sorted(site.files_made())
    assert len(jobs_of(site)) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_a_signal_ends_it_between_two_jobs(make_site: Callable[..., Site], number: int) -> None:
    site = make_site()
    producer = site.producer("--interval", "0", "--batch", "20")
    producer.says("job 40 enqueued")
    for _ in range(3):
        producer.send(number)
    assert producer.code(within=10) == 0
    jobs = jobs_of(site)
    assert len(jobs) % 20 == 0
    assert files_named(jobs) == sorted(site.files_made())


def test_a_signal_ends_a_long_wait_at_once(make_site: Callable[..., Site]) -> None:
    site = make_site(INTERVAL_TIME=3600)
    producer = site.producer()
    producer.says("job 1 enqueued")
    producer.send(signal.SIGTERM)
    assert producer.code(within=10) == 0
    assert len(jobs_of(site)) == len(site.files_made()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--count", "0"],
        ["--batch", "0"],
        ["--interval", "-1"],
        ["--interval", "nan"],
        ["more"],
        ["--nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_does_nothing(make_site: Callable[..., Site], arguments: list[str]) -> None:
    site = make_site()
    assert site.producer(*arguments).code() == 2
    assert not (site.folder / "queue.db").exists()


def test_a_folder_that_cannot_be_made_is_named_in_one_line(make_site: Callable[..., Site]) -> None:
    site = make_site()
    folder = site.folder / ".env" / "files"
    producer = site.producer("--count", "1", "--directory", str(folder))
    assert producer.code() == 1
    assert producer.said().startswith("error: ")
    assert ".env" in producer.said()
    assert "Traceback" not in producer.said()
    assert jobs_of(site) == []
