"""The store's part that is about log lines and progress, in tables of their own: no transition touches them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select

from persistentq.checks import check_id
from persistentq.errors import JobNotFound
from persistentq.job import Job
from persistentq.job_log import MAX_BYTES, MAX_LINES, JobLog, LogLine, Progress, check_progress, to_lines
from persistentq.sql.models import JobRow, LogRow, ProgressRow
from persistentq.sql.readers import Readers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MILLION = 1_000_000


class Logs(Readers):
    """What tasks have told; see PersistentQInterface."""

    def record(self, job: Job, *, lines: Sequence[str] = (), progress: Progress | None = None) -> bool:
        told = None if progress is None else check_progress(*progress)
        texts = [text for line in lines for text in to_lines(line)]
        # Held against a second call for the same job, which would give its lines the same numbers; not against others.
        latest = (
            select(JobRow.id)
            .where(JobRow.id == job.id, JobRow.consumer == job.consumer, JobRow.attempt == job.attempt)
            .with_for_update(key_share=True)
        )
        with self._orm() as session:
            if session.scalars(latest).one_or_none() is None:
                return False
            now = self._clock(session)
            if texts:
                _append(session, job, now, texts)
            if told is not None:
                self._put_progress(session, job, now, told)
            return True

    def _put_progress(self, session: Session, job: Job, now: datetime, told: Progress) -> None:
        values = {
            "attempt": job.attempt,
            "at": now,
            "millionths": round(told.fraction * MILLION),
            "note": told.note,
        }
        put = self._facts.insert(ProgressRow).values(job_id=job.id, **values)
        session.execute(put.on_conflict_do_update(index_elements=[ProgressRow.job_id], set_=values))

    def get_log(self, job_id: int) -> JobLog:
        lines = select(LogRow).where(LogRow.job_id == check_id(job_id)).order_by(LogRow.number)
        with self._orm(read_only=True) as session:
            if session.scalars(select(JobRow.id).where(JobRow.id == job_id)).one_or_none() is None:
                raise JobNotFound(job_id)
            rows, progress = session.scalars(lines).all(), session.get(ProgressRow, job_id)
        return JobLog(
            lines=tuple(LogLine(row.attempt, row.at, row.text) for row in rows),
            dropped=rows[0].number - 1 if rows else 0,
            progress=None if progress is None else Progress(progress.millionths / MILLION, progress.note),
        )


def _append(session: Session, job: Job, now: datetime, texts: list[str]) -> None:
    """Add lines behind the last, and drop the oldest that there is no room for."""
    last = session.scalars(
        select(LogRow).where(LogRow.job_id == job.id).order_by(LogRow.number.desc()).limit(1)
    ).one_or_none()
    number, end = (0, 0) if last is None else (last.number, last.starts_at + len(last.text.encode()))
    rows = []
    for text in texts:
        number += 1
        rows.append(
            LogRow(job_id=job.id, number=number, starts_at=end, attempt=job.attempt, at=now, text=text)
        )
        end += len(text.encode())
    session.add_all(row for row in rows if number - row.number < MAX_LINES)
    session.flush()
    surplus = or_(LogRow.number <= number - MAX_LINES, LogRow.starts_at < end - MAX_BYTES)
    session.execute(delete(LogRow).where(LogRow.job_id == job.id, surplus))
