"""How new jobs become rows: one by one, or many with as few statements as the database allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from persistentq.job import Job, NewJob
from persistentq.payload import copy_args, encode_args
from persistentq.sql.dialect import DialectFacts
from persistentq.sql.hot import Cursor
from persistentq.sql.models import EPOCH, MICROSECOND
from persistentq.sql.prepared import Prepared, Statements, as_arrays
from persistentq.sql.rows import enqueued_job, from_driver
from persistentq.sql.statements import JOB_TYPES, OPTIONAL
from persistentq.telemetry.tracing import with_trace

PLAIN = 9
"""How many values describe a new job without any optional one."""


def row_values(new: NewJob, max_attempts: int, facts: DialectFacts) -> dict[str, Any]:
    """Return what to store; an optional value is absent where the job has none.

    Large arguments are its `payload`, which has a row of its own.
    """
    args = encode_args(new.args)
    is_large = facts.keeps_apart(args)
    values = {
        "task": new.task,
        "args": "" if is_large else args,
        "payload": args if is_large else None,
        "own_args": copy_args(new.args, args),
        "queue": new.queue,
        "priority": new.priority,
        "attempts": new.max_attempts or max_attempts,
        "at": None if new.run_at is None else (new.run_at - EPOCH) // MICROSECOND,
        "delay_us": 0 if new.delay is None else new.delay // MICROSECOND,
    }
    if new.unique_key is not None:
        values["unique_key"] = new.unique_key
    if new.tags:
        values["tags"] = f",{','.join(new.tags)},"
    if metadata := with_trace(new.metadata):
        values["extra"] = encode_args(metadata, "metadata")
    if new.backoff is not None:
        values["backoff_base_us"] = new.backoff.base // MICROSECOND
        values["backoff_cap_us"] = new.backoff.cap // MICROSECOND
    return values


class Adding:
    """The insertion of new jobs, in a transaction that somebody else ends."""

    def __init__(self, facts: DialectFacts, sql: Statements) -> None:
        self._facts, self._sql = facts, sql

    def is_single(self, values: Sequence[dict[str, Any]]) -> bool:
        """Return whether one statement stores all of these, whatever is there already."""
        if len(values) > 1 and not self._facts.has_arrays:
            return False
        return not any("unique_key" in one or one["payload"] is not None for one in values)

    def add(self, values: list[dict[str, Any]], cursor: Cursor) -> list[Job]:
        """Store jobs, and return them in order; one whose unique key is taken gives place to the job that has it."""
        jobs = self._add_rows(values, cursor)
        for one, job in zip(values, jobs, strict=True):
            if one["payload"] is not None and not job.duplicate:
                cursor.count(self._sql.insert_payload, {"job_id": job.id, "payload": one["payload"]})
        return jobs

    def _add_rows(self, values: list[dict[str, Any]], cursor: Cursor) -> list[Job]:
        if (now := cursor.now_us) is not None:
            for one in values:
                at = one["at"]
                one["run_at_us"] = run_at = now + one["delay_us"] if at is None else at
                one["status"] = "scheduled" if run_at > now else "pending"
        if len(values) == 1:
            return [self._add_one(cursor, values[0])]
        if self._sql.insert_all is not None:
            return self._add_arrays(cursor, self._sql.insert_all, values)
        given = {name for one in values if len(one) > PLAIN for name in OPTIONAL if name in one}
        last_id = self._sql.last_id
        if now is None or last_id is None or "unique_key" in given:
            return [self._add_one(cursor, one) for one in values]
        if given:
            absent = {name: OPTIONAL[name] for name in given}
            values = [absent | one for one in values]
        cursor.count_all(self._sql.insert(tuple(given)), values)
        first = cursor.rows(last_id, {})[0][0] - len(values) + 1
        return [enqueued_job(one, job_id, now) for job_id, one in enumerate(values, first)]

    def _add_one(self, cursor: Cursor, values: dict[str, Any]) -> Job:
        given = () if len(values) <= PLAIN else tuple(name for name in OPTIONAL if name in values)
        while True:
            if (added := cursor.add(self._sql.insert(given), values)) is not None:
                return enqueued_job(values, *added)
            # The holder may finish between the two statements (PostgreSQL); then the key is free again.
            if rows := cursor.rows(self._sql.unfinished, {"unique_key": values["unique_key"]}):
                return replace(from_driver(rows[0]), duplicate=True)

    def _add_arrays(self, cursor: Cursor, insert: Prepared, values: list[dict[str, Any]]) -> list[Job]:
        """Store all with one statement, in order; those whose unique key is taken are then looked at one by one."""
        added = cursor.rows(insert, as_arrays(values, JOB_TYPES, OPTIONAL))
        keys = {key for _, key, _ in added if key is not None}
        answers = iter(sorted((job_id, created_at) for job_id, _, created_at in added))
        jobs: list[Job | None] = []
        for one in values:
            key = one.get("unique_key")
            jobs.append(enqueued_job(one, *next(answers)) if key is None or key in keys else None)
            # Of two in this call with the same key, the first was stored.
            keys.discard(key)
        return [
            self._add_one(cursor, one) if job is None else job for one, job in zip(values, jobs, strict=True)
        ]
