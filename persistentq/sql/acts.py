"""The operator's acts on many jobs: each call is one transaction, with its line in the journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

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
from persistentq.checks import check_id, check_int, check_span
from persistentq.errors import ActRefused, EntryNotFound, StorageError
from persistentq.failure import describe
from persistentq.job import LONGEST_DELAY, UNFINISHED, Job, JobStatus, Outcome
from persistentq.journal import ActBatch, ActNote
from persistentq.payload import decode_args, encode_args
from persistentq.query import EVERY_JOB, Query, matches
from persistentq.selection import read_cursor
from persistentq.sql.changes import read_changes
from persistentq.sql.conditions import condition
from persistentq.sql.finding import Search
from persistentq.sql.journal import Done, Journal, entry_row, forget_old, open_entry, tell_batch
from persistentq.sql.journal_models import BatchRow
from persistentq.sql.models import AttemptRow, JobRow, PayloadRow
from persistentq.sql.rows import STATUSES, to_job
from persistentq.sql.trash import bring_back, empty_trash, read_jobs, throw_away

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from persistentq.sql.dialect import DialectFacts

_JOBS: Any = JobRow.__table__
_ATTEMPTS: Any = AttemptRow.__table__
_PAYLOADS: Any = PayloadRow.__table__
_COLUMNS = tuple(_JOBS.c[name] for name in Standing._fields[:-1])
TRIES = 3
Made = TypeVar("Made")


class Acts(Journal):
    """What an operator may do to many jobs; see PersistentQInterface."""

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
        with self._orm(read_only=True) as session:
            return Search(session, where, self._clock(session), below, ids).ids(limit)

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

        def do(session: Session) -> tuple[ActBatch, set[str]]:
            now = self._clock(session)
            one = _Transaction(session, self._facts, now)
            jobs = one.standing(ids, with_args=act.verb == "edit-arguments")
            meant = one.meant(ids, where)

            def change(job: Standing) -> Changes:
                if job.id not in meant:
                    raise no_longer_matches(job.id)
                return plan(act, job, now)

            changes, skipped = planned(ids, jobs, change, one.taken_keys(jobs))
            entry = open_entry(session, note, act.verb, act.details, now)
            if act.verb == "delete":
                throw_away(session.connection(), list(changes), entry.id, now, now + trash)
                told: dict[int, Told] = dict.fromkeys(changes, ({}, None))
            else:
                told = one.write(jobs, changes, act.taken_for)
            batch = tell_batch(session, entry, Done(told, skipped), now)
            keep_house(session, now)
            return batch, {jobs[job_id].queue for job_id in changes}

        return self._in_one(do)

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

        def do(session: Session) -> tuple[Job, set[str]]:
            one = _Transaction(session, self._facts, self._clock(session))
            jobs = one.standing([check_id(job_id)])
            changes, refused = planned(
                [job_id], jobs, lambda job: plan(act, job, one.now), one.taken_keys(jobs)
            )
            for error in refused.values():
                raise error
            one.write(jobs, changes, act.taken_for)
            return to_job(session.get_one(JobRow, job_id)), {jobs[job_id].queue}

        return self._in_one(do)

    def _in_one(self, do: Callable[[Session], tuple[Made, set[str]]]) -> Made:
        """Return what `do` did in a transaction, and tell whoever waits on its queues."""
        tried = 0
        while True:
            try:
                with self._orm() as session:
                    made, queues = do(session)
            except StorageError as error:
                # A unique key was taken between the look and the change (PostgreSQL); now it is seen.
                tried += 1
                if not isinstance(error.__cause__, IntegrityError) or tried == TRIES:
                    raise
            else:
                self._hints.give(queues)
                return made

    def undo(self, entry: int, batch: int, *, note: ActNote | int, trash: timedelta = TRASH_KEPT) -> ActBatch:
        check_int("batch", batch, 1, 2**31 - 1)
        check_span("trash", trash, timedelta(0), LONGEST_DELAY)

        def do(session: Session) -> tuple[ActBatch, set[str]]:
            now = self._clock(session)
            undone = entry_row(session, check_id(entry))
            row = session.get(BatchRow, (entry, batch))
            if row is None:
                raise EntryNotFound(entry)
            verb = json.loads(undone.details)["verb"] if undone.verb == UNDO else undone.verb
            mine = open_entry(session, note, UNDO, {"verb": verb}, now, undoes=entry)
            told = dict(read_changes(row.changes, row.at))
            undo = _Undoing(_Transaction(session, self._facts, now), verb, told)
            done, queues = undo.undo(entry, mine.id, now + trash)
            keep_house(session, now)
            return tell_batch(session, mine, done, now), queues

        return self._in_one(do)


def keep_house(session: Session, now: datetime, limit: int = 100) -> None:
    """Drop what the trash and the journal keep no more, up to `limit` of each."""
    empty_trash(session.connection(), now, limit)
    forget_old(session, now, limit)


class _Transaction:
    """How jobs are looked at and changed in one transaction, which holds them from the look on."""

    def __init__(self, session: Session, facts: DialectFacts, now: datetime) -> None:
        self.session, self.now, self._facts = session, now, facts

    @property
    def connection(self) -> Connection:
        return self.session.connection()

    def standing(self, ids: Sequence[int], *, with_args: bool = False) -> dict[int, Standing]:
        """Return how these jobs stand, as many as there are."""
        columns = (*_COLUMNS, JobRow.whole_args) if with_args else _COLUMNS
        # In one order for everybody: two who take the same jobs then wait instead of locking each other out.
        rows = select(*columns).where(_JOBS.c.id.in_(ids)).order_by(_JOBS.c.id).with_for_update(of=_JOBS)
        return {row[0]: _standing(row) for row in self.session.execute(rows)}

    def meant(self, ids: Sequence[int], where: Query) -> set[int]:
        """Return those of the jobs that the query means."""
        if where == EVERY_JOB:
            return set(ids)
        wanted = condition(where, self.now)
        chosen = (_JOBS.c.id.in_(ids), wanted.clause)
        if wanted.is_exact:
            return set(self.session.scalars(select(JobRow.id).where(*chosen)))
        jobs = map(to_job, self.session.scalars(select(JobRow).where(*chosen)).all())
        found = {job.id for job in jobs if matches(where, job, self.now)}
        self.session.expunge_all()
        return found

    def taken_keys(self, jobs: dict[int, Standing]) -> set[str]:
        """Return those of the jobs' unique keys that unfinished jobs have."""
        keys = {job.unique_key for job in jobs.values() if job.unique_key is not None}
        held = select(JobRow.unique_key).where(JobRow.unique_key.in_(keys), JobRow.status.in_(UNFINISHED))
        return {key for key in self.session.scalars(held) if key is not None} if keys else set()

    def write(
        self, jobs: dict[int, Standing], changes: dict[int, Changes], error: str | None = None
    ) -> dict[int, Told]:
        """Change the jobs; return what they had before and after.

        Args:
            error: What is noted of the attempts of those that are taken from their consumers.
        """
        alike: dict[tuple[str, ...], list[int]] = {}
        for job_id, one in changes.items():
            alike.setdefault(tuple(sorted(one)), []).append(job_id)
        taken = [
            job_id
            for job_id, one in changes.items()
            if jobs[job_id].status == JobStatus.PROCESSING and "status" in one
        ]
        self._note_taken(taken, error)
        for names, ids in alike.items():
            if names == ("args",):
                self._write_args({job_id: changes[job_id]["args"] for job_id in ids})
            else:
                self._update(names, [(jobs[job_id], changes[job_id]) for job_id in ids])
        return {
            job_id: ({name: getattr(jobs[job_id], name) for name in one}, settled(jobs[job_id], one))
            for job_id, one in changes.items()
        }

    def _update(self, names: Sequence[str], each: Sequence[tuple[Standing, Changes]]) -> None:
        """Set these columns, of jobs that still are what they were: the database says so once more."""
        fence = (
            _JOBS.c.id == bindparam("of_job"),
            _JOBS.c.status == bindparam("was"),
            _JOBS.c.attempt == bindparam("tried"),
        )
        change = update(_JOBS).where(*fence).values({name: bindparam(f"new_{name}") for name in names})
        self.connection.execute(
            change,
            [
                {"of_job": job.id, "was": str(job.status), "tried": job.attempt}
                | {f"new_{name}": _stored(value) for name, value in one.items()}
                for job, one in each
            ],
        )

    def _write_args(self, args: dict[int, dict[str, Any]]) -> None:
        texts = {job_id: encode_args(one) for job_id, one in args.items()}
        large = {job_id for job_id, text in texts.items() if self._facts.keeps_apart(text)}
        self.connection.execute(delete(PayloadRow).where(PayloadRow.job_id.in_(list(texts))))
        change = update(_JOBS).where(_JOBS.c.id == bindparam("of_job")).values(args=bindparam("new_args"))
        own = [{"of_job": one, "new_args": "" if one in large else text} for one, text in texts.items()]
        self.connection.execute(change, own)
        if large:
            self.connection.execute(
                insert(_PAYLOADS), [{"job_id": one, "args": texts[one]} for one in sorted(large)]
            )

    def _note_taken(self, ids: Sequence[int], error: str | None) -> None:
        """Keep in the jobs' history that they were taken from their consumers."""
        if not ids:
            return
        failure = None if error is None else describe(error)
        columns = (_JOBS.c.id, _JOBS.c.attempt, _JOBS.c.consumer, _JOBS.c.started_at)
        running = self.connection.execute(select(*columns).where(_JOBS.c.id.in_(ids)))
        ended = {
            "ended_at": self.now,
            "outcome": Outcome.TAKEN.value,
            "error_type": failure and failure.type,
            "error": failure and failure.message,
            "traceback": None,
        }
        rows = [
            dict(zip(("job_id", "attempt", "consumer", "started_at"), row, strict=True)) | ended
            for row in running
        ]
        self.connection.execute(insert(_ATTEMPTS), rows)


class _Undoing:
    """One batch that is taken back: jobs that were changed, jobs that were deleted, jobs that were brought back."""

    def __init__(self, one: _Transaction, verb: str, told: dict[int, Told]) -> None:
        self._one, self._verb, self._told = one, verb, told

    def undo(self, entry: int, mine: int, until: datetime) -> tuple[Done, set[str]]:
        """Return what came of the jobs, and in which queues they are."""
        gone = [job_id for job_id, (_, after) in self._told.items() if after is None]
        jobs = self._one.standing(
            [job_id for job_id in self._told if job_id not in gone],
            with_args=any("args" in (after or ()) for _, after in self._told.values()),
        )
        stored = read_jobs(self._one.connection, gone, entry)
        jobs |= {job_id: _of_stored(row) for job_id, row in stored.items()}
        taken = self._one.taken_keys(jobs)
        changes, skipped = planned(list(self._told), jobs, self._change, taken, stored)
        skipped |= {
            job_id: ActRefused(job_id, "is not in the trash any more")
            for job_id in gone
            if job_id not in stored
        }
        back = {job_id: one for job_id, one in changes.items() if job_id in stored}
        again = [job_id for job_id in changes if self._told[job_id][0] is None]
        told = self._one.write(
            jobs,
            {job_id: one for job_id, one in changes.items() if job_id not in back and job_id not in again},
        )
        if back:
            bring_back(
                self._one.connection, list(back), {one: _columns(change) for one, change in back.items()}
            )
            told |= {one: restored(jobs[one], change) for one, change in back.items()}
        if again:
            throw_away(self._one.connection, again, mine, self._one.now, until)
            told |= dict.fromkeys(again, ({}, None))
        return Done(told, skipped), {jobs[job_id].queue for job_id in changes}

    def _change(self, job: Standing) -> Changes:
        return take_back(job, self._verb, self._told[job.id], self._one.now)


def _columns(changes: Changes) -> dict[str, Any]:
    return {name: _stored(value) for name, value in changes.items()}


def _stored(value: Any) -> Any:
    match value:
        case bool():
            return int(value)
        case JobStatus():
            return value.value
    return value


def _standing(row: Any) -> Standing:
    values = row._asdict()
    args = decode_args(values.pop("whole_args")) if "whole_args" in values else None
    values |= {"status": STATUSES[values["status"]], "cancel_requested": bool(values["cancel_requested"])}
    return Standing(**values, args=args)


def _of_stored(row: dict[str, Any]) -> Standing:
    """Return how a job stood when it was deleted; its key counts as one that is to be taken anew."""
    values = {name: row[name] for name in Standing._fields[:-1]}
    values |= {"status": STATUSES[row["status"]], "cancel_requested": bool(row["cancel_requested"])}
    return Standing(**values)
