"""The part of PersistentQMemory that is about schedules."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from persistentq.checks import check_limit, check_schedule
from persistentq.errors import ScheduleNotFound
from persistentq.failure import describe
from persistentq.job import Job
from persistentq.journal import ActNote, schedule_details
from persistentq.memory_journal import MemoryJournal
from persistentq.schedule import TRIED_AGAIN_AFTER, Plan, Schedule, ScheduleInfo, plan


class MemorySchedules(MemoryJournal):
    """The schedules of a queue in memory; see PersistentQInterface."""

    def put_schedule(self, schedule: Schedule, *, note: ActNote | None = None) -> ScheduleInfo:
        rhythm = schedule.check()
        with self._lock:
            now, known = self._now(), self._schedules.get(schedule.name)
            self._note_schedule(note, "put", schedule.name, **schedule_details(schedule))
            if known is None:
                known = ScheduleInfo(schedule=schedule, created_at=now, next_at=rhythm.after(now))
            elif _times(known.schedule) != _times(schedule):
                known = replace(known, next_at=rhythm.after(now))
            return self._keep(known, schedule=schedule, error=None)

    def _keep(self, info: ScheduleInfo, look_at: datetime | None = None, **changes: Any) -> ScheduleInfo:
        """Store what is known of a schedule, which is looked at again when it ticks, or at another time."""
        name = info.schedule.name
        self._schedules[name] = info = replace(info, **changes)
        self._look_at[name] = look_at or info.next_at
        return info

    def get_schedule(self, name: str) -> ScheduleInfo:
        with self._lock:
            try:
                return self._schedules[check_schedule(name)]
            except KeyError:
                raise ScheduleNotFound(name) from None

    def list_schedules(self) -> list[ScheduleInfo]:
        with self._lock:
            return [self._schedules[name] for name in sorted(self._schedules)]

    def remove_schedule(self, name: str, *, note: ActNote | None = None) -> None:
        with self._lock:
            self.get_schedule(name)
            self._note_schedule(note, "remove", name)
            del self._schedules[name], self._look_at[name]

    def pause_schedule(self, name: str, *, note: ActNote | None = None) -> ScheduleInfo:
        with self._lock:
            info = self.get_schedule(name)
            self._note_schedule(note, "pause", name)
            return self._keep(info, paused_at=info.paused_at or self._now())

    def resume_schedule(self, name: str, *, note: ActNote | None = None) -> ScheduleInfo:
        with self._lock:
            info = self.get_schedule(name)
            self._note_schedule(note, "resume", name)
            return self._keep(info, paused_at=None)

    def run_schedule(self, name: str, *, note: ActNote | None = None) -> Job:
        with self._lock:
            info = self.get_schedule(name)
            job = self.enqueue_many([info.schedule.new_job(self._now())])[0]
            self._note_schedule(note, "run", name, job=job.id, duplicate=job.duplicate)
            if not job.duplicate:
                self._schedules[name] = replace(info, last_job_id=job.id)
            return job

    def _note_schedule(self, note: ActNote | None, deed: str, name: str, **details: Any) -> None:
        if note is not None:
            self._open_entry(note, f"{deed}-schedule", {"schedule": name, **details}, self._now())

    def tick(self, limit: int = 100) -> list[Job]:
        check_limit(limit)
        stored: list[Job] = []
        with self._lock:
            now = self._now()
            for _, name in sorted((look_at, name) for name, look_at in self._waiting().items()):
                if (room := limit - len(stored)) > 0 and self._look_at[name] <= now:
                    stored += self._tick_one(self._schedules[name], now, room)
        return stored

    def _tick_one(self, info: ScheduleInfo, now: datetime, room: int) -> list[Job]:
        try:
            due: Plan = plan(info.schedule, info.next_at, now, room)
        except Exception as error:  # whatever it is, it must not stop the other schedules
            self._keep(info, now + TRIED_AGAIN_AFTER, error=describe(error).message)
            return []
        jobs = self.enqueue_many([info.schedule.new_job(tick) for tick in due.ticks])
        stored = [(tick, job) for tick, job in zip(due.ticks, jobs, strict=True) if not job.duplicate]
        if stored:
            info = replace(info, last_at=stored[-1][0], last_job_id=stored[-1][1].id)
        self._keep(info, next_at=due.next_at, error=None)
        return [job for _, job in stored]

    def next_tick(self) -> timedelta | None:
        with self._lock:
            soonest = min(self._waiting().values(), default=None)
            return None if soonest is None else max(soonest - self._now(), timedelta(0))

    def _waiting(self) -> dict[str, datetime]:
        """Return when each schedule that is not paused must be looked at."""
        return {name: at for name, at in self._look_at.items() if not self._schedules[name].is_paused}


def _times(schedule: Schedule) -> tuple[str, str]:
    """Return what decides when a schedule ticks."""
    return schedule.expression, schedule.zone
