"""What running tasks tell of themselves is kept with their job, bounded, and goes with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Thread

import pytest

from persistentq import InvalidArgument, Job, JobLog, JobNotFound, JobStatus, PersistentQInterface, Progress
from persistentq.job_log import MAX_BYTES, MAX_LINE_CHARS, MAX_LINES


def held(queue: PersistentQInterface, task: str = "task") -> Job:
    queue.enqueue(task)
    (job,) = queue.dequeue("c_1")
    return job


def texts(queue: PersistentQInterface, job: Job) -> list[str]:
    return [line.text for line in queue.get_log(job.id).lines]


def test_lines_come_back_in_their_order_with_attempt_and_time(
    queue: PersistentQInterface, let_pass: Callable[[float], None]
) -> None:
    job = held(queue)
    assert queue.get_log(job.id) == JobLog()
    assert queue.record(job, lines=["first", "second"])
    assert queue.record(job, lines=["third"])
    log = queue.get_log(job.id)
    assert [(line.attempt, line.text) for line in log.lines] == [(1, "first"), (1, "second"), (1, "third")]
    started_at = queue.get_job(job.id).started_at
    assert started_at is not None
    assert all(started_at <= line.at < started_at + timedelta(minutes=1) for line in log.lines)
    assert (log.dropped, log.progress) == (0, None)


def test_progress_is_the_latest_and_lines_leave_it(queue: PersistentQInterface) -> None:
    job = held(queue)
    assert queue.record(job, progress=Progress(0.25, "reading"))
    assert queue.record(job, lines=["a line"])
    assert queue.get_log(job.id).progress == Progress(0.25, "reading")
    assert queue.record(job, progress=Progress(1 / 3))
    progress = queue.get_log(job.id).progress
    assert progress is not None
    assert progress.fraction == pytest.approx(1 / 3, abs=1e-6)
    assert progress.note == ""
    assert texts(queue, job) == ["a line"]


def test_the_log_goes_on_in_the_next_attempt_and_after_the_end(
    queue: PersistentQInterface, let_pass: Callable[[float], None]
) -> None:
    job = held(queue)
    queue.record(job, lines=["of the first"])
    queue.fail(job, "no", delay=timedelta(0))
    (again,) = queue.dequeue("c_1")
    assert queue.record(again, lines=["of the second"])
    queue.complete(again)
    # What was logged last may be written after the completion that the task made itself.
    assert queue.record(again, lines=["last words"])
    assert [(line.attempt, line.text) for line in queue.get_log(job.id).lines] == [
        (1, "of the first"),
        (2, "of the second"),
        (2, "last words"),
    ]


def test_a_stale_consumer_is_not_heard(
    queue: PersistentQInterface, let_pass: Callable[[float], None]
) -> None:
    """G2: its lines would stand among those of the attempt that holds the job."""
    stale = held(queue)
    let_pass(120)
    (job,) = queue.dequeue("c_2")
    assert job.id == stale.id
    assert queue.record(stale, lines=["late"], progress=Progress(1.0)) is False
    assert queue.get_log(job.id) == JobLog()
    assert queue.record(job, lines=["mine"])


def test_the_last_lines_are_kept(queue: PersistentQInterface) -> None:
    job = held(queue)
    queue.record(job, lines=["early"])
    queue.record(job, lines=[f"line {n}" for n in range(MAX_LINES - 1)])
    assert queue.get_log(job.id).dropped == 0
    queue.record(job, lines=["one more", "and another"])
    log = queue.get_log(job.id)
    assert (len(log.lines), log.dropped) == (MAX_LINES, 2)
    assert [line.text for line in (*log.lines[:1], *log.lines[-2:])] == ["line 1", "one more", "and another"]
    queue.record(job, lines=[f"flood {n}" for n in range(3 * MAX_LINES)])
    log = queue.get_log(job.id)
    assert (len(log.lines), log.dropped) == (MAX_LINES, 3 * MAX_LINES + 2)
    assert log.lines[0].text == f"flood {2 * MAX_LINES}"


def test_bytes_are_bounded_too(queue: PersistentQInterface) -> None:
    job = held(queue)
    line = "ü" * 1000
    fitting = MAX_BYTES // 2000
    queue.record(job, lines=[line] * fitting)
    assert queue.get_log(job.id).dropped == 0
    for n in range(1, 4):
        queue.record(job, lines=[line])
        log = queue.get_log(job.id)
        assert (len(log.lines), log.dropped) == (fitting, n)
    queue.record(job, lines=["short"])
    log = queue.get_log(job.id)
    assert sum(len(line.text.encode()) for line in log.lines) <= MAX_BYTES
    assert log.lines[-1].text == "short"


def test_what_no_database_can_hold_is_made_fit(queue: PersistentQInterface) -> None:
    job = held(queue)
    queue.record(job, lines=["a\0b", "lone \ud800", "two\nlines", "x" * 5000, ""])
    kept = texts(queue, job)
    assert kept[:4] == ["a\ufffdb", "lone ?", "two", "lines"]
    assert len(kept[4]) == MAX_LINE_CHARS
    assert kept[4].endswith("…")
    assert kept[5] == ""


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan"), float("inf"), "half", None])
def test_progress_that_is_none_is_refused(queue: PersistentQInterface, fraction: float) -> None:
    job = held(queue)
    with pytest.raises(InvalidArgument, match=r"is not a number from 0\.0 to 1\.0"):
        queue.record(job, lines=["kept?"], progress=Progress(fraction))
    assert queue.get_log(job.id) == JobLog()


def test_it_goes_with_its_job(queue: PersistentQInterface) -> None:
    job, other = held(queue), held(queue)
    for one in (job, other):
        queue.record(one, lines=["a line"], progress=Progress(0.5))
        queue.complete(one)
    queue.delete_job(job.id)
    for call in (lambda: queue.get_log(job.id), lambda: queue.get_log(job.id + 1000)):
        with pytest.raises(JobNotFound):
            call()
    assert queue.record(job, lines=["gone"]) is False
    assert texts(queue, other) == ["a line"]
    assert queue.prune_jobs(JobStatus.DONE, keep=0) == 1
    with pytest.raises(JobNotFound):
        queue.get_log(other.id)


def test_threads_may_log_for_one_job_at_once(queue: PersistentQInterface) -> None:
    job = held(queue)
    failed: list[BaseException] = []

    def log(name: int) -> None:
        try:
            for n in range(10):
                assert queue.record(job, lines=[f"{name}.{n}"], progress=Progress(n / 10))
        except BaseException as error:
            failed.append(error)

    threads = [Thread(target=log, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    kept = texts(queue, job)
    assert sorted(kept) == sorted(f"{name}.{n}" for name in range(4) for n in range(10))
    for name in range(4):
        assert [line for line in kept if line.startswith(f"{name}.")] == [f"{name}.{n}" for n in range(10)]
