"""Moments, spans and statuses in the manager's words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from persistentq.job import ConsumerInfo, Job, JobStatus
from persistentq.operations import GLYPHS, ago

from .snapshot import Styled

BARS = "▁▂▃▄▅▆▇█"


def command(program: str, arguments: str = "") -> str:
    """Return how `program` is started from here: from a checkout by its module, else by the installed command."""
    is_checkout = not __name__.startswith("persistentq.")
    start = f"python -m {program}.{program}" if is_checkout else f"persistentq {program}"
    return f"{start} {arguments}".rstrip()


def status_text(status: JobStatus) -> Styled:
    """Return a status as glyph and word, with its style."""
    return f"class:status.{status}", f"{GLYPHS[status]} {status}"


def life_text(consumer: ConsumerInfo) -> Styled:
    """Return how a consumer is, as glyph and word, with its style."""
    if consumer.stopped_at is not None:
        return "class:stopped", "◌ stopped"
    return ("class:alive", "● alive") if consumer.is_alive else ("class:silent", "! silent")


def moment_text(moment: datetime, now: datetime) -> str:
    """Return a moment as UTC time and distance: `2026-11-24 12:03:44 UTC, 5m ago`."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {distance_text(moment, now)}"


def distance_text(moment: datetime, now: datetime) -> str:
    """Return how far a moment is: `5m ago` or `in 5m`."""
    text = ago(now - moment)
    return text if text.startswith("in ") else f"{text} ago"


def span_text(span: timedelta) -> str:
    """Return how long something took: `0.25s`, or in larger units as `ago` gives it."""
    seconds = span.total_seconds()
    return f"{seconds:.2f}s" if seconds < 10 else ago(span)


def jobs_text(job_ids: Sequence[int]) -> str:
    """Return which jobs, or how many: `no job`, `job 7`, `3 jobs`."""
    if len(job_ids) > 1:
        return f"{len(job_ids):,} jobs"
    return f"job {job_ids[0]}" if job_ids else "no job"


def number_text(number: int) -> str:
    """Return a count in at most six cells: `99,999`, `123k`, `4.5M`."""
    if number < 100_000:
        return f"{number:,}"
    return f"{number // 1000}k" if number < 1_000_000 else f"{number / 1_000_000:.1f}M"


def latest_change(job: Job) -> datetime:
    """Return the moment that matters for the job's status: its end, its start, or when it is or was ready."""
    if job.finished_at is not None:
        return job.finished_at
    if job.status is JobStatus.PROCESSING and job.started_at is not None:
        return job.started_at
    return job.run_at


def sparkline(values: Sequence[float]) -> str:
    """Return a sign for each value, as high as it is beside the highest; a space for nothing."""
    highest = max(values, default=0)
    return "".join(BARS[min(7, int(value / highest * 8))] if value else " " for value in values)
