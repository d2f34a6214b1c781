"""The part of PersistentQMemory that is about log lines and progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from persistentq.job import Job
from persistentq.job_log import MAX_BYTES, MAX_LINES, JobLog, LogLine, Progress, check_progress, to_lines
from persistentq.memory_readers import MemoryReaders


class MemoryLog(MemoryReaders):
    """What tasks have told a queue in memory; see PersistentQInterface."""

    def record(self, job: Job, *, lines: Sequence[str] = (), progress: Progress | None = None) -> bool:
        told = None if progress is None else check_progress(*progress)
        with self._lock:
            current = self._jobs.get(job.id)
            if current is None or (current.consumer, current.attempt) != (job.consumer, job.attempt):
                return False
            known = self._logs.get(job.id, JobLog())
            now = self._now()
            added = [LogLine(job.attempt, now, text) for line in lines for text in to_lines(line)]
            kept = _last([*known.lines, *added])
            dropped = known.dropped + len(known.lines) + len(added) - len(kept)
            self._logs[job.id] = replace(
                known, lines=tuple(kept), dropped=dropped, progress=told or known.progress
            )
            return True

    def get_log(self, job_id: int) -> JobLog:
        with self._lock:
            return self._logs.get(self.get_job(job_id).id, JobLog())


def _last(lines: list[LogLine]) -> list[LogLine]:
    kept, size = 0, 0
    for line in reversed(lines[-MAX_LINES:]):
        size += len(line.text.encode())
        if size > MAX_BYTES:
            break
        kept += 1
    return lines[len(lines) - kept :]
