"""The part of PersistentQMemory by which operators act on many jobs; see PersistentQInterface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from persistentq import clock
from persistentq.acts import (
    UNDO,
    Act,
    Changes,
    IdPage,
    Standing,
    Told,
    check_batch,
    no_longer_matches,
    plan,
    planned,
    restored,
    settled,
    take_back,
)
from persistentq.acts_interface import TRASH_KEPT
from persistentq.checks import check_int, check_span
from persistentq.errors import ActRefused, EntryNotFound, JobError
from persistentq.failure import describe
from persistentq.job import LONGEST_DELAY, UNFINISHED, Attempt, Job, JobStatus, Outcome
from persistentq.job_log import JobLog
from persistentq.journal import ActBatch, ActNote
from persistentq.memory_operators import MemoryOperators
from persistentq.payload import decode_args, encode_args
from persistentq.query import EVERY_JOB, Query, matches
from persistentq.selection import read_cursor

_Changes = dict[int, Changes]


class _Deleted(NamedTuple):
    entry: int
    until: datetime
    job: Job
    budget: int
    history: list[Attempt] | None
    log: JobLog | None


class MemoryActs(MemoryOperators):
    """Acts on many jobs, and the trash of a queue in memory."""

    def __init__(
        self,
        max_attempts: int = 3,
        lease: timedelta = timedelta(seconds=60),
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        super().__init__(max_attempts, lease, now)
        self._trash: dict[int, _Deleted] = {}

    def find_ids(
        self,
        where: Query = EVERY_JOB,
        *,
        among: Sequence[int] | None = None,
        limit: int = 10_000,
        after: str | None = None,
    ) -> IdPage:
        check_int("limit", limit, 1, 10_000)
        below, ids = read_cursor(after), None if among is None else check_batch(among)
        found = [
            (job.id, job.status)
            for job in self._matching(where)
            if (below is None or job.id < below) and (ids is None or job.id in ids)
        ]
        page = tuple(found[:limit])
        return IdPage(page, str(page[-1][0]) if len(found) > limit else None)

    def act(
        self,
        act: Act,
        job_ids: Sequence[int],
        *,
        note: ActNote | int,
        where: Query = EVERY_JOB,
        trash: timedelta = TRASH_KEPT,
    ) -> ActBatch:
        ids = check_batch(job_ids)
        check_span("trash", trash, timedelta(0), LONGEST_DELAY)
        with self._lock:
            now = self._now()
            entry = self._open_entry(note, act.verb, act.details, now)
            jobs = {job_id: self._standing(self._jobs[job_id]) for job_id in ids if job_id in self._jobs}

            def change(job: Standing) -> Changes:
                if not matches(where, self._jobs[job.id], now):
                    raise no_longer_matches(job.id)
                return plan(act, job, now)

            changes, skipped = planned(ids, jobs, change, self._taken_keys())
            if act.verb == "delete":
                told = self._throw_away(list(changes), entry.told.id, now + trash)
            else:
                told = self._change_each(jobs, changes, act.taken_for)
            self._keep_house(now)
            return self._tell_batch(entry, told, skipped)

    def resubmit(self, job_id: int) -> Job:
        return self._act_on(job_id, Act("resubmit"))

    def cancel(self, job_id: int) -> Job:
        return self._act_on(job_id, Act("cancel"))

    def mark_failed(self, job_id: int, reason: str) -> Job:
        return self._act_on(job_id, Act("mark-failed", error=reason))

    def assign_job(self, job_id: int, consumer: str | None) -> Job:
        return self._act_on(job_id, Act("assign", consumer=consumer))

    def _act_on(self, job_id: int, act: Act) -> Job:
        """Act on one job, without a line in the journal; return the job as it is then."""
        with self._lock:
            now, jobs = self._now(), {job_id: self._standing(self.get_job(job_id))}
            changes, refused = planned([job_id], jobs, lambda job: plan(act, job, now), self._taken_keys())
            for error in refused.values():
                raise error
            self._change_each(jobs, changes, act.taken_for)
            return self._jobs[job_id]

    def _standing(self, job: Job, budget: int | None = None) -> Standing:
        names = Standing._fields
        values = {name: getattr(job, name) for name in names if name != "budget"}
        return Standing(**values, budget=self._budgets[job.id] if budget is None else budget)

    def _taken_keys(self) -> set[str]:
        held = (job.unique_key for job in self._jobs.values() if job.status in UNFINISHED)
        return {key for key in held if key is not None}

    def _change_each(
        self, jobs: dict[int, Standing], changes: _Changes, error: str | None = None
    ) -> dict[int, Told]:
        for job_id, one in changes.items():
            job = self._jobs[job_id]
            if job.status == JobStatus.PROCESSING and "status" in one:
                self._note(job, Outcome.TAKEN, None if error is None else describe(error))
            own = {"args": decode_args(encode_args(one["args"]))} if "args" in one else {}
            self._put(job, **one | own)
        return {
            job_id: ({name: getattr(jobs[job_id], name) for name in one}, settled(jobs[job_id], one))
            for job_id, one in changes.items()
        }

    # --- the trash

    def _throw_away(self, ids: Sequence[int], entry: int, until: datetime) -> dict[int, Told]:
        for job_id in ids:
            job = self._jobs[job_id]
            log = self._logs.get(job_id)
            self._trash[job_id] = _Deleted(
                entry, until, job, self._budgets[job_id], self._history.get(job_id), log
            )
            self._drop(job)
        return dict.fromkeys(ids, ({}, None))

    def _bring_back(self, job_id: int, changes: Changes) -> None:
        kept = self._trash.pop(job_id)
        self._budgets[job_id] = kept.budget
        if kept.history is not None:
            self._history[job_id] = kept.history
        if kept.log is not None:
            self._logs[job_id] = kept.log
        self._put(kept.job, **changes)

    def _keep_house(self, now: datetime) -> None:
        self._trash = {job_id: kept for job_id, kept in self._trash.items() if kept.until > now}
        self._forget_old(now)

    # --- undoing

    def undo(self, entry: int, batch: int, *, note: ActNote | int, trash: timedelta = TRASH_KEPT) -> ActBatch:
        check_int("batch", batch, 1, 2**31 - 1)
        check_span("trash", trash, timedelta(0), LONGEST_DELAY)
        with self._lock:
            now, undone = self._now(), self._entry(entry)
            if batch > len(undone.batches):
                raise EntryNotFound(entry)
            verb = undone.told.details["verb"] if undone.told.verb == UNDO else undone.told.verb
            mine = self._open_entry(note, UNDO, {"verb": verb}, now, undoes=entry)
            told = undone.batches[batch - 1]
            stored = {
                job_id for job_id, kept in self._trash.items() if kept.entry == entry and job_id in told
            }
            done, skipped = self._undo_each(verb, told, stored, now, mine.told.id, now + trash)
            self._keep_house(now)
            return self._tell_batch(mine, done, skipped)

    def _undo_each(
        self,
        verb: str,
        told: dict[int, Told],
        stored: set[int],
        now: datetime,
        mine: int,
        until: datetime,
    ) -> tuple[dict[int, Told], dict[int, JobError]]:
        jobs = {
            job_id: self._standing(self._jobs[job_id])
            for job_id, (_, after) in told.items()
            if after is not None and job_id in self._jobs
        }
        for job_id in stored:
            jobs[job_id] = self._standing(self._trash[job_id].job, self._trash[job_id].budget)

        changes, skipped = planned(
            list(told), jobs, lambda job: take_back(job, verb, told[job.id], now), self._taken_keys(), stored
        )
        for job_id, (_, after) in told.items():
            if after is None and job_id not in stored:
                skipped[job_id] = ActRefused(job_id, "is not in the trash any more")
        again = [job_id for job_id in changes if told[job_id][0] is None]
        others = {one: change for one, change in changes.items() if one not in stored and one not in again}
        done = self._change_each(jobs, others) | self._throw_away(again, mine, until)
        for job_id in stored & changes.keys():
            self._bring_back(job_id, changes[job_id])
            done[job_id] = restored(jobs[job_id], changes[job_id])
        return done, skipped
